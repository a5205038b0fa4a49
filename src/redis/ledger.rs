//! The ledger of a connection: where its writes note that they were applied, so that a repeat finds
//! out (`scripts/ledger.lua`).

use std::sync::Arc;

use crate::keys;

/// Numbers the writes of a connection.
pub struct Ledger {
    key: Arc<str>,
    last: u64,
}

impl Ledger {
    /// How many writes the ledger remembers. Of more than are ever in flight the last outcomes are
    /// kept, and no others.
    pub const PLACES: u64 = 512;

    /// How long a place is: two numbers of 16 digits, a sign, and what divides them.
    pub const WIDTH: u64 = 40;

    /// An empty one.
    pub fn new() -> Self {
        Self { key: keys::ledger(fastrand::u128(..)).into(), last: 0 }
    }

    /// The next place.
    pub fn next_place(&mut self) -> Noted {
        self.last += 1;
        Noted { ledger: self.key.clone(), number: self.last }
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new()
    }
}

/// A place in a ledger: a string in Redis where a write notes its outcome, in the same script that
/// applies it.
#[derive(Debug, Clone)]
pub struct Noted {
    /// The ledger's key.
    pub ledger: Arc<str>,
    /// The write's number, from 1, the same for all its tries.
    pub number: u64,
}

/// What a try notes.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Where.
    pub noted: Noted,
    /// Whether this is the one of its pipeline that renews the ledger's TTL.
    pub renews: bool,
}
