//! Received bytes in, replies and pushes out.

use redis::{PushInfo, PushKind, Value};

use super::scanner::{Malformed, Scanner};

/// How much room there is at least for what is received next, bytes.
const PORTION: usize = 64 << 10;

/// A buffer that has grown beyond this is let go once it is empty, bytes.
const KEPT: usize = 1 << 20;

/// What the server has sent.
#[derive(Debug, PartialEq)]
pub(crate) enum Frame {
    /// The reply to the oldest command that has none, and its length in bytes.
    Reply(Value, usize),
    /// Something that no command has asked for.
    Push(PushInfo),
}

/// Collects what is received, and decodes each frame once it is complete.
#[derive(Default)]
pub(crate) struct Decoder {
    buffer: Vec<u8>,
    /// Where the first frame begins that was not decoded yet.
    start: usize,
    scanner: Scanner,
    /// Whether a list that says so is a push.
    reads_listed_pushes: bool,
}

impl Decoder {
    /// For a connection that listens in RESP2: there a message, or the confirmation of a
    /// subscription, is a list that begins with its kind.
    pub fn read_listed_pushes(&mut self) {
        self.reads_listed_pushes = true;
    }

    /// Where received bytes are to be appended; it has room for more.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        if self.start == self.buffer.len() {
            self.start = 0;
            self.buffer.clear();
            self.buffer.shrink_to(KEPT);
        } else if self.start > self.buffer.len() / 2 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.reserve(PORTION);
        &mut self.buffer
    }

    /// The next complete frame. After an error nothing that follows can be understood.
    pub fn next(&mut self) -> Result<Option<Frame>, Malformed> {
        let bytes = self.buffer.get(self.start..).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(None);
        }
        let Some(length) = self.scanner.scan(bytes)? else { return Ok(None) };
        self.start += length;
        Ok(Some(match decode(bytes.get(..length).unwrap_or_default())? {
            Value::Push { kind, data } => Frame::Push(PushInfo { kind, data }),
            Value::Array(parts) if self.reads_listed_pushes => match listed_kind(&parts) {
                Some(kind) => {
                    Frame::Push(PushInfo { kind, data: parts.into_iter().skip(1).collect() })
                }
                None => Frame::Reply(Value::Array(parts), length),
            },
            value => Frame::Reply(value, length),
        }))
    }
}

/// Which push this list is; `None` where it is a reply.
fn listed_kind(parts: &[Value]) -> Option<PushKind> {
    let Value::BulkString(kind) = parts.first()? else { return None };
    Some(match kind.as_slice() {
        b"message" => PushKind::Message,
        b"pmessage" => PushKind::PMessage,
        b"smessage" => PushKind::SMessage,
        b"subscribe" => PushKind::Subscribe,
        b"psubscribe" => PushKind::PSubscribe,
        b"ssubscribe" => PushKind::SSubscribe,
        b"unsubscribe" => PushKind::Unsubscribe,
        b"punsubscribe" => PushKind::PUnsubscribe,
        b"sunsubscribe" => PushKind::SUnsubscribe,
        _ => return None,
    })
}

/// A frame's value. What most replies are is decoded here, the rest by the library.
fn decode(frame: &[u8]) -> Result<Value, Malformed> {
    match frame {
        [b'$', b'-', ..] | [b'_', ..] => Ok(Value::Nil),
        [b'$', rest @ ..] => {
            let begin = rest.iter().position(|byte| *byte == b'\n').unwrap_or_default() + 1;
            Ok(Value::BulkString(rest.get(begin..rest.len() - 2).unwrap_or_default().to_vec()))
        }
        [b':', rest @ ..] => std::str::from_utf8(rest)
            .ok()
            .and_then(|digits| digits.trim_end().parse().ok())
            .map(Value::Int)
            .ok_or(Malformed("an integer that is not a number")),
        _ => redis::parse_redis_value(frame).map_err(|_| Malformed("a reply that cannot be read")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All frames of these bytes, received in portions of these lengths.
    fn decoded(bytes: &[u8], portions: &[usize]) -> Result<Vec<Frame>, Malformed> {
        let (mut decoder, mut frames, mut rest) = (Decoder::default(), Vec::new(), bytes);
        let mut portions = portions.iter().cycle();
        while !rest.is_empty() {
            let length = (*portions.next().unwrap_or(&1)).clamp(1, rest.len());
            decoder.buffer().extend_from_slice(&rest[..length]);
            rest = &rest[length..];
            while let Some(frame) = decoder.next()? {
                frames.push(frame);
            }
        }
        Ok(frames)
    }

    fn any_value() -> impl Strategy<Value = Vec<u8>> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(|int| format!(":{int}\r\n").into_bytes()),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| {
                [format!("${}\r\n", bytes.len()).as_bytes(), &bytes, b"\r\n"].concat()
            }),
            "[a-z ]{0,12}".prop_map(|text| format!("+{text}\r\n").into_bytes()),
            "[A-Z]{1,8} [a-z ]{0,12}".prop_map(|text| format!("-{text}\r\n").into_bytes()),
            Just(b"_\r\n".to_vec()),
            Just(b"$-1\r\n".to_vec()),
            Just(b"#t\r\n".to_vec()),
            Just(b",1.25\r\n".to_vec()),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop::collection::vec(inner, 0..5).prop_flat_map(|parts| {
                let (length, parts_of_map) = (parts.len(), parts.len() / 2 * 2);
                prop_oneof![
                    Just([format!("*{length}\r\n").into_bytes(), parts.concat()].concat()),
                    Just([format!("~{length}\r\n").into_bytes(), parts.concat()].concat()),
                    Just(
                        [
                            format!("%{}\r\n", parts_of_map / 2).into_bytes(),
                            parts[..parts_of_map].concat()
                        ]
                        .concat()
                    ),
                ]
            })
        })
    }

    proptest! {
        #[test]
        fn frames_are_what_the_library_reads_in_whatever_portions_they_come(
            frames in prop::collection::vec(any_value(), 1..6),
            portions in prop::collection::vec(1_usize..50, 1..8),
        ) {
            let expected: Vec<Frame> = frames
                .iter()
                .map(|bytes| {
                    let value = redis::parse_redis_value(bytes).expect("valid RESP");
                    Frame::Reply(value, bytes.len())
                })
                .collect();
            prop_assert_eq!(decoded(&frames.concat(), &portions), Ok(expected));
        }

        #[test]
        fn no_bytes_at_all_are_too_much(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decoded(&bytes, &[7]);
        }

        #[test]
        fn a_valid_reply_with_bytes_changed_is_refused_or_read(
            mut bytes in any_value(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let _ = decoded(&bytes, &[3, 11]);
        }
    }

    #[test]
    fn a_push_is_told_from_a_reply() {
        let frames =
            decoded(b">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n+OK\r\n", &[5]).expect("frames");
        assert!(
            matches!(&frames[0], Frame::Push(push) if push.kind == redis::PushKind::Invalidate)
        );
        assert_eq!(frames[1], Frame::Reply(Value::Okay, 5));
    }

    #[test]
    fn where_a_connection_listens_in_resp2_a_list_is_a_push_if_its_kind_says_so() {
        let message = b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n";
        let pong = b"*2\r\n$4\r\npong\r\n$0\r\n\r\n";
        let frames = |mut decoder: Decoder| {
            decoder.buffer().extend_from_slice(&[&message[..], pong].concat());
            [decoder.next(), decoder.next()].map(|frame| frame.expect("RESP").expect("a frame"))
        };
        assert!(matches!(frames(Decoder::default()), [Frame::Reply(..), Frame::Reply(..)]));
        let mut listening = Decoder::default();
        listening.read_listed_pushes();
        let [Frame::Push(push), Frame::Reply(Value::Array(reply), _)] = frames(listening) else {
            panic!("other frames")
        };
        let bytes = |text: &str| Value::BulkString(text.into());
        assert_eq!((push.kind, push.data), (PushKind::Message, vec![bytes("c"), bytes("x")]));
        assert_eq!(reply, [bytes("pong"), bytes("")]);
    }

    #[test]
    fn a_long_reply_does_not_keep_its_memory() {
        let mut decoder = Decoder::default();
        let long = vec![b'x'; 3 << 20];
        let frame = [format!("${}\r\n", long.len()).as_bytes(), &long, b"\r\n"].concat();
        decoder.buffer().extend_from_slice(&frame);
        assert!(decoder.next().expect("a frame").is_some());
        assert!(decoder.buffer().capacity() <= KEPT + PORTION);
    }
}
