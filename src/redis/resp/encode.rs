//! Commands, as they are sent: a list of words, each with its length.

use redis::Cmd;

/// A command that is written word by word into what is sent, without a copy of its own.
pub struct Command<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Command<'a> {
    /// Begins a command of so many words, its name included.
    pub fn new(out: &'a mut Vec<u8>, words: usize) -> Self {
        out.push(b'*');
        number(out, words as u64);
        out.extend_from_slice(b"\r\n");
        Self { out }
    }

    /// A word.
    pub fn word(&mut self, word: impl AsRef<[u8]>) -> &mut Self {
        self.joined([word.as_ref()].into_iter())
    }

    /// A word that is made of several parts.
    pub fn joined<'p>(&mut self, parts: impl Iterator<Item = &'p [u8]> + Clone) -> &mut Self {
        self.out.push(b'$');
        number(self.out, parts.clone().map(<[u8]>::len).sum::<usize>() as u64);
        self.out.extend_from_slice(b"\r\n");
        for part in parts {
            self.out.extend_from_slice(part);
        }
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// A word that is the name of something: a prefix, and what it is the prefix of.
    pub fn named(&mut self, prefix: &str, name: &str) -> &mut Self {
        self.joined([prefix.as_bytes(), name.as_bytes()].into_iter())
    }

    /// A word that is a number.
    pub fn number(&mut self, value: u64) -> &mut Self {
        let mut digits = [0; 20];
        self.word(decimal(value, &mut digits))
    }
}

/// Appends a command that the library has put together.
pub fn append(out: &mut Vec<u8>, command: &Cmd) {
    command.write_packed_command(out);
}

fn number(out: &mut Vec<u8>, value: u64) {
    let mut digits = [0; 20];
    out.extend_from_slice(decimal(value, &mut digits));
}

/// The decimal digits of a number, at the end of a buffer that has room for all of them.
fn decimal(mut value: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut begin = digits.len();
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + u8::try_from(value % 10).unwrap_or_default();
        value /= 10;
        begin = at;
        if value == 0 {
            break;
        }
    }
    digits.get(begin..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_those_of_the_library() {
        let mut out = Vec::new();
        Command::new(&mut out, 5)
            .word("SET")
            .named("session:", "a")
            .word([0xff, 0])
            .number(0)
            .number(u64::MAX);
        let mut cmd = redis::cmd("SET");
        cmd.arg("session:a").arg(&[0xff_u8, 0][..]).arg(0).arg(u64::MAX);
        assert_eq!(out, cmd.get_packed_command());
        append(&mut out, &cmd);
        assert_eq!(out, cmd.get_packed_command().repeat(2));
    }
}
