//! Several documents. `MGET` answers for a key of another type as for a missing one. The sessions that
//! it finds nothing for are read once more, each by `GET`, which tells the two apart.

use std::sync::{Arc, Mutex, PoisonError};

use redis::Value;
use tokio::time::Instant;

use super::options::Settings;
use super::read::Get;
use super::reply::{document, unexpected_in_read};
use crate::error::{Error, Result};
use crate::redis::connection::Connection;
use crate::redis::order::{Access, SessionHash};
use crate::redis::request::{Attempt, Effect, Request};
use crate::redis::resp::encode::Command;

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

struct SecondLook<D> {
    documents: Documents,
    left: usize,
    done: Option<D>,
}

/// What it takes to read the sessions of an `MGET` again.
pub(crate) struct Again {
    pub connection: Connection,
    pub settings: Settings,
    pub session_ids: Vec<String>,
    pub sessions: Vec<SessionHash>,
    pub deadline: Instant,
}

impl Again {
    /// Reads those that have no document again. Done with all documents.
    pub fn look<D: FnOnce(Result<Documents>) + Send + 'static>(
        self,
        documents: Documents,
        done: D,
    ) {
        let is_missing = |document: &Result<Option<String>>| matches!(document, Ok(None));
        let left = documents.iter().filter(|document| is_missing(document)).count();
        if left == 0 {
            return done(Ok(documents));
        }
        let missing: Vec<bool> = documents.iter().map(is_missing).collect();
        let look = Arc::new(Mutex::new(SecondLook { documents, left, done: Some(done) }));
        let asked = self.session_ids.into_iter().zip(self.sessions).zip(missing).enumerate();
        for (place, ((session_id, session), is_missing)) in asked {
            if !is_missing {
                continue;
            }
            let look = look.clone();
            self.connection.submit(Box::new(Get {
                settings: self.settings.clone(),
                session_id,
                session,
                deadline: self.deadline,
                done: move |document| note(&look, place, document),
            }));
        }
        self.connection.flush();
    }
}

fn note<D: FnOnce(Result<Documents>)>(
    look: &Mutex<SecondLook<D>>,
    place: usize,
    document: Result<Option<String>>,
) {
    let mut locked = look.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(noted) = locked.documents.get_mut(place) {
        *noted = document;
    }
    locked.left -= 1;
    if locked.left > 0 {
        return;
    }
    let documents = std::mem::take(&mut locked.documents);
    let done = locked.done.take();
    drop(locked); // Not to be held while others' code runs.
    if let Some(done) = done {
        done(only_unreadable(documents));
    }
}

/// What is no session has an error in its place; any other error is that of the whole call.
fn only_unreadable(documents: Documents) -> Result<Documents> {
    let failure = documents.iter().find_map(|document| match document {
        Ok(_) | Err(Error::Deserialization { .. }) => None,
        Err(error) => Some(error.clone()),
    });
    failure.map_or(Ok(documents), Err)
}
