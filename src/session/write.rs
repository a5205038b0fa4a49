//! The requests that change: the one write script behind create and update, delete, touch,
//! broadcast.

use std::sync::{Arc, LazyLock};

use redis::{Cmd, Value};
use tokio::time::Instant;

use super::message::{self, UpdateParts};
use super::read::{unexpected, wrong_type};
use super::store::Settings;
use crate::audit::record::new_id;
use crate::audit::stream::Stream;
use crate::document::{Draft, MAX_VERSION, Stamp, iso_timestamp};
use crate::error::{Error, Result};
use crate::keys::check_session_id;
use crate::redis::request::{Attempt, Effect, Request};
use crate::redis::script::Script;

static WRITE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/write.lua")));
static DELETE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/delete.lua")));

/// What a write demands of what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Nothing: a new life of the session begins with version 1.
    Create,
    /// That there is no such session.
    CreateIfAbsent,
    /// That exactly this version is stored.
    Locked {
        /// The expected version.
        expected: u64,
    },
    /// Nothing: last writer wins in content, the version grows all the same.
    Any,
}

impl Rule {
    fn stamp(self) -> Stamp {
        match self {
            Self::Create | Self::CreateIfAbsent => Stamp::Created,
            Self::Locked { .. } | Self::Any => Stamp::Updated,
        }
    }

    /// What the audit calls it.
    fn event(self) -> &'static str {
        match self {
            Self::Create | Self::CreateIfAbsent => "session_created",
            Self::Locked { .. } | Self::Any => "session_updated",
        }
    }
}

/// What a script appends to the audit's stream.
pub(crate) struct Audit {
    stream: Arc<Stream>,
    /// The same for all attempts.
    record_id: String,
}

impl Audit {
    pub fn of(stream: Option<&Arc<Stream>>, now_ms: i64) -> Option<Self> {
        stream.map(|stream| Self { stream: stream.clone(), record_id: new_id(now_ms) })
    }

    fn key(audit: Option<&Self>) -> Option<&str> {
        audit.map(|audit| &*audit.stream.keys.stream)
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
pub(crate) struct Prepared {
    draft: Draft,
    message: UpdateParts,
}

impl<D: FnOnce(Result<Written>) + Send> Request for Write<D> {
    fn prepare(&mut self) -> Result<()> {
        check_session_id(&self.session_id)?;
        if self.text.len() > self.settings.max_state_bytes {
            return Err(Error::invalid(
                "state",
                format!(
                    "it has {} bytes as JSON, at most {} are allowed (maxStateBytes)",
                    self.text.len(),
                    self.settings.max_state_bytes
                ),
            ));
        }
        if let Rule::Locked { expected } = self.rule
            && expected >= MAX_VERSION
        {
            return Err(Error::invalid("expectedVersion", "it is no version: 2^53 - 1 or more"));
        }
        let stamp = iso_timestamp(self.now_ms);
        let draft = Draft::new(&self.text, &self.session_id, self.rule.stamp(), &stamp)?;
        let prefix = &self.settings.keys.session_prefix;
        let message = message::update(&self.session_id, prefix, &draft, self.now_ms);
        self.text = String::new(); // Spliced and escaped: the original is not needed any more.
        self.prepared = Some(Prepared { draft, message });
        Ok(())
    }

    fn command(&self, attempt: &Attempt) -> Cmd {
        let Some(Prepared { draft, message }) = &self.prepared else {
            return Cmd::new(); // Not reached: `prepare` comes first. Redis would refuse it.
        };
        let (rule, given) = match self.rule {
            Rule::Create => ("create", 0),
            Rule::CreateIfAbsent => ("absent", 0),
            Rule::Locked { expected } => ("locked", expected),
            Rule::Any => ("any", draft.version.unwrap_or(0) + 1),
        };
        let session = self.settings.keys.session(&self.session_id);
        let keys: Vec<&str> = [&*session, &attempt.entry.ledger]
            .into_iter()
            .chain(Audit::key(self.audit.as_ref()))
            .collect();
        let mut command = WRITE.command(attempt.with_source, &keys);
        command
            .arg(rule)
            .arg(given)
            .arg(self.settings.ttl_seconds)
            .arg(&draft.tail)
            .arg(&self.settings.keys.updates_channel)
            .arg(&message.before)
            .arg(&message.after);
        attempt.note_in(&mut command);
        if let Some(Audit { stream, record_id }) = &self.audit {
            command.arg(stream.limit()).arg(record_id).arg(&self.session_id);
            command.arg(self.rule.event()).arg(self.now_ms);
        }
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

/// The answer of `write.lua`.
fn read_answer(value: Value, session_id: String, rule: Rule) -> Result<Written> {
    let parts = match value {
        Value::Int(version) => {
            return Ok(Written { version: version.unsigned_abs(), unaudited: version < 0 });
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

/// Settled with whether there was such a session and its deletion is not audited.
pub(crate) struct Delete<D> {
    pub settings: Settings,
    pub audit: Option<Audit>,
    pub session_id: String,
    pub now_ms: i64,
    pub deadline: Instant,
    pub done: D,
}

impl<D: FnOnce(Result<bool>) + Send> Request for Delete<D> {
    fn prepare(&mut self) -> Result<()> {
        check_session_id(&self.session_id)
    }

    fn command(&self, attempt: &Attempt) -> Cmd {
        let Self { settings, audit, session_id, now_ms, .. } = self;
        let session = settings.keys.session(session_id);
        let keys: Vec<&str> = [&*session, &attempt.entry.ledger]
            .into_iter()
            .chain(Audit::key(audit.as_ref()))
            .collect();
        let mut command = DELETE.command(attempt.with_source, &keys);
        command.arg(&settings.keys.updates_channel);
        command.arg(message::deletion(session_id, &settings.keys.session_prefix, *now_ms));
        attempt.note_in(&mut command);
        if let Some(Audit { stream, record_id }) = audit {
            command.arg(stream.limit()).arg(record_id).arg(session_id).arg(*now_ms);
        }
        command
    }

    fn effect(&self) -> Effect {
        Effect::Recognised
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn settle(self: Box<Self>, outcome: Result<Value>) {
        (self.done)(outcome.map(|answer| answer == Value::Int(-1)));
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
