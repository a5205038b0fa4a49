//! Where a connection is in its life.

use std::sync::Arc;

/// Where a connection is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Nothing was asked of it yet.
    Idle,
    /// The first connection is being made.
    Connecting,
    /// Connected.
    Ready,
    /// The connection was lost, or could not be made, and the next try is on its way.
    Reconnecting {
        /// What went wrong last.
        reason: String,
    },
    /// Closed for good, by its owner.
    Closed,
}

/// Where a connection tells of its status: called on the I/O thread, for every change.
pub type StatusSink = Arc<dyn Fn(Status) + Send + Sync>;
