//! The operations on records as commands.

use std::sync::LazyLock;

use redis::Value;

use super::context::Context;
use super::entries::{int, list, read_record, text, unexpected};
use super::letters::{self, Portion, ReadPortion, read_places};
use super::part::{Everywhere, Part};
use crate::error::{Error, Result};
use crate::keys::{AUDIT_GROUP, AuditKeys};
use crate::operation::Effect;
use crate::operation::letter::{DeadLetter, DeadLetterSelection, LetterPage, Revived};
use crate::operation::queue::{
    Append, Count, CountUnsettled, Metrics, ReadLetters, Remove, Revive,
};
use crate::operation::record::Record;
use crate::operation::replicas::Replicas;
use crate::redis::command::AsCommand;
use crate::redis::place::Place;
use crate::redis::request::Attempt;
use crate::redis::resp::encode::append;
use crate::redis::script::Script;

static ENQUEUE: LazyLock<Script> =
    LazyLock::new(|| Script::noting(include_str!("scripts/enqueue.lua")));
static METRICS: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(include_str!("scripts/counts.lua"), include_str!("scripts/metrics.lua")))
});
static LETTERS: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/letters.lua")));
static REVIVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/revive.lua")));
static REMOVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/remove.lua")));

/// The most dead letters that one script revives: a script blocks Redis.
const REVIVE_LIMIT: u32 = 500;

/// Appends the command that appends a record to a stream of at most `limit` records (0: any number).
pub(super) fn encode_append(
    record: &Record,
    (context, limit): (&Context, u64),
    attempt: &Attempt,
    out: &mut Vec<u8>,
) {
    let keys = [[&*context.keys_of(&record.session_id).stream, ""]];
    let mut command = ENQUEUE.noted(out, attempt, &keys, 6 + 2 * record.metadata.iter().len());
    command.number(limit).word(&record.id).word(&record.session_id);
    command.word(&record.event_type).word(record.at_ms.to_string());
    command.word(record.state.as_deref().unwrap_or_default());
    if let Some(metadata) = &record.metadata {
        command.word("metadata").word(metadata);
    }
}

impl AsCommand for Append {
    type Context = Context;

    fn encode(&self, context: &Context, attempt: &Attempt, out: &mut Vec<u8>) {
        encode_append(&self.record, (context, context.limit()), attempt, out);
    }

    fn place<'a>(&'a self, context: &'a Context) -> Place<'a> {
        context.place_of(&self.record.session_id)
    }

    fn notes(&self) -> bool {
        true
    }

    fn replicas(&self, context: &Context) -> Option<Replicas> {
        context.stream.replicas
    }

    fn has_changed(reply: &Value) -> bool {
        *reply != Value::Int(0)
    }

    fn read(self, context: &Context, reply: Result<Value>) -> Result<()> {
        match reply? {
            Value::Int(0) => Err(Error::BacklogFull { limit: context.stream.limit() }),
            _ => Ok(()),
        }
    }
}

/// Counts the records of one partition.
pub(super) struct CountPart;

impl Everywhere for Count {
    type Part = CountPart;

    fn parts(&self, count: usize) -> Result<Vec<Option<CountPart>>> {
        Ok((0..count).map(|_| Some(CountPart)).collect())
    }

    fn combine(self, answers: Vec<Option<Metrics>>) -> Result<Metrics> {
        Ok(answers.iter().flatten().fold(Metrics::default(), add))
    }
}

impl Part for CountPart {
    type Answer = Metrics;

    const EFFECT: Effect = Effect::Read;

    fn encode(&self, keys: &AuditKeys, attempt: &Attempt, out: &mut Vec<u8>) {
        let AuditKeys { stream, delayed, dead, completed, .. } = keys;
        let mut command = METRICS.command(attempt.with_source, &[stream, delayed, dead, completed]);
        command.arg(AUDIT_GROUP);
        append(out, &command);
    }

    fn read(reply: Value) -> Result<Metrics> {
        read_counts(reply)
    }
}

/// The counts of two partitions together.
pub(super) fn add(one: Metrics, other: &Metrics) -> Metrics {
    Metrics {
        waiting: one.waiting + other.waiting,
        active: one.active + other.active,
        completed: one.completed + other.completed,
        failed: one.failed + other.failed,
        delayed: one.delayed + other.delayed,
    }
}

pub(super) fn read_counts(reply: Value) -> Result<Metrics> {
    match list(reply)?.as_slice() {
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

/// Counts the records in the stream of one partition.
pub(super) struct LengthPart;

impl Everywhere for CountUnsettled {
    type Part = LengthPart;

    fn parts(&self, count: usize) -> Result<Vec<Option<LengthPart>>> {
        Ok((0..count).map(|_| Some(LengthPart)).collect())
    }

    fn combine(self, answers: Vec<Option<u64>>) -> Result<u64> {
        Ok(answers.into_iter().flatten().sum())
    }
}

impl Part for LengthPart {
    type Answer = u64;

    const EFFECT: Effect = Effect::Read;

    fn encode(&self, keys: &AuditKeys, _attempt: &Attempt, out: &mut Vec<u8>) {
        append(out, redis::cmd("XLEN").arg(&keys.stream));
    }

    fn read(reply: Value) -> Result<u64> {
        Ok(int(&reply))
    }
}

impl Everywhere for ReadLetters {
    type Part = ReadPortion;

    fn parts(&self, count: usize) -> Result<Vec<Option<ReadPortion>>> {
        Ok(letters::portions(self, &read_places(&self.place, "+", count)?))
    }

    fn combine(self, answers: Vec<Option<Portion>>) -> Result<LetterPage> {
        let places = read_places(&self.place, "+", answers.len())?;
        Ok(letters::page(&self, places, answers))
    }
}

impl Part for ReadPortion {
    type Answer = Portion;

    const EFFECT: Effect = Effect::Read;

    fn encode(&self, keys: &AuditKeys, attempt: &Attempt, out: &mut Vec<u8>) {
        let mut command = LETTERS.command(attempt.with_source, &[&keys.dead]);
        command.arg(&self.place).arg(self.skip).arg(self.limit);
        command.arg(if self.only_ids { "ids" } else { "" }).arg(self.max_bytes);
        append(out, &command);
    }

    fn read(reply: Value) -> Result<Portion> {
        read_portion(reply).ok_or_else(unexpected)
    }
}

/// Moves dead letters of one partition back to its stream.
pub(super) struct RevivePart(DeadLetterSelection);

impl Everywhere for Revive {
    type Part = RevivePart;

    fn parts(&self, count: usize) -> Result<Vec<Option<RevivePart>>> {
        Ok(match &self.selection {
            DeadLetterSelection::Records(ids) => (0..count)
                .map(|_| Some(RevivePart(DeadLetterSelection::Records(ids.clone()))))
                .collect(),
            DeadLetterSelection::UpTo(place) => read_places(place, "", count)?
                .into_iter()
                .map(|place| place.map(|place| RevivePart(DeadLetterSelection::UpTo(place))))
                .collect(),
        })
    }

    fn combine(self, answers: Vec<Option<Revived>>) -> Result<Revived> {
        Ok(letters::revived(answers))
    }
}

impl Part for RevivePart {
    type Answer = Revived;

    const EFFECT: Effect = Effect::Idempotent;

    fn encode(&self, keys: &AuditKeys, attempt: &Attempt, out: &mut Vec<u8>) {
        let AuditKeys { dead, index, stream, .. } = keys;
        let mut command = REVIVE.command(attempt.with_source, &[dead, index, stream]);
        match &self.0 {
            DeadLetterSelection::Records(ids) => command.arg("these").arg(ids),
            DeadLetterSelection::UpTo(entry_id) => {
                command.arg("all").arg(REVIVE_LIMIT).arg(entry_id)
            }
        };
        append(out, &command);
    }

    fn read(reply: Value) -> Result<Revived> {
        let [moved, last] = <[Value; 2]>::try_from(list(reply)?).map_err(|_| unexpected())?;
        let more = text(last).filter(|last| !last.is_empty());
        Ok(Revived { moved: int(&moved), more })
    }
}

/// Deletes dead letters of one partition.
pub(super) struct RemovePart(Vec<String>);

impl Everywhere for Remove {
    type Part = RemovePart;

    fn parts(&self, count: usize) -> Result<Vec<Option<RemovePart>>> {
        Ok((0..count).map(|_| Some(RemovePart(self.record_ids.clone()))).collect())
    }

    fn combine(self, answers: Vec<Option<u64>>) -> Result<u64> {
        Ok(answers.into_iter().flatten().sum())
    }
}

impl Part for RemovePart {
    type Answer = u64;

    const EFFECT: Effect = Effect::Idempotent;

    fn encode(&self, keys: &AuditKeys, attempt: &Attempt, out: &mut Vec<u8>) {
        let AuditKeys { dead, index, .. } = keys;
        let mut command = REMOVE.command(attempt.with_source, &[dead, index]);
        command.arg(&self.0);
        append(out, &command);
    }

    fn read(reply: Value) -> Result<u64> {
        Ok(int(&reply))
    }
}

fn read_portion(page: Value) -> Option<Portion> {
    let [letters, skip, next] = <[Value; 3]>::try_from(list(page).ok()?).ok()?;
    let letters = list(letters).ok()?.into_iter().map(read_letter).collect::<Option<_>>()?;
    Some(Portion { letters, skip: int(&skip), next: text(next).filter(|next| !next.is_empty()) })
}

/// A letter, with its entry id.
fn read_letter(letter: Value) -> Option<(String, DeadLetter)> {
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
    Some((entry_id, DeadLetter { record, error, sqlstate, attempts, failed_at_ms }))
}
