//! The requests that change: create and update, delete, touch, broadcast.

use std::sync::Arc;

use redis::Value;
use tokio::time::Instant;

use super::message;
use super::options::Settings;
use super::reply::{unexpected, wrong_type};
use super::rule::Rule;
use super::scripts::Scripts;
use crate::audit::record::new_id;
use crate::audit::stream::Stream;
use crate::document::{Draft, MAX_VERSION, iso_timestamp};
use crate::error::{Error, Result};
use crate::keys::check_session_id;
use crate::redis::order::{Access, SessionHash};
use crate::redis::request::{Attempt, Effect, Request};
use crate::redis::resp::encode::Command;
use crate::redis::script::Script;

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
}

/// Begins the command of a script about a session: its keys, and so many arguments and, with an
/// audit, the record's id, which the caller appends last.
fn begin<'a>(
    out: &'a mut Vec<u8>,
    script: &Script,
    attempt: &Attempt,
    session: [&str; 2],
    audit: Option<&Audit>,
    arguments: usize,
) -> Command<'a> {
    match audit {
        None => script.noted(out, attempt, &[session], arguments),
        Some(audit) => {
            let stream = [&*audit.stream.keys.stream, ""];
            script.noted(out, attempt, &[session, stream], arguments + 1)
        }
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
    pub session: SessionHash,
    pub draft: Draft,
    pub rule: Rule,
    pub now_ms: i64,
    pub deadline: Instant,
    pub done: D,
}

/// The draft of a write, if the write is one that may be made.
pub(crate) fn draft(
    settings: &Settings,
    session_id: &str,
    text: String,
    rule: Rule,
    now_ms: i64,
) -> Result<Draft> {
    check_session_id(session_id)?;
    let (size, most) = (text.len(), settings.max_state_bytes);
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
    Draft::new(text, session_id, rule.stamp(), &iso_timestamp(now_ms))
}

impl<D: FnOnce(Result<Written>) + Send> Request for Write<D> {
    fn encode(&self, attempt: &Attempt, out: &mut Vec<u8>) {
        let Self { settings, session_id, draft, rule, audit, .. } = self;
        let session = [&*settings.keys.session_prefix, session_id];
        let head = rule.version().map(Draft::head);
        let version = match rule {
            Rule::Create | Rule::CreateIfAbsent => None,
            Rule::Locked { expected } => Some(*expected),
            Rule::Any => Some(draft.version.unwrap_or(0) + 1), // Where nothing is stored.
        };
        let arguments = 2 + usize::from(version.is_some());
        let script = self.scripts.write(*rule);
        let mut command = begin(out, script, attempt, session, audit.as_ref(), arguments);
        command.joined(head.iter().map(String::as_bytes).chain(draft.tail()));
        command.number(self.now_ms.unsigned_abs());
        if let Some(version) = version {
            command.number(version);
        }
        if let Some(audit) = audit {
            command.word(&audit.record_id);
        }
    }

    fn access(&self) -> Access<'_> {
        Access::Write(self.session)
    }

    fn notes(&self) -> bool {
        true
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
    pub session: SessionHash,
    pub now_ms: i64,
    pub deadline: Instant,
    pub done: D,
}

impl<D: FnOnce(Result<Deleted>) + Send> Request for Delete<D> {
    fn encode(&self, attempt: &Attempt, out: &mut Vec<u8>) {
        let session = [&*self.settings.keys.session_prefix, &*self.session_id];
        let (script, audit) = (self.scripts.delete(), self.audit.as_ref());
        let mut command = begin(out, script, attempt, session, audit, 1);
        command.number(self.now_ms.unsigned_abs());
        if let Some(audit) = audit {
            command.word(&audit.record_id);
        }
    }

    fn access(&self) -> Access<'_> {
        Access::Write(self.session)
    }

    fn notes(&self) -> bool {
        true
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
    pub session: SessionHash,
    pub deadline: Instant,
    pub done: D,
}

impl<D: FnOnce(Result<bool>) + Send> Request for Touch<D> {
    fn encode(&self, _attempt: &Attempt, out: &mut Vec<u8>) {
        let prefix = &self.settings.keys.session_prefix;
        Command::new(out, 3)
            .word("EXPIRE")
            .named(prefix, &self.session_id)
            .number(self.settings.ttl_seconds.into());
    }

    fn access(&self) -> Access<'_> {
        Access::Write(self.session)
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
    pub session: SessionHash,
    /// JSON text.
    pub message: String,
    pub now_ms: i64,
    pub deadline: Instant,
    pub done: D,
}

impl<D: FnOnce(Result<()>) + Send> Request for Broadcast<D> {
    fn encode(&self, _attempt: &Attempt, out: &mut Vec<u8>) {
        let prefix = &self.settings.keys.ws_channel_prefix;
        Command::new(out, 3)
            .word("PUBLISH")
            .named(prefix, &self.session_id)
            .word(message::broadcast(&self.session_id, &self.message, self.now_ms));
    }

    fn access(&self) -> Access<'_> {
        Access::Message(self.session)
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
