//! The options of a worker.

use std::time::Duration;

use super::worker_name::worker_name;
use crate::backoff::Backoff;

/// The longest wait before a retry.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(30);

/// The options of a worker.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// The name of the worker in the engine, as [`super::worker_name`] makes it. Default: one without a host.
    pub name: String,
    /// How often the worker tries to store a record whose failure has no clear cause. Default 5.
    pub attempts: u32,
    /// The delay before the first retry; it doubles with each retry. Default 2 s.
    pub backoff_delay: Duration,
    /// The most records in one transaction. Default 500.
    pub batch_size: usize,
    /// The most bytes of documents in one transaction; a larger record has one of its own. Default
    /// 8 MiB.
    pub max_batch_bytes: usize,
    /// How many bytes of documents may wait for a retry in this process before the worker reads no
    /// new ones. Default 32 MiB.
    pub max_held_bytes: usize,
    /// Whether the worker creates missing tables before its first batch. Default false.
    pub migrate: bool,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            name: worker_name("", 0),
            attempts: 5,
            backoff_delay: Duration::from_secs(2),
            batch_size: 500,
            max_batch_bytes: 8 << 20,
            max_held_bytes: 32 << 20,
            migrate: false,
        }
    }
}

impl WorkerOptions {
    /// The delay before a retry, after this many retries. `random` is in 0..1.
    pub(super) fn retry_delay(&self, retries: u32, random: f64) -> Duration {
        let backoff = Backoff {
            floor: (self.backoff_delay / 2).min(MAX_RETRY_DELAY),
            ceiling: MAX_RETRY_DELAY,
        };
        backoff.delay(retries, random)
    }
}
