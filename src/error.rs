//! What can go wrong, and how much of it the caller may rely on.
//!
//! A call has one of four outcomes (law 5): done; refused, nothing changed; not sent, nothing
//! changed; sent, and no answer came. Every variant below belongs to exactly one of the last three.

/// A failed call. `#[non_exhaustive]`: later versions may tell more cases apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Refused: there is no such session.
    #[error("Session {session_id} not found")]
    SessionNotFound {
        /// The session that was asked for.
        session_id: String,
    },

    /// Refused: `ifAbsent` was asked for, and there is one.
    #[error("Session {session_id} exists already")]
    SessionExists {
        /// The session that is there.
        session_id: String,
    },

    /// Refused: another writer was first.
    #[error(
        "Concurrent modification detected on session {session_id}: expected version {expected}, found {actual}"
    )]
    ConcurrentModification {
        /// The contended session.
        session_id: String,
        /// The version that the caller had read.
        expected: u64,
        /// The version that is stored.
        actual: u64,
    },

    /// Refused: what is stored under the session's key is no session document.
    #[error("Failed to deserialize state for session {session_id}")]
    Deserialization {
        /// The session whose value cannot be read.
        session_id: String,
        /// The stored value. Never part of the message: it is the session's content.
        raw: String,
    },

    /// Refused before anything was sent: the caller's input.
    #[error("Invalid {field}: {reason}")]
    InvalidState {
        /// The field or argument at fault.
        field: String,
        /// What is wrong with it.
        reason: String,
    },

    /// Refused by Redis itself, with its own words.
    #[error("{message}")]
    Reply {
        /// Redis' error line, such as `WRONGTYPE Operation against a key …`.
        message: String,
    },

    /// Not sent, or sent and of no effect: nothing changed.
    #[error("Redis is unavailable: {reason}")]
    Unavailable {
        /// Why no answer could be had.
        reason: String,
    },

    /// Sent, and no answer came that tells whether it was applied.
    #[error("The outcome is unknown: {reason}")]
    OutcomeUnknown {
        /// What happened to the answer.
        reason: String,
    },

    /// Refused: as many audit records wait as may.
    #[error("{limit} audit records wait already (maxBacklog)")]
    BacklogFull {
        /// How many may wait.
        limit: u64,
    },

    /// The audit's database refused, or could not be used. Nothing changed.
    #[error("the database: {message}")]
    Database {
        /// What it said.
        message: String,
        /// PostgreSQL's SQLSTATE if it answered; the name of SQLite's result code.
        sqlstate: Option<String>,
    },

    /// Not sent: the client or manager is closed.
    #[error("Closed: no more calls are accepted")]
    Closed,
}

impl Error {
    /// The stable name of the case, as callers compare it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::SessionNotFound { .. } => "SESSION_NOT_FOUND",
            Self::SessionExists { .. } => "SESSION_EXISTS",
            Self::ConcurrentModification { .. } => "CONCURRENT_MODIFICATION",
            Self::Deserialization { .. } => "STATE_DESERIALIZATION_ERROR",
            Self::InvalidState { .. } => "INVALID_STATE",
            Self::Reply { .. } => "REDIS_REPLY",
            Self::Unavailable { .. } => "REDIS_UNAVAILABLE",
            Self::OutcomeUnknown { .. } => "OUTCOME_UNKNOWN",
            Self::BacklogFull { .. } => "BACKLOG_FULL",
            Self::Database { .. } => "DATABASE_ERROR",
            Self::Closed => "CLOSED",
        }
    }

    /// Whether the caller can rely on it that nothing changed.
    pub fn is_outcome_known(&self) -> bool {
        !matches!(self, Self::OutcomeUnknown { .. })
    }

    pub(crate) fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable { reason: reason.into() }
    }

    pub(crate) fn unknown(reason: impl Into<String>) -> Self {
        Self::OutcomeUnknown { reason: reason.into() }
    }

    pub(crate) fn invalid(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::InvalidState { field: field.into(), reason: reason.into() }
    }
}

/// The result of a call.
pub type Result<T, E = Error> = std::result::Result<T, E>;
