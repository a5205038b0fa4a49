//! How many replicas are to have a write before it is acknowledged.

use std::time::Duration;

/// So many replicas, within so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replicas {
    /// How many, one or more.
    pub count: u32,
    /// How long the engine waits for them. More than zero.
    pub timeout: Duration,
}

impl Replicas {
    /// What satisfies both.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { count: self.count.max(other.count), timeout: self.timeout.max(other.timeout) }
    }
}
