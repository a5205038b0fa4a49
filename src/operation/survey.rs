//! How an audit queue is doing, as an operator asks it.

use std::time::Duration;

use super::queue::Metrics;
use super::{Effect, Operation};

/// Looks at the records of a queue and at its workers.
#[derive(Debug)]
pub struct Survey;

/// How long a worker without claims must have been silent before a survey leaves it out.
pub const LEFT_OUT: Duration = Duration::from_secs(600);

/// How a queue is doing, over all instances.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surveyed {
    /// The number of records in each state.
    pub counts: Metrics,
    /// How long the oldest record has waited since it was queued, or queued again. `None`: none waits.
    pub oldest: Option<Duration>,
    /// When records were stored last, in milliseconds since the epoch. `None`: never, as far as is known.
    pub stored_at_ms: Option<u64>,
    /// How long ago that was, by the engine's clock.
    pub stored_ago: Option<Duration>,
    /// The workers; one may be there several times. `None`: the user may not know them.
    pub workers: Option<Vec<WorkerSeen>>,
}

/// A worker, as an engine knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerSeen {
    /// Its name.
    pub name: String,
    /// How long ago it asked for something last.
    pub silent: Duration,
    /// How many records it has claimed.
    pub claimed: u64,
}

impl Operation for Survey {
    type Outcome = Surveyed;

    fn effect(&self) -> Effect {
        Effect::Read
    }
}
