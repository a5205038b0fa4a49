//! The ledger of a client: where its writes note that they were applied, so that a repeat finds
//! out (`scripts/ledger.lua`).

use std::collections::HashMap;
use std::sync::Arc;

use tokio::time::{Duration, Instant};

use crate::keys;
use crate::redis::place::Place;
use crate::redis::topology::slot::Slot;

/// How often the ledger's TTL is renewed, which is 15 minutes.
const RENEWAL: Duration = Duration::from_secs(60);

/// Numbers the writes of a client.
///
/// The ledger has [`PLACES`](Self::PLACES) places. A write has one of them to itself from its first
/// try until it is settled: a number says which, as it is the number modulo the places.
pub struct Ledger {
    key: Arc<str>,
    /// The next number of each place that is free, the place that was used last at the end: so a ledger
    /// is as long as what was ever in flight together.
    free: Vec<u64>,
    renewed_at: Option<Instant>,
}

impl Ledger {
    /// How many writes may be unsettled that have been tried.
    pub const PLACES: u64 = 512;

    /// The length of a place, bytes: two numbers of 16 digits, a sign, and what divides them.
    pub const WIDTH: u64 = 40;

    /// An empty one. `tag`: the hash tag of its partition, in a cluster.
    fn new(tag: Option<&str>) -> Self {
        let free = (Self::PLACES..2 * Self::PLACES).rev().collect();
        Self { key: keys::ledger(tag, fastrand::u128(..)).into(), free, renewed_at: None }
    }

    /// The key of the ledger in Redis.
    pub fn key(&self) -> &Arc<str> {
        &self.key
    }

    /// A number, with a place of its own until it is released; `None` while no place is free.
    pub fn take(&mut self) -> Option<u64> {
        self.free.pop()
    }

    /// Gives a place back. Nothing will look for this number any more.
    pub fn release(&mut self, number: u64) {
        self.free.push(number + Self::PLACES);
    }

    /// Whether the write that is sent now is to renew the TTL.
    pub fn renews(&mut self, now: Instant) -> bool {
        let is_due = self.renewed_at.is_none_or(|at| at + RENEWAL <= now);
        if is_due {
            self.renewed_at = Some(now);
        }
        is_due
    }
}

/// The ledgers of a client: one, or in a cluster one for each partition.
pub(crate) struct Ledgers {
    one: Ledger,
    of_partitions: HashMap<Slot, Ledger>,
}

impl Ledgers {
    /// No partition has one yet.
    pub fn new() -> Self {
        Self { one: Ledger::new(None), of_partitions: HashMap::new() }
    }

    /// The ledger for the writes to a place.
    pub fn of(&mut self, place: Place<'_>) -> &mut Ledger {
        match place {
            Place::Partition { slot, tag } => {
                self.of_partitions.entry(slot).or_insert_with(|| Ledger::new(Some(tag)))
            }
            _ => &mut self.one,
        }
    }
}

/// What a try notes, and where.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The ledger's key.
    pub ledger: Arc<str>,
    /// The write's number, the same for all tries after a lost answer.
    pub number: u64,
    /// Whether this try renews the ledger's TTL.
    pub renews: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_unsettled_writes_share_a_place() {
        let mut ledger = Ledger::new(None);
        let mut taken: Vec<u64> = std::iter::from_fn(|| ledger.take()).collect();
        assert_eq!(taken.len() as u64, Ledger::PLACES);
        let old = taken.swap_remove(100);
        ledger.release(old);
        let new = ledger.take().expect("the place that was released");
        assert_eq!(new % Ledger::PLACES, old % Ledger::PLACES);
        assert!(new > old);
        assert_eq!(ledger.take(), None);
    }

    #[test]
    fn a_ledger_is_no_longer_than_what_is_in_flight_together() {
        let mut ledger = Ledger::new(None);
        for _ in 0..3 * Ledger::PLACES {
            let both = [ledger.take(), ledger.take()].map(|number| number.expect("a place"));
            assert!(both.iter().all(|number| number % Ledger::PLACES < 2), "{both:?}");
            both.into_iter().rev().for_each(|number| ledger.release(number));
        }
    }

    #[test]
    fn the_ttl_is_renewed_once_a_minute() {
        let (mut ledger, now) = (Ledger::new(None), Instant::now());
        let renews =
            [0, 1, 59, 60, 61].map(|seconds| ledger.renews(now + Duration::from_secs(seconds)));
        assert_eq!(renews, [true, false, false, true, false]);
    }
}
