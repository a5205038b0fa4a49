//! The records of one audit queue that are not stored in the database yet, and which worker has
//! claimed which. A claimed record stays until it is settled.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use tokio::time::Instant;

use super::entry::{Entry, entry_id, position_after};
use crate::engine::claims::ABANDONED;
use crate::operation::batch::Batch;
use crate::operation::record::Position;
use crate::operation::survey::{LEFT_OUT, WorkerSeen};

/// A worker's claim on an entry.
struct Claim {
    worker: Arc<str>,
    /// From when on other workers may take it over.
    abandoned_at: Instant,
}

/// The entries and the claims on them.
#[derive(Default)]
pub(in crate::memory) struct Stream {
    entries: BTreeMap<Position, Entry>,
    /// The position of the newest entry that there ever was.
    last: Position,
    /// The position of the newest entry that was ever claimed: those after it are new.
    claimed: Position,
    claims: BTreeMap<Position, Claim>,
    /// The entries that wait for a retry, and when it is due.
    delayed: HashMap<Position, Instant>,
    /// The counted attempts.
    tries: HashMap<Position, u32>,
    /// Whether a worker has ever asked for claims.
    has_workers: bool,
    /// When each worker has asked for something last.
    heard: HashMap<Arc<str>, Instant>,
}

/// How many entries there are, by state.
pub(in crate::memory) struct Counts {
    /// All.
    pub entries: u64,
    /// Claimed.
    pub claimed: u64,
    /// Of these: waiting for a retry.
    pub delayed: u64,
}

impl Stream {
    /// How many entries there are.
    pub fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Appends an entry.
    pub fn append(&mut self, entry: Entry, epoch_ms: u64) {
        self.last = position_after(self.last, epoch_ms);
        self.entries.insert(self.last, entry);
    }

    /// The position of the oldest entry.
    pub fn oldest(&self) -> Option<Position> {
        self.entries.first_key_value().map(|(oldest, _)| *oldest)
    }

    /// A worker asks for something.
    pub fn heard(&mut self, worker: &Arc<str>, now: Instant) {
        if let Some(heard) = self.heard.get_mut(worker) {
            *heard = now;
        } else {
            self.workers(now); // Forgets those of long ago.
            self.heard.insert(worker.clone(), now);
        }
    }

    /// The workers, but for those without claims that are silent for long.
    pub fn workers(&mut self, now: Instant) -> Vec<WorkerSeen> {
        let mut claimed: HashMap<Arc<str>, u64> = HashMap::new();
        for claim in self.claims.values() {
            *claimed.entry(claim.worker.clone()).or_default() += 1;
        }
        self.heard.retain(|worker, heard| {
            claimed.contains_key(worker) || now.saturating_duration_since(*heard) < LEFT_OUT
        });
        let seen = self.heard.iter().map(|(worker, heard)| WorkerSeen {
            name: worker.as_ref().to_owned(),
            silent: now.saturating_duration_since(*heard),
            claimed: claimed.get(worker).copied().unwrap_or_default(),
        });
        seen.collect()
    }

    /// Whether there are entries that no worker has claimed yet.
    pub fn has_new(&self) -> bool {
        self.entries.last_key_value().is_some_and(|(newest, _)| *newest > self.claimed)
    }

    /// Notes that a worker asks for claims. Returns whether it is the first.
    pub fn enter(&mut self) -> bool {
        !std::mem::replace(&mut self.has_workers, true)
    }

    /// Claims up to `count` new entries.
    pub fn claim(&mut self, worker: &Arc<str>, count: usize, now: Instant) -> Batch {
        let new = self.entries.range((Excluded(self.claimed), Unbounded));
        let positions: Vec<Position> = new.take(count).map(|(position, _)| *position).collect();
        if let Some(last) = positions.last() {
            self.claimed = *last;
        }
        self.take(worker, positions, now)
    }

    /// What a worker has claimed, after an entry. The claims are renewed.
    pub fn own(&mut self, worker: &Arc<str>, count: usize, after: Position, now: Instant) -> Batch {
        let claims = self.claims.range((Excluded(after), Unbounded));
        let own = claims.filter(|(_, claim)| claim.worker == *worker);
        let positions = own.take(count).map(|(position, _)| *position).collect();
        self.take(worker, positions, now)
    }

    /// Claims entries whose worker is silent for too long.
    pub fn take_over(&mut self, worker: &Arc<str>, count: usize, now: Instant) -> Batch {
        let abandoned = self.claims.iter().filter(|(_, claim)| claim.abandoned_at <= now);
        let positions = abandoned.take(count).map(|(position, _)| *position).collect();
        self.take(worker, positions, now)
    }

    /// Renews claims, which this worker has then.
    pub fn keep(&mut self, worker: &Arc<str>, positions: &[Position], now: Instant) {
        self.hold(worker, positions, now + ABANDONED);
    }

    /// Gives claims up.
    pub fn release(&mut self, worker: &Arc<str>, positions: &[Position], now: Instant) {
        self.hold(worker, positions, now);
    }

    /// Removes an entry, with its claim. `None` if another worker has removed it.
    pub fn remove(&mut self, position: Position) -> Option<Entry> {
        self.claims.remove(&position);
        self.delayed.remove(&position);
        self.tries.remove(&position);
        self.entries.remove(&position)
    }

    /// Marks entries as waiting for a retry. Returns the counted attempts of each; 0 where it is not
    /// counted, or another worker has removed the entry.
    pub fn delay(&mut self, positions: &[Position], due: Instant, is_counted: bool) -> Vec<u32> {
        let delay = |position: &Position| {
            self.delayed.remove(position);
            if !self.entries.contains_key(position) {
                return 0;
            }
            self.delayed.insert(*position, due);
            if !is_counted {
                return 0;
            }
            let tries = self.tries.entry(*position).or_default();
            *tries = tries.saturating_add(1);
            *tries
        };
        positions.iter().map(delay).collect()
    }

    /// How many entries there are, by state.
    pub fn counts(&self, now: Instant) -> Counts {
        let claimed = self.claims.len() as u64;
        let delayed = self.delayed.values().filter(|due| **due > now).count() as u64;
        Counts { entries: self.len(), claimed, delayed: delayed.min(claimed) }
    }

    fn take(&mut self, worker: &Arc<str>, positions: Vec<Position>, now: Instant) -> Batch {
        let mut batch = Batch::default();
        for position in positions {
            let Some(entry) = self.entries.get(&position) else { continue };
            let claim = Claim { worker: worker.clone(), abandoned_at: now + ABANDONED };
            self.claims.insert(position, claim);
            let mut record = entry.record();
            record.position = record.position.or(Some(position));
            let tries = self.tries.get(&position).copied().unwrap_or(0);
            batch.push(entry_id(position), record, tries.saturating_add(1));
        }
        batch
    }

    fn hold(&mut self, worker: &Arc<str>, positions: &[Position], abandoned_at: Instant) {
        for position in positions {
            if let Some(claim) = self.claims.get_mut(position) {
                *claim = Claim { worker: worker.clone(), abandoned_at };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::operation::record::Record;

    const SECOND: Duration = Duration::from_secs(1);

    fn entry(record_id: &str) -> Entry {
        Entry::from(Record { id: record_id.into(), ..Record::default() })
    }

    fn stream(records: usize) -> Stream {
        let mut stream = Stream::default();
        for n in 0..records {
            stream.append(entry(&n.to_string()), 1000);
        }
        stream
    }

    fn ids(batch: &Batch) -> Vec<&str> {
        batch.records.iter().map(|record| &*record.id).collect()
    }

    fn positions(batch: &Batch) -> Vec<Position> {
        batch.entry_ids.iter().map(|id| Position::parse(id).unwrap()).collect()
    }

    #[test]
    fn positions_grow_when_the_clock_goes_back() {
        let mut stream = stream(2);
        stream.append(entry("2"), 5);
        stream.append(entry("3"), 1001);
        let batch = stream.claim(&"a".into(), 9, Instant::now());
        assert_eq!(batch.entry_ids, ["1000-0", "1000-1", "1000-2", "1001-0"]);
    }

    #[test]
    fn workers_claim_each_record_once() {
        let (now, mut stream) = (Instant::now(), stream(3));
        let (one, other) = ("a".into(), "b".into());
        assert_eq!(ids(&stream.claim(&one, 2, now)), ["0", "1"]);
        assert!(stream.has_new());
        assert_eq!(ids(&stream.claim(&other, 2, now)), ["2"]);
        assert!(!stream.has_new());
        assert_eq!(ids(&stream.own(&one, 9, Position::default(), now)), ["0", "1"]);
        assert_eq!(ids(&stream.own(&one, 9, Position { ms: 1000, number: 0 }, now)), ["1"]);
        assert!(stream.take_over(&other, 9, now + 9 * SECOND).is_empty());
    }

    #[test]
    fn what_a_silent_worker_has_claimed_is_taken_over() {
        let (now, mut stream) = (Instant::now(), stream(3));
        let (one, other) = ("a".into(), "b".into());
        let batch = stream.claim(&one, 3, now);
        let positions = positions(&batch);
        stream.keep(&one, &positions[..1], now + 5 * SECOND);
        stream.release(&one, &positions[1..2], now);
        assert_eq!(ids(&stream.take_over(&other, 9, now + SECOND)), ["1"]);
        assert_eq!(ids(&stream.take_over(&other, 9, now + 10 * SECOND)), ["2"]);
        assert_eq!(ids(&stream.own(&one, 9, Position::default(), now)), ["0"]);
    }

    #[test]
    fn attempts_count_while_the_record_is_there() {
        let (now, mut stream, worker) = (Instant::now(), stream(2), "a".into());
        let positions = positions(&stream.claim(&worker, 2, now));
        assert_eq!(stream.delay(&positions, now + SECOND, true), [1, 1]);
        assert_eq!(stream.delay(&positions, now + SECOND, false), [0, 0]);
        assert_eq!(stream.counts(now).delayed, 2);
        assert_eq!(stream.counts(now + SECOND).delayed, 0);
        assert!(stream.remove(positions[0]).is_some());
        assert!(stream.remove(positions[0]).is_none());
        assert_eq!(stream.delay(&positions, now + SECOND, true), [0, 2]);
        assert_eq!(stream.own(&worker, 9, Position::default(), now).attempts, [3]);
        assert_eq!(stream.counts(now).claimed, 1);
    }
}
