//! The operations on the records of an audit queue, as its clients ask them; its workers have claims.

use super::letter::{DeadLetterSelection, LetterPage, Revived};
use super::record::Record;
use super::{Effect, Operation};
use crate::keys::BullKeys;

/// Appends a record to the stream.
#[derive(Debug)]
pub struct Append {
    /// The record; its position is assigned by the engine.
    pub record: Record,
}

/// Counts the records in each state.
#[derive(Debug)]
pub struct Count;

/// Counts the records that are not stored yet, nor dead.
#[derive(Debug)]
pub struct CountUnsettled;

/// The number of records in each state, over all instances.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Metrics {
    /// Queued, not yet claimed by a worker.
    pub waiting: u64,
    /// Claimed by a worker.
    pub active: u64,
    /// Stored in the database.
    pub completed: u64,
    /// Dead letters.
    pub failed: u64,
    /// Waiting for a retry.
    pub delayed: u64,
}

/// Reads a part of a page of dead letters, the newest first.
#[derive(Debug)]
pub struct ReadLetters {
    /// Where to begin: `+`, or [`LetterPage::next`].
    pub place: String,
    /// How many letters to skip.
    pub skip: u32,
    /// How many letters to return at most.
    pub limit: u32,
}

/// Moves dead letters back to the end of the stream.
#[derive(Debug)]
pub struct Revive {
    /// Which.
    pub selection: DeadLetterSelection,
}

/// Deletes dead letters. Answered with how many there were.
#[derive(Debug)]
pub struct Remove {
    /// The ids of their records.
    pub record_ids: Vec<String>,
}

/// Reads a page of the jobs that older instances queued with BullMQ, the oldest first.
#[derive(Debug)]
pub struct ReadJobs {
    /// The names of BullMQ's queue.
    pub keys: BullKeys,
    /// The state of the jobs: `wait`, `active`, …
    pub state: String,
    /// How many jobs to skip.
    pub skip: u64,
    /// How many jobs to return at most.
    pub limit: usize,
}

/// A job of BullMQ.
#[derive(Debug)]
pub struct Job {
    /// Its id in BullMQ.
    pub id: String,
    /// JSON text.
    pub data: String,
    /// What its kind is called.
    pub name: String,
    /// When it was added, in milliseconds since the epoch.
    pub added_ms: i64,
    /// Whether a worker of BullMQ is working on it.
    pub is_locked: bool,
    /// The id of the record that it is to become, if an adoption has begun to move it and was cut off.
    pub record_id: Option<String>,
}

/// A page of jobs.
#[derive(Debug)]
pub struct JobPage {
    /// The jobs.
    pub jobs: Vec<Job>,
    /// Whether there may be more of this state.
    pub more: bool,
}

/// Turns jobs of BullMQ that no worker is working on into records. Answered with how many.
#[derive(Debug)]
pub struct TakeJobs {
    /// The names of BullMQ's queue.
    pub keys: BullKeys,
    /// The state of the jobs.
    pub state: String,
    /// For each job its id in BullMQ, and its record.
    pub jobs: Vec<(String, Record)>,
}

impl Operation for Append {
    type Outcome = ();

    fn effect(&self) -> Effect {
        Effect::Recognised
    }
}

impl Operation for Count {
    type Outcome = Metrics;

    fn effect(&self) -> Effect {
        Effect::Read
    }
}

impl Operation for CountUnsettled {
    type Outcome = u64;

    fn effect(&self) -> Effect {
        Effect::Read
    }
}

impl Operation for ReadLetters {
    type Outcome = LetterPage;

    fn effect(&self) -> Effect {
        Effect::Read
    }
}

impl Operation for Revive {
    type Outcome = Revived;

    fn effect(&self) -> Effect {
        // A repeat may find the letters moved already; only its count is wrong then.
        Effect::Idempotent
    }
}

impl Operation for Remove {
    type Outcome = u64;

    fn effect(&self) -> Effect {
        Effect::Idempotent
    }
}

impl Operation for ReadJobs {
    type Outcome = JobPage;

    fn effect(&self) -> Effect {
        Effect::Read
    }
}

impl Operation for TakeJobs {
    type Outcome = u64;

    fn effect(&self) -> Effect {
        // A repeat may find the jobs taken already; only its count is wrong then.
        Effect::Idempotent
    }
}
