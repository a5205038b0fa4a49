//! A Lua script that is sent by its digest, and whole where the server does not know it.

use redis::Cmd;

use crate::redis::ledger::Ledger;
use crate::redis::request::Attempt;
use crate::redis::resp::encode::Command;

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

    /// Begins the command of one that notes its answer, which runs on these keys (each a
    /// prefix and a name) with so many arguments. The caller appends the arguments.
    pub fn noted<'a>(
        &self,
        out: &'a mut Vec<u8>,
        attempt: &Attempt,
        keys: &[[&str; 2]],
        arguments: usize,
    ) -> Command<'a> {
        let mut command = Command::new(out, 5 + keys.len() + arguments);
        if attempt.with_source {
            command.word("EVAL").word(&self.source);
        } else {
            command.word("EVALSHA").word(&self.digest);
        }
        command.number(keys.len() as u64 + 1);
        // Who notes has an entry.
        let (ledger, number) =
            attempt.entry.as_ref().map_or(("", 0), |one| (&*one.ledger, one.number));
        command.word(ledger);
        for [prefix, name] in keys {
            command.named(prefix, name);
        }
        let renews = attempt.entry.as_ref().is_some_and(|entry| entry.renews);
        match (attempt.repeated, renews) {
            (true, _) => command.word(format!("{number}?")),
            (false, true) => command.word(format!("{number}+")),
            (false, false) => command.number(number),
        };
        command
    }
}
