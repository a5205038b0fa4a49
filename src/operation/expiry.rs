//! The operations that tell of sessions whose TTL has run out.
//!
//! An engine notes each session of a namespace that announces expiries when it is written, and the time
//! at which to look at it. That may be too early: a session that is found alive is noted anew.

use super::{Effect, Operation};

/// Asks for sessions that it is time to look at.
#[derive(Debug)]
pub struct Due {
    /// Of which part of the sessions: one server has one, a cluster as many as it has partitions.
    pub part: usize,
    /// How many to return at most.
    pub limit: usize,
}

/// Looks at sessions of one part. Of each that has expired, and of which nobody has told yet, it appends
/// the audit record and tells all instances. The others are noted anew.
#[derive(Debug)]
pub struct Expire {
    /// Of which part they are.
    pub part: usize,
    /// Each session, and the id of its audit record in case it has expired.
    pub sessions: Vec<(String, String)>,
}

/// The outcome of [`Expire`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expired {
    /// How many had expired, and were told.
    pub told: u64,
    /// How many of them have no audit record, because the backlog is full.
    pub unaudited: u64,
}

impl Operation for Due {
    type Outcome = Vec<String>;

    fn effect(&self) -> Effect {
        Effect::Read
    }
}

impl Operation for Expire {
    type Outcome = Expired;

    fn effect(&self) -> Effect {
        // Whoever tells of an expiry takes the note away, so a repeat finds nothing to tell.
        Effect::Idempotent
    }
}
