//! The requests that change: create and update, delete, touch, broadcast.

use std::sync::Arc;

use redis::{Cmd, Value};
use tokio::time::Instant;

use super::message;
use super::options::Settings;
use super::read::{unexpected, wrong_type};
use super::rule::Rule;
use super::scripts::Scripts;
use crate::audit::record::new_id;
use crate::audit::stream::Stream;
use crate::document::{Draft, MAX_VERSION, iso_timestamp};
use crate::error::{Error, Result};
use crate::keys::check_session_id;
use crate::redis::request::{Attempt, Effect, Request};

const NO_VERSION: &str = "it is no version: 2^53 - 1 or more";

/// What a script appends to the audit's stream.
pub(crate) struct Audit {
    pub stream: Arc<Stream>,
    /// The same for all attempts.
    pub record_id: String,
}

impl Audit {
    pub fn of(stream: Option<&Arc<Stream>>, now_ms: i64) -> Option<Self> {
        stream.map(|stream| Self { stream: stream.clone(), record_id: new_id(now_ms) })
    }

    /// The keys of each script, after the ledger's.
    fn keys<'a>(session: &'a str, audit: &'a Option<Self>) -> Vec<&'a str> {
        let stream = audit.as_ref().map(|audit| &*audit.stream.keys.stream);
        [session].into_iter().chain(stream).collect()
    }
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The version that is stored now.
    pub version: u64,
    /// Whether it was to be audited and was not: as many records wait as may.
    pub unaudited: bool,
}

/// Create or update. Settled with what was written.
pub(crate) struct Write<D> {
    pub settings: Settings,
    pub scripts: Arc<Scripts>,
    pub audit: Option<Audit>,
    pub session_id: String,
    pub text: String,
    pub rule: Rule,
    pub now_ms: i64,
    pub deadline: Instant,
    pub done: D,
    pub prepared: Option<Prepared>,
}

/// What the script gets, made once for all attempts.
pub(super) struct Prepared {
    /// The version that is written; where any is taken: where nothing is stored.
    version: u64,
    /// The document; where any is taken: what follows its version.
    document: String,
}

impl<D> Write<D> {
    fn check_size(&self, text: &str) -> Result<()> {
        let (size, most) = (text.len(), self.settings.max_state_bytes);
        if size <= most {
            return Ok(());
        }
        let reason =
            format!("it has {size} bytes as JSON, at most {most} are allowed (maxStateBytes)");
        Err(Error::invalid("state", reason))
    }
}

impl<D: FnOnce(Result<Written>) + Send> Request for Write<D> {
    fn prepare(&mut self) -> Result<()> {
        check_session_id(&self.session_id)?;
        self.check_size(&self.text)?;
        if let Rule::Locked { expected } = self.rule
            && expected >= MAX_VERSION
        {
            return Err(Error::invalid("expectedVersion", NO_VERSION));
        }
        let stamp = iso_timestamp(self.now_ms);
        let draft = Draft::new(&self.text, &self.session_id, self.rule.stamp(), &stamp)?;
        let version = self.rule.version().unwrap_or_else(|| draft.version.unwrap_or(0) + 1);
        let document = match self.rule {
            Rule::Any => draft.tail,
            _ => draft.document(version),
        };
        self.text = String::new(); // Spliced: the original is not needed any more.
        self.prepared = Some(Prepared { version, document });
        Ok(())
    }

    fn command(&self, attempt: &Attempt) -> Cmd {
        let Some(Prepared { version, document }) = &self.prepared else {
            return Cmd::new(); // Not reached: `prepare` comes first. Redis would refuse it.
        };
        let session = self.settings.keys.session(&self.session_id);
        let script = self.scripts.write(self.rule);
        let mut command = script.noted_command(attempt, &Audit::keys(&session, &self.audit));
        command.arg(document).arg(self.now_ms);
        match self.rule {
            Rule::Create | Rule::CreateIfAbsent => {}
            Rule::Locked { expected } => {
                command.arg(expected);
            }
            Rule::Any => {
                command.arg(version);
            }
        }
        command.arg(self.audit.as_ref().map(|audit| &audit.record_id));
        command
    }

    fn effect(&self) -> Effect {
        match self.rule {
            // Overtaken by its own first try, the second of the two finds another version.
            Rule::Locked { .. } => Effect::Idempotent,
            _ => Effect::Recognised,
        }
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn settle(self: Box<Self>, outcome: Result<Value>) {
        let Self { session_id, rule, done, .. } = *self;
        let outcome = outcome.map_err(|error| wrong_type(error, &session_id));
        done(outcome.and_then(|value| read_answer(value, session_id, rule)));
    }
}

/// The answer of a script that writes.
fn read_answer(value: Value, session_id: String, rule: Rule) -> Result<Written> {
    let parts = match value {
        Value::Int(answer) => {
            let version = rule.version().unwrap_or(answer.unsigned_abs());
            return Ok(Written { version, unaudited: answer < 0 });
        }
        Value::Array(parts) => parts,
        other => return Err(unexpected(&other)),
    };
    let mut parts = parts.into_iter();
    let found = parts.next().and_then(|found| redis::from_redis_value::<String>(found).ok());
    Err(match (found.as_deref(), rule, parts.next()) {
        (Some("missing"), ..) => Error::SessionNotFound { session_id },
        (Some("exists"), ..) => Error::SessionExists { session_id },
        (Some("conflict"), Rule::Locked { expected }, Some(Value::Int(actual))) => {
            let actual = u64::try_from(actual).unwrap_or_default();
            Error::ConcurrentModification { session_id, expected, actual }
        }
        (Some("corrupt"), _, Some(Value::BulkString(raw))) => {
            Error::Deserialization { session_id, raw: String::from_utf8_lossy(&raw).into_owned() }
        }
        _ => unexpected(&Value::Array(Vec::new())),
    })
}

/// What became of a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deleted {
    /// Whether there was such a session.
    pub existed: bool,
    /// Whether it was to be audited and was not: as many records wait as may.
    pub unaudited: bool,
}

pub(crate) struct Delete<D> {
    pub settings: Settings,
    pub scripts: Arc<Scripts>,
    pub audit: Option<Audit>,
    pub session_id: String,
    pub now_ms: i64,
    pub deadline: Instant,
    pub done: D,
}

impl<D: FnOnce(Result<Deleted>) + Send> Request for Delete<D> {
    fn prepare(&mut self) -> Result<()> {
        check_session_id(&self.session_id)
    }

    fn command(&self, attempt: &Attempt) -> Cmd {
        let session = self.settings.keys.session(&self.session_id);
        let script = self.scripts.delete();
        let mut command = script.noted_command(attempt, &Audit::keys(&session, &self.audit));
        command.arg(self.now_ms).arg(self.audit.as_ref().map(|audit| &audit.record_id));
        command
    }

    fn effect(&self) -> Effect {
        Effect::Recognised
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn settle(self: Box<Self>, outcome: Result<Value>) {
        (self.done)(outcome.map(|answer| Deleted {
            existed: answer != Value::Int(0),
            unaudited: answer == Value::Int(-1),
        }));
    }
}

/// Renews the TTL. Settled with whether there is such a session.
pub(crate) struct Touch<D> {
    pub settings: Settings,
    pub session_id: String,
    pub deadline: Instant,
    pub done: D,
}

impl<D: FnOnce(Result<bool>) + Send> Request for Touch<D> {
    fn prepare(&mut self) -> Result<()> {
        check_session_id(&self.session_id)
    }

    fn command(&self, _attempt: &Attempt) -> Cmd {
        let mut command = redis::cmd("EXPIRE");
        command.arg(self.settings.keys.session(&self.session_id)).arg(self.settings.ttl_seconds);
        command
    }

    fn effect(&self) -> Effect {
        Effect::Idempotent
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn settle(self: Box<Self>, outcome: Result<Value>) {
        (self.done)(outcome.map(|value| value == Value::Int(1)));
    }
}

/// Publishes a WebSocket message: at most once, as nothing in Redis would tell a repeat.
pub(crate) struct Broadcast<D> {
    pub settings: Settings,
    pub session_id: String,
    /// JSON text.
    pub message: String,
    pub now_ms: i64,
    pub deadline: Instant,
    pub done: D,
}

impl<D: FnOnce(Result<()>) + Send> Request for Broadcast<D> {
    fn prepare(&mut self) -> Result<()> {
        check_session_id(&self.session_id)
    }

    fn command(&self, _attempt: &Attempt) -> Cmd {
        let mut command = redis::cmd("PUBLISH");
        command.arg(self.settings.keys.ws_channel(&self.session_id)).arg(message::broadcast(
            &self.session_id,
            &self.message,
            self.now_ms,
        ));
        command
    }

    fn effect(&self) -> Effect {
        Effect::Once
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn settle(self: Box<Self>, outcome: Result<Value>) {
        (self.done)(outcome.map(|_| ()));
    }
}
