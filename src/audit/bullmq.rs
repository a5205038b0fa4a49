//! Adopts the jobs that older instances queued with BullMQ, as records. BullMQ stores each job in a
//! hash, and its id in a list or sorted set for the job's state (`wait`, `failed`, …).

use std::sync::LazyLock;

use redis::Value;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::queue::{Queue, list, unexpected};
use super::record::{Record, new_id};
use super::stream::{int, text};
use crate::error::Result;
use crate::keys::{BullKeys, check_session_id};
use crate::redis::request::{Attempt, Effect};
use crate::redis::resp::encode::append;
use crate::redis::script::Script;

static JOBS: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/jobs.lua")));
static TAKE_JOBS: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/take_jobs.lua")));

/// The most jobs that one script adopts: a script blocks Redis.
const PAGE_SIZE: usize = 100;

/// The outcome for a page of jobs.
#[derive(Debug)]
pub struct Adopted {
    /// How many jobs became records.
    pub taken: u64,
    /// The ids of jobs that are no change of a session. They stay in BullMQ's queue.
    pub skipped: Vec<String>,
    /// How many jobs stay because a worker of BullMQ is working on them.
    pub locked: u64,
    /// Whether the queue may hold more jobs of this state.
    pub more: bool,
}

/// The data of a job, as the write queue of older instances writes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JobData<'a> {
    session_id: String,
    #[serde(borrow)]
    state: &'a RawValue,
    event_type: Option<String>,
    timestamp: Option<f64>,
}

impl Queue {
    /// Adopts a page of the jobs of one state (`wait`, `active`, …), the oldest first. Skips the
    /// first `skip` jobs.
    pub fn adopt_jobs(
        &self,
        keys: BullKeys,
        job_state: &str,
        skip: u64,
        done: impl FnOnce(Result<Adopted>) + Send + 'static,
    ) {
        let names = [keys.place(job_state), keys.base];
        let [job_list, base] = names.clone();
        let read = move |attempt: &Attempt, out: &mut Vec<u8>| {
            let mut command = JOBS.command(attempt.with_source, &[&job_list, &base]);
            command.arg(skip).arg(PAGE_SIZE);
            append(out, &command);
        };
        let queue = self.direct();
        self.submit(Effect::Read, read, move |answer| match answer.and_then(list) {
            Ok(page) => queue.adopt_page(names, page, done),
            Err(error) => done(Err(error)),
        });
    }

    fn adopt_page(
        &self,
        [job_list, base]: [String; 2],
        page: Vec<Value>,
        done: impl FnOnce(Result<Adopted>) + Send + 'static,
    ) {
        let Ok([Value::Array(jobs), more]) = <[Value; 2]>::try_from(page) else {
            return done(Err(unexpected()));
        };
        let more = int(&more) == 1;
        let (mut records, mut skipped, mut locked) = (Vec::new(), Vec::new(), 0);
        for job in jobs {
            match read_job(job) {
                Some(Job { is_locked: true, .. }) => locked += 1,
                Some(Job { id, record: Some(record), .. }) => records.push((id, record)),
                Some(Job { id, record: None, .. }) => skipped.push(id),
                None => return done(Err(unexpected())),
            }
        }
        if records.is_empty() {
            return done(Ok(Adopted { taken: 0, skipped, locked, more }));
        }
        let stream = self.stream();
        let adopt = move |attempt: &Attempt, out: &mut Vec<u8>| {
            let keys = [&*job_list, &base, &stream.keys.stream];
            let mut command = TAKE_JOBS.command(attempt.with_source, &keys);
            for (job, record) in &records {
                command.arg(job).arg(&record.id).arg(&record.session_id).arg(&record.event_type);
                command.arg(record.at_ms).arg(record.state.as_deref().unwrap_or_default());
            }
            append(out, &command);
        };
        // A repeat may find the jobs adopted already; only its count is wrong then.
        self.submit(Effect::Idempotent, adopt, move |answer| {
            done(answer.map(|taken| Adopted { taken: int(&taken), skipped, locked, more }));
        });
    }
}

/// A job of BullMQ.
struct Job {
    id: String,
    /// `None` if the job is no change of a session.
    record: Option<Record>,
    /// Whether a worker of BullMQ is working on it.
    is_locked: bool,
}

fn read_job(job: Value) -> Option<Job> {
    let Value::Array(parts) = job else { return None };
    let [id, data, name, added, locked] = <[Value; 5]>::try_from(parts).ok()?;
    let (data, name, added) = (text(data)?, text(name)?, text(added)?);
    let record = record_of(&data, name, added.parse().unwrap_or_default());
    Some(Job { id: text(id)?, record, is_locked: int(&locked) == 1 })
}

fn record_of(data: &str, name: String, added_ms: i64) -> Option<Record> {
    let data: JobData = serde_json::from_str(data).ok()?;
    let state = data.state.get();
    if !state.starts_with('{') || check_session_id(&data.session_id).is_err() {
        return None;
    }
    let at_ms = data.timestamp.map_or(added_ms, |ms| ms as i64);
    Some(Record {
        id: new_id(at_ms),
        session_id: data.session_id,
        event_type: data.event_type.filter(|word| !word.is_empty()).unwrap_or(name),
        at_ms,
        state: Some(state.to_owned()),
        position: None, // Assigned by Redis.
        is_write: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_becomes_a_record() {
        let data = r#"{"sessionId":"a","state":{"n":9007199254740993,"l":[]},"eventType":"e","timestamp":5}"#;
        let record = record_of(data, "n".into(), 3).expect("a record");
        assert_eq!((record.session_id.as_str(), record.event_type.as_str()), ("a", "e"));
        assert_eq!(record.at_ms, 5);
        // The bytes are copied: no number is rounded, and an empty list stays a list.
        assert_eq!(record.state.as_deref(), Some(r#"{"n":9007199254740993,"l":[]}"#));
    }

    #[test]
    fn missing_fields_of_the_data_come_from_the_job() {
        let record = record_of(r#"{"sessionId":"a","state":{}}"#, "n".into(), 3).expect("a record");
        assert_eq!((record.event_type.as_str(), record.at_ms), ("n", 3));
    }

    #[test]
    fn a_job_without_a_session_becomes_no_record() {
        for data in ["", "{}", r#"{"sessionId":"","state":{}}"#, r#"{"sessionId":"a","state":7}"#] {
            assert_eq!(record_of(data, "n".into(), 3), None, "{data}");
        }
    }
}
