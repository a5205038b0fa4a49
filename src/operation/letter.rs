//! Dead letters: records that could not be stored.

use super::record::Record;

/// A record that could not be stored, and its error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The record.
    pub record: Record,
    /// The error message.
    pub error: String,
    /// PostgreSQL's SQLSTATE if it answered; the name of SQLite's result code.
    pub sqlstate: Option<String>,
    /// How many attempts there were to store it.
    pub attempts: u64,
    /// When it became a dead letter, in milliseconds since the epoch.
    pub failed_at_ms: u64,
}

/// A part of a page of dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetterPage {
    /// The letters, the newest first.
    pub letters: Vec<DeadLetter>,
    /// How many letters are still to be skipped.
    pub skip: u64,
    /// Where to go on. `None`: there are no more letters.
    pub next: Option<String>,
}

/// A selection of dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadLetterSelection {
    /// The dead letters of these records, by record id.
    Records(Vec<String>),
    /// The oldest dead letters, up to this entry id. The empty id stands for the newest dead letter.
    UpTo(String),
}

/// What became of a selection of dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revived {
    /// How many were moved back to the stream.
    pub moved: u64,
    /// Up to which entry id to go on (see [`DeadLetterSelection::UpTo`]); `None`: there are no more.
    pub more: Option<String>,
}
