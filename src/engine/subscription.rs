//! What an engine tells of changes. Pulled, not pushed: [`Subscription::next`] is one loop of its
//! owner's task.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

/// Why a connection is given up after a panic of its owner, in which news may have been lost.
pub const PANICKED: &str = "an internal error; please report it";

/// What is listened to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Interest {
    /// Updates and deletions of sessions.
    pub updates: bool,
    /// WebSocket messages.
    pub web_socket: bool,
}

/// A change of a session that was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// Which session.
    pub session_id: String,
    /// What comes before the id in the session's key. Old instances do not say it.
    pub key_prefix: Option<String>,
    /// The document; `None` where the session was deleted.
    pub document: Option<String>,
}

/// What was missed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The time since the first connection was lost whose messages were not caught up on.
    pub lasted: Duration,
    /// Which parts of the sessions were missed, see [`Subscription::part`]. `None`: all.
    pub parts: Option<BTreeSet<usize>>,
}

impl Gap {
    /// Of all sessions.
    pub fn of_all(lasted: Duration) -> Self {
        Self { lasted, parts: None }
    }

    /// Whether it covers a part.
    pub fn covers(&self, part: usize) -> bool {
        self.parts.as_ref().is_none_or(|parts| parts.contains(&part))
    }
}

/// What happened to a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// What is listened to is confirmed, on a new connection.
    Confirmed {
        /// What was missed before that and not caught up on. `None`: nothing.
        gap: Option<Gap>,
        /// Whether all that is listened to is confirmed. Else other connections are missing yet, and this
        /// event comes again.
        is_all: bool,
    },
    /// A session was changed.
    Update(Update),
    /// A message to the WebSocket clients of a session.
    WebSocket {
        /// Which session.
        session_id: String,
        /// JSON text.
        message: String,
    },
    /// A message that cannot be read.
    Malformed {
        /// Where it was published.
        channel: String,
    },
    /// The moment of the [`Subscription::reread`] with this number. Events before it were published
    /// before the sessions were read.
    Marker(u64),
    /// The connection was lost or could not be made; the engine tries again.
    Lost {
        /// Why.
        reason: String,
    },
}

/// The outcome of a change of the interest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listening {
    /// It is confirmed.
    Confirmed,
    /// There is no connection: [`Event::Confirmed`] follows.
    Later,
}

/// What is stored as a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// A document.
    Document(String),
    /// Nothing.
    Nothing,
    /// Something that is no session.
    Foreign,
}

/// A subscription that is kept up. Dropping it ends it.
pub trait Subscription: Send + 'static {
    /// The next event. May be dropped and called again: nothing is lost.
    fn next(&mut self) -> impl Future<Output = Event> + Send;

    /// Listens to this and nothing else. `Err`, an [`Event::Lost`], when the connection was lost
    /// over it.
    fn listen_to(
        &mut self,
        interest: Interest,
    ) -> impl Future<Output = Result<Listening, Event>> + Send;

    /// The part of the sessions that one is in. An engine that has several servers may miss what happens to
    /// one part while it hears of the others.
    fn part(&self, _session_id: &str) -> usize {
        0
    }

    /// Reads sessions of one part after a gap, in the order of the ids, and marks the moment in the stream of
    /// events: [`Event::Marker`] with this number follows. `None` if the engine refuses to read. `Err`, an
    /// [`Event::Lost`], when the connection was lost over it.
    fn reread(
        &mut self,
        session_ids: &[String],
        marker: u64,
    ) -> impl Future<Output = Result<Option<Vec<Stored>>, Event>> + Send;

    /// Ends a gap: its owner calls this when it has caught up.
    fn caught_up(&mut self);

    /// Gives the connection up; [`next`](Self::next) makes another. `None` if nothing is listened to.
    fn give_up(&mut self, reason: String) -> Option<Event>;

    /// Says that its owner has ended.
    fn closed(&self);
}
