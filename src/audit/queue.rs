//! The client of an audit queue. Each call is one round trip.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use redis::Value;
use tokio::time::Instant;

use super::record::{Record, new_id};
use super::stream::{Stream, int, read_record, text};
use crate::error::{Error, Result};
use crate::keys::{AUDIT_GROUP, AuditKeys, check_session_id};
use crate::redis::connection::Connection;
use crate::redis::request::{Attempt, Effect, Request};
use crate::redis::resp::encode::append;
use crate::redis::script::Script;

static ENQUEUE: LazyLock<Script> =
    LazyLock::new(|| Script::noting(include_str!("scripts/enqueue.lua")));
static METRICS: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/metrics.lua")));
static LETTERS: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/letters.lua")));
static REVIVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/revive.lua")));
static REMOVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/remove.lua")));

/// The most dead letters that one script revives: a script blocks Redis.
const REVIVE_LIMIT: u32 = 500;

/// The options of a queue.
#[derive(Debug, Clone)]
pub struct QueueOptions {
    /// The name of the queue, the same for all instances that share it. Default `db-writes`.
    pub name: String,
    /// The most records that the stream may hold. Default: no limit.
    pub max_backlog: Option<u64>,
    /// The time limit of a call. Default 5 s.
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

/// The number of records in each state, over all instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Metrics {
    /// Queued, not yet claimed by a worker.
    pub waiting: u64,
    /// Claimed by a worker.
    pub active: u64,
    /// Stored in PostgreSQL.
    pub completed: u64,
    /// Dead letters.
    pub failed: u64,
    /// Waiting for a retry.
    pub delayed: u64,
}

/// A record that could not be stored, and its error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The record.
    pub record: Record,
    /// The error message.
    pub error: String,
    /// The SQLSTATE, if PostgreSQL answered.
    pub sqlstate: Option<String>,
    /// How many attempts there were to store it.
    pub attempts: u64,
    /// When it became a dead letter, in milliseconds since the epoch.
    pub failed_at_ms: u64,
}

/// A part of a page of dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetterPage {
    /// The letters, the newest first.
    pub letters: Vec<DeadLetter>,
    /// How many letters are still to be skipped.
    pub skip: u64,
    /// Where to go on. `None`: there are no more letters.
    pub next: Option<String>,
}

/// A selection of dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadLetterSelection {
    /// The dead letters of these records, by record id.
    Records(Vec<String>),
    /// The oldest dead letters, up to this entry id. The empty id stands for the newest dead letter.
    UpTo(String),
}

/// An audit queue. Clones share its connection.
#[derive(Clone)]
pub struct Queue {
    connection: Connection,
    stream: Arc<Stream>,
    command_timeout: Duration,
}

impl Queue {
    /// Makes a queue on a connection, which may be shared.
    pub fn new(connection: Connection, options: &QueueOptions) -> Self {
        let keys = AuditKeys::of(&options.name);
        let stream = Arc::new(Stream { keys, max_backlog: options.max_backlog });
        Self { connection, stream, command_timeout: options.command_timeout }
    }

    /// The queue's stream, for scripts that append records themselves.
    pub fn stream(&self) -> Arc<Stream> {
        self.stream.clone()
    }

    /// Appends a record to the stream. `document` is the session's state; `None` records a deletion.
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
        let command = move |attempt: &Attempt, out: &mut Vec<u8>| {
            let keys = [[&*stream.keys.stream, ""]];
            let mut command = ENQUEUE.noted(out, attempt, &keys, 6);
            command.number(limit).word(&id).word(&session_id).word(&event_type);
            command.word(now_ms.to_string()).word(document.as_deref().unwrap_or_default());
        };
        let deadline = self.deadline();
        let done = move |answer| {
            done(match answer {
                Ok(Value::Int(0)) => Err(Error::BacklogFull { limit }),
                other => other.map(drop),
            });
        };
        let (effect, notes) = (Effect::Recognised, true);
        self.connection.submit(Box::new(ScriptCall { effect, notes, deadline, command, done }));
    }

    /// Counts the records in each state.
    pub fn metrics(&self, done: impl FnOnce(Result<Metrics>) + Send + 'static) {
        let stream = self.stream.clone();
        let command = move |attempt: &Attempt, out: &mut Vec<u8>| {
            let AuditKeys { stream, delayed, dead, completed, .. } = &stream.keys;
            let mut command =
                METRICS.command(attempt.with_source, &[stream, delayed, dead, completed]);
            command.arg(AUDIT_GROUP);
            append(out, &command);
        };
        self.submit(Effect::Read, command, move |answer| {
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

    /// Reads a part of a page of dead letters, the newest first. `place` is where to begin: `+`, or
    /// [`LetterPage::next`].
    pub fn dead_letters(
        &self,
        place: String,
        skip: u32,
        limit: u32,
        done: impl FnOnce(Result<LetterPage>) + Send + 'static,
    ) {
        let stream = self.stream.clone();
        let command = move |attempt: &Attempt, out: &mut Vec<u8>| {
            let mut command = LETTERS.command(attempt.with_source, &[&stream.keys.dead]);
            command.arg(&place).arg(skip).arg(limit);
            append(out, &command);
        };
        self.submit(Effect::Read, command, move |answer| {
            done(answer.and_then(|page| read_page(page).ok_or_else(unexpected)));
        });
    }

    /// Moves dead letters back to the end of the stream. Returns how many were moved and, if there
    /// may be more, the entry id to continue with (see [`DeadLetterSelection::UpTo`]).
    pub fn revive(
        &self,
        selection: DeadLetterSelection,
        done: impl FnOnce(Result<(u64, Option<String>)>) + Send + 'static,
    ) {
        let stream = self.stream.clone();
        let command = move |attempt: &Attempt, out: &mut Vec<u8>| {
            let AuditKeys { dead, index, stream, .. } = &stream.keys;
            let mut command = REVIVE.command(attempt.with_source, &[dead, index, stream]);
            match &selection {
                DeadLetterSelection::Records(ids) => command.arg("these").arg(ids),
                DeadLetterSelection::UpTo(entry_id) => {
                    command.arg("all").arg(REVIVE_LIMIT).arg(entry_id)
                }
            };
            append(out, &command);
        };
        // A repeat may find the letters moved already; only its count is wrong then.
        self.submit(Effect::Idempotent, command, move |answer| {
            done(answer.and_then(list).and_then(|answer| {
                let [moved, last] = <[Value; 2]>::try_from(answer).map_err(|_| unexpected())?;
                Ok((int(&moved), text(last).filter(|last| !last.is_empty())))
            }));
        });
    }

    /// Deletes dead letters. Returns how many were deleted.
    pub fn remove(&self, ids: Vec<String>, done: impl FnOnce(Result<u64>) + Send + 'static) {
        let stream = self.stream.clone();
        let command = move |attempt: &Attempt, out: &mut Vec<u8>| {
            let AuditKeys { dead, index, .. } = &stream.keys;
            let mut command = REMOVE.command(attempt.with_source, &[dead, index]);
            command.arg(&ids);
            append(out, &command);
        };
        self.submit(Effect::Idempotent, command, move |answer| done(answer.map(|n| int(&n))));
    }

    /// The same queue for calls made while a reply is handled, when no caller flushes the connection.
    pub(super) fn direct(&self) -> Self {
        Self { connection: self.connection.direct(), ..self.clone() }
    }

    pub(super) fn submit(
        &self,
        effect: Effect,
        command: impl Fn(&Attempt, &mut Vec<u8>) + Send + 'static,
        done: impl FnOnce(Result<Value>) + Send + 'static,
    ) {
        let (notes, deadline) = (false, self.deadline());
        self.connection.submit(Box::new(ScriptCall { effect, notes, deadline, command, done }));
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.command_timeout
    }
}

/// A request that consists of a command and a callback for its reply.
struct ScriptCall<C, D> {
    effect: Effect,
    /// Whether the script notes its answer in the ledger.
    notes: bool,
    deadline: Instant,
    command: C,
    done: D,
}

impl<C, D> Request for ScriptCall<C, D>
where
    C: Fn(&Attempt, &mut Vec<u8>) + Send,
    D: FnOnce(Result<Value>) + Send,
{
    fn encode(&self, attempt: &Attempt, out: &mut Vec<u8>) {
        (self.command)(attempt, out);
    }

    fn effect(&self) -> Effect {
        self.effect
    }

    fn notes(&self) -> bool {
        self.notes
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

fn read_page(page: Value) -> Option<LetterPage> {
    let [letters, skip, next] = <[Value; 3]>::try_from(list(page).ok()?).ok()?;
    let letters = list(letters).ok()?.into_iter().map(read_letter).collect::<Option<_>>()?;
    Some(LetterPage { letters, skip: int(&skip), next: text(next).filter(|next| !next.is_empty()) })
}

fn read_letter(letter: Value) -> Option<DeadLetter> {
    let Value::Array(parts) = letter else { return None };
    let [entry_id, Value::Array(fields)] = <[Value; 2]>::try_from(parts).ok()? else { return None };
    let entry_id = text(entry_id)?;
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
    let failed_at_ms =
        entry_id.split('-').next().and_then(|ms| ms.parse().ok()).unwrap_or_default();
    let record = read_record(Value::Array(fields))?;
    Some(DeadLetter { record, error, sqlstate, attempts, failed_at_ms })
}
