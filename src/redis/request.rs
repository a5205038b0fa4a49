//! What a command must say about itself to be sent, repeated and settled.

use std::sync::Arc;

use redis::{Cmd, Value};
use tokio::time::Instant;

use crate::error::{Error, Result};

/// What repeating a command would do, which decides what happens when its answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Changes nothing. Repeated freely; without an answer nothing has changed.
    Read,
    /// Changes something, and its own first try, arriving after the repeat, changes nothing more.
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
    /// The arguments by which a writing script notes that it was applied, and finds out that it
    /// had been (`scripts/ledger.lua`).
    pub(crate) fn note_in(&self, command: &mut Cmd) {
        command.arg(self.entry.place()).arg(self.entry.number);
        command.arg(if self.repeated { "repeated" } else { "" });
        command.arg(if self.entry.renews { Entry::TTL_SECONDS } else { 0 });
    }
}

/// A place in the ledger of a connection: a string in Redis where each write notes its outcome, in
/// the same script that applies it. Every request has a number of its own, the same for all tries.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The ledger's key.
    pub ledger: Arc<str>,
    /// The request's number, from 1.
    pub number: u64,
    /// Whether this is the one of its pipeline that renews the ledger's TTL.
    pub renews: bool,
}

impl Entry {
    /// The places of a ledger. Of more requests than are ever in flight the last outcomes are
    /// kept, and no others.
    pub const PLACES: u64 = 512;

    /// How long a place is: two numbers of 16 digits, a sign, and what divides them.
    const WIDTH: u64 = 40;

    /// How long a ledger outlives its last entry, seconds. Longer than any deadline.
    pub const TTL_SECONDS: u32 = 900;

    /// Where the place of this entry begins.
    pub fn place(&self) -> u64 {
        self.number % Self::PLACES * Self::WIDTH
    }
}

/// A command and what becomes of its answer. The supervisor owns it until it is settled, and
/// settles it exactly once. All methods run on the I/O thread.
pub trait Request: Send {
    /// Called once, before anything else. Work and refusals that need no connection.
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
    /// Its number, from the first try on.
    pub number: Option<u64>,
    pub repeated: bool,
    pub with_source: bool,
}

impl Pending {
    pub fn new(request: Box<dyn Request>) -> Self {
        Self { request, number: None, repeated: false, with_source: false }
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
