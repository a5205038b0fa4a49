//! The time of a step: the pure parts are told it.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::clock::Clock;

/// The time of a step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// By the engine's clock: for deadlines and TTLs.
    pub now: Instant,
    /// In milliseconds since the epoch: for the ids of entries.
    pub epoch_ms: u64,
}

impl Moment {
    /// What a clock shows.
    pub fn of(clock: &Clock) -> Self {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let epoch_ms = u64::try_from((epoch + clock.ahead()).as_millis()).unwrap_or(u64::MAX);
        Self { now: clock.now(), epoch_ms }
    }
}

#[cfg(test)]
impl Moment {
    /// So long after `start`, which is the second 1000 since the epoch.
    pub fn after(start: Instant, time: std::time::Duration) -> Self {
        Self { now: start + time, epoch_ms: 1_000_000 + time.as_millis() as u64 }
    }
}
