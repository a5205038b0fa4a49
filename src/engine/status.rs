//! The status of a connection to an engine.

use std::sync::Arc;

/// The status of a connection to an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Nothing was asked yet, and no connection was made.
    Idle,
    /// The first connection is being made.
    Connecting,
    /// Connected.
    Ready,
    /// Connected, to a server that refuses some of what this library relies on.
    Limited {
        /// What cannot be promised.
        limits: String,
    },
    /// The connection has ended while nothing was asked of it, and the next one is being made. Nothing
    /// was lost.
    Replacing,
    /// The connection was lost or could not be made; the engine tries again.
    Reconnecting {
        /// What went wrong last.
        reason: String,
    },
    /// The owner has closed it for good.
    Closed,
}

/// Hears of every change of the status, on whichever thread makes it.
pub type StatusSink = Arc<dyn Fn(Status) + Send + Sync>;
