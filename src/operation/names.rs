//! Where the sessions of a manager and the records of a queue are.

use std::sync::Arc;

use crate::keys::{AuditKeys, Keys};

/// Where the sessions of one manager are, and how long they live.
#[derive(Debug, Clone)]
pub struct Namespace {
    /// The names of the sessions and of the channels that tell of them.
    pub keys: Keys,
    /// How long a session lives after its last write or touch, seconds.
    pub ttl_seconds: u32,
    /// Where each change appends its audit record, if the sessions are audited.
    pub audit: Option<Arc<Stream>>,
}

/// The stream of an audit queue, and its limit. Everything that appends records shares it.
#[derive(Debug)]
pub struct Stream {
    /// The names of the queue.
    pub keys: AuditKeys,
    /// The most records that the stream may hold. `None`: no limit.
    pub max_backlog: Option<u64>,
}

impl Stream {
    /// The limit as a number: 0 for none.
    pub fn limit(&self) -> u64 {
        self.max_backlog.unwrap_or(0)
    }
}
