//! One audit queue: its stream, its dead letters, and what became of its records.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::entry::Entry;
use super::letters::{Letter, Letters};
use super::log::{Fate, Log};
use super::stream::Stream;
use crate::engine::claims::Burial;
use crate::memory::moment::Moment;
use crate::memory::wakes::Wakes;
use crate::operation::letter::{DeadLetterSelection, Revived};
use crate::operation::queue::Metrics;
use crate::operation::record::Position;
use crate::operation::survey::Surveyed;

/// One audit queue.
#[derive(Default)]
pub(in crate::memory) struct Queue {
    /// The records that wait.
    pub stream: Stream,
    /// The records that could not be stored.
    pub letters: Letters,
    /// The name of the database in which the latest worker stores.
    pub database: Option<String>,
    /// Tells workers of new records.
    pub arrival: Arc<Notify>,
    completed: u64,
    /// When records were stored last.
    stored: Option<Moment>,
}

impl Queue {
    /// Whether another record may be appended; a limit of 0 is none.
    pub fn has_room(&self, limit: u64) -> bool {
        limit == 0 || self.stream.len() < limit
    }

    /// Appends a record.
    pub fn append(&mut self, entry: Entry, at: Moment, wakes: &mut Wakes) {
        // Where records wait already, a worker was told of them.
        if !self.stream.has_new() {
            wakes.push(self.arrival.clone());
        }
        self.stream.append(entry, at.epoch_ms);
    }

    /// Removes records that are stored. Returns how many the stream still holds.
    pub fn settle(&mut self, positions: &[Position], at: Moment, log: &mut Option<Log>) -> u64 {
        for position in positions {
            // A record that two workers have stored counts once.
            if let Some(entry) = self.stream.remove(*position) {
                self.completed += 1;
                self.stored = Some(at);
                note(log, &entry, Fate::Stored);
            }
        }
        self.stream.len()
    }

    /// Moves a record to the dead letters. Returns `false` if another worker has settled it.
    pub fn bury(
        &mut self,
        position: Position,
        burial: &Burial<'_>,
        at: Moment,
        log: &mut Option<Log>,
    ) -> bool {
        let Some(mut entry) = self.stream.remove(position) else { return false };
        note(log, &entry, Fate::Failed);
        entry.position.get_or_insert(position);
        let letter = Letter {
            entry,
            error: burial.error.to_owned(),
            sqlstate: burial.sqlstate.map(str::to_owned),
            attempts: burial.attempts,
        };
        self.letters.add(burial.record_id, letter, at.epoch_ms);
        true
    }

    /// Moves dead letters to the end of the stream.
    pub fn revive(
        &mut self,
        selection: &DeadLetterSelection,
        at: Moment,
        log: &mut Option<Log>,
        wakes: &mut Wakes,
    ) -> Option<Revived> {
        let (letters, more) = match selection {
            DeadLetterSelection::Records(ids) => {
                (ids.iter().filter_map(|id| self.letters.remove(id)).collect(), None)
            }
            DeadLetterSelection::UpTo(entry_id) => {
                let newest = entry_id.is_empty().then(|| self.letters.newest());
                let up_to = match newest {
                    None => Position::parse(entry_id)?,
                    Some(Some(newest)) => newest,
                    Some(None) => return Some(Revived { moved: 0, more: None }),
                };
                let (letters, is_more) = self.letters.remove_oldest(up_to);
                (letters, is_more.then(|| super::entry::entry_id(up_to)))
            }
        };
        let moved = letters.len() as u64;
        for Letter { entry, .. } in letters {
            note(log, &entry, Fate::Waiting);
            self.append(entry, at, wakes);
        }
        Some(Revived { moved, more })
    }

    /// How many records are not stored yet, nor dead.
    pub fn unsettled(&self) -> u64 {
        self.stream.len()
    }

    /// How many records there are, by state.
    pub fn metrics(&self, at: Moment) -> Metrics {
        let counts = self.stream.counts(at.now);
        Metrics {
            waiting: counts.entries - counts.claimed,
            active: counts.claimed - counts.delayed,
            completed: self.completed,
            failed: self.letters.len(),
            delayed: counts.delayed,
        }
    }

    /// How the queue is doing.
    pub fn survey(&mut self, at: Moment) -> Surveyed {
        let age = |oldest: Position| Duration::from_millis(at.epoch_ms.saturating_sub(oldest.ms));
        Surveyed {
            counts: self.metrics(at),
            oldest: self.stream.oldest().map(age),
            stored_at_ms: self.stored.map(|stored| stored.epoch_ms),
            stored_ago: self.stored.map(|stored| at.now.saturating_duration_since(stored.now)),
            workers: Some(self.stream.workers(at.now)),
        }
    }
}

fn note(log: &mut Option<Log>, entry: &Entry, fate: Fate) {
    if let (Some(log), Some(place)) = (log, entry.logged) {
        log.note(place, fate);
    }
}
