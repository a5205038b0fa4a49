//! What a store holds: sessions, audit queues, and who listens.

use std::collections::HashMap;

use super::moment::Moment;
use super::records::entry::Entry;
use super::records::log::Log;
use super::records::queue::Queue;
use super::sessions::expiries::Expiries;
use super::sessions::table::Sessions;
use super::sessions::topics::Topics;
use super::wakes::Wakes;
use crate::operation::names::Stream;

/// What a store holds.
#[derive(Default)]
pub(super) struct Contents {
    /// The sessions of all namespaces.
    pub sessions: Sessions,
    /// By the prefix of their keys: which sessions are to be told of when they expire.
    pub expiries: HashMap<String, Expiries>,
    /// Who listens.
    pub topics: Topics,
    /// Every record that was appended, in a store for tests.
    pub log: Option<Log>,
    /// Whom to wake after the step.
    pub wakes: Wakes,
    queues: HashMap<String, Queue>,
}

impl Contents {
    /// Nothing yet. With a log, every record that is appended is remembered.
    pub fn new(has_log: bool) -> Self {
        Self { log: has_log.then(Log::default), ..Self::default() }
    }

    /// A queue, by the name of its stream, with what its changes need.
    pub fn queue(&mut self, stream: &Stream) -> (&mut Queue, &mut Option<Log>, &mut Wakes) {
        let queue = self.queues.entry(stream.keys.stream.clone()).or_default();
        (queue, &mut self.log, &mut self.wakes)
    }

    /// How many records wait in all queues, or are being stored.
    pub fn unsettled(&self) -> u64 {
        self.queues.values().map(Queue::unsettled).sum()
    }

    /// Whether the stream may take another record.
    pub fn has_room(&mut self, stream: &Stream) -> bool {
        self.queue(stream).0.has_room(stream.limit())
    }

    /// Appends a record.
    pub fn append(&mut self, stream: &Stream, mut entry: Entry, at: Moment) {
        let (queue, log, wakes) = self.queue(stream);
        entry.logged = log.as_mut().map(|log| log.append(entry.clone()));
        queue.append(entry, at, wakes);
    }
}
