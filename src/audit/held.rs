//! The records that a lane holds until their next try.

use std::collections::VecDeque;

use tokio::time::Instant;

use crate::operation::batch::Batch;

/// The most records: one command renews the claims to all of them.
const MAX_RECORDS: usize = 2000;

/// The records, the earliest due first.
#[derive(Debug, Default)]
pub(super) struct Held(VecDeque<(Instant, Batch)>);

impl Held {
    pub fn insert(&mut self, due: Instant, batch: Batch) {
        let position = self.0.partition_point(|(other, _)| *other <= due);
        self.0.insert(position, (due, batch));
    }

    /// When the first is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.0.front().map(|(due, _)| *due)
    }

    /// Takes the first that is due.
    pub fn pop_due(&mut self, now: Instant) -> Option<Batch> {
        self.next_due().filter(|due| *due <= now)?;
        self.0.pop_front().map(|(_, batch)| batch)
    }

    /// Whether these are so many records, or so many bytes, that no more should be read.
    pub fn is_full(&self, max_bytes: usize) -> bool {
        let batches = || self.0.iter().map(|(_, batch)| batch);
        batches().map(Batch::len).sum::<usize>() >= MAX_RECORDS
            || batches().map(Batch::bytes).sum::<usize>() >= max_bytes
    }

    /// The ids of their entries.
    pub fn entry_ids(&self) -> Vec<&str> {
        self.0.iter().flat_map(|(_, batch)| &batch.entry_ids).map(String::as_str).collect()
    }
}
