//! Several documents. `MGET` answers for a key of another type as for a missing one. The sessions that
//! it finds nothing for are read once more, each by `GET`, which tells the two apart.

use std::sync::{Arc, Mutex, PoisonError};

use redis::Value;
use tokio::time::Instant;

use super::context::Context;
use super::reply::{document, unexpected_in_read};
use crate::error::{Error, Result};
use crate::operation::Effect;
use crate::operation::session::{Documents, Get};
use crate::redis::command::Asked;
use crate::redis::connection::Connection;
use crate::redis::order::{Access, SessionHash};
use crate::redis::request::{Attempt, Request};
use crate::redis::resp::encode::Command;

/// Reads several documents.
pub(super) struct GetAll<D> {
    connection: Connection,
    context: Arc<Context>,
    session_ids: Vec<String>,
    sessions: Vec<SessionHash>,
    deadline: Instant,
    done: D,
}

impl<D: FnOnce(Result<Documents>) + Send + 'static> GetAll<D> {
    pub fn new(
        connection: Connection,
        context: Arc<Context>,
        session_ids: Vec<String>,
        deadline: Instant,
        done: D,
    ) -> Box<Self> {
        let sessions = session_ids.iter().map(|id| context.hash(id)).collect();
        Box::new(Self { connection, context, session_ids, sessions, deadline, done })
    }

    /// Reads each by itself: in a cluster, `MGET` knows only keys of one slot.
    pub fn one_by_one(self) {
        let none = self.session_ids.iter().map(|_| Ok(None)).collect();
        self.look_again(none);
    }

    /// Reads those that have no document again. Done with all documents.
    fn look_again(self, documents: Documents) {
        let is_missing = |document: &Result<Option<String>>| matches!(document, Ok(None));
        let left = documents.iter().filter(|document| is_missing(document)).count();
        if left == 0 {
            return (self.done)(Ok(documents));
        }
        let missing: Vec<bool> = documents.iter().map(is_missing).collect();
        let look = Arc::new(Mutex::new(SecondLook { documents, left, done: Some(self.done) }));
        for (place, (session_id, is_missing)) in
            self.session_ids.into_iter().zip(missing).enumerate()
        {
            if !is_missing {
                continue;
            }
            let look = look.clone();
            let note = move |document| note(&look, place, document);
            let get = Asked::new(&self.context, Get { session_id }, self.deadline, note);
            self.connection.submit(get);
        }
        self.connection.flush();
    }
}

impl<D: FnOnce(Result<Documents>) + Send + 'static> Request for GetAll<D> {
    fn encode(&self, _attempt: &Attempt, out: &mut Vec<u8>) {
        let mut command = Command::new(out, self.session_ids.len() + 1);
        command.word("MGET");
        for id in &self.session_ids {
            command.named(&self.context.names(id).keys.session_prefix, id);
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
        let ids = &self.session_ids;
        let documents = outcome.and_then(|value| match value {
            Value::Array(values) if values.len() == ids.len() => {
                Ok(values.into_iter().zip(ids).map(|(value, id)| document(value, id)).collect())
            }
            other => Err(unexpected_in_read(&other)),
        });
        match documents {
            Ok(documents) => self.look_again(documents),
            Err(error) => (self.done)(Err(error)),
        }
    }
}

struct SecondLook<D> {
    documents: Documents,
    left: usize,
    done: Option<D>,
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
