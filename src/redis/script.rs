//! A Lua script that is sent by its digest, and whole where the server does not know it.

use redis::Cmd;

use crate::redis::ledger::Ledger;
use crate::redis::request::Attempt;

/// What [`Script::noting`] puts before a source.
const LEDGER: &str = include_str!("scripts/ledger.lua");

/// Enough for most commands to be put together without moving them in memory.
const ARGUMENTS: usize = 24;
const BYTES: usize = 2048;

/// A script's source and the digest that Redis knows it by.
pub struct Script {
    source: String,
    digest: String,
}

impl Script {
    /// A script from its source.
    pub fn new(source: &str) -> Self {
        let digest = redis::Script::new(source).get_hash().to_owned();
        Self { source: source.to_owned(), digest }
    }

    /// One that notes its answer in the ledger: its own keys and arguments begin at 2.
    pub fn noting(source: &str) -> Self {
        let (places, width) = (Ledger::PLACES, Ledger::WIDTH);
        Self::new(&format!("local PLACES, WIDTH = {places}, {width}\n{LEDGER}{source}"))
    }

    /// What the server knows it by.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The command that runs it on these keys; the caller appends the arguments.
    ///
    /// `EVAL` leaves the script in the server's cache, so one round trip with the source heals a
    /// flushed cache for everyone.
    pub fn command(&self, with_source: bool, keys: &[&str]) -> Cmd {
        let mut command = Cmd::with_capacity(ARGUMENTS, BYTES);
        if with_source {
            command.arg("EVAL").arg(&self.source);
        } else {
            command.arg("EVALSHA").arg(&self.digest);
        }
        command.arg(keys.len()).arg(keys);
        command
    }

    /// The same for one that notes its answer.
    pub fn noted_command(&self, attempt: &Attempt, keys: &[&str]) -> Cmd {
        let mut all = Vec::with_capacity(keys.len() + 1);
        all.push(&*attempt.entry.noted.ledger);
        all.extend(keys);
        let mut command = self.command(attempt.with_source, &all);
        attempt.note_in(&mut command);
        command
    }
}
