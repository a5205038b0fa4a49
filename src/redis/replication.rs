//! Which writes wait until replicas have them. A write is sent as any other; behind all that are
//! sent together goes one `WAIT`, and their answers are kept until it is answered. While a `WAIT` is
//! owed, no other is sent: the next one is for all writes that were sent meanwhile.
//!
//! `WAIT` tells of what its own connection has written, so nothing of this outlives a connection. A
//! state machine like the dispatcher, which owns it; `C` is a call that waits.

use redis::Value;

use crate::operation::replicas::Replicas;
use crate::redis::refusal::{Refusal, error_line};
use crate::redis::resp::encode::Command;

/// Said of a server that refuses `WAIT`.
const NEEDS_WAIT: &str = " (the option replicas needs the command WAIT)";

/// The writes of a connection that wait for replicas.
pub(crate) struct Replication<C> {
    /// What the writes demand that no `WAIT` was sent behind.
    uncovered: Option<Replicas>,
    /// Whether a `WAIT` is owed its answer.
    is_owed: bool,
    executed: Vec<Executed<C>>,
    /// Whether a `WAIT` was ever answered with a number.
    was_counted: bool,
    /// Why the server does not do this for this user.
    refusal: Option<String>,
}

/// A write that Redis has executed, and whose call waits.
pub(crate) struct Executed<C> {
    pub call: C,
    pub answer: Value,
    pub replicas: Replicas,
}

/// How many replicas had a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Confirmed {
    By(u32),
    /// Nobody knows: Redis' error.
    Unknown(String),
}

impl Confirmed {
    /// Whether it is what a write demands. `Err`: why not.
    pub fn satisfies(&self, Replicas { count, timeout }: Replicas) -> Result<(), String> {
        let ms = timeout.as_millis();
        match self {
            Self::By(some) if *some >= count => Ok(()),
            Self::By(some) => {
                Err(format!("written, and {some} of {count} replicas had it within {ms} ms"))
            }
            Self::Unknown(reason) => {
                Err(format!("written, and nobody knows how many replicas have it: {reason}"))
            }
        }
    }
}

impl<C> Replication<C> {
    pub fn new() -> Self {
        let executed = Vec::new();
        Self { uncovered: None, is_owed: false, executed, was_counted: false, refusal: None }
    }

    /// Why a write that demands replicas is not to be sent: nobody could tell whether they have it.
    pub fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    /// A write is sent that demands this.
    pub fn sent(&mut self, replicas: Replicas) {
        self.uncovered = Some(self.uncovered.map_or(replicas, |other| other.and(replicas)));
    }

    /// What the `WAIT` is to demand that goes out now, if one does.
    pub fn due(&mut self) -> Option<Replicas> {
        let replicas = self.uncovered.take_if(|_| !self.is_owed)?;
        self.is_owed = true;
        Some(replicas)
    }

    /// Redis has executed a write. Its call waits from now on.
    pub fn executed(&mut self, call: C, answer: Value, replicas: Replicas) {
        self.executed.push(Executed { call, answer, replicas });
    }

    /// A `WAIT` is answered. How many replicas have the writes that were answered before.
    pub fn confirmed(&mut self, answer: &Value) -> Confirmed {
        self.is_owed = false;
        match answer {
            Value::Int(count) => {
                self.was_counted = true;
                Confirmed::By(u32::try_from(*count).unwrap_or(0))
            }
            Value::ServerError(error) => {
                let mut line = error_line(error);
                // A proxy whose server is away may say so in the words for an unknown command.
                let is_known = self.was_counted && !line.starts_with("NOPERM");
                if !is_known && Refusal::is_for_good(&line) {
                    line.push_str(NEEDS_WAIT);
                    self.refusal = Some(line.clone());
                }
                Confirmed::Unknown(line)
            }
            _ => Confirmed::Unknown(String::from("WAIT is answered with something else")),
        }
    }

    /// The writes that were answered so far.
    pub fn take_executed(&mut self) -> Vec<Executed<C>> {
        std::mem::take(&mut self.executed)
    }

    /// Takes out the calls that are to wait no longer.
    pub fn give_up(&mut self, mut is_over: impl FnMut(&C) -> bool) -> Vec<C> {
        self.executed.extract_if(.., |one| is_over(&one.call)).map(|one| one.call).collect()
    }

    /// The connection has ended. The calls that still wait.
    pub fn end(&mut self) -> Vec<C> {
        std::mem::take(self).executed.into_iter().map(|one| one.call).collect()
    }

    /// Whether no call waits.
    pub fn is_idle(&self) -> bool {
        self.executed.is_empty()
    }
}

impl<C> Default for Replication<C> {
    fn default() -> Self {
        Self::new()
    }
}

/// Appends the command that waits for replicas.
pub(crate) fn encode_wait(replicas: Replicas, out: &mut Vec<u8>) {
    let ms = u64::try_from(replicas.timeout.as_millis()).unwrap_or(u64::MAX);
    Command::new(out, 3).word("WAIT").number(replicas.count.into()).number(ms);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn of(count: u32, ms: u64) -> Replicas {
        Replicas { count, timeout: Duration::from_millis(ms) }
    }

    #[test]
    fn one_wait_is_for_all_that_was_sent_before() {
        let mut replication: Replication<u32> = Replication::new();
        assert_eq!(replication.due(), None);
        replication.sent(of(1, 900));
        replication.sent(of(2, 100));
        assert_eq!(replication.due(), Some(of(2, 900)));
        assert_eq!(replication.due(), None);
    }

    #[test]
    fn the_next_wait_goes_out_when_the_last_is_answered() {
        let mut replication = Replication::new();
        replication.sent(of(1, 100));
        replication.due();
        replication.executed(1, Value::Okay, of(1, 100));
        for _ in 0..3 {
            replication.sent(of(1, 100));
            assert_eq!(replication.due(), None);
        }
        assert_eq!(replication.confirmed(&Value::Int(1)), Confirmed::By(1));
        let executed: Vec<u32> = replication.take_executed().iter().map(|one| one.call).collect();
        assert_eq!(executed, [1]);
        assert_eq!(replication.due(), Some(of(1, 100)));
    }

    #[test]
    fn a_server_that_refuses_for_good_is_asked_no_more() {
        let answer = |text: &str| redis::parse_redis_value(text.as_bytes()).expect("RESP");
        let mut replication: Replication<u32> = Replication::new();
        replication.confirmed(&answer("-BUSY x\r\n"));
        assert_eq!(replication.refusal(), None);
        replication.confirmed(&answer("-NOPERM x\r\n"));
        let refusal = replication.refusal().expect("a refusal");
        assert!(refusal.starts_with("NOPERM x") && refusal.contains("WAIT"), "{refusal}");
        replication.end();
        assert_eq!(replication.refusal(), None, "another connection may lead to another server");
        replication.confirmed(&Value::Int(0));
        replication.confirmed(&answer("-ERR upstream failure\r\n"));
        assert_eq!(replication.refusal(), None, "it knows the command");
    }
}
