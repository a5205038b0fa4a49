//! Sessions in Redis.
//!
//! - `read`, `many`, `write`, `expiry`: the operations on sessions as commands; `reply`: what is made of
//!   answers.
//! - `context`: what these commands share; `scripts`: the Lua scripts behind the changes, which hold the
//!   names of their sessions.
//! - [`message`]: what is published about sessions, and how it is read.
//! - `subscription`: what is published, by `one_server`, or by `all_masters` of a cluster, each of which is
//!   listened to by `one_master`. Each has a connection of its own. `stored`: what is re-read after a gap.

mod all_masters;
mod context;
mod expiry;
mod many;
pub(crate) mod message;
mod one_master;
mod one_server;
mod read;
mod reply;
mod scripts;
mod stored;
mod subscription;
mod write;

use std::sync::Arc;

use tokio::time::Instant;

use self::context::Context;
use self::many::GetAll;
pub use self::subscription::SessionSubscription;
use crate::engine::{Execute, Sessions};
use crate::error::Result;
use crate::operation::names::Namespace;
use crate::operation::session::{Documents, GetMany};
use crate::redis::command::{AsCommand, Asked};
use crate::redis::connection::Connection;

/// The sessions of a namespace in Redis.
#[derive(Clone)]
pub struct RedisSessions {
    connection: Connection,
    context: Arc<Context>,
}

impl RedisSessions {
    pub(crate) fn new(connection: Connection, namespace: Namespace) -> Self {
        let layout = connection.layout().clone();
        Self { connection, context: Arc::new(Context::new(layout, namespace)) }
    }
}

impl Sessions for RedisSessions {
    fn parts(&self) -> usize {
        self.context.parts()
    }

    fn flush(&self) {
        self.connection.flush();
    }
}

impl<C: AsCommand<Context = Context>> Execute<C> for RedisSessions {
    fn execute(
        &self,
        command: C,
        deadline: Instant,
        done: impl FnOnce(Result<C::Outcome>) + Send + 'static,
    ) {
        self.connection.submit(Asked::new(&self.context, command, deadline, done));
    }
}

impl Execute<GetMany> for RedisSessions {
    fn execute(
        &self,
        GetMany { session_ids }: GetMany,
        deadline: Instant,
        done: impl FnOnce(Result<Documents>) + Send + 'static,
    ) {
        let (connection, context) = (self.connection.clone(), self.context.clone());
        let is_one = context.is_one();
        let all = GetAll::new(connection, context, session_ids, deadline, done);
        if is_one {
            self.connection.submit(all);
        } else {
            all.one_by_one();
        }
    }
}
