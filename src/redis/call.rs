//! The caller's own commands: one, several that are sent together, or a transaction.

use std::sync::{Arc, LazyLock};

use redis::Value;
use tokio::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::operation::Effect;
use crate::redis::layout::{Layout, Spread};
use crate::redis::place::Place;
use crate::redis::request::{Attempt, Request};
use crate::redis::resp::encode::{error_reply, reply};
use crate::redis::topology::slot::Slot;

/// Commands of the caller's. They are never sent twice, and their replies are the caller's, whatever
/// they say: what the commands do is not known here.
pub(super) struct Call<D> {
    /// The commands, as they are sent: together, and with nothing in between.
    encoded: Vec<u8>,
    /// How many replies they draw.
    replies: usize,
    /// How long Redis may block on them.
    blocks: Duration,
    /// The replies that have come, in RESP2, and how many they are.
    received: Vec<u8>,
    parts: usize,
    target: Target,
    deadline: Instant,
    done: D,
}

/// Commands that change what the connection is, under everybody else who uses it, and what does the
/// same for the caller alone.
const REFUSED: [(&str, &str); 22] = [
    ("AUTH", "make a client with a user name and a password"),
    ("DISCARD", "use multi(), which sends nothing before its exec()"),
    ("EXEC", "use multi() and its exec()"),
    ("HELLO", "make a client with a user name and a password"),
    ("MONITOR", "use redis-cli"),
    ("MULTI", "use multi() and its exec()"),
    ("PSUBSCRIBE", "use psubscribe()"),
    ("PSYNC", "it is for replicas"),
    ("PUNSUBSCRIBE", "use punsubscribe()"),
    ("QUIT", "use quit()"),
    ("READONLY", "it is for clusters"),
    ("READWRITE", "it is for clusters"),
    ("REPLCONF", "it is for replicas"),
    ("RESET", "make another client by duplicate()"),
    ("SELECT", "use select(), or duplicate({ db })"),
    ("SSUBSCRIBE", "use subscribe(); sharded channels are not supported"),
    ("SUBSCRIBE", "use subscribe()"),
    ("SUNSUBSCRIBE", "use unsubscribe(); sharded channels are not supported"),
    ("SYNC", "it is for replicas"),
    ("UNSUBSCRIBE", "use unsubscribe()"),
    ("UNWATCH", "use a Lua script, which reads and writes in one step"),
    ("WATCH", "use a Lua script, which reads and writes in one step"),
];

/// The longest that a command may block, also where it asks for ever.
const LONGEST_BLOCK: Duration = Duration::from_secs(600);

/// Where the commands of a call are sent.
pub(super) enum Target {
    /// To the one server. If it turns out to be a cluster, they are not sent.
    Server(Arc<Layout>),
    /// To any master.
    Any,
    /// To where the keys of this slot are.
    Slot(Slot),
}

/// What becomes of a call.
pub(super) enum Outcome {
    /// The replies that have come, in RESP2, and why there are no more, if some are missing.
    Answered(Vec<u8>, Result<()>),
    /// There is a cluster: nothing of this was sent.
    IsCluster(Vec<u8>),
}

/// Why commands that were meant for one server are not sent to a cluster as they are.
static IS_CLUSTER: LazyLock<Error> =
    LazyLock::new(|| Error::unavailable("the server is a part of a cluster"));

impl<D> Call<D> {
    /// The commands of a call, which draw so many replies, and are settled at the latest by the deadline.
    pub fn new(
        encoded: Vec<u8>,
        replies: usize,
        blocks: Duration,
        target: Target,
        deadline: Instant,
        done: D,
    ) -> Self {
        let received = Vec::new();
        Self { encoded, replies, blocks, received, parts: 0, deadline, target, done }
    }
}

/// How long Redis may block on these commands, as they say themselves.
pub(super) fn blocking(commands: &[Vec<&[u8]>]) -> Duration {
    commands.iter().map(|words| blocking_of(words)).sum::<Duration>().min(LONGEST_BLOCK)
}

fn blocking_of(words: &[&[u8]]) -> Duration {
    let Some((name, arguments)) = words.split_first() else { return Duration::ZERO };
    let (argument, unit) = match name.to_ascii_uppercase().as_slice() {
        b"BLPOP" | b"BRPOP" | b"BRPOPLPUSH" | b"BLMOVE" | b"BZPOPMIN" | b"BZPOPMAX" => {
            (arguments.last(), 1.0)
        }
        b"BLMPOP" | b"BZMPOP" => (arguments.first(), 1.0),
        b"WAIT" | b"WAITAOF" => (arguments.last(), 0.001),
        b"XREAD" | b"XREADGROUP" => {
            let options = arguments.split(|word| word.eq_ignore_ascii_case(b"STREAMS")).next();
            let mut options = options.unwrap_or_default().iter();
            options.find(|word| word.eq_ignore_ascii_case(b"BLOCK"));
            (options.next(), 0.001)
        }
        _ => return Duration::ZERO,
    };
    let number = argument.and_then(|word| std::str::from_utf8(word).ok()?.parse::<f64>().ok());
    match number.map(|number| number * unit) {
        Some(0.0) => LONGEST_BLOCK,
        // Redis refuses what is no time.
        Some(seconds) if seconds > 0.0 => {
            Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_BLOCK).min(LONGEST_BLOCK)
        }
        _ => Duration::ZERO,
    }
}

/// Refuses commands that would change the connection that others share.
pub(super) fn check(commands: &[Vec<&[u8]>]) -> Result<()> {
    if commands.is_empty() {
        return Err(Error::invalid("command", "there is none"));
    }
    for words in commands {
        let Some(name) = words.first().filter(|name| !name.is_empty()) else {
            return Err(Error::invalid("command", "it is empty"));
        };
        let name = String::from_utf8_lossy(name).to_ascii_uppercase();
        let sub = words.get(1).map(|sub| sub.to_ascii_uppercase());
        let changes = match name.as_str() {
            "CLIENT" => {
                matches!(sub.as_deref(), Some(b"REPLY" | b"TRACKING" | b"SETNAME" | b"NO-TOUCH"))
            }
            "SCRIPT" => sub.as_deref() == Some(b"DEBUG"),
            _ => false,
        };
        let refused = REFUSED.iter().find(|(refused, _)| *refused == name);
        let advice = refused.map(|(_, advice)| *advice);
        if let Some(advice) = advice.or(changes.then_some("use a connection of your own")) {
            let reason = format!("{name} would change the connection that others share: {advice}");
            return Err(Error::invalid("command", reason));
        }
    }
    Ok(())
}

impl<D: FnOnce(Outcome) + Send> Request for Call<D> {
    fn encode(&self, _attempt: &Attempt, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.encoded);
    }

    fn effect(&self) -> Effect {
        Effect::Opaque
    }

    fn replies(&self) -> usize {
        self.replies
    }

    fn blocks(&self) -> Duration {
        self.blocks
    }

    fn place(&self) -> Place<'_> {
        match &self.target {
            Target::Any => Place::Any,
            Target::Slot(slot) => Place::Slot(*slot),
            Target::Server(layout) => match layout.get() {
                None => Place::Unknown,
                Some(Spread::One) => Place::Any,
                Some(_) => Place::Nowhere(&IS_CLUSTER),
            },
        }
    }

    fn part(&mut self, part: Value) {
        // A transaction that a node has refused is sent to another one, from its beginning.
        if self.parts + 1 == self.replies {
            (self.received, self.parts) = (Vec::new(), 0);
        }
        self.parts += 1;
        reply(&mut self.received, &part);
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn settle(mut self: Box<Self>, outcome: Result<Value>) {
        let is_unsent = matches!(self.place(), Place::Nowhere(_));
        let outcome = match outcome {
            Ok(last) => {
                reply(&mut self.received, &last);
                Ok(())
            }
            Err(Error::Reply { message }) => {
                error_reply(&mut self.received, &message);
                Ok(())
            }
            Err(_) if is_unsent => return (self.done)(Outcome::IsCluster(self.encoded)),
            Err(error) => Err(error),
        };
        (self.done)(Outcome::Answered(self.received, outcome));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    fn refusal(words: &[&str]) -> Option<String> {
        let command = words.iter().map(|word| word.as_bytes()).collect();
        check(&[vec![b"PING"], command]).err().map(|error| error.to_string())
    }

    #[test]
    fn what_would_change_the_shared_connection_is_refused() {
        assert!(check(&[]).is_err());
        for words in [
            &[][..],
            &[""],
            &["subscribe", "x"],
            &["MULTI"],
            &["client", "reply", "off"],
            &["script", "debug", "yes"],
        ] {
            assert!(refusal(words).is_some(), "{words:?}");
        }
        assert_eq!(refusal(&["client", "list"]), None);
        assert_eq!(refusal(&["EVALSHA", "x", "0"]), None);
    }

    #[test]
    fn a_refusal_says_what_to_use() {
        assert!(refusal(&["select", "1"]).is_some_and(|text| text.contains("use select()")));
    }

    #[test]
    fn a_command_says_itself_how_long_it_may_block() {
        let of = |text: &str| blocking(&[text.split(' ').map(str::as_bytes).collect()]).as_millis();
        assert_eq!(of("blpop a b 1.5"), 1500);
        assert_eq!(of("BLMPOP 2 1 a LEFT"), 2000);
        assert_eq!(of("XREAD COUNT 1 BLOCK 700 STREAMS a 0"), 700);
        assert_eq!(of("WAIT 1 300"), 300);
        assert_eq!(of("BRPOP a 0"), LONGEST_BLOCK.as_millis());
        assert_eq!(of("BRPOP a 1e300"), LONGEST_BLOCK.as_millis());
        for none in
            ["XREAD STREAMS BLOCK 5", "BLPOP a -1", "BLPOP a x", "BLPOP", "GET a", "XREAD BLOCK"]
        {
            assert_eq!(of(none), 0, "{none}");
        }
    }

    /// The replies that a caller is told, and whether they are all.
    type Told = (Vec<u8>, bool);

    /// A call of three replies, and what its caller is told.
    fn told_call() -> (Box<dyn Request>, Receiver<Told>) {
        let (told, heard) = channel();
        let done = move |outcome| {
            if let Outcome::Answered(replies, outcome) = outcome {
                let _ = told.send((replies, outcome.is_ok()));
            }
        };
        let now = Instant::now();
        (Box::new(Call::new(Vec::new(), 3, Duration::ZERO, Target::Any, now, done)), heard)
    }

    #[test]
    fn a_call_is_told_all_its_replies_and_errors_among_them() {
        let (mut call, heard) = told_call();
        call.part(Value::Int(1));
        call.part(Value::Nil);
        call.settle(Err(Error::Reply { message: "EXECABORT x".into() }));
        assert_eq!(heard.recv(), Ok((b":1\r\n$-1\r\n-EXECABORT x\r\n".to_vec(), true)));
    }

    #[test]
    fn a_call_that_is_sent_once_more_is_told_the_last_replies() {
        let (mut call, heard) = told_call();
        for part in [1, 2, 3, 4] {
            call.part(Value::Int(part));
        }
        call.settle(Ok(Value::Int(5)));
        assert_eq!(heard.recv(), Ok((b":3\r\n:4\r\n:5\r\n".to_vec(), true)));
    }

    #[test]
    fn a_call_that_ends_early_is_told_what_has_come() {
        let (mut call, heard) = told_call();
        call.part(Value::Int(1));
        call.settle(Err(Error::unknown("lost")));
        assert_eq!(heard.recv(), Ok((b":1\r\n".to_vec(), false)));
    }
}
