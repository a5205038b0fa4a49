//! What a command must say about itself to be sent, repeated and settled.

use redis::Value;
use tokio::time::{Duration, Instant};

use crate::error::Result;
use crate::operation::Effect;
use crate::operation::replicas::Replicas;
use crate::redis::ledger::Entry;
use crate::redis::order::Access;
use crate::redis::place::Place;

/// What is different about this try.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// An earlier try was sent and its answer lost: it may have been applied.
    pub repeated: bool,
    /// The server does not know the script: send all of it.
    pub with_source: bool,
    /// Where a write notes that it was applied, so that its repeat finds out. There is one for
    /// requests that `notes`.
    pub entry: Option<Entry>,
}

/// A command and what becomes of its answer. The client owns it until it is settled, and settles
/// it exactly once.
pub(crate) trait Request: Send {
    /// Appends the command to what is sent. Called under a lock.
    fn encode(&self, attempt: &Attempt, out: &mut Vec<u8>);

    /// What repeating it would do.
    fn effect(&self) -> Effect;

    /// What it does with which sessions: its place in their order.
    fn access(&self) -> Access<'_> {
        Access::None
    }

    /// Where it is to be executed.
    fn place(&self) -> Place<'_> {
        Place::Any
    }

    /// Whether it notes in the ledger that it was applied.
    fn notes(&self) -> bool {
        false
    }

    /// How many documents its reply holds.
    fn documents(&self) -> usize {
        0
    }

    /// How many replies it draws, one or more: the last one settles it.
    fn replies(&self) -> usize {
        1
    }

    /// How long Redis may block on it, and send nothing meanwhile.
    fn blocks(&self) -> Duration {
        Duration::ZERO
    }

    /// Whether its answer is to prove that the server is a master at this moment, however lately
    /// that was confirmed.
    fn proves(&self) -> bool {
        false
    }

    /// How many replicas are to have it before its answer counts.
    fn replicas(&self) -> Option<Replicas> {
        None
    }

    /// Whether it has changed something, by its reply: else no replica has to have it.
    fn has_changed(&self, _reply: &Value) -> bool {
        true
    }

    /// Takes one of its replies before the last. An error is a value here.
    fn part(&mut self, _reply: Value) {}

    /// When it is settled at the latest.
    fn deadline(&self) -> Instant;

    /// The end: the server's value (never a server error), or why there is none.
    fn settle(self: Box<Self>, outcome: Result<Value>);
}
