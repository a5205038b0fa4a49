//! The operations on jobs of BullMQ as commands. BullMQ stores each job in a hash, and its id in a
//! list or sorted set for the job's state (`wait`, `failed`, …).

use std::sync::LazyLock;

use redis::Value;

use super::entries::{int, text};
use super::{list, unexpected};
use crate::error::Result;
use crate::operation::names::Stream;
use crate::operation::queue::{Job, JobPage, ReadJobs, TakeJobs};
use crate::redis::command::AsCommand;
use crate::redis::request::Attempt;
use crate::redis::resp::encode::append;
use crate::redis::script::Script;

static JOBS: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/jobs.lua")));
static TAKE_JOBS: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/take_jobs.lua")));

impl AsCommand for ReadJobs {
    type Context = Stream;

    fn encode(&self, _stream: &Stream, attempt: &Attempt, out: &mut Vec<u8>) {
        let names = [&*self.keys.place(&self.state), &self.keys.base];
        let mut command = JOBS.command(attempt.with_source, &names);
        command.arg(self.skip).arg(self.limit);
        append(out, &command);
    }

    fn read(self, _stream: &Stream, reply: Result<Value>) -> Result<JobPage> {
        let Ok([Value::Array(jobs), more]) = <[Value; 2]>::try_from(list(reply?)?) else {
            return Err(unexpected());
        };
        let jobs: Option<Vec<Job>> = jobs.into_iter().map(read_job).collect();
        Ok(JobPage { jobs: jobs.ok_or_else(unexpected)?, more: int(&more) == 1 })
    }
}

impl AsCommand for TakeJobs {
    type Context = Stream;

    fn encode(&self, stream: &Stream, attempt: &Attempt, out: &mut Vec<u8>) {
        let keys = [&*self.keys.place(&self.state), &self.keys.base, &stream.keys.stream];
        let mut command = TAKE_JOBS.command(attempt.with_source, &keys);
        for (job, record) in &self.jobs {
            command.arg(job).arg(&record.id).arg(&record.session_id).arg(&record.event_type);
            command.arg(record.at_ms).arg(record.state.as_deref().unwrap_or_default());
        }
        append(out, &command);
    }

    fn read(self, _stream: &Stream, reply: Result<Value>) -> Result<u64> {
        reply.map(|taken| int(&taken))
    }
}

fn read_job(job: Value) -> Option<Job> {
    let Value::Array(parts) = job else { return None };
    let [id, data, name, added, locked] = <[Value; 5]>::try_from(parts).ok()?;
    Some(Job {
        id: text(id)?,
        data: text(data)?,
        name: text(name)?,
        added_ms: text(added)?.parse().unwrap_or_default(),
        is_locked: int(&locked) == 1,
    })
}
