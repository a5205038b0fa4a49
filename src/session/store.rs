//! The sessions of one Redis, as one service instance sees them.
//!
//! Each call hands one request to the connection and returns. `done` is called exactly once, by the
//! call's deadline: on the I/O thread, or at once on the calling thread where the call is refused.
//! No call spawns a task.

use std::sync::Arc;

use tokio::time::Instant;

pub use super::many::Documents;
use super::many::{Again, GetMany};
use super::options::Settings;
pub use super::options::StoreOptions;
use super::read::Get;
pub use super::rule::Rule;
use super::scripts::Scripts;
use super::write::{Audit, Broadcast, Delete, Touch, Write, draft};
pub use super::write::{Deleted, Written};
use crate::audit::stream::Stream;
use crate::error::Result;
use crate::keys::check_session_id;
use crate::redis::connection::Connection;

/// The sessions of one Redis.
#[derive(Clone)]
pub struct Store {
    connection: Connection,
    settings: Settings,
    audit: Option<Arc<Stream>>,
    scripts: Arc<Scripts>,
}

impl Store {
    /// A store on a connection, which others may share.
    pub fn new(connection: Connection, options: StoreOptions) -> Self {
        let scripts = Arc::new(Scripts::new(&options, None));
        Self { connection, settings: Arc::new(options), audit: None, scripts }
    }

    /// From now on each change appends its record to this stream, which is on the same Redis, in
    /// the script that makes the change.
    pub fn audit_to(&mut self, stream: Arc<Stream>) {
        self.scripts = Arc::new(Scripts::new(&self.settings, Some(&stream)));
        self.audit = Some(stream);
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
        self.connection.submit(Box::new(Get {
            settings: self.settings.clone(),
            session: self.settings.keys.hash(&session_id),
            session_id,
            deadline,
            done,
        }));
    }

    /// The documents of several sessions, in their order. One round trip where there are all.
    pub fn get_many(
        &self,
        session_ids: Vec<String>,
        done: impl FnOnce(Result<Documents>) + Send + 'static,
    ) {
        if session_ids.is_empty() {
            return done(Ok(Vec::new())); // Redis refuses an MGET of nothing.
        }
        if let Err(error) = session_ids.iter().try_for_each(|id| check_session_id(id)) {
            return done(Err(error));
        }
        let again = Again {
            connection: self.connection.clone(),
            settings: self.settings.clone(),
            sessions: session_ids.iter().map(|id| self.settings.keys.hash(id)).collect(),
            session_ids,
            deadline: self.deadline(),
        };
        self.connection.submit(Box::new(GetMany { again, done }));
    }

    /// Creates or updates a session from the JSON text of a state; its version and the dates of
    /// the write are set here, whatever the text says. Done with what was written.
    pub fn write(
        &self,
        session_id: String,
        text: String,
        rule: Rule,
        now_ms: i64,
        done: impl FnOnce(Result<Written>) + Send + 'static,
    ) {
        self.write_by(session_id, text, rule, now_ms, self.deadline(), done);
    }

    /// The same by a deadline of the caller's.
    pub fn write_by(
        &self,
        session_id: String,
        text: String,
        rule: Rule,
        now_ms: i64,
        deadline: Instant,
        done: impl FnOnce(Result<Written>) + Send + 'static,
    ) {
        let draft = match draft(&self.settings, &session_id, text, rule, now_ms) {
            Ok(draft) => draft,
            Err(error) => return done(Err(error)),
        };
        self.connection.submit(Box::new(Write {
            settings: self.settings.clone(),
            scripts: self.scripts.clone(),
            audit: Audit::of(self.audit.as_ref(), now_ms),
            session: self.settings.keys.hash(&session_id),
            session_id,
            draft,
            rule,
            now_ms,
            deadline,
            done,
        }));
    }

    /// Deletes a session and tells all instances, also where there is none.
    pub fn delete(
        &self,
        session_id: String,
        now_ms: i64,
        done: impl FnOnce(Result<Deleted>) + Send + 'static,
    ) {
        if let Err(error) = check_session_id(&session_id) {
            return done(Err(error));
        }
        self.connection.submit(Box::new(Delete {
            settings: self.settings.clone(),
            scripts: self.scripts.clone(),
            audit: Audit::of(self.audit.as_ref(), now_ms),
            session: self.settings.keys.hash(&session_id),
            session_id,
            now_ms,
            deadline: self.deadline(),
            done,
        }));
    }

    /// Renews a session's TTL; `false` where there is no such session.
    pub fn touch(&self, session_id: String, done: impl FnOnce(Result<bool>) + Send + 'static) {
        if let Err(error) = check_session_id(&session_id) {
            return done(Err(error));
        }
        self.connection.submit(Box::new(Touch {
            settings: self.settings.clone(),
            session: self.settings.keys.hash(&session_id),
            session_id,
            deadline: self.deadline(),
            done,
        }));
    }

    /// Publishes a message (JSON text) to the session's WebSocket channel, at most once.
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
        self.connection.submit(Box::new(Broadcast {
            settings: self.settings.clone(),
            session: self.settings.keys.hash(&session_id),
            session_id,
            message,
            now_ms,
            deadline: self.deadline(),
            done,
        }));
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.settings.command_timeout
    }
}
