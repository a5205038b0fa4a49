//! The requests that look: one document, or several in one round trip.

use redis::Value;
use tokio::time::Instant;

use super::options::Settings;
use super::reply::{document, unexpected_in_read, wrong_type};
use super::second_look::Again;
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

/// Documents in the order of their ids; an error where something else is stored.
pub type Documents = Vec<Result<Option<String>>>;

pub(crate) struct GetMany<D> {
    pub again: Again,
    pub done: D,
}

impl<D: FnOnce(Result<Documents>) + Send + 'static> Request for GetMany<D> {
    fn encode(&self, _attempt: &Attempt, out: &mut Vec<u8>) {
        let Again { settings, session_ids, .. } = &self.again;
        let mut command = Command::new(out, session_ids.len() + 1);
        command.word("MGET");
        for id in session_ids {
            command.named(&settings.keys.session_prefix, id);
        }
    }

    fn effect(&self) -> Effect {
        Effect::Read
    }

    fn access(&self) -> Access<'_> {
        Access::Read(&self.again.sessions)
    }

    fn documents(&self) -> usize {
        self.again.session_ids.len()
    }

    fn deadline(&self) -> Instant {
        self.again.deadline
    }

    fn settle(self: Box<Self>, outcome: Result<Value>) {
        let Self { again, done } = *self;
        let ids = &again.session_ids;
        let documents = outcome.and_then(|value| match value {
            Value::Array(values) if values.len() == ids.len() => {
                Ok(values.into_iter().zip(ids).map(|(value, id)| document(value, id)).collect())
            }
            other => Err(unexpected_in_read(&other)),
        });
        match documents {
            Ok(documents) => again.look(documents, done),
            Err(error) => done(Err(error)),
        }
    }
}
