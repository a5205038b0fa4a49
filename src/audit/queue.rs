//! The client of an audit queue. Each call is one operation of the engine.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Clock;
use crate::engine::{Engine, Execute, Records};
use crate::error::Result;
use crate::keys::{AuditKeys, check_session_id};
use crate::operation::Operation;
pub use crate::operation::letter::{DeadLetter, DeadLetterSelection, LetterPage, Revived};
use crate::operation::names::Stream;
pub use crate::operation::queue::Metrics;
use crate::operation::queue::{Append, Count, CountUnsettled, ReadLetters, Remove, Revive};
use crate::operation::record::{Record, new_id};
use crate::operation::replicas::Replicas;
use crate::operation::survey::{Survey, Surveyed};

/// The options of a queue.
#[derive(Debug, Clone)]
pub struct QueueOptions {
    /// The name of the queue, the same for all instances that share it. Default `db-writes`.
    pub name: String,
    /// The most records that the stream may hold. Default: no limit.
    pub max_backlog: Option<u64>,
    /// How many replicas are to have a record before it is queued. Default: none has to.
    pub replicas: Option<Replicas>,
    /// The time limit of a call. Default 5 s.
    pub command_timeout: Duration,
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self {
            name: "db-writes".into(),
            max_backlog: None,
            replicas: None,
            command_timeout: Duration::from_millis(5000),
        }
    }
}

/// An audit queue.
#[derive(Clone)]
pub struct Queue<E: Engine> {
    records: E::Records,
    stream: Arc<Stream>,
    clock: Clock,
    command_timeout: Duration,
}

impl<E: Engine> Queue<E> {
    /// Makes a queue of an engine.
    pub fn new(engine: &E, options: &QueueOptions) -> Self {
        let keys = AuditKeys::of(&options.name);
        let QueueOptions { max_backlog, replicas, .. } = *options;
        let stream = Arc::new(Stream { keys, max_backlog, replicas });
        let (records, clock) = (engine.records(stream.clone()), engine.clock().clone());
        Self { records, stream, clock, command_timeout: options.command_timeout }
    }

    /// The queue's stream, for changes that append their records themselves.
    pub fn stream(&self) -> Arc<Stream> {
        self.stream.clone()
    }

    /// Appends a record to the stream, under an id that is made here.
    pub fn enqueue(&self, record: Record, done: impl FnOnce(Result<()>) + Send + 'static) {
        if let Err(error) = check_session_id(&record.session_id) {
            return done(Err(error));
        }
        let record = Record { id: new_id(record.at_ms), ..record };
        self.execute(Append { record }, done);
    }

    /// Counts the records in each state.
    pub fn metrics(&self, done: impl FnOnce(Result<Metrics>) + Send + 'static) {
        self.execute(Count, done);
    }

    /// Looks at the records and at the workers. The answer comes within this time, or the call's own.
    pub fn survey(&self, within: Duration, done: impl FnOnce(Result<Surveyed>) + Send + 'static) {
        let deadline = self.clock.now() + within.min(self.command_timeout);
        self.records.execute(Survey, deadline, done);
    }

    /// Counts the records that are not stored yet, nor dead. It costs less than [`metrics`](Self::metrics).
    pub fn unsettled(&self, done: impl FnOnce(Result<u64>) + Send + 'static) {
        self.execute(CountUnsettled, done);
    }

    /// Reads a part of a page of dead letters, the newest first. `place` is where to begin: `+`, or
    /// [`LetterPage::next`].
    pub fn dead_letters(
        &self,
        place: String,
        skip: u32,
        limit: u32,
        done: impl FnOnce(Result<LetterPage>) + Send + 'static,
    ) {
        self.execute(ReadLetters { place, skip, limit }, done);
    }

    /// Moves dead letters back to the end of the stream.
    pub fn revive(
        &self,
        selection: DeadLetterSelection,
        done: impl FnOnce(Result<Revived>) + Send + 'static,
    ) {
        self.execute(Revive { selection }, done);
    }

    /// Deletes dead letters. Returns how many were deleted.
    pub fn remove(&self, record_ids: Vec<String>, done: impl FnOnce(Result<u64>) + Send + 'static) {
        self.execute(Remove { record_ids }, done);
    }

    /// The same queue for calls made while an answer is handled.
    pub(super) fn direct(&self) -> Self {
        Self { records: self.records.direct(), ..self.clone() }
    }

    pub(super) fn execute<O: Operation>(
        &self,
        operation: O,
        done: impl FnOnce(Result<O::Outcome>) + Send + 'static,
    ) where
        E::Records: Execute<O>,
    {
        self.records.execute(operation, self.deadline(), done);
    }

    fn deadline(&self) -> Instant {
        self.clock.now() + self.command_timeout
    }
}
