//! Records that a worker has claimed.

use super::record::Record;

/// Records that a worker has claimed, with the ids of their stream entries. The lists have the same
/// length: the database takes the records, the engine the entry ids.
#[derive(Debug, Default)]
pub struct Batch {
    /// The ids of the entries.
    pub entry_ids: Vec<String>,
    /// The records.
    pub records: Vec<Record>,
    /// The number of the current attempt of each record, from 1.
    pub attempts: Vec<u32>,
}

impl Batch {
    /// How many they are.
    pub fn len(&self) -> usize {
        self.entry_ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entry_ids.is_empty()
    }

    /// Adds a record.
    pub fn push(&mut self, entry_id: String, record: Record, attempt: u32) {
        self.entry_ids.push(entry_id);
        self.records.push(record);
        self.attempts.push(attempt);
    }

    /// Splits the batch in two. The second half comes first, so that the first is on top of a stack.
    pub fn halves(mut self) -> [Self; 2] {
        let half = self.len().div_ceil(2);
        let second = Self {
            entry_ids: self.entry_ids.split_off(half),
            records: self.records.split_off(half),
            attempts: self.attempts.split_off(half),
        };
        [second, self]
    }

    /// Adds the records of another batch.
    pub fn append(&mut self, other: Self) {
        self.entry_ids.extend(other.entry_ids);
        self.records.extend(other.records);
        self.attempts.extend(other.attempts);
    }

    /// The approximate size of the records in memory, in bytes.
    pub fn bytes(&self) -> usize {
        self.records.iter().map(size).sum()
    }

    /// The approximate size of the largest record in memory, in bytes.
    pub fn largest(&self) -> usize {
        self.records.iter().map(size).max().unwrap_or_default()
    }
}

fn size(record: &Record) -> usize {
    record.state.as_ref().map_or(0, String::len) + 256
}
