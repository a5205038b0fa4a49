//! The time of a step: the pure parts are told it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::clock::Clock;

/// Further ahead nothing is due.
pub(super) const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

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

/// The time so long after another one; at most a century, as no clock shows every time.
pub(super) fn later(time: Instant, by: Duration) -> Instant {
    time + by.min(CENTURY)
}
