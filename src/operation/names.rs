//! Where the sessions of a manager and the records of a queue are.

use std::sync::Arc;

use super::replicas::Replicas;
use crate::keys::{AuditKeys, Keys};

/// Where the sessions of one manager are, how long they live, and when a change of one counts.
#[derive(Debug, Clone)]
pub struct Namespace {
    /// The names of the sessions and of the channels that tell of them.
    pub keys: Keys,
    /// How long a session lives after its last write or touch, seconds.
    pub ttl_seconds: u32,
    /// How many replicas are to have a write before it is acknowledged, if any.
    pub replicas: Option<Replicas>,
    /// Whether a session that expires is audited and told, as one that is deleted.
    pub announce_expiry: bool,
    /// Where each change appends its audit record, if the sessions are audited.
    pub audit: Option<Arc<Stream>>,
}

/// The stream of an audit queue, its limit, and when a record counts. Everything that appends records shares it.
#[derive(Debug)]
pub struct Stream {
    /// The names of the queue.
    pub keys: AuditKeys,
    /// The most records that the stream may hold. `None`: no limit.
    pub max_backlog: Option<u64>,
    /// How many replicas are to have a record before it is queued, if any. The record of a change
    /// goes by what its sessions say.
    pub replicas: Option<Replicas>,
}

impl Stream {
    /// The limit as a number: 0 for none.
    pub fn limit(&self) -> u64 {
        self.max_backlog.unwrap_or(0)
    }

    /// The limit of each stream, where the records are divided among so many: an equal share, rounded up.
    pub fn share(&self, streams: usize) -> u64 {
        self.limit().div_ceil((streams as u64).max(1))
    }
}
