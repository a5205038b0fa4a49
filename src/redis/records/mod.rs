//! The records of an audit queue in Redis.
//!
//! - `queue`: the operations on records as commands. `jobs`: those on jobs of BullMQ.
//! - [`claims`]: what a worker asks, with a connection of its own.
//! - `entries`: the entries of the streams, as Redis replies with them.

pub mod claims;
mod entries;
mod jobs;
mod queue;

use std::sync::Arc;

use redis::Value;
use tokio::time::Instant;

use crate::engine::{Execute, Records};
use crate::error::{Error, Result};
use crate::operation::names::Stream;
use crate::redis::command::{AsCommand, Asked};
use crate::redis::connection::Connection;

/// The records of a queue in Redis.
#[derive(Clone)]
pub struct RedisRecords {
    connection: Connection,
    stream: Arc<Stream>,
}

impl RedisRecords {
    pub(crate) fn new(connection: Connection, stream: Arc<Stream>) -> Self {
        Self { connection, stream }
    }
}

impl Records for RedisRecords {
    fn direct(&self) -> Self {
        Self { connection: self.connection.direct(), stream: self.stream.clone() }
    }
}

impl<C: AsCommand<Context = Stream>> Execute<C> for RedisRecords {
    fn execute(
        &self,
        command: C,
        deadline: Instant,
        done: impl FnOnce(Result<C::Outcome>) + Send + 'static,
    ) {
        self.connection.submit(Asked::new(&self.stream, command, deadline, done));
    }
}

fn list(value: Value) -> Result<Vec<Value>> {
    if let Value::Array(values) = value { Ok(values) } else { Err(unexpected()) }
}

fn unexpected() -> Error {
    Error::unknown("Redis answered an audit script with something else")
}
