//! The requests that look: one document, or several in one round trip.

use redis::{Cmd, Value};
use tokio::time::Instant;

use super::options::Settings;
use crate::error::{Error, Result};
use crate::keys::check_session_id;
use crate::redis::request::{Attempt, Effect, Request};

pub(crate) struct Get<D> {
    pub settings: Settings,
    pub session_id: String,
    pub deadline: Instant,
    pub done: D,
}

impl<D: FnOnce(Result<Option<String>>) + Send> Request for Get<D> {
    fn prepare(&mut self) -> Result<()> {
        check_session_id(&self.session_id)
    }

    fn command(&self, _attempt: &Attempt) -> Cmd {
        let mut command = redis::cmd("GET");
        command.arg(self.settings.keys.session(&self.session_id));
        command
    }

    fn effect(&self) -> Effect {
        Effect::Read
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn settle(self: Box<Self>, outcome: Result<Value>) {
        let Self { session_id, done, .. } = *self;
        done(
            outcome
                .map_err(|error| wrong_type(error, &session_id))
                .and_then(|value| document(value, &session_id)),
        );
    }
}

pub(crate) struct GetMany<D> {
    pub settings: Settings,
    pub session_ids: Vec<String>,
    pub deadline: Instant,
    pub done: D,
}

impl<D: FnOnce(Result<Vec<Option<String>>>) + Send> Request for GetMany<D> {
    fn prepare(&mut self) -> Result<()> {
        self.session_ids.iter().try_for_each(|id| check_session_id(id))
    }

    fn command(&self, _attempt: &Attempt) -> Cmd {
        let mut command = redis::cmd("MGET");
        for id in &self.session_ids {
            command.arg(self.settings.keys.session(id));
        }
        command
    }

    fn effect(&self) -> Effect {
        Effect::Read
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn settle(self: Box<Self>, outcome: Result<Value>) {
        let Self { session_ids, done, .. } = *self;
        done(outcome.and_then(|value| {
            let values = match value {
                Value::Array(values) if values.len() == session_ids.len() => values,
                other => return Err(unexpected(&other)),
            };
            values.into_iter().zip(&session_ids).map(|(value, id)| document(value, id)).collect()
        }));
    }
}

fn document(value: Value, session_id: &str) -> Result<Option<String>> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => {
            String::from_utf8(bytes).map(Some).map_err(|error| Error::Deserialization {
                session_id: session_id.to_owned(),
                raw: String::from_utf8_lossy(error.as_bytes()).into_owned(),
            })
        }
        other => Err(unexpected(&other)),
    }
}

/// Another type of value under the session's key is a stored value that is no session.
pub(crate) fn wrong_type(error: Error, session_id: &str) -> Error {
    match error {
        Error::Reply { message } if message.starts_with("WRONGTYPE") => {
            Error::Deserialization { session_id: session_id.to_owned(), raw: String::new() }
        }
        other => other,
    }
}

/// Redis answered in a way that no version of it should: whatever was asked may have happened.
pub(crate) fn unexpected(value: &Value) -> Error {
    let kind = match value {
        Value::Nil => "nil",
        Value::Int(_) => "an integer",
        Value::Array(_) => "a list",
        _ => "a value",
    };
    Error::unknown(format!("Redis answered with {kind} where that means nothing"))
}
