//! Why the database did not store a batch.
//!
//! The cause decides what happens to the records: a record that is itself the cause becomes a dead
//! letter at once; while the database is the cause, all records wait, for as long as it takes.

use std::fmt;

/// The error of a batch that was not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What has to change before a retry can succeed.
    pub cause: Cause,
    /// PostgreSQL's SQLSTATE if it answered; the name of SQLite's result code.
    pub sqlstate: Option<String>,
    /// The error message. Contains no password and no session state.
    pub message: String,
}

/// What has to change before a retry can succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A record of the batch: the database will refuse it every time.
    Record,
    /// The server, the network, the file or the configuration: retry the records until it is
    /// repaired.
    Database,
    /// The tables, which refuse every record: retry the records until somebody changes them.
    Tables,
    /// What others do to the same rows, such as a lock: retry the records until they have ended.
    Others,
    /// Unknown: retry a few times.
    Unclear,
}

impl Fault {
    /// The database could not be reached, or did not answer.
    pub(super) fn unreachable(message: impl Into<String>) -> Self {
        Self { cause: Cause::Database, sqlstate: None, message: message.into() }
    }

    /// Declares that no record is the cause.
    pub(super) fn of_database(self) -> Self {
        match self.cause {
            Cause::Tables => self,
            _ => Self { cause: Cause::Database, ..self },
        }
    }

    /// Declares that the tables are the cause.
    pub(super) fn of_tables(mut self) -> Self {
        self.message.push_str(" (the database refuses every record, not only this one)");
        Self { cause: Cause::Tables, ..self }
    }

    /// A table lacks something that the sink needs.
    pub(super) fn unsuitable_table(sqlstate: &str, message: String) -> Self {
        Self { cause: Cause::Tables, sqlstate: Some(sqlstate.to_owned()), message }
    }

    /// Whether PostgreSQL cancelled the statement because it took too long.
    pub(in crate::audit) fn is_slow(&self) -> bool {
        self.sqlstate.as_deref() == Some("57014")
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.sqlstate {
            Some(code) if code.starts_with("SQLITE_") => write!(f, "{} ({code})", self.message),
            Some(sqlstate) => write!(f, "{} (SQLSTATE {sqlstate})", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for Fault {}
