//! Whichever engine a client's settings name.

use std::fmt;
use std::sync::Arc;

use futures_util::future::Either;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::engine::claims::Lost;
use crate::engine::status::StatusSink;
use crate::engine::subscription::{Event, Interest, Listening, Stored, Subscription};
use crate::engine::{Engine, Execute, Records, Sessions};
use crate::error::Result as Outcome;
use crate::keys::Keys;
use crate::memory::engine::MemoryEngine;
use crate::operation::Operation;
use crate::operation::names::{Namespace, Stream};
use crate::redis::engine::RedisEngine;

/// The engine of a client.
pub(crate) type AnyEngine = OneOf<RedisEngine, MemoryEngine>;

/// One of two engines, or what one of them has.
#[derive(Clone)]
pub(crate) enum OneOf<R, M> {
    Redis(R),
    Memory(M),
}

/// The same call of whichever of the two there is.
macro_rules! either {
    ($one:expr, $it:ident => $call:expr) => {
        match $one {
            OneOf::Redis($it) => $call,
            OneOf::Memory($it) => $call,
        }
    };
}

impl<R: fmt::Display, M: fmt::Display> fmt::Display for OneOf<R, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        either!(self, it => it.fmt(f))
    }
}

impl<R: Engine, M: Engine> Engine for OneOf<R, M> {
    type Sessions = OneOf<R::Sessions, M::Sessions>;
    type Records = OneOf<R::Records, M::Records>;
    type Subscription = OneOf<R::Subscription, M::Subscription>;
    type Claims = Either<R::Claims, M::Claims>;

    fn sessions(&self, namespace: Namespace) -> Self::Sessions {
        match self {
            Self::Redis(redis) => OneOf::Redis(redis.sessions(namespace)),
            Self::Memory(memory) => OneOf::Memory(memory.sessions(namespace)),
        }
    }

    fn records(&self, stream: Arc<Stream>) -> Self::Records {
        match self {
            Self::Redis(redis) => OneOf::Redis(redis.records(stream)),
            Self::Memory(memory) => OneOf::Memory(memory.records(stream)),
        }
    }

    fn subscription(&self, keys: Keys, status: StatusSink) -> Self::Subscription {
        match self {
            Self::Redis(redis) => OneOf::Redis(redis.subscription(keys, status)),
            Self::Memory(memory) => OneOf::Memory(memory.subscription(keys, status)),
        }
    }

    async fn claims(&self, stream: Arc<Stream>, worker: String) -> Result<Self::Claims, Lost> {
        match self {
            Self::Redis(redis) => redis.claims(stream, worker).await.map(Either::Left),
            Self::Memory(memory) => memory.claims(stream, worker).await.map(Either::Right),
        }
    }

    fn backoff(&self) -> Backoff {
        either!(self, it => it.backoff())
    }

    fn clock(&self) -> &Clock {
        either!(self, it => it.clock())
    }

    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Redis(redis), Self::Redis(other)) => redis.is_same(other),
            (Self::Memory(memory), Self::Memory(other)) => memory.is_same(other),
            _ => false,
        }
    }
}

impl<O: Operation, R: Execute<O>, M: Execute<O>> Execute<O> for OneOf<R, M> {
    fn execute(
        &self,
        operation: O,
        deadline: Instant,
        done: impl FnOnce(Outcome<O::Outcome>) + Send + 'static,
    ) {
        either!(self, it => it.execute(operation, deadline, done))
    }
}

impl<R: Sessions, M: Sessions> Sessions for OneOf<R, M> {
    fn parts(&self) -> usize {
        either!(self, it => it.parts())
    }

    fn flush(&self) {
        either!(self, it => it.flush())
    }
}

impl<R: Records, M: Records> Records for OneOf<R, M> {
    fn direct(&self) -> Self {
        match self {
            Self::Redis(redis) => Self::Redis(redis.direct()),
            Self::Memory(memory) => Self::Memory(memory.direct()),
        }
    }
}

impl<R: Subscription, M: Subscription> Subscription for OneOf<R, M> {
    async fn next(&mut self) -> Event {
        either!(self, it => it.next().await)
    }

    async fn listen_to(&mut self, interest: Interest) -> Result<Listening, Event> {
        either!(self, it => it.listen_to(interest).await)
    }

    fn part(&self, session_id: &str) -> usize {
        either!(self, it => it.part(session_id))
    }

    async fn reread(
        &mut self,
        session_ids: &[String],
        marker: u64,
    ) -> Result<Option<Vec<Stored>>, Event> {
        either!(self, it => it.reread(session_ids, marker).await)
    }

    fn caught_up(&mut self) {
        either!(self, it => it.caught_up())
    }

    fn give_up(&mut self, reason: String) -> Option<Event> {
        either!(self, it => it.give_up(reason))
    }

    fn closed(&self) {
        either!(self, it => it.closed())
    }
}
