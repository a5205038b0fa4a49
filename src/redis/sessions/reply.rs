//! What is made of Redis' replies about sessions.

use redis::Value;

use crate::error::{Error, Result};

/// The document in a reply, or `None` where there is no session.
pub(super) fn document(value: Value, session_id: &str) -> Result<Option<String>> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => {
            String::from_utf8(bytes).map(Some).map_err(|error| Error::Deserialization {
                session_id: session_id.to_owned(),
                raw: String::from_utf8_lossy(error.as_bytes()).into_owned(),
            })
        }
        other => Err(unexpected_in_read(&other)),
    }
}

/// Another type of value under the session's key is a stored value that is no session.
pub(super) fn wrong_type(error: Error, session_id: &str) -> Error {
    match error {
        Error::Reply { message } if message.starts_with("WRONGTYPE") => {
            Error::Deserialization { session_id: session_id.to_owned(), raw: String::new() }
        }
        other => other,
    }
}

/// Redis answered a write in a way that no version of it should: it may have been executed.
pub(super) fn unexpected(value: &Value) -> Error {
    Error::unknown(nonsense(value))
}

/// The same of a read, which changes nothing.
pub(super) fn unexpected_in_read(value: &Value) -> Error {
    Error::unavailable(nonsense(value))
}

fn nonsense(value: &Value) -> String {
    let kind = match value {
        Value::Nil => "nil",
        Value::Int(_) => "an integer",
        Value::Array(_) => "a list",
        _ => "a value",
    };
    format!("Redis answered with {kind} where that means nothing")
}
