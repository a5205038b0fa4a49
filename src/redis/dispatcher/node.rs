//! What is to be sent to one server, what it owes, and what is known of it.

use std::collections::VecDeque;

use tokio::time::{Duration, Instant};

use crate::redis::conversation::Conversation;
use crate::redis::greeting::Identity;
use crate::redis::pending::{Asker, Pending};
use crate::redis::replication::Replication;
use crate::redis::role::Role;

/// Why a server is not to be used any longer.
pub(super) struct Unfit {
    /// What it has said.
    pub reason: String,
    pub since: Instant,
}

/// What is to be done about the last connection before anything is sent on the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fence {
    NotNeeded,
    /// The server may still execute something that came by that connection, which is to be ended
    /// there. `None`: nobody knows which one it is.
    Needed(Option<Identity>),
}

/// A server, with or without a connection.
pub(super) struct Node {
    /// Its name in errors.
    pub server: String,
    pub ready: VecDeque<Pending>,
    pub again: VecDeque<Pending>,
    pub conversation: Option<Conversation<Asker>>,
    pub replication: Replication<Pending>,
    pub role: Role,
    /// What the server knows the connection by.
    pub identity: Option<Identity>,
    pub fence: Fence,
    /// Some earlier connection could not be ended in Redis: what was sent there may be executed yet.
    pub is_unfenced: bool,
    /// How often in a row no connection was made, or one was lost.
    pub failures: u32,
    /// The server has shown that it is the wrong one: nothing more is sent.
    pub unfit: Option<Unfit>,
    /// Why there is no connection.
    pub reason: String,
}

impl Node {
    pub fn new(server: String) -> Self {
        Self {
            server,
            ready: VecDeque::new(),
            again: VecDeque::new(),
            conversation: None,
            replication: Replication::new(),
            role: Role::unknown(),
            identity: None,
            fence: Fence::NotNeeded,
            is_unfenced: false,
            failures: 0,
            unfit: None,
            reason: String::from("no connection was made in time"),
        }
    }

    /// The same without its connection. What came by that is not forgotten.
    pub fn without_connection(&mut self) -> Self {
        let (server, fence) = (std::mem::take(&mut self.server), self.fence.clone());
        Self { fence, is_unfenced: self.is_unfenced, ..Self::new(server) }
    }

    /// Whether something can be sent to it now.
    pub fn is_connected(&self) -> bool {
        self.conversation.is_some() && self.unfit.is_none()
    }

    /// Whether something waits to be sent to it.
    pub fn has_work(&self) -> bool {
        !self.again.is_empty() || !self.ready.is_empty()
    }

    /// Whether nothing waits for it or is owed by it.
    pub fn is_idle(&self) -> bool {
        !self.has_work()
            && self.replication.is_idle()
            && self.conversation.as_ref().is_none_or(Conversation::is_idle)
    }

    /// Whether there is something to be written.
    pub fn has_unsent(&self) -> bool {
        self.conversation.as_ref().is_some_and(|one| !one.unsent().is_empty())
    }

    /// When to look at it, unless something else happens before that.
    pub fn timeout(&self, stall_timeout: Duration) -> Option<Instant> {
        let conversation = self.conversation.as_ref().and_then(Conversation::timeout);
        let unfit = self.unfit.as_ref().map(|unfit| unfit.since + stall_timeout);
        conversation.into_iter().chain(unfit).min()
    }

    /// `Err`: why the connection is to be ended.
    pub fn check(&self, stall_timeout: Duration, now: Instant) -> Result<(), String> {
        match &self.unfit {
            // It may block on a command for a long time.
            Some(unfit) if unfit.since + stall_timeout <= now => Err(unfit.reason.clone()),
            _ => self.conversation.as_ref().map_or(Ok(()), |conversation| conversation.check(now)),
        }
    }

    /// Nothing more is sent to it.
    pub fn leave(&mut self, reason: String, now: Instant) {
        self.unfit.get_or_insert(Unfit { reason, since: now });
    }
}
