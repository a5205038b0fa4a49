//! The requests that change: the one write script behind create and update, delete, touch,
//! broadcast.

use std::sync::LazyLock;

use redis::{Cmd, Value};
use tokio::time::Instant;

use super::message::{self, UpdateParts};
use super::read::{unexpected, wrong_type};
use super::store::Settings;
use crate::document::{Draft, MAX_VERSION, Stamp, iso_timestamp};
use crate::error::{Error, Result};
use crate::keys::check_session_id;
use crate::redis::request::{Attempt, Effect, Entry, Request};
use crate::redis::script::Script;

static WRITE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/write.lua")));
static DELETE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/delete.lua")));

/// The end of both scripts' arguments: the entry in the ledger.
fn note_in(command: &mut Cmd, Attempt { repeated, entry, .. }: &Attempt) {
    command.arg(entry.field()).arg(entry.number);
    command.arg(if *repeated { "repeated" } else { "" });
    command.arg(if entry.renews { Entry::TTL_SECONDS } else { 0 });
}

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
}

/// Create or update. Settled with the version written.
pub(crate) struct Write<D> {
    pub settings: Settings,
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

impl<D: FnOnce(Result<u64>) + Send> Request for Write<D> {
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
        let mut command = WRITE.command(attempt, 2);
        command
            .arg(self.settings.keys.session(&self.session_id))
            .arg(&*attempt.entry.ledger)
            .arg(rule)
            .arg(given)
            .arg(self.settings.ttl_seconds)
            .arg(&draft.tail)
            .arg(&self.settings.keys.updates_channel)
            .arg(&message.before)
            .arg(&message.after);
        note_in(&mut command, attempt);
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
fn read_answer(value: Value, session_id: String, rule: Rule) -> Result<u64> {
    let parts = match value {
        Value::Int(version) => {
            return u64::try_from(version).map_err(|_| unexpected(&Value::Int(version)));
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

pub(crate) struct Delete<D> {
    pub settings: Settings,
    pub session_id: String,
    pub now_ms: i64,
    pub deadline: Instant,
    pub done: D,
}

impl<D: FnOnce(Result<()>) + Send> Request for Delete<D> {
    fn prepare(&mut self) -> Result<()> {
        check_session_id(&self.session_id)
    }

    fn command(&self, attempt: &Attempt) -> Cmd {
        let mut command = DELETE.command(attempt, 2);
        command
            .arg(self.settings.keys.session(&self.session_id))
            .arg(&*attempt.entry.ledger)
            .arg(&self.settings.keys.updates_channel)
            .arg(message::deletion(
                &self.session_id,
                &self.settings.keys.session_prefix,
                self.now_ms,
            ));
        note_in(&mut command, attempt);
        command
    }

    fn effect(&self) -> Effect {
        Effect::Recognised
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn settle(self: Box<Self>, outcome: Result<Value>) {
        (self.done)(outcome.map(|_| ()));
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
