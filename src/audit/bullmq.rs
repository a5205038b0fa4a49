//! Adopts the jobs that older instances queued with BullMQ, as records.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::queue::Queue;
use crate::engine::Engine;
use crate::error::Result;
use crate::keys::{BullKeys, check_session_id};
use crate::operation::queue::{Job, JobPage, ReadJobs, TakeJobs};
use crate::operation::record::{Record, new_id};

/// The most jobs that one operation adopts: it holds up all others.
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

impl<E: Engine> Queue<E> {
    /// Adopts a page of the jobs of one state (`wait`, `active`, …), the oldest first. Skips the
    /// first `skip` jobs.
    pub fn adopt_jobs(
        &self,
        keys: BullKeys,
        state: String,
        skip: u64,
        done: impl FnOnce(Result<Adopted>) + Send + 'static,
    ) {
        let queue = self.direct();
        let read = ReadJobs { keys: keys.clone(), state: state.clone(), skip, limit: PAGE_SIZE };
        self.execute(read, move |page| match page {
            Ok(page) => queue.adopt_page(keys, state, page, done),
            Err(error) => done(Err(error)),
        });
    }

    fn adopt_page(
        &self,
        keys: BullKeys,
        state: String,
        JobPage { jobs, more }: JobPage,
        done: impl FnOnce(Result<Adopted>) + Send + 'static,
    ) {
        let (mut records, mut skipped, mut locked) = (Vec::new(), Vec::new(), 0);
        for Job { id, data, name, added_ms, is_locked, record_id } in jobs {
            match record_of(&data, name, added_ms) {
                _ if is_locked => locked += 1,
                Some(record) => {
                    let record_id = record_id.unwrap_or_else(|| record.id.clone());
                    records.push((id, Record { id: record_id, ..record }));
                }
                None => skipped.push(id),
            }
        }
        if records.is_empty() {
            return done(Ok(Adopted { taken: 0, skipped, locked, more }));
        }
        self.execute(TakeJobs { keys, state, jobs: records }, move |taken| {
            done(taken.map(|taken| Adopted { taken, skipped, locked, more }));
        });
    }
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
        metadata: None,
        position: None, // Assigned by the engine.
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
