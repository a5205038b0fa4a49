//! Every record that was appended, for tests.

use super::entry::Entry;
use crate::operation::record::Record;

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Not stored yet.
    Waiting,
    /// Stored in the database.
    Stored,
    /// A dead letter.
    Failed,
}

/// A record that was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The record.
    pub record: Record,
    /// What became of it.
    pub fate: Fate,
}

/// Every record that was appended, in order.
#[derive(Default)]
pub(in crate::memory) struct Log {
    entries: Vec<(Entry, Fate)>,
}

impl Log {
    /// Notes a new record. Returns its place.
    pub fn append(&mut self, entry: Entry) -> usize {
        self.entries.push((entry, Fate::Waiting));
        self.entries.len() - 1
    }

    /// Notes what became of a record.
    pub fn note(&mut self, place: usize, fate: Fate) {
        if let Some((_, noted)) = self.entries.get_mut(place) {
            *noted = fate;
        }
    }

    /// All records.
    pub fn all(&self) -> Vec<Appended> {
        let appended =
            |(entry, fate): &(Entry, Fate)| Appended { record: entry.record(), fate: *fate };
        self.entries.iter().map(appended).collect()
    }
}
