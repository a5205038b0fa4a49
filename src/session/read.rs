//! The requests that look: one document, or several in one round trip.

use redis::Value;
use tokio::time::Instant;

use super::options::Settings;
use super::reply::{document, unexpected_in_read, wrong_type};
use crate::error::Result;
use crate::redis::order::{Access, SessionHash};
use crate::redis::request::{Attempt, Effect, Request};
use crate::redis::resp::encode::Command;

pub(crate) struct Get<D> {
    pub settings: Settings,
    pub session_id: String,
    pub session: SessionHash,
    pub deadline: Instant,
    pub done: D,
}

impl<D: FnOnce(Result<Option<String>>) + Send> Request for Get<D> {
    fn encode(&self, _attempt: &Attempt, out: &mut Vec<u8>) {
        let prefix = &self.settings.keys.session_prefix;
        Command::new(out, 2).word("GET").named(prefix, &self.session_id);
    }

    fn effect(&self) -> Effect {
        Effect::Read
    }

    fn access(&self) -> Access<'_> {
        Access::Read(std::slice::from_ref(&self.session))
    }

    fn documents(&self) -> usize {
        1
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
    pub sessions: Vec<SessionHash>,
    pub deadline: Instant,
    pub done: D,
}

impl<D: FnOnce(Result<Vec<Option<String>>>) + Send> Request for GetMany<D> {
    fn encode(&self, _attempt: &Attempt, out: &mut Vec<u8>) {
        let prefix = &self.settings.keys.session_prefix;
        let mut command = Command::new(out, self.session_ids.len() + 1);
        command.word("MGET");
        for id in &self.session_ids {
            command.named(prefix, id);
        }
    }

    fn effect(&self) -> Effect {
        Effect::Read
    }

    fn access(&self) -> Access<'_> {
        Access::Read(&self.sessions)
    }

    fn documents(&self) -> usize {
        self.session_ids.len()
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn settle(self: Box<Self>, outcome: Result<Value>) {
        let Self { session_ids, done, .. } = *self;
        done(outcome.and_then(|value| {
            let values = match value {
                Value::Array(values) if values.len() == session_ids.len() => values,
                other => return Err(unexpected_in_read(&other)),
            };
            values.into_iter().zip(&session_ids).map(|(value, id)| document(value, id)).collect()
        }));
    }
}
