//! The operations on jobs of BullMQ as commands. BullMQ stores each job in a hash, and its id in a
//! list or sorted set for the job's state (`wait`, `failed`, …).

use std::sync::LazyLock;

use redis::Value;
use tokio::time::Instant;

use super::context::Context;
use super::entries::{int, list, text, unexpected};
use super::gather::Gather;
use super::handle::RedisRecords;
use super::queue::encode_append;
use crate::error::{Error, Result};
use crate::keys::BullKeys;
use crate::operation::queue::{Job, JobPage, ReadJobs, TakeJobs};
use crate::operation::record::Record;
use crate::operation::replicas::Replicas;
use crate::operation::{Effect, Operation};
use crate::redis::command::AsCommand;
use crate::redis::place::Place;
use crate::redis::request::Attempt;
use crate::redis::resp::encode::append;
use crate::redis::script::Script;
use crate::redis::topology::slot::Slot;

static JOBS: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/jobs.lua")));
static TAKE_JOBS: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/take_jobs.lua")));
static CLAIM_JOBS: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/claim_jobs.lua")));
static DROP_JOBS: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/drop_jobs.lua")));

/// Where the keys of BullMQ's queue are.
fn place<'a>(keys: &BullKeys, context: &'a Context) -> Place<'a> {
    match context.partitions() {
        Some(_) => Place::Slot(Slot::of(keys.base.as_bytes())),
        None => context.anywhere(),
    }
}

/// Refuses a queue of BullMQ that there cannot be in a cluster.
pub(super) fn check(keys: &BullKeys, context: &Context) -> Result<()> {
    if context.partitions().is_none() || keys.has_tag() {
        return Ok(());
    }
    let reason = "in a cluster BullMQ needs a hash tag in its prefix, such as {bull}";
    Err(Error::invalid("prefix", reason))
}

impl AsCommand for ReadJobs {
    type Context = Context;

    fn encode(&self, _context: &Context, attempt: &Attempt, out: &mut Vec<u8>) {
        let names = [&*self.keys.place(&self.state), &self.keys.base];
        let mut command = JOBS.command(attempt.with_source, &names);
        command.arg(self.skip).arg(self.limit);
        append(out, &command);
    }

    fn place<'a>(&'a self, context: &'a Context) -> Place<'a> {
        place(&self.keys, context)
    }

    fn read(self, _context: &Context, reply: Result<Value>) -> Result<JobPage> {
        let Ok([Value::Array(jobs), more]) = <[Value; 2]>::try_from(list(reply?)?) else {
            return Err(unexpected());
        };
        let jobs: Option<Vec<Job>> = jobs.into_iter().map(read_job).collect();
        Ok(JobPage { jobs: jobs.ok_or_else(unexpected)?, more: int(&more) == 1 })
    }
}

/// On one server.
impl AsCommand for TakeJobs {
    type Context = Context;

    fn encode(&self, context: &Context, attempt: &Attempt, out: &mut Vec<u8>) {
        let stream = &context.stream.keys.stream;
        let keys = [&*self.keys.place(&self.state), &self.keys.base, stream];
        let mut command = TAKE_JOBS.command(attempt.with_source, &keys);
        for (job, record) in &self.jobs {
            command.arg(job).arg(&record.id).arg(&record.session_id).arg(&record.event_type);
            command.arg(record.at_ms).arg(record.state.as_deref().unwrap_or_default());
        }
        append(out, &command);
    }

    fn read(self, _context: &Context, reply: Result<Value>) -> Result<u64> {
        reply.map(|taken| int(&taken))
    }
}

/// Moves jobs to the partitions of their sessions: takes them out of BullMQ's hands, appends the records,
/// deletes the jobs. What is cut off in between is found among the jobs that are being moved, with the
/// id of its record: it is appended again, and stored once.
pub(super) fn move_jobs(
    records: &RedisRecords,
    take: TakeJobs,
    deadline: Instant,
    done: impl FnOnce(Result<u64>) + Send + 'static,
) {
    let TakeJobs { keys, state, jobs } = take;
    let ids = jobs.iter().map(|(job, record)| (job.clone(), record.id.clone())).collect();
    let (next, bull) = (records.clone(), keys.clone());
    records.submit(ClaimJobs { keys, state, ids }, deadline, move |claimed| {
        let claimed = match claimed {
            Ok(claimed) => claimed,
            Err(error) => return done(Err(error)),
        };
        let (jobs, moved): (Vec<_>, Vec<_>) = jobs
            .into_iter()
            .zip(claimed)
            .filter_map(|(job, claimed)| claimed.then_some(job))
            .unzip();
        if moved.is_empty() {
            return done(Ok(0));
        }
        append_records(&next.clone(), moved, deadline, move |appended| match appended {
            Ok(()) => next.submit(DropJobs { keys: bull, jobs }, deadline, done),
            Err(error) => done(Err(error)),
        });
    });
}

fn append_records(
    records: &RedisRecords,
    moved: Vec<Record>,
    deadline: Instant,
    done: impl FnOnce(Result<()>) + Send + 'static,
) {
    let done = move |answers: Result<Vec<Option<()>>>| done(answers.map(drop));
    let gather = Gather::new(moved.len(), moved.len(), done);
    for (place, record) in moved.into_iter().enumerate() {
        let gather = gather.clone();
        records.submit(Moved(record), deadline, move |appended| {
            gather.tell(place, appended, true);
        });
    }
    records.flush();
}

/// Appends the record of a job, however full the stream is.
struct Moved(Record);

impl Operation for Moved {
    type Outcome = ();

    fn effect(&self) -> Effect {
        Effect::Recognised
    }
}

impl AsCommand for Moved {
    type Context = Context;

    fn encode(&self, context: &Context, attempt: &Attempt, out: &mut Vec<u8>) {
        encode_append(&self.0, (context, 0), attempt, out);
    }

    fn place<'a>(&'a self, context: &'a Context) -> Place<'a> {
        context.place_of(&self.0.session_id)
    }

    fn notes(&self) -> bool {
        true
    }

    fn replicas(&self, context: &Context) -> Option<Replicas> {
        context.stream.replicas
    }

    fn read(self, _context: &Context, reply: Result<Value>) -> Result<()> {
        reply.map(drop)
    }
}

/// Takes jobs out of BullMQ's hands. Answered with which.
struct ClaimJobs {
    keys: BullKeys,
    state: String,
    /// For each job its id, and that of its record.
    ids: Vec<(String, String)>,
}

impl Operation for ClaimJobs {
    type Outcome = Vec<bool>;

    fn effect(&self) -> Effect {
        Effect::Idempotent
    }
}

impl AsCommand for ClaimJobs {
    type Context = Context;

    fn encode(&self, _context: &Context, attempt: &Attempt, out: &mut Vec<u8>) {
        let (state, moving) = (self.keys.place(&self.state), self.keys.place(BullKeys::MOVING));
        let keys = [&*state, &moving, &self.keys.base];
        let mut command = CLAIM_JOBS.command(attempt.with_source, &keys);
        for (job, record) in &self.ids {
            command.arg(job).arg(record);
        }
        append(out, &command);
    }

    fn place<'a>(&'a self, context: &'a Context) -> Place<'a> {
        place(&self.keys, context)
    }

    fn read(self, _context: &Context, reply: Result<Value>) -> Result<Vec<bool>> {
        Ok(list(reply?)?.iter().map(|claimed| int(claimed) > 0).collect())
    }
}

/// Deletes jobs that have become records. Answered with how many.
struct DropJobs {
    keys: BullKeys,
    jobs: Vec<String>,
}

impl Operation for DropJobs {
    type Outcome = u64;

    fn effect(&self) -> Effect {
        // A repeat may find the jobs deleted already; only its count is wrong then.
        Effect::Idempotent
    }
}

impl AsCommand for DropJobs {
    type Context = Context;

    fn encode(&self, _context: &Context, attempt: &Attempt, out: &mut Vec<u8>) {
        let keys = [&*self.keys.place(BullKeys::MOVING), &self.keys.base];
        let mut command = DROP_JOBS.command(attempt.with_source, &keys);
        command.arg(&self.jobs);
        append(out, &command);
    }

    fn place<'a>(&'a self, context: &'a Context) -> Place<'a> {
        place(&self.keys, context)
    }

    fn read(self, _context: &Context, reply: Result<Value>) -> Result<u64> {
        reply.map(|dropped| int(&dropped))
    }
}

fn read_job(job: Value) -> Option<Job> {
    let Value::Array(parts) = job else { return None };
    let [id, data, name, added, locked, record] = <[Value; 6]>::try_from(parts).ok()?;
    Some(Job {
        id: text(id)?,
        data: text(data)?,
        name: text(name)?,
        added_ms: text(added)?.parse().unwrap_or_default(),
        is_locked: int(&locked) == 1,
        record_id: text(record).filter(|id| !id.is_empty()),
    })
}
