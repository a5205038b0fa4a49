//! What a command must say about itself to be sent, repeated and settled.

use redis::{Cmd, Value};
use tokio::time::Instant;

use crate::error::{Error, Result};

/// What repeating a command would do, which decides what happens when its answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Changes nothing. Repeated freely; without an answer nothing has changed.
    Read,
    /// Changes something, and repeating it, however late, changes nothing more.
    Idempotent,
    /// Recognises that it has landed, but must not be overtaken by its own first try: repeated
    /// once the connection that carried that try is known to be gone in Redis too.
    Recognised,
    /// Never repeated once it may have been sent.
    Once,
}

/// What is different about this try.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attempt {
    /// An earlier try was sent and its answer lost: it may have been applied.
    pub repeated: bool,
    /// The server does not know the script: send all of it.
    pub with_source: bool,
}

/// A command and what becomes of its answer. The supervisor owns it until it is settled, and
/// settles it exactly once. All methods run on the I/O thread.
pub trait Request: Send {
    /// Called once, before anything else. Work and refusals that need no connection.
    fn prepare(&mut self) -> Result<()> {
        Ok(())
    }

    /// The command to send.
    fn command(&self, attempt: Attempt) -> Cmd;

    /// What repeating it would do.
    fn effect(&self) -> Effect;

    /// When it is settled at the latest.
    fn deadline(&self) -> Instant;

    /// The end: the server's value (never a server error), or why there is none.
    fn settle(self: Box<Self>, outcome: Result<Value>);
}

/// A request in the supervisor's hands.
pub(crate) struct Pending {
    pub request: Box<dyn Request>,
    pub attempt: Attempt,
}

impl Pending {
    pub fn new(request: Box<dyn Request>) -> Self {
        Self { request, attempt: Attempt::default() }
    }

    /// Gives up, with the error that tells the caller what it may rely on.
    ///
    /// `sent`: whether this try is on its way, besides any earlier one.
    pub fn give_up(self, sent: bool, reason: &str) {
        let maybe_applied = self.attempt.repeated || sent;
        let error = if maybe_applied && self.request.effect() != Effect::Read {
            Error::unknown(reason)
        } else {
            Error::unavailable(reason)
        };
        self.request.settle(Err(error));
    }

    /// Ends it because its owner closed.
    pub fn close(self, sent: bool) {
        if sent || self.attempt.repeated {
            self.give_up(sent, "closed before the answer came");
        } else {
            self.request.settle(Err(Error::Closed));
        }
    }
}
