//! The request that looks at one document.

use redis::Value;
use tokio::time::Instant;

use super::options::Settings;
use super::reply::{document, wrong_type};
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
