//! Redis as an engine.

use std::fmt;
use std::sync::Arc;

use super::connection::Connection;
use super::options::Options;
use super::records::RedisRecords;
use super::records::claims::{self, RedisClaims};
use super::sessions::{RedisSessions, SessionSubscription};
use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::engine::Engine;
use crate::engine::claims::Lost;
use crate::engine::status::StatusSink;
use crate::keys::Keys;
use crate::operation::names::{Namespace, Stream};

/// One Redis server: a connection for sessions and records, which all handles share, and one for
/// each subscription and each worker.
#[derive(Clone)]
pub struct RedisEngine {
    options: Options,
    connection: Connection,
    clock: Clock,
}

impl RedisEngine {
    /// The server with these options, with a connection to it.
    pub fn new(options: Options, connection: Connection) -> Self {
        Self { options, connection, clock: Clock::default() }
    }
}

impl fmt::Display for RedisEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.options.fmt(f)
    }
}

impl Engine for RedisEngine {
    type Sessions = RedisSessions;
    type Records = RedisRecords;
    type Subscription = SessionSubscription;
    type Claims = RedisClaims;

    fn sessions(&self, namespace: Namespace) -> RedisSessions {
        RedisSessions::new(self.connection.clone(), namespace)
    }

    fn records(&self, stream: Arc<Stream>) -> RedisRecords {
        RedisRecords::new(self.connection.clone(), stream)
    }

    fn subscription(&self, keys: Keys, status: StatusSink) -> SessionSubscription {
        let (options, connection) = (self.options.clone(), self.connection.clone());
        SessionSubscription::new(options, connection, keys, status)
    }

    async fn claims(&self, stream: Arc<Stream>, worker: String) -> Result<RedisClaims, Lost> {
        claims::open(&self.options, &self.connection, stream, worker).await
    }

    fn backoff(&self) -> Backoff {
        self.options.backoff
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn is_same(&self, other: &Self) -> bool {
        self.options.is_same_server(&other.options)
    }
}
