//! The sessions of one engine, as one service instance sees them.
//!
//! Each call makes one operation, hands it to the engine and returns. `done` is called exactly once, by
//! the call's deadline: on the engine's thread, or at once on the calling thread. No call spawns a task.

use std::sync::Arc;

use tokio::time::Instant;

use super::expiry::Expiry;
pub use super::options::StoreOptions;
use crate::clock::Clock;
use crate::document::{Draft, MAX_VERSION, iso_timestamp};
use crate::engine::{Engine, Execute};
use crate::error::{Error, Result};
use crate::keys::check_session_id;
use crate::operation::names::{Namespace, Stream};
pub use crate::operation::record::Reason;
use crate::operation::record::new_id;
pub use crate::operation::rule::{Over, Rule};
use crate::operation::session::{Broadcast, Delete, Get, GetMany, Touch, Write};
pub use crate::operation::session::{Deleted, Documents, Written};

const NO_VERSION: &str = "it is no version: 2^53 - 1 or more";

/// What a write makes of a session.
pub struct Change {
    /// Which session.
    pub session_id: String,
    /// The JSON text of the state. Whatever it says, the write sets its version and its dates.
    pub text: String,
    /// What is demanded of the stored session.
    pub rule: Rule,
    /// The time of the call, milliseconds since the epoch.
    pub now_ms: i64,
    /// What the audit record tells of the caller.
    pub reason: Option<Box<Reason>>,
}

/// The sessions of one engine.
#[derive(Clone)]
pub struct Store<E: Engine> {
    sessions: E::Sessions,
    options: Arc<StoreOptions>,
    clock: Clock,
    is_audited: bool,
}

impl<E: Engine> Store<E> {
    /// A store. With a `stream`, which is of the same engine, each change appends its record there, in
    /// the operation that makes the change.
    pub fn new(engine: &E, options: StoreOptions, stream: Option<Arc<Stream>>) -> Self {
        let is_audited = stream.is_some();
        let StoreOptions { keys, ttl_seconds, announce_expiry, replicas, .. } = options.clone();
        let namespace = Namespace { keys, ttl_seconds, replicas, announce_expiry, audit: stream };
        let sessions = engine.sessions(namespace);
        let (options, clock) = (Arc::new(options), engine.clock().clone());
        Self { sessions, options, clock, is_audited }
    }

    /// What tells of the sessions that have expired: to be run if the options say so.
    pub fn expiry(&self) -> Expiry<E::Sessions> {
        Expiry::new(self.sessions.clone(), self.clock.clone())
    }

    /// The document of a session, or `None`.
    pub fn get(
        &self,
        session_id: String,
        done: impl FnOnce(Result<Option<String>>) + Send + 'static,
    ) {
        self.get_by(session_id, self.deadline(), done);
    }

    /// The same by a deadline of the caller's.
    pub fn get_by(
        &self,
        session_id: String,
        deadline: Instant,
        done: impl FnOnce(Result<Option<String>>) + Send + 'static,
    ) {
        if let Err(error) = check_session_id(&session_id) {
            return done(Err(error));
        }
        self.sessions.execute(Get { session_id }, deadline, done);
    }

    /// The documents of several sessions, in their order.
    pub fn get_many(
        &self,
        session_ids: Vec<String>,
        done: impl FnOnce(Result<Documents>) + Send + 'static,
    ) {
        if session_ids.is_empty() {
            return done(Ok(Vec::new()));
        }
        if let Err(error) = session_ids.iter().try_for_each(|id| check_session_id(id)) {
            return done(Err(error));
        }
        self.sessions.execute(GetMany { session_ids }, self.deadline(), done);
    }

    /// Creates or updates a session. Done with what was written.
    pub fn write(&self, change: Change, done: impl FnOnce(Result<Written>) + Send + 'static) {
        self.write_by(change, self.deadline(), done);
    }

    /// The same by a deadline of the caller's.
    pub fn write_by(
        &self,
        change: Change,
        deadline: Instant,
        done: impl FnOnce(Result<Written>) + Send + 'static,
    ) {
        let Change { session_id, text, rule, now_ms, reason } = change;
        let draft = match self.draft(&session_id, text, rule, now_ms) {
            Ok(draft) => draft,
            Err(error) => return done(Err(error)),
        };
        let record_id = self.record_id(now_ms);
        let write = Write { session_id, draft, rule, record_id, reason, now_ms };
        self.sessions.execute(write, deadline, done);
    }

    /// The draft of a write, if the write is one that may be made.
    fn draft(&self, session_id: &str, text: String, rule: Rule, now_ms: i64) -> Result<Draft> {
        check_session_id(session_id)?;
        let (size, most) = (text.len(), self.options.max_state_bytes);
        if size > most {
            let reason =
                format!("it has {size} bytes as JSON, at most {most} are allowed (maxStateBytes)");
            return Err(Error::invalid("state", reason));
        }
        if let Rule::Locked { expected } = rule
            && expected >= MAX_VERSION
        {
            return Err(Error::invalid("expectedVersion", NO_VERSION));
        }
        if let Rule::Restore { least, .. } = rule
            && least >= MAX_VERSION
        {
            return Err(Error::invalid("version", NO_VERSION));
        }
        Draft::new(text, session_id, rule.stamp(), &iso_timestamp(now_ms))
    }

    /// The id of the record of a change, which is the same for all attempts.
    fn record_id(&self, now_ms: i64) -> Option<String> {
        self.is_audited.then(|| new_id(now_ms))
    }

    /// Deletes a session and tells all instances, also where there is none.
    pub fn delete(
        &self,
        session_id: String,
        now_ms: i64,
        reason: Option<Box<Reason>>,
        done: impl FnOnce(Result<Deleted>) + Send + 'static,
    ) {
        if let Err(error) = check_session_id(&session_id) {
            return done(Err(error));
        }
        let record_id = self.record_id(now_ms);
        let delete = Delete { session_id, record_id, reason, now_ms };
        self.sessions.execute(delete, self.deadline(), done);
    }

    /// Renews a session's TTL; `false` where there is no such session.
    pub fn touch(&self, session_id: String, done: impl FnOnce(Result<bool>) + Send + 'static) {
        if let Err(error) = check_session_id(&session_id) {
            return done(Err(error));
        }
        self.sessions.execute(Touch { session_id }, self.deadline(), done);
    }

    /// Publishes a message (JSON text) to the WebSocket clients of a session, at most once.
    pub fn broadcast(
        &self,
        session_id: String,
        message: String,
        now_ms: i64,
        done: impl FnOnce(Result<()>) + Send + 'static,
    ) {
        if let Err(error) = check_session_id(&session_id) {
            return done(Err(error));
        }
        let broadcast = Broadcast { session_id, message, now_ms };
        self.sessions.execute(broadcast, self.deadline(), done);
    }

    fn deadline(&self) -> Instant {
        self.clock.now() + self.options.command_timeout
    }
}
