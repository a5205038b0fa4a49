//! What a command must say about itself to be sent, repeated and settled.

use redis::{Cmd, Value};
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::redis::ledger::{Entry, Noted};

/// What repeating a command would do, which decides what happens when its answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Changes nothing. Repeated freely; without an answer nothing has changed.
    Read,
    /// Changes something, and its own first try, arriving after the repeat, changes nothing more,
    /// unless the session has begun another life meanwhile. So the connection that carried that try
    /// is ended before the repeat where that can be done, and it is repeated all the same where not.
    Idempotent,
    /// Recognises that it has landed, but must not be overtaken by its own first try: repeated
    /// once the connection that carried that try is known to be gone in Redis too.
    Recognised,
    /// Never repeated once it may have been sent.
    Once,
}

/// What is different about this try.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// An earlier try was sent and its answer lost: it may have been applied.
    pub repeated: bool,
    /// The server does not know the script: send all of it.
    pub with_source: bool,
    /// Where a write notes that it was applied, so that its repeat finds out.
    pub entry: Entry,
}

impl Attempt {
    /// The argument by which a writing script notes that it was applied, and finds out that it had
    /// been: the request's number, in rare cases with a flag (`scripts/ledger.lua`).
    pub(crate) fn note_in(&self, command: &mut Cmd) {
        let Entry { noted: Noted { number, .. }, renews } = &self.entry;
        match (self.repeated, renews) {
            (true, _) => command.arg(format!("{number}?")),
            (false, true) => command.arg(format!("{number}+")),
            (false, false) => command.arg(number),
        };
    }
}

/// A command and what becomes of its answer. The supervisor owns it until it is settled, and
/// settles it exactly once. All methods run on the I/O thread.
pub trait Request: Send {
    /// Called before anything else. Work and refusals that need no connection.
    fn prepare(&mut self) -> Result<()> {
        Ok(())
    }

    /// The command to send.
    fn command(&self, attempt: &Attempt) -> Cmd;

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
    /// Where it notes that it was applied, from the first try on.
    pub noted: Option<Noted>,
    pub repeated: bool,
    pub with_source: bool,
}

impl Pending {
    pub fn new(request: Box<dyn Request>) -> Self {
        Self { request, noted: None, repeated: false, with_source: false }
    }

    /// Gives up, with the error that tells the caller what it may rely on.
    ///
    /// `sent`: whether this try is on its way, besides any earlier one.
    pub fn give_up(self, sent: bool, reason: &str) {
        let maybe_applied = self.repeated || sent;
        let error = if maybe_applied && self.request.effect() != Effect::Read {
            Error::unknown(reason)
        } else {
            Error::unavailable(reason)
        };
        self.request.settle(Err(error));
    }

    /// Ends it because its owner closed.
    pub fn close(self, sent: bool) {
        if sent || self.repeated {
            self.give_up(sent, "closed before the answer came");
        } else {
            self.request.settle(Err(Error::Closed));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(repeated: bool, renews: bool) -> String {
        let noted = Noted { ledger: "ledger".into(), number: 7 };
        let attempt = Attempt { repeated, with_source: false, entry: Entry { noted, renews } };
        let mut command = Cmd::new();
        attempt.note_in(&mut command);
        String::from_utf8(command.get_packed_command()).unwrap_or_default()
    }

    #[test]
    fn one_argument_says_the_number_and_what_is_rare() {
        assert_eq!(noted(false, false), "*1\r\n$1\r\n7\r\n");
        assert_eq!(noted(false, true), "*1\r\n$2\r\n7+\r\n");
        assert_eq!(noted(true, true), "*1\r\n$2\r\n7?\r\n");
        assert_eq!(noted(true, false), "*1\r\n$2\r\n7?\r\n");
    }
}
