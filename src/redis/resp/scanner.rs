//! Where a frame ends. The scanner looks at the structure alone, never twice at the same element,
//! and bounds what a server can make this process keep: the depth, every length, the whole.

use memchr::memchr;

/// How deep a frame may be nested.
const MAX_DEPTH: usize = 64;

/// The longest line: a status, an error, a number.
const MAX_LINE: usize = 64 << 10;

/// The longest string, which is Redis' own limit, and the longest frame.
const MAX_LENGTH: usize = 512 << 20;

/// The most elements in a frame, and the most attributes.
const MAX_ELEMENTS: usize = 4 << 20;
const MAX_ATTRIBUTES: usize = 64;

/// The server has sent something that is not RESP, or more than this client accepts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the server broke the protocol: {0}")]
pub(crate) struct Malformed(pub &'static str);

/// An aggregate of which elements are still to come.
struct Open {
    missing: usize,
    /// An attribute describes the element behind it, and does not count as an element.
    is_attribute: bool,
}

/// The first line of an element.
struct Line<'a> {
    kind: u8,
    /// What follows the type.
    line: &'a [u8],
    /// Where the next line begins.
    after: usize,
}

/// Scans one frame after the other.
#[derive(Default)]
pub(super) struct Scanner {
    /// How far this frame was scanned: the start of an element.
    at: usize,
    open: Vec<Open>,
    elements: usize,
    attributes: usize,
}

impl Scanner {
    /// The length of the frame that `bytes` begin with, or `None` while its end is missing. The
    /// next call for the same frame gets the same bytes, and more.
    pub fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        loop {
            let Some(Line { kind, line, after }) = self.line(bytes)? else {
                return self.incomplete(bytes);
            };
            let is_complete = match kind {
                b'+' | b'-' | b':' | b',' | b'#' | b'_' | b'(' => {
                    self.at = after;
                    self.complete_element()
                }
                b'$' | b'=' | b'!' => {
                    let end = match length(line, MAX_LENGTH)? {
                        Some(length) => after + length + 2,
                        None => after,
                    };
                    let Some(string) = bytes.get(after..end) else { return self.incomplete(bytes) };
                    if !string.is_empty() && !string.ends_with(b"\r\n") {
                        return Err(Malformed("a string is longer than it says"));
                    }
                    self.at = end;
                    self.complete_element()
                }
                b'*' | b'~' | b'%' | b'>' | b'|' => {
                    self.at = after;
                    self.open_aggregate(kind, length(line, MAX_ELEMENTS)?)?
                }
                _ => return Err(Malformed("a reply of an unknown type")),
            };
            if is_complete {
                let end = self.at;
                *self = Self { open: std::mem::take(&mut self.open), ..Self::default() };
                return Ok(Some(end));
            }
        }
    }

    /// The first line of the next element, `None` while its end is missing.
    fn line<'a>(&self, bytes: &'a [u8]) -> Result<Option<Line<'a>>, Malformed> {
        let rest = bytes.get(self.at..).unwrap_or_default();
        let Some(end) = memchr(b'\n', rest) else {
            return if rest.len() > MAX_LINE {
                Err(Malformed("a line without an end"))
            } else {
                Ok(None)
            };
        };
        match rest.get(..end) {
            Some([kind, line @ .., b'\r']) => {
                Ok(Some(Line { kind: *kind, line, after: self.at + end + 1 }))
            }
            _ => Err(Malformed("a line without a type or a carriage return")),
        }
    }

    fn incomplete(&self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        if bytes.len() > MAX_LENGTH {
            Err(Malformed("a reply of more than 512 MiB"))
        } else {
            Ok(None)
        }
    }

    /// Begins an aggregate. Whether the frame is complete with it.
    fn open_aggregate(&mut self, kind: u8, length: Option<usize>) -> Result<bool, Malformed> {
        if kind == b'>' && !self.open.is_empty() {
            return Err(Malformed("a push inside of a reply"));
        }
        let is_attribute = kind == b'|';
        let missing = match (kind, length) {
            (b'%' | b'|', Some(pairs)) => pairs * 2,
            (_, Some(elements)) => elements,
            (_, None) => 0, // RESP2's null.
        };
        self.elements += missing;
        self.attributes += usize::from(is_attribute);
        if self.elements > MAX_ELEMENTS || self.attributes > MAX_ATTRIBUTES {
            return Err(Malformed("a reply of too many elements or attributes"));
        }
        if missing == 0 {
            return Ok(!is_attribute && self.complete_element());
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(Malformed("a reply that is nested too deeply"));
        }
        self.open.push(Open { missing, is_attribute });
        Ok(false)
    }

    /// Counts an element that has ended, and each aggregate that ends with it. Whether the frame
    /// has ended, too.
    fn complete_element(&mut self) -> bool {
        while let Some(open) = self.open.last_mut() {
            open.missing -= 1;
            if open.missing > 0 {
                return false;
            }
            let is_attribute = open.is_attribute;
            self.open.pop();
            if is_attribute {
                return false;
            }
        }
        true
    }
}

/// A length; `None` for RESP2's null, -1.
fn length(digits: &[u8], most: usize) -> Result<Option<usize>, Malformed> {
    if digits == b"-1" {
        return Ok(None);
    }
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<usize>().ok());
    match number {
        Some(number) if is_number && number <= most => Ok(Some(number)),
        _ if is_number => Err(Malformed("a length beyond every limit")),
        _ => Err(Malformed("a length that is not a number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        Scanner::default().scan(bytes)
    }

    const FRAMES: [&str; 16] = [
        "+OK\r\n",
        "-ERR no\r\n",
        ":-12\r\n",
        "_\r\n",
        "#t\r\n",
        ",1.5\r\n",
        "(123456789012345678901234567890\r\n",
        "$0\r\n\r\n",
        "$3\r\na\nb\r\n",
        "$-1\r\n",
        "*-1\r\n",
        "*0\r\n",
        "*2\r\n*1\r\n:1\r\n$1\r\nx\r\n",
        "%2\r\n+a\r\n:1\r\n+b\r\n~2\r\n:1\r\n:2\r\n",
        "|1\r\n+ttl\r\n:3\r\n*2\r\n:1\r\n:2\r\n",
        ">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n",
    ];

    #[test]
    fn a_frame_ends_where_it_ends_in_whatever_portions_it_comes() {
        for frame in FRAMES {
            let bytes = [frame.as_bytes(), b"+next\r\n"].concat();
            assert_eq!(scan(&bytes), Ok(Some(frame.len())), "{frame:?}");
            let mut scanner = Scanner::default();
            for end in 0..frame.len() {
                assert_eq!(scanner.scan(&bytes[..end]), Ok(None), "{frame:?} up to {end}");
            }
            assert_eq!(scanner.scan(&bytes), Ok(Some(frame.len())), "{frame:?}");
            assert_eq!(scanner.scan(&bytes[frame.len()..]), Ok(Some(7)), "after {frame:?}");
        }
    }

    #[test]
    fn what_is_not_resp_is_refused() {
        for bytes in [
            "x\r\n",
            "\r\n",
            "\n",
            "+OK\n",
            "$x\r\n",
            "$-2\r\n",
            "*-5\r\n",
            "$\r\n",
            "$1\r\nxyz\r\n",
            "$999999999999\r\n",
            "$18446744073709551616\r\n",
            "*2147483647\r\n",
            "%9999999\r\n",
            "*1\r\n>1\r\n+x\r\n",
            "$?\r\n",
            "*+1\r\n",
        ] {
            assert!(scan(bytes.as_bytes()).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn depth_and_lines_are_bounded() {
        assert_eq!(scan("*1\r\n".repeat(MAX_DEPTH).as_bytes()), Ok(None));
        assert!(scan("*1\r\n".repeat(16_000).as_bytes()).is_err());
        assert!(scan(&vec![b'+'; MAX_LINE + 2]).is_err());
        assert!(scan("*1000000\r\n".repeat(5).as_bytes()).is_err());
        assert!(scan("|0\r\n".repeat(100).as_bytes()).is_err());
    }
}
