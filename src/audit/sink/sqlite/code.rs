//! What SQLite's result codes say: whether a record is at fault, or the file.

use super::super::fault::{Cause, Fault};

/// The names of the primary result codes, from 1 on.
const NAMES: [&str; 26] = [
    "SQLITE_ERROR",
    "SQLITE_INTERNAL",
    "SQLITE_PERM",
    "SQLITE_ABORT",
    "SQLITE_BUSY",
    "SQLITE_LOCKED",
    "SQLITE_NOMEM",
    "SQLITE_READONLY",
    "SQLITE_INTERRUPT",
    "SQLITE_IOERR",
    "SQLITE_CORRUPT",
    "SQLITE_NOTFOUND",
    "SQLITE_FULL",
    "SQLITE_CANTOPEN",
    "SQLITE_PROTOCOL",
    "SQLITE_EMPTY",
    "SQLITE_SCHEMA",
    "SQLITE_TOOBIG",
    "SQLITE_CONSTRAINT",
    "SQLITE_MISMATCH",
    "SQLITE_MISUSE",
    "SQLITE_NOLFS",
    "SQLITE_AUTH",
    "SQLITE_FORMAT",
    "SQLITE_RANGE",
    "SQLITE_NOTADB",
];

/// The code of an error that SQLite itself did not report.
pub(super) const INTERNAL: &str = "SQLITE_INTERNAL";

/// The code of a database that others have locked, or that does not answer.
pub(super) const BUSY: &str = "SQLITE_BUSY";

/// Classifies an error of sqlx. `file` names the database in the message.
pub(super) fn fault(error: &sqlx::Error, file: &str) -> Fault {
    let refusal = error.as_database_error();
    let code = refusal.and_then(|refusal| refusal.code()).and_then(|code| code.parse::<i32>().ok());
    let (Some(refusal), Some(code)) = (refusal, code) else {
        return database_fault(INTERNAL, &error.to_string(), file);
    };
    let name = name(code);
    let mut message = refusal.message().to_owned();
    if is_of_the_system(name) && code > 0xff {
        message.push_str(&format!(", code {code}"));
    }
    if let Some(advice) = advice(name) {
        message.push_str(&format!(": {advice}"));
    }
    Fault {
        cause: cause(name),
        sqlstate: Some(name.to_owned()),
        message: format!("{message} ({file})"),
    }
}

/// An error that no record causes.
pub(super) fn database_fault(code: &str, message: &str, file: &str) -> Fault {
    Fault {
        cause: Cause::Database,
        sqlstate: Some(code.to_owned()),
        message: format!("{message} ({file})"),
    }
}

/// Whether others have locked the database: the connection still works.
pub(super) fn is_busy(fault: &Fault) -> bool {
    fault.sqlstate.as_deref() == Some(BUSY)
}

/// Whether this user may not write to the file.
pub(super) fn is_read_only(fault: &Fault) -> bool {
    fault.sqlstate.as_deref() == Some("SQLITE_READONLY")
}

/// The name of a code. The lower byte of an extended code is its primary code.
fn name(code: i32) -> &'static str {
    let index = usize::try_from(code & 0xff).unwrap_or_default().wrapping_sub(1);
    NAMES.get(index).copied().unwrap_or(INTERNAL)
}

/// A record is the cause only if a record that is certainly valid would be stored
/// ([`super::writer`]).
fn cause(name: &str) -> Cause {
    match name {
        "SQLITE_CONSTRAINT" | "SQLITE_TOOBIG" | "SQLITE_MISMATCH" => Cause::Record,
        "SQLITE_ERROR" | "SQLITE_SCHEMA" | "SQLITE_RANGE" => Cause::Unclear,
        _ => Cause::Database,
    }
}

/// Whether the extended code says more, about a call of the operating system.
fn is_of_the_system(name: &str) -> bool {
    matches!(name, "SQLITE_IOERR" | "SQLITE_CANTOPEN" | "SQLITE_READONLY" | "SQLITE_CORRUPT")
}

fn advice(name: &str) -> Option<&'static str> {
    Some(match name {
        BUSY => "another process writes to it",
        "SQLITE_CANTOPEN" => {
            "it must be a file, in a directory that exists and where this user may write, with a path of \
             at most 500 bytes"
        }
        "SQLITE_READONLY" => "this user must be allowed to write the file and its directory",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_tells_the_cause() {
        for (cause_of_it, codes) in [
            (Cause::Record, &[18, 19, 20, 275, 1299, 1811, 2067][..]),
            (
                Cause::Database,
                &[3, 5, 6, 7, 8, 10, 11, 13, 14, 26, 261, 266, 522, 778, 1032, 99][..],
            ),
            (Cause::Unclear, &[1, 17, 25, 257][..]),
        ] {
            for code in codes {
                assert_eq!(cause(name(*code)), cause_of_it, "{code}");
            }
        }
        assert_eq!((name(13), name(778)), ("SQLITE_FULL", "SQLITE_IOERR"));
    }
}
