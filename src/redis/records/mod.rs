//! The records of an audit queue in Redis.
//!
//! - `queue`: the operations on records as commands; `survey`: how the queue is doing. `jobs`: those on jobs of BullMQ.
//! - `context`: what these commands share; `part`: those that every partition of a cluster is asked;
//!   `gather`: several answers as one; `handle`: has them executed; `letters`: the dead letters of several partitions in one order.
//! - [`claims`]: what a worker asks, with connections of its own.
//! - `entries`: the entries of the streams, as Redis replies with them.

pub mod claims;
pub(crate) mod context;
mod entries;
mod gather;
mod handle;
mod jobs;
mod letters;
mod part;
mod queue;
mod survey;

use tokio::time::Instant;

pub use self::handle::RedisRecords;
use crate::engine::{Execute, Records};
use crate::error::Result;
use crate::operation::Operation;
use crate::operation::queue::{
    Append, Count, CountUnsettled, ReadJobs, ReadLetters, Remove, Revive, TakeJobs,
};
use crate::operation::survey::Survey;

impl Records for RedisRecords {
    fn direct(&self) -> Self {
        self.sending()
    }
}

/// Executes each kind of operation by one method.
macro_rules! execute {
    ($($operation:ty),+ => $method:ident) => {$(
        impl Execute<$operation> for RedisRecords {
            fn execute(
                &self,
                operation: $operation,
                deadline: Instant,
                done: impl FnOnce(Result<<$operation as Operation>::Outcome>) + Send + 'static,
            ) {
                self.$method(operation, deadline, done);
            }
        }
    )+};
}

execute!(Append => submit);
execute!(Count, CountUnsettled, ReadLetters, Revive, Remove => everywhere);

impl Execute<Survey> for RedisRecords {
    fn execute(
        &self,
        _survey: Survey,
        deadline: Instant,
        done: impl FnOnce(Result<<Survey as Operation>::Outcome>) + Send + 'static,
    ) {
        self.survey(deadline, done);
    }
}

impl Execute<ReadJobs> for RedisRecords {
    fn execute(
        &self,
        read: ReadJobs,
        deadline: Instant,
        done: impl FnOnce(Result<<ReadJobs as Operation>::Outcome>) + Send + 'static,
    ) {
        self.when_known(deadline, move |known| {
            let checked = known.and_then(|(records, _)| {
                jobs::check(&read.keys, records.context())?;
                Ok(records)
            });
            match checked {
                Ok(records) => records.submit(read, deadline, done),
                Err(error) => done(Err(error)),
            }
        });
    }
}

impl Execute<TakeJobs> for RedisRecords {
    fn execute(
        &self,
        take: TakeJobs,
        deadline: Instant,
        done: impl FnOnce(Result<u64>) + Send + 'static,
    ) {
        // Jobs have been read: a server has told how the records are divided.
        if self.context().partitions().is_some() {
            jobs::move_jobs(&self.sending(), take, deadline, done);
        } else {
            self.submit(take, deadline, done);
        }
    }
}
