//! The handle of an audit queue: what callers ask of it. Each call is one round trip.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use redis::{Cmd, Value};
use tokio::time::Instant;

use super::record::{Record, new_id};
use super::stream::{Stream, int, read_record, text};
use crate::error::{Error, Result};
use crate::keys::{AUDIT_GROUP, AuditKeys, check_session_id};
use crate::redis::connection::Connection;
use crate::redis::request::{Attempt, Effect, Request};
use crate::redis::script::Script;

static ENQUEUE: LazyLock<Script> =
    LazyLock::new(|| Script::noting(include_str!("scripts/enqueue.lua")));
static METRICS: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/metrics.lua")));
static LETTERS: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/letters.lua")));
static REVIVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/revive.lua")));
static REMOVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/remove.lua")));

/// How many dead letters one script moves back at most: Redis does nothing else meanwhile.
const REVIVED_AT_ONCE: u32 = 500;

/// What holds for all calls of a queue.
#[derive(Debug, Clone)]
pub struct QueueOptions {
    /// The queue's name, which all its instances share. Default `db-writes`.
    pub name: String,
    /// How many records may wait. Default: any number.
    pub max_backlog: Option<u64>,
    /// The time from a call to its deadline. Default 5 s.
    pub command_timeout: Duration,
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self {
            name: "db-writes".into(),
            max_backlog: None,
            command_timeout: Duration::from_millis(5000),
        }
    }
}

/// How many records are where, for all instances together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Metrics {
    /// In the stream, and with nobody.
    pub waiting: u64,
    /// With a worker.
    pub active: u64,
    /// In PostgreSQL.
    pub completed: u64,
    /// Dead letters.
    pub failed: u64,
    /// Waiting for another try.
    pub delayed: u64,
}

/// A record that went to the dead letters, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The record.
    pub record: Record,
    /// What PostgreSQL said.
    pub error: String,
    /// Its code for that.
    pub sqlstate: Option<String>,
    /// How often it was tried.
    pub attempts: u64,
    /// When it died, milliseconds since the epoch.
    pub failed_at_ms: u64,
}

/// Which dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Letters {
    /// Those of these records.
    Of(Vec<String>),
    /// A portion of all, up to this place; the empty place is the newest there is.
    UpTo(String),
}

/// A queue. Clones share it.
#[derive(Clone)]
pub struct Queue {
    connection: Connection,
    stream: Arc<Stream>,
    command_timeout: Duration,
}

impl Queue {
    /// A queue on a connection, which others may share.
    pub fn new(connection: Connection, options: &QueueOptions) -> Self {
        let keys = AuditKeys::of(&options.name);
        let stream = Arc::new(Stream { keys, max_backlog: options.max_backlog });
        Self { connection, stream, command_timeout: options.command_timeout }
    }

    /// Where the records wait, for those who append in scripts of their own.
    pub fn stream(&self) -> Arc<Stream> {
        self.stream.clone()
    }

    /// Appends a record of a session's document, or of its deletion. Done once Redis has it.
    pub fn enqueue(
        &self,
        session_id: String,
        event_type: String,
        document: Option<String>,
        now_ms: i64,
        done: impl FnOnce(Result<()>) + Send + 'static,
    ) {
        if let Err(error) = check_session_id(&session_id) {
            return done(Err(error));
        }
        let stream = self.stream.clone();
        let limit = stream.limit();
        let id = new_id(now_ms);
        let command = move |attempt: &Attempt| {
            let mut command = ENQUEUE.noted_command(attempt, &[&stream.keys.stream]);
            command.arg(limit).arg(&id).arg(&session_id).arg(&event_type).arg(now_ms);
            command.arg(document.as_deref().unwrap_or_default());
            command
        };
        self.ask(Effect::Recognised, command, move |answer| {
            done(match answer {
                Ok(Value::Int(0)) => Err(Error::BacklogFull { limit }),
                other => other.map(drop),
            });
        });
    }

    /// How many records are where.
    pub fn metrics(&self, done: impl FnOnce(Result<Metrics>) + Send + 'static) {
        let stream = self.stream.clone();
        let command = move |attempt: &Attempt| {
            let AuditKeys { stream, delayed, dead, completed, .. } = &stream.keys;
            let mut command =
                METRICS.command(attempt.with_source, &[stream, delayed, dead, completed]);
            command.arg(AUDIT_GROUP);
            command
        };
        self.ask(Effect::Read, command, move |answer| {
            done(answer.and_then(|answer| match list(answer)?.as_slice() {
                [waiting, active, completed, failed, delayed] => Ok(Metrics {
                    waiting: int(waiting),
                    active: int(active),
                    completed: int(completed),
                    failed: int(failed),
                    delayed: int(delayed),
                }),
                _ => Err(unexpected()),
            }));
        });
    }

    /// A page of the dead letters, newest first.
    pub fn dead_letters(
        &self,
        offset: u32,
        limit: u32,
        done: impl FnOnce(Result<Vec<DeadLetter>>) + Send + 'static,
    ) {
        let stream = self.stream.clone();
        let command = move |attempt: &Attempt| {
            let mut command = LETTERS.command(attempt.with_source, &[&stream.keys.dead]);
            command.arg(offset).arg(limit);
            command
        };
        self.ask(Effect::Read, command, move |answer| {
            done(answer.and_then(list).and_then(|letters| {
                letters
                    .into_iter()
                    .map(|letter| read_letter(letter).ok_or_else(unexpected))
                    .collect()
            }));
        });
    }

    /// Puts dead letters at the end of the stream again, as the records they were. Done with how
    /// many, and the place up to which a next call has to go on where there may be more.
    pub fn revive(
        &self,
        which: Letters,
        done: impl FnOnce(Result<(u64, Option<String>)>) + Send + 'static,
    ) {
        let stream = self.stream.clone();
        let command = move |attempt: &Attempt| {
            let AuditKeys { dead, index, stream, .. } = &stream.keys;
            let mut command = REVIVE.command(attempt.with_source, &[dead, index, stream]);
            match &which {
                Letters::Of(ids) => command.arg("these").arg(ids),
                Letters::UpTo(place) => command.arg("all").arg(REVIVED_AT_ONCE).arg(place),
            };
            command
        };
        // Of a repeat that finds nothing more to move, only the count is wrong.
        self.ask(Effect::Idempotent, command, move |answer| {
            done(answer.and_then(list).and_then(|answer| {
                let [moved, last] = <[Value; 2]>::try_from(answer).map_err(|_| unexpected())?;
                let more = int(&moved) == u64::from(REVIVED_AT_ONCE);
                Ok((int(&moved), text(last).filter(|last| more && !last.is_empty())))
            }));
        });
    }

    /// Throws dead letters away. Done with how many there were.
    pub fn remove(&self, ids: Vec<String>, done: impl FnOnce(Result<u64>) + Send + 'static) {
        let stream = self.stream.clone();
        let command = move |attempt: &Attempt| {
            let AuditKeys { dead, index, .. } = &stream.keys;
            let mut command = REMOVE.command(attempt.with_source, &[dead, index]);
            command.arg(&ids);
            command
        };
        self.ask(Effect::Idempotent, command, move |answer| done(answer.map(|n| int(&n))));
    }

    /// The same queue for calls that answers lead to, after which nobody flushes.
    pub(super) fn direct(&self) -> Self {
        Self { connection: self.connection.direct(), ..self.clone() }
    }

    pub(super) fn ask(
        &self,
        effect: Effect,
        command: impl Fn(&Attempt) -> Cmd + Send + 'static,
        done: impl FnOnce(Result<Value>) + Send + 'static,
    ) {
        let deadline = Instant::now() + self.command_timeout;
        self.connection.submit(Box::new(Ask { effect, deadline, command, done }));
    }
}

/// A request that needs no more than a command and somebody to take the answer.
struct Ask<C, D> {
    effect: Effect,
    deadline: Instant,
    command: C,
    done: D,
}

impl<C, D> Request for Ask<C, D>
where
    C: Fn(&Attempt) -> Cmd + Send,
    D: FnOnce(Result<Value>) + Send,
{
    fn command(&self, attempt: &Attempt) -> Cmd {
        (self.command)(attempt)
    }

    fn effect(&self) -> Effect {
        self.effect
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn settle(self: Box<Self>, outcome: Result<Value>) {
        (self.done)(outcome);
    }
}

pub(super) fn list(value: Value) -> Result<Vec<Value>> {
    if let Value::Array(values) = value { Ok(values) } else { Err(unexpected()) }
}

pub(super) fn unexpected() -> Error {
    Error::unknown("Redis answered an audit script with something else")
}

fn read_letter(letter: Value) -> Option<DeadLetter> {
    let Value::Array(parts) = letter else { return None };
    let [place, Value::Array(fields)] = <[Value; 2]>::try_from(parts).ok()? else { return None };
    let place = text(place)?;
    let (mut error, mut sqlstate, mut attempts) = (String::new(), None, 0);
    for pair in fields.chunks_exact(2) {
        let value = text(pair[1].clone())?;
        match text(pair[0].clone())?.as_str() {
            "error" => error = value,
            "sqlstate" => sqlstate = Some(value).filter(|code| !code.is_empty()),
            "attempts" => attempts = value.parse().unwrap_or_default(),
            _ => {}
        }
    }
    let failed_at_ms = place.split('-').next().and_then(|ms| ms.parse().ok()).unwrap_or_default();
    let record = read_record(Value::Array(fields))?;
    Some(DeadLetter { record, error, sqlstate, attempts, failed_at_ms })
}
