//! Commands, as they are sent: a list of words, each with its length. And replies in RESP2, as they
//! are handed on to who decodes them.

use redis::{Cmd, Value};

use crate::redis::refusal::error_line;

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

/// Appends a reply in RESP2. A type that RESP2 does not have, which nobody sends there, is null.
pub fn reply(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Int(int) => line(out, b':', int.to_string().as_bytes()),
        Value::Okay => line(out, b'+', b"OK"),
        Value::SimpleString(text) => line(out, b'+', text.as_bytes()),
        Value::ServerError(error) => line(out, b'-', error_line(error).as_bytes()),
        Value::BulkString(bytes) => {
            line(out, b'$', bytes.len().to_string().as_bytes());
            out.extend_from_slice(bytes);
            out.extend_from_slice(b"\r\n");
        }
        Value::Array(items) => {
            line(out, b'*', items.len().to_string().as_bytes());
            items.iter().for_each(|item| reply(out, item));
        }
        _ => out.extend_from_slice(b"$-1\r\n"),
    }
}

/// Appends an error reply in RESP2.
pub fn error_reply(out: &mut Vec<u8>, message: &str) {
    line(out, b'-', message.as_bytes());
}

fn line(out: &mut Vec<u8>, kind: u8, text: &[u8]) {
    out.push(kind);
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
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

/// The words of commands that the library has encoded.
pub(crate) fn commands_of(mut encoded: &[u8]) -> Vec<Vec<&[u8]>> {
    let mut commands = Vec::new();
    while let Some(words) = length(&mut encoded) {
        let mut command = Vec::with_capacity(words);
        for _ in 0..words {
            let Some(length) = length(&mut encoded) else { break };
            let (word, rest) = encoded.split_at(length.min(encoded.len()));
            command.push(word);
            encoded = rest.get(2..).unwrap_or_default();
        }
        commands.push(command);
    }
    commands
}

/// The number of a line such as `*2` or `$7`.
fn length(encoded: &mut &[u8]) -> Option<usize> {
    let end = encoded.iter().position(|byte| *byte == b'\r')?;
    let number = std::str::from_utf8(encoded.get(1..end)?).ok()?.parse().ok()?;
    *encoded = encoded.get(end + 2..)?;
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_were_encoded() {
        let commands: [&[&[u8]]; 3] = [&[b"PING"], &[b"SET", b"a\r\n*1", b""], &[]];
        let mut out = Vec::new();
        for words in commands {
            let mut command = Command::new(&mut out, words.len());
            for word in words {
                command.word(word);
            }
        }
        assert_eq!(commands_of(&out), commands);
    }

    #[test]
    fn replies_are_those_that_were_read() {
        let replies = [
            "$-1\r\n",
            ":-7\r\n",
            "+OK\r\n",
            "+QUEUED\r\n",
            "-ERR no such key\r\n",
            "-MINE x y\r\n",
            "$4\r\n\r\n\0x\r\n",
            "*0\r\n",
            "*3\r\n:1\r\n*2\r\n$1\r\na\r\n-WRONG x\r\n$0\r\n\r\n",
        ];
        for text in replies {
            let value = redis::parse_redis_value(text.as_bytes()).expect("RESP2");
            let mut out = Vec::new();
            reply(&mut out, &value);
            assert_eq!(String::from_utf8_lossy(&out), text);
        }
    }

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
