//! The handle to the records of a queue: has commands executed, one or one for each partition.

use std::sync::Arc;

use tokio::time::Instant;

use super::context::Context;
use super::gather::Gather;
use super::part::{Everywhere, InPartition, Learn};
use crate::error::Result;
use crate::operation::Effect;
use crate::operation::names::Stream;
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

    /// What the commands share.
    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    /// The same, and each command is sent at once: for those asked while an answer is handled.
    pub(super) fn sending(&self) -> Self {
        Self { connection: self.connection.direct(), context: self.context.clone() }
    }

    /// Sends what was collected.
    pub(super) fn flush(&self) {
        self.connection.flush();
    }

    /// Submits one command.
    pub(super) fn submit<C: AsCommand<Context = Context>>(
        &self,
        command: C,
        deadline: Instant,
        done: impl FnOnce(Result<C::Outcome>) + Send + 'static,
    ) {
        self.connection.submit(Asked::new(&self.context, command, deadline, done));
    }

    /// Goes on when a server has told how the records are divided.
    pub(super) fn when_known(
        &self,
        deadline: Instant,
        go_on: impl FnOnce(Result<(Self, usize)>) + Send + 'static,
    ) {
        if let Some(count) = self.context.count() {
            return go_on(Ok((self.clone(), count)));
        }
        let records = self.sending();
        self.submit(Learn, deadline, move |learnt| {
            let count = learnt.map(|()| records.context.count().unwrap_or(1));
            go_on(count.map(|count| (records, count)));
        });
    }

    /// Asks every partition, and makes one outcome of the answers.
    pub(super) fn everywhere<O: Everywhere>(
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
