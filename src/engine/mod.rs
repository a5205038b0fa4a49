//! An engine keeps sessions and records, executes operations on them, and tells of changes.
//!
//! - [`status`]: whether it can be reached.
//! - [`subscription`]: what it tells of changes.
//! - [`claims`]: what it does for a worker that moves records to a database; `either`: the claims of one of
//!   two kinds.

pub mod claims;
mod either;
pub mod status;
pub mod subscription;

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;

use tokio::time::Instant;

use self::claims::{Claims, Lost};
use self::status::StatusSink;
use self::subscription::Subscription;
use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::error::Result;
use crate::keys::Keys;
use crate::operation::Operation;
use crate::operation::expiry::{Due, Expire};
use crate::operation::names::{Namespace, Stream};
use crate::operation::queue::{
    Append, Count, CountUnsettled, ReadJobs, ReadLetters, Remove, Revive, TakeJobs,
};
use crate::operation::session::{Broadcast, Delete, Get, GetMany, Touch, Write};
use crate::operation::survey::Survey;

/// Executes one kind of operation.
pub trait Execute<O: Operation> {
    /// Executes an operation. `done` is called exactly once, by the deadline: on a thread of the
    /// engine, or at once on the calling thread.
    fn execute(
        &self,
        operation: O,
        deadline: Instant,
        done: impl FnOnce(Result<O::Outcome>) + Send + 'static,
    );
}

/// The sessions of one namespace. An engine executes the operations on a session in the order of the
/// calls.
pub trait Sessions:
    Execute<Get>
    + Execute<GetMany>
    + Execute<Write>
    + Execute<Delete>
    + Execute<Touch>
    + Execute<Broadcast>
    + Execute<Due>
    + Execute<Expire>
    + Clone
    + Send
    + Sync
    + 'static
{
    /// In how many parts the sessions are, as far as is known: one, or the partitions of a cluster.
    fn parts(&self) -> usize;

    /// Sends what was collected, for those who are not on JavaScript's thread.
    fn flush(&self);
}

/// The records of one audit queue.
pub trait Records:
    Execute<Append>
    + Execute<Count>
    + Execute<Survey>
    + Execute<CountUnsettled>
    + Execute<ReadLetters>
    + Execute<Revive>
    + Execute<Remove>
    + Execute<ReadJobs>
    + Execute<TakeJobs>
    + Clone
    + Send
    + Sync
    + 'static
{
    /// A handle to the same records, for operations that are asked while an answer is handled.
    fn direct(&self) -> Self;
}

/// An engine. Clones are handles to the same engine. `Display` gives its name in errors.
pub trait Engine: Clone + Display + Send + Sync + 'static {
    /// The sessions of one namespace.
    type Sessions: Sessions;
    /// The records of one queue.
    type Records: Records;
    /// A subscription to changes.
    type Subscription: Subscription;
    /// The claims of one worker.
    type Claims: Claims;

    /// The sessions of a namespace.
    fn sessions(&self, namespace: Namespace) -> Self::Sessions;

    /// The records of a queue.
    fn records(&self, stream: Arc<Stream>) -> Self::Records;

    /// A subscription to what is published under these names. It listens to nothing yet.
    fn subscription(&self, keys: Keys, status: StatusSink) -> Self::Subscription;

    /// The claims of the worker of this name on the records of a queue.
    fn claims(
        &self,
        stream: Arc<Stream>,
        worker: String,
    ) -> impl Future<Output = Result<Self::Claims, Lost>> + Send;

    /// How long to wait between attempts to reach it.
    fn backoff(&self) -> Backoff;

    /// The clock by which it measures time.
    fn clock(&self) -> &Clock;

    /// Whether another engine has the same sessions and records.
    fn is_same(&self, other: &Self) -> bool;
}
