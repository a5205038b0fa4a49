//! The queue of older instances: their jobs, taken over as records. BullMQ has each job in a hash,
//! and its id in the list or sorted set of what state it is in.

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
use crate::redis::script::Script;

static JOBS: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/jobs.lua")));
static TAKE_JOBS: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/take_jobs.lua")));

/// How many jobs one script takes at most: Redis does nothing else meanwhile.
const AT_ONCE: usize = 100;

/// What became of a page of jobs.
#[derive(Debug)]
pub struct Adopted {
    /// How many are records now.
    pub taken: u64,
    /// Those that are no record of a change, by their ids. They stay where they are.
    pub skipped: Vec<String>,
    /// Whether there may be more in this place.
    pub more: bool,
}

/// A job's data, as the write queues of the running services write it.
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
    /// Takes over a page of the jobs in one place (`wait`, `failed`, …), the oldest first, without
    /// the first `skip`.
    pub fn adopt_jobs(
        &self,
        keys: BullKeys,
        place: &str,
        skip: u64,
        done: impl FnOnce(Result<Adopted>) + Send + 'static,
    ) {
        let names = [keys.place(place), keys.base];
        let [place, base] = names.clone();
        let look = move |attempt: &Attempt| {
            let mut command = JOBS.command(attempt.with_source, &[&place, &base]);
            command.arg(skip).arg(AT_ONCE);
            command
        };
        let queue = self.direct();
        self.ask(Effect::Read, look, move |answer| match answer.and_then(list) {
            Ok(jobs) => queue.take(names, jobs, done),
            Err(error) => done(Err(error)),
        });
    }

    fn take(
        &self,
        [place, base]: [String; 2],
        jobs: Vec<Value>,
        done: impl FnOnce(Result<Adopted>) + Send + 'static,
    ) {
        let more = jobs.len() == AT_ONCE;
        let (mut records, mut skipped) = (Vec::new(), Vec::new());
        for job in jobs {
            match read_job(job) {
                Some((job, Some(record))) => records.push((job, record)),
                Some((job, None)) => skipped.push(job),
                None => return done(Err(unexpected())),
            }
        }
        if records.is_empty() {
            return done(Ok(Adopted { taken: 0, skipped, more }));
        }
        let stream = self.stream();
        let take = move |attempt: &Attempt| {
            let keys = [&*place, &base, &stream.keys.stream];
            let mut command = TAKE_JOBS.command(attempt.with_source, &keys);
            for (job, record) in &records {
                command.arg(job).arg(&record.id).arg(&record.session_id).arg(&record.event_type);
                command.arg(record.at_ms).arg(record.state.as_deref().unwrap_or_default());
            }
            command
        };
        // Of a repeat that finds the jobs taken, only the count is wrong.
        self.ask(Effect::Idempotent, take, move |answer| {
            done(answer.map(|taken| Adopted { taken: int(&taken), skipped, more }));
        });
    }
}

/// A job's id, and the record that it is about.
fn read_job(job: Value) -> Option<(String, Option<Record>)> {
    let Value::Array(parts) = job else { return None };
    let [id, data, name, added] = <[Value; 4]>::try_from(parts).ok()?;
    let (data, name, added) = (text(data)?, text(name)?, text(added)?);
    Some((text(id)?, record_of(&data, name, added.parse().unwrap_or_default())))
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
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_becomes_the_record_that_it_was_to_be() {
        let data = r#"{"sessionId":"a","state":{"n":9007199254740993,"l":[]},"eventType":"e","timestamp":5}"#;
        let record = record_of(data, "n".into(), 3).expect("a record");
        assert_eq!((record.session_id.as_str(), record.event_type.as_str()), ("a", "e"));
        assert_eq!(record.at_ms, 5);
        // As it was written: no number was rounded, no empty list became something else.
        assert_eq!(record.state.as_deref(), Some(r#"{"n":9007199254740993,"l":[]}"#));
    }

    #[test]
    fn what_a_job_does_not_say_is_known_from_the_job() {
        let record = record_of(r#"{"sessionId":"a","state":{}}"#, "n".into(), 3).expect("a record");
        assert_eq!((record.event_type.as_str(), record.at_ms), ("n", 3));
    }

    #[test]
    fn what_is_about_no_session_is_no_record() {
        for data in ["", "{}", r#"{"sessionId":"","state":{}}"#, r#"{"sessionId":"a","state":7}"#] {
            assert_eq!(record_of(data, "n".into(), 3), None, "{data}");
        }
    }
}
