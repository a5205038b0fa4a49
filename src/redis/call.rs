//! Any command at all, for health checks, rate limiters and other callers of their own.

use redis::Value;
use serde_json::Value as Json;
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::redis::connection::Connection;
use crate::redis::refusal::error_line;
use crate::redis::request::{Attempt, Effect, Request};
use crate::redis::resp::encode::Command;

/// A command of the caller's. It is never sent twice, and its reply is the caller's, whatever it
/// says: what the command does is not known here.
struct Call<D> {
    arguments: Vec<Vec<u8>>,
    deadline: Instant,
    done: D,
}

/// Commands that change what the connection is, under everybody else who uses it.
const REFUSED: [&str; 22] = [
    "AUTH",
    "DISCARD",
    "EXEC",
    "HELLO",
    "MONITOR",
    "MULTI",
    "PSUBSCRIBE",
    "PSYNC",
    "PUNSUBSCRIBE",
    "QUIT",
    "READONLY",
    "READWRITE",
    "REPLCONF",
    "RESET",
    "SELECT",
    "SSUBSCRIBE",
    "SUBSCRIBE",
    "SUNSUBSCRIBE",
    "SYNC",
    "UNSUBSCRIBE",
    "UNWATCH",
    "WATCH",
];

/// Sends a command and its arguments on a connection that others share. Its reply, or why there is
/// none, comes by `deadline`.
pub fn call(
    connection: &Connection,
    arguments: Vec<Vec<u8>>,
    deadline: Instant,
    done: impl FnOnce(Result<Json>) + Send + 'static,
) {
    match check(&arguments) {
        Ok(()) => connection.submit(Box::new(Call { arguments, deadline, done })),
        Err(error) => done(Err(error)),
    }
}

/// Refuses a command that would change the connection that others share.
fn check(arguments: &[Vec<u8>]) -> Result<()> {
    let Some(name) = arguments.first().filter(|name| !name.is_empty()) else {
        return Err(Error::invalid("command", "it is empty"));
    };
    let name = String::from_utf8_lossy(name).to_ascii_uppercase();
    let sub = arguments.get(1).map(|sub| sub.to_ascii_uppercase());
    let changes = match name.as_str() {
        "CLIENT" => {
            matches!(sub.as_deref(), Some(b"REPLY" | b"TRACKING" | b"SETNAME" | b"NO-TOUCH"))
        }
        "SCRIPT" => sub.as_deref() == Some(b"DEBUG"),
        _ => false,
    };
    if changes || REFUSED.contains(&name.as_str()) {
        let reason = format!("{name} would change the connection that others share");
        return Err(Error::invalid("command", reason));
    }
    Ok(())
}

impl<D: FnOnce(Result<Json>) + Send + 'static> Request for Call<D> {
    fn encode(&self, _attempt: &Attempt, out: &mut Vec<u8>) {
        let mut command = Command::new(out, self.arguments.len());
        for argument in &self.arguments {
            command.word(argument);
        }
    }

    fn effect(&self) -> Effect {
        Effect::Opaque
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn settle(self: Box<Self>, outcome: Result<Value>) {
        (self.done)(outcome.map(to_json));
    }
}

/// A reply in the types that RESP2 clients know: strings, integers, null and lists.
fn to_json(value: Value) -> Json {
    match value {
        Value::Nil => Json::Null,
        Value::Int(int) => int.into(),
        Value::BulkString(bytes) | Value::BigNumber(bytes) => {
            String::from_utf8_lossy(&bytes).into_owned().into()
        }
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => text.into(),
        Value::Okay => "OK".into(),
        Value::Double(double) => double.to_string().into(),
        Value::Boolean(boolean) => i64::from(boolean).into(),
        Value::Array(items) | Value::Set(items) | Value::Push { data: items, .. } => {
            items.into_iter().map(to_json).collect()
        }
        Value::Map(pairs) => {
            pairs.into_iter().flat_map(|(key, value)| [to_json(key), to_json(value)]).collect()
        }
        Value::Attribute { data, .. } => to_json(*data),
        Value::ServerError(error) => error_line(&error).into(),
        _ => Json::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(words: &[&str]) -> bool {
        let arguments: Vec<_> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        check(&arguments).is_err()
    }

    #[test]
    fn what_would_change_the_shared_connection_is_refused() {
        assert!(refused(&[]));
        assert!(refused(&[""]));
        assert!(refused(&["subscribe", "x"]));
        assert!(refused(&["MULTI"]));
        assert!(refused(&["client", "reply", "off"]));
        assert!(refused(&["script", "debug", "yes"]));
        assert!(!refused(&["client", "list"]));
        assert!(!refused(&["EVALSHA", "x", "0"]));
    }

    #[test]
    fn resp3_replies_come_as_resp2_clients_know_them() {
        let map = Value::Map(vec![(Value::SimpleString("a".into()), Value::Double(1.5))]);
        assert_eq!(to_json(map), serde_json::json!(["a", "1.5"]));
        assert_eq!(
            to_json(Value::Array(vec![Value::Nil, Value::Boolean(true)])),
            serde_json::json!([null, 1])
        );
    }
}
