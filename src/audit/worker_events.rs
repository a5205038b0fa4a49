//! The events that a worker emits.

use super::sink::fault::Fault;
use crate::operation::record::Record;

/// An event of a worker.
#[derive(Debug)]
pub enum WorkerEvent<'a> {
    /// A batch is being sent to the database.
    Active(Vec<RecordAttempt<'a>>),
    /// The database has committed a batch.
    Completed(Vec<RecordAttempt<'a>>),
    /// A record was moved to the dead letters.
    Failed(RecordAttempt<'a>, &'a Fault),
    /// The worker will retry these records.
    Retrying(Vec<RecordAttempt<'a>>, &'a Fault),
    /// The database cannot be used. Emitted once an outage.
    Outage(&'a Fault),
    /// The database has stored a batch after an outage.
    Recovered,
    /// The stream is empty.
    Drained,
    /// The claims are lost or could not be had. Emitted once an outage.
    Lost(&'a str),
    /// The engine was lost, and a try to reach it has failed. Emitted once an outage.
    Unreachable(&'a str),
    /// The worker reads records again.
    Reconnected,
    /// A risk that an operator should know.
    Warning(String),
    /// Records may be lost.
    RecordsLost(String),
    /// Another worker stores the records of this queue in another database.
    OtherDatabase(String),
    /// The worker failed by a fault of its own, and goes on with a new connection.
    Crashed,
}

/// An attempt to store a record.
#[derive(Debug, Clone, Copy)]
pub struct RecordAttempt<'a> {
    /// The record.
    pub record: &'a Record,
    /// The number of the attempt, from 1.
    pub attempt: u32,
}

/// Receives the events of a worker, on the worker's thread.
pub trait EventListener: Send + Sync + 'static {
    /// Whether the worker should emit events of this kind.
    fn listens_to(&self, kind: EventKind) -> bool;
    /// Handles an event.
    fn on_event(&self, event: WorkerEvent<'_>);
}

/// The kinds of events that are too costly to emit without a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// [`WorkerEvent::Active`].
    Active,
    /// [`WorkerEvent::Completed`].
    Completed,
    /// [`WorkerEvent::Retrying`].
    Retrying,
    /// [`WorkerEvent::Drained`].
    Drained,
}
