//! The records of an audit queue in Redis.
//!
//! - `queue`: the operations on records as commands. `jobs`: those on jobs of BullMQ.
//! - `context`: what these commands share; `part`: those that every partition of a cluster is asked;
//!   `gather`: several answers as one; `letters`: the dead letters of several partitions in one order.
//! - [`claims`]: what a worker asks, with connections of its own.
//! - `entries`: the entries of the streams, as Redis replies with them.

pub mod claims;
pub(crate) mod context;
mod entries;
mod gather;
mod jobs;
mod letters;
mod part;
mod queue;

use std::sync::Arc;

use redis::Value;
use tokio::time::Instant;

use self::context::Context;
use self::gather::Gather;
use self::part::{Everywhere, InPartition, Learn};
use crate::engine::{Execute, Records};
use crate::error::{Error, Result};
use crate::operation::names::Stream;
use crate::operation::queue::{Append, Count, ReadJobs, ReadLetters, Remove, Revive, TakeJobs};
use crate::operation::{Effect, Operation};
use crate::redis::command::{AsCommand, Asked};
use crate::redis::connection::Connection;

/// The records of a queue in Redis.
#[derive(Clone)]
pub struct RedisRecords {
    connection: Connection,
    context: Arc<Context>,
}

impl RedisRecords {
    pub(crate) fn new(connection: Connection, stream: Arc<Stream>) -> Self {
        let layout = connection.layout().clone();
        Self { connection, context: Arc::new(Context::new(layout, stream)) }
    }

    /// Sends what was collected.
    fn flush(&self) {
        self.connection.flush();
    }

    /// Submits one command.
    fn submit<C: AsCommand<Context = Context>>(
        &self,
        command: C,
        deadline: Instant,
        done: impl FnOnce(Result<C::Outcome>) + Send + 'static,
    ) {
        self.connection.submit(Asked::new(&self.context, command, deadline, done));
    }

    /// Goes on when a server has told how the records are divided.
    fn when_known(
        &self,
        deadline: Instant,
        go_on: impl FnOnce(Result<(Self, usize)>) + Send + 'static,
    ) {
        if let Some(count) = self.context.count() {
            return go_on(Ok((self.clone(), count)));
        }
        let records = self.direct();
        self.submit(Learn, deadline, move |learnt| {
            let count = learnt.map(|()| records.context.count().unwrap_or(1));
            go_on(count.map(|count| (records, count)));
        });
    }

    /// Asks every partition, and makes one outcome of the answers.
    fn everywhere<O: Everywhere>(
        &self,
        operation: O,
        deadline: Instant,
        done: impl FnOnce(Result<O::Outcome>) + Send + 'static,
    ) {
        self.when_known(deadline, move |known| {
            let parts = known.and_then(|(records, count)| Ok((records, operation.parts(count)?)));
            let (records, parts) = match parts {
                Ok(known) => known,
                Err(error) => return done(Err(error)),
            };
            let (places, asked) = (parts.len(), parts.iter().flatten().count());
            let changes = operation.effect() != Effect::Read;
            let gather = Gather::new(places, asked, move |answers: Result<_>| {
                done(answers.and_then(|answers| operation.combine(answers)));
            });
            for (number, part) in parts.into_iter().enumerate() {
                let (Some(part), gather) = (part, gather.clone()) else { continue };
                records.submit(InPartition { number, part }, deadline, move |answer| {
                    gather.tell(number, answer, changes);
                });
            }
            records.flush();
        });
    }
}

impl Records for RedisRecords {
    fn direct(&self) -> Self {
        Self { connection: self.connection.direct(), context: self.context.clone() }
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
execute!(Count, ReadLetters, Revive, Remove => everywhere);

impl Execute<ReadJobs> for RedisRecords {
    fn execute(
        &self,
        read: ReadJobs,
        deadline: Instant,
        done: impl FnOnce(Result<<ReadJobs as Operation>::Outcome>) + Send + 'static,
    ) {
        self.when_known(deadline, move |known| {
            let checked = known.and_then(|(records, _)| {
                jobs::check(&read.keys, &records.context)?;
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
        if self.context.partitions().is_some() {
            jobs::move_jobs(&self.direct(), take, deadline, done);
        } else {
            self.submit(take, deadline, done);
        }
    }
}

fn list(value: Value) -> Result<Vec<Value>> {
    if let Value::Array(values) = value { Ok(values) } else { Err(unexpected()) }
}

fn unexpected() -> Error {
    Error::unknown("Redis answered an audit script with something else")
}
