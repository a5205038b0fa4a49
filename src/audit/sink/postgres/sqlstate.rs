//! What PostgreSQL's errors say: whether a record is at fault, and whether the connection still works.

use super::super::fault::{Cause, Fault};

impl Fault {
    /// Classifies an error of sqlx.
    pub(super) fn of(error: &sqlx::Error) -> Self {
        let Some(refusal) = error.as_database_error() else {
            return Self {
                cause: cause_of_client_error(error),
                sqlstate: None,
                message: error.to_string(),
            };
        };
        let sqlstate = refusal.code().map(|code| code.into_owned());
        // Only the primary message: the detail and the context quote rows.
        let message = refusal.message().to_owned();
        let cause = match sqlstate.as_deref() {
            // The partition for the row is missing: it may be made yet.
            Some(CHECK_VIOLATION) if refusal.constraint().is_none() => Cause::Unclear,
            sqlstate => sqlstate.map_or(Cause::Unclear, cause_of_sqlstate),
        };
        Self { cause, sqlstate, message }
    }

    /// Adds the server's address to the message of an error that PostgreSQL did not send.
    pub(super) fn at(mut self, server: &str) -> Self {
        if self.sqlstate.is_none() {
            self.message.push_str(&format!(" (PostgreSQL at {server})"));
        }
        self
    }

    /// Whether the server knows this client, and does not let it in.
    pub(super) fn is_login_refused(&self) -> bool {
        self.sqlstate.as_deref().is_some_and(|state| state.starts_with("28") || state == "3D000")
    }

    /// Whether PostgreSQL refused a statement, and goes on serving the connection. A server that is
    /// read-only may have a successor: connect again.
    pub(super) fn is_refusal(&self) -> bool {
        let class = self.sqlstate.as_deref().and_then(|sqlstate| sqlstate.get(..2));
        class.is_some_and(|class| !matches!(class, "08" | "25" | "53" | "57" | "58"))
    }
}

/// The error of a table that does not exist.
pub(super) fn missing_table(name: &str) -> Fault {
    let advice = "call migrate() to create the tables";
    Fault::unsuitable_table("42P01", format!("relation \"{name}\" does not exist: {advice}"))
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::of(&error)
    }
}

const CHECK_VIOLATION: &str = "23514";

/// By the classes in appendix A of PostgreSQL's documentation. A record is the cause only if a
/// record that is certainly valid would be stored (`canary`).
fn cause_of_sqlstate(sqlstate: &str) -> Cause {
    match sqlstate {
        // Read-only; idle in transaction for too long.
        "25006" | "25P03" => Cause::Database,
        _ => match sqlstate.get(..2) {
            // Data exception; integrity constraint violation.
            Some("22" | "23") => Cause::Record,
            // Connection; authentication; unknown database; resources; operator intervention; system.
            Some("08" | "28" | "3D" | "53" | "57" | "58") => Cause::Database,
            // Rollback (deadlock); object not in the prerequisite state (locks).
            Some("40" | "55") => Cause::Others,
            _ => Cause::Unclear,
        },
    }
}

/// The cause of an error that is no answer of the server.
fn cause_of_client_error(error: &sqlx::Error) -> Cause {
    use sqlx::Error::{
        BeginFailed, Configuration, Io, PoolClosed, PoolTimedOut, Protocol, Tls, WorkerCrashed,
    };
    match error {
        Configuration(_) | Io(_) | Tls(_) | Protocol(_) | PoolTimedOut | PoolClosed
        | WorkerCrashed | BeginFailed => Cause::Database,
        _ => Cause::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sqlstate_tells_the_cause() {
        for (cause, states) in [
            (Cause::Record, "22P02 22P05 22021 22001 22003 23502 23505 23514"),
            (Cause::Database, "08006 25006 25P03 28P01 3D000 53100 53300 57014 57P01 57P03 58030"),
            (Cause::Others, "40001 40P01 55006 55P03"),
            (Cause::Unclear, "42501 42703 42883 42P01 P0001 XX000 0A000 54001 21000 25P02 9"),
        ] {
            for state in states.split(' ') {
                assert_eq!(cause_of_sqlstate(state), cause, "{state}");
            }
        }
    }

    #[test]
    fn an_error_of_the_connection_is_postgresqls() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let fault = Fault::of(&sqlx::Error::Io(refused));
        assert_eq!((fault.cause, fault.sqlstate), (Cause::Database, None));
        assert!(fault.message.contains("refused"), "{}", fault.message);
        assert_eq!(Fault::of(&sqlx::Error::RowNotFound).cause, Cause::Unclear);
    }

    #[test]
    fn a_missing_table_names_the_remedy() {
        let fault = missing_table("sync_events");
        assert_eq!(fault.cause, Cause::Tables);
        assert!(fault.to_string().contains("migrate()"), "{fault}");
    }
}
