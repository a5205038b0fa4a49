//! Why PostgreSQL did not take a batch, and whose fault that is.
//!
//! It decides what becomes of the records: one that is itself at fault is a dead letter at once;
//! while PostgreSQL is at fault everything waits, for as long as it takes.

use std::fmt;

/// A refused or failed batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Who has to change for another try to be of use.
    pub whose: Whose,
    /// PostgreSQL's five characters, where it was PostgreSQL that spoke.
    pub sqlstate: Option<String>,
    /// What happened. Holds no password and no state of a session.
    pub message: String,
}

/// Who has to change for another try to be of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// A record of the batch: it will be refused every time.
    Record,
    /// The server, the way to it, or its operator: no record is the worse for it.
    Postgres,
    /// Cannot be told: worth a few tries.
    Unclear,
}

impl Fault {
    /// The fault behind an error of sqlx.
    pub fn of(error: &sqlx::Error) -> Self {
        let Some(refusal) = error.as_database_error() else {
            return Self { whose: whose_client(error), sqlstate: None, message: error.to_string() };
        };
        let sqlstate = refusal.code().map(|code| code.into_owned());
        // The primary message alone: detail and context quote rows.
        let mut message = refusal.message().to_owned();
        if sqlstate.as_deref() == Some(UNDEFINED_TABLE) {
            message.push_str(MIGRATE);
        }
        let whose = sqlstate.as_deref().map_or(Whose::Unclear, whose_sqlstate);
        Self { whose, sqlstate, message }
    }

    /// A table of ours is not there.
    pub(super) fn missing_table(name: &str) -> Self {
        Self {
            whose: Whose::Postgres,
            sqlstate: Some(UNDEFINED_TABLE.to_owned()),
            message: format!("relation \"{name}\" does not exist{MIGRATE}"),
        }
    }

    /// PostgreSQL could not be reached, or did not answer.
    pub(super) fn unreachable(message: impl Into<String>) -> Self {
        Self { whose: Whose::Postgres, sqlstate: None, message: message.into() }
    }

    /// The same, naming the server, where it was not PostgreSQL that spoke.
    pub(super) fn at(mut self, host: &str, port: u16) -> Self {
        if self.sqlstate.is_none() {
            self.message.push_str(&format!(" (PostgreSQL at {host}:{port})"));
        }
        self
    }

    /// Whether the tables are missing, so that `migrate()` would help.
    pub fn is_missing_table(&self) -> bool {
        self.sqlstate.as_deref() == Some(UNDEFINED_TABLE)
    }

    /// Whether PostgreSQL gave up a statement that took too long.
    pub(super) fn is_slow(&self) -> bool {
        self.sqlstate.as_deref() == Some("57014")
    }

    /// Whether PostgreSQL refused the statement and the connection is as good as before.
    pub(super) fn is_refusal(&self) -> bool {
        self.sqlstate.is_some() && (self.whose != Whose::Postgres || self.is_missing_table())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.sqlstate {
            Some(sqlstate) => write!(f, "{} (SQLSTATE {sqlstate})", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for Fault {}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::of(&error)
    }
}

const UNDEFINED_TABLE: &str = "42P01";
const MIGRATE: &str = ": call migrate() to create the tables";

/// PostgreSQL's documentation, appendix A.
fn whose_sqlstate(sqlstate: &str) -> Whose {
    match sqlstate {
        // Read-only; a transaction that stood still for too long; no such table; no privilege.
        "25006" | "25P03" | UNDEFINED_TABLE | "42501" => Whose::Postgres,
        _ => match sqlstate.get(..2) {
            // Data exception; integrity constraint violation.
            Some("22" | "23") => Whose::Record,
            // Connection; authentication; no such database; rollback (deadlock); resources;
            // object not in the prerequisite state (locks); operator intervention; system.
            Some("08" | "28" | "3D" | "40" | "53" | "55" | "57" | "58") => Whose::Postgres,
            _ => Whose::Unclear,
        },
    }
}

/// Errors that did not come as an answer of the server.
fn whose_client(error: &sqlx::Error) -> Whose {
    use sqlx::Error::{
        BeginFailed, Configuration, Io, PoolClosed, PoolTimedOut, Protocol, Tls, WorkerCrashed,
    };
    match error {
        Configuration(_) | Io(_) | Tls(_) | Protocol(_) | PoolTimedOut | PoolClosed
        | WorkerCrashed | BeginFailed => Whose::Postgres,
        _ => Whose::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sqlstate_says_whose_fault_it_is() {
        for (whose, states) in [
            (Whose::Record, "22P02 22P05 22021 22001 22003 23502 23505 23514"),
            (
                Whose::Postgres,
                "08006 25006 25P03 28P01 3D000 40001 40P01 42501 42P01 53100 53300 55P03 57014 57P01 57P03 58030",
            ),
            (Whose::Unclear, "42703 42883 P0001 XX000 0A000 54001 21000 25P02 9"),
        ] {
            for state in states.split(' ') {
                assert_eq!(whose_sqlstate(state), whose, "{state}");
            }
        }
    }

    #[test]
    fn an_error_that_is_no_answer_is_that_of_the_connection() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let fault = Fault::of(&sqlx::Error::Io(refused));
        assert_eq!((fault.whose, fault.sqlstate), (Whose::Postgres, None));
        assert!(fault.message.contains("refused"), "{}", fault.message);
        assert_eq!(Fault::of(&sqlx::Error::RowNotFound).whose, Whose::Unclear);
    }

    #[test]
    fn a_missing_table_names_the_remedy() {
        let fault = Fault::missing_table("sync_events");
        assert!(fault.is_missing_table() && fault.whose == Whose::Postgres);
        assert!(fault.to_string().contains("migrate()"), "{fault}");
    }
}
