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
    let session = session.map(str::as_bytes);
    match audit {
        None => script.noted(out, attempt, &[&session], arguments),
        Some(audit) => {
            let stream = audit.stream.keys.stream.as_bytes();
            script.noted(out, attempt, &[&session, &[stream]], arguments + 1)
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

    fn encode(&self, attempt: &Attempt, out: &mut Vec<u8>) {
        let Some(Prepared { version, document }) = &self.prepared else {
            return; // Not reached: `prepare` comes first.
        };
        let script = self.scripts.write(self.rule);
        let session = [&*self.settings.keys.session_prefix, &*self.session_id];
        let expected = match self.rule {
            Rule::Create | Rule::CreateIfAbsent => None,
            Rule::Locked { expected } => Some(expected),
            Rule::Any => Some(*version),
        };
        let arguments = 2 + usize::from(expected.is_some());
        let mut command = begin(out, script, attempt, session, self.audit.as_ref(), arguments);
        command.word(document).word(self.now_ms.to_string());
        if let Some(expected) = expected {
            command.number(expected);
        }
        if let Some(audit) = &self.audit {
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
    fn prepare(&mut self) -> Result<()> {
        check_session_id(&self.session_id)
    }

    fn encode(&self, attempt: &Attempt, out: &mut Vec<u8>) {
        let session = [&*self.settings.keys.session_prefix, &*self.session_id];
        let (script, audit) = (self.scripts.delete(), self.audit.as_ref());
        let mut command = begin(out, script, attempt, session, audit, 1);
        command.word(self.now_ms.to_string());
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
    fn prepare(&mut self) -> Result<()> {
        check_session_id(&self.session_id)
    }

    fn encode(&self, _attempt: &Attempt, out: &mut Vec<u8>) {
        let prefix = self.settings.keys.session_prefix.as_bytes();
        Command::new(out, 3)
            .word("EXPIRE")
            .joined(&[prefix, self.session_id.as_bytes()])
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
    fn prepare(&mut self) -> Result<()> {
        check_session_id(&self.session_id)
    }

    fn encode(&self, _attempt: &Attempt, out: &mut Vec<u8>) {
        let prefix = self.settings.keys.ws_channel_prefix.as_bytes();
        Command::new(out, 3)
            .word("PUBLISH")
            .joined(&[prefix, self.session_id.as_bytes()])
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
