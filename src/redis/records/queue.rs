//! The operations on records as commands.

use std::sync::LazyLock;

use redis::Value;

use super::entries::{int, read_record, text};
use super::{list, unexpected};
use crate::error::{Error, Result};
use crate::keys::{AUDIT_GROUP, AuditKeys};
use crate::operation::letter::{DeadLetter, DeadLetterSelection, LetterPage, Revived};
use crate::operation::names::Stream;
use crate::operation::queue::{Append, Count, Metrics, ReadLetters, Remove, Revive};
use crate::operation::replicas::Replicas;
use crate::redis::command::AsCommand;
use crate::redis::request::Attempt;
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

impl AsCommand for Append {
    type Context = Stream;

    fn encode(&self, stream: &Stream, attempt: &Attempt, out: &mut Vec<u8>) {
        let record = &self.record;
        let keys = [[&*stream.keys.stream, ""]];
        let mut command = ENQUEUE.noted(out, attempt, &keys, 6);
        command.number(stream.limit()).word(&record.id).word(&record.session_id);
        command.word(&record.event_type).word(record.at_ms.to_string());
        command.word(record.state.as_deref().unwrap_or_default());
    }

    fn notes(&self) -> bool {
        true
    }

    fn replicas(&self, stream: &Stream) -> Option<Replicas> {
        stream.replicas
    }

    fn has_changed(reply: &Value) -> bool {
        *reply != Value::Int(0)
    }

    fn read(self, stream: &Stream, reply: Result<Value>) -> Result<()> {
        match reply? {
            Value::Int(0) => Err(Error::BacklogFull { limit: stream.limit() }),
            _ => Ok(()),
        }
    }
}

impl AsCommand for Count {
    type Context = Stream;

    fn encode(&self, stream: &Stream, attempt: &Attempt, out: &mut Vec<u8>) {
        let AuditKeys { stream, delayed, dead, completed, .. } = &stream.keys;
        let mut command = METRICS.command(attempt.with_source, &[stream, delayed, dead, completed]);
        command.arg(AUDIT_GROUP);
        append(out, &command);
    }

    fn read(self, _stream: &Stream, reply: Result<Value>) -> Result<Metrics> {
        match list(reply?)?.as_slice() {
            [waiting, active, completed, failed, delayed] => Ok(Metrics {
                waiting: int(waiting),
                active: int(active),
                completed: int(completed),
                failed: int(failed),
                delayed: int(delayed),
            }),
            _ => Err(unexpected()),
        }
    }
}

impl AsCommand for ReadLetters {
    type Context = Stream;

    fn encode(&self, stream: &Stream, attempt: &Attempt, out: &mut Vec<u8>) {
        let mut command = LETTERS.command(attempt.with_source, &[&stream.keys.dead]);
        command.arg(&self.place).arg(self.skip).arg(self.limit);
        append(out, &command);
    }

    fn read(self, _stream: &Stream, reply: Result<Value>) -> Result<LetterPage> {
        read_page(reply?).ok_or_else(unexpected)
    }
}

impl AsCommand for Revive {
    type Context = Stream;

    fn encode(&self, stream: &Stream, attempt: &Attempt, out: &mut Vec<u8>) {
        let AuditKeys { dead, index, stream, .. } = &stream.keys;
        let mut command = REVIVE.command(attempt.with_source, &[dead, index, stream]);
        match &self.selection {
            DeadLetterSelection::Records(ids) => command.arg("these").arg(ids),
            DeadLetterSelection::UpTo(entry_id) => {
                command.arg("all").arg(REVIVE_LIMIT).arg(entry_id)
            }
        };
        append(out, &command);
    }

    fn read(self, _stream: &Stream, reply: Result<Value>) -> Result<Revived> {
        let [moved, last] = <[Value; 2]>::try_from(list(reply?)?).map_err(|_| unexpected())?;
        let more = text(last).filter(|last| !last.is_empty());
        Ok(Revived { moved: int(&moved), more })
    }
}

impl AsCommand for Remove {
    type Context = Stream;

    fn encode(&self, stream: &Stream, attempt: &Attempt, out: &mut Vec<u8>) {
        let AuditKeys { dead, index, .. } = &stream.keys;
        let mut command = REMOVE.command(attempt.with_source, &[dead, index]);
        command.arg(&self.record_ids);
        append(out, &command);
    }

    fn read(self, _stream: &Stream, reply: Result<Value>) -> Result<u64> {
        reply.map(|removed| int(&removed))
    }
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
