//! The operations on sessions.

use super::record::Reason;
use super::rule::Rule;
use super::{Effect, Operation};
use crate::document::Draft;
use crate::error::Result;

/// Asks for the document of a session; `None`: there is no such session.
#[derive(Debug)]
pub struct Get {
    /// Which session.
    pub session_id: String,
}

/// Asks for the documents of several sessions, one or more.
#[derive(Debug)]
pub struct GetMany {
    /// Which sessions.
    pub session_ids: Vec<String>,
}

/// Documents in the order of their ids; an error where something else is stored.
pub type Documents = Vec<Result<Option<String>>>;

/// Creates or updates a session, and tells all instances.
#[derive(Debug)]
pub struct Write {
    /// Which session.
    pub session_id: String,
    /// The document, without its version.
    pub draft: Draft,
    /// What the write demands of what is stored.
    pub rule: Rule,
    /// The id of the audit record, where the sessions are audited.
    pub record_id: Option<String>,
    /// What the audit record tells of the caller. Boxed: it is rare, and a write is moved several times.
    pub reason: Option<Box<Reason>>,
    /// The time of the call, milliseconds since the epoch.
    pub now_ms: i64,
}

/// The outcome of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The version that is stored now.
    pub version: u64,
    /// Whether the audit record is missing, because the backlog is full.
    pub unaudited: bool,
}

/// Deletes a session, and tells all instances, also where there is none.
#[derive(Debug)]
pub struct Delete {
    /// Which session.
    pub session_id: String,
    /// The id of the audit record, where the sessions are audited.
    pub record_id: Option<String>,
    /// What the audit record tells of the caller.
    pub reason: Option<Box<Reason>>,
    /// The time of the call, milliseconds since the epoch.
    pub now_ms: i64,
}

/// The outcome of a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deleted {
    /// Whether there was such a session.
    pub existed: bool,
    /// Whether the audit record is missing, because the backlog is full.
    pub unaudited: bool,
}

/// Renews the TTL of a session. Answered with whether there is such a session.
#[derive(Debug)]
pub struct Touch {
    /// Which session.
    pub session_id: String,
}

/// Tells all instances a WebSocket message, at most once: a listener could not recognise a repeat.
#[derive(Debug)]
pub struct Broadcast {
    /// About which session.
    pub session_id: String,
    /// JSON text.
    pub message: String,
    /// The time of the call, milliseconds since the epoch.
    pub now_ms: i64,
}

impl Operation for Get {
    type Outcome = Option<String>;

    fn effect(&self) -> Effect {
        Effect::Read
    }
}

impl Operation for GetMany {
    type Outcome = Documents;

    fn effect(&self) -> Effect {
        Effect::Read
    }
}

impl Operation for Write {
    type Outcome = Written;

    fn effect(&self) -> Effect {
        match self.rule {
            // Whichever of two tries is executed second finds another version and changes nothing.
            Rule::Locked { .. } => Effect::Idempotent,
            Rule::Create | Rule::CreateIfAbsent | Rule::Any | Rule::Restore { .. } => {
                Effect::Recognised
            }
        }
    }
}

impl Operation for Delete {
    type Outcome = Deleted;

    fn effect(&self) -> Effect {
        Effect::Recognised
    }
}

impl Operation for Touch {
    type Outcome = bool;

    fn effect(&self) -> Effect {
        Effect::Idempotent
    }
}

impl Operation for Broadcast {
    type Outcome = ();

    fn effect(&self) -> Effect {
        Effect::Once
    }
}
