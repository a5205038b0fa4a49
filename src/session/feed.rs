//! The feed: what all instances publish, in order, on a connection of its own.
//!
//! After a gap it re-reads the sessions whose updates it has seen, and passes on what changed
//! meanwhile, so that subscribers converge on what is stored.

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use lru::LruCache;
use tokio::sync::{mpsc, watch};

use crate::document::Identity;
use crate::engine::subscription::{
    Event, Gap, Interest, Listening, PANICKED, Stored, Subscription, Update,
};
use crate::keys::{DEFAULT_SESSION_PREFIX, Keys};

/// How many sessions the feed remembers to re-read after a gap, deleted ones as well; the least
/// recently updated is forgotten first. About 200 bytes each.
const REMEMBERED: usize = 10_000;

/// How many messages the audience may be behind, however small they are.
const BACKLOG: usize = 50_000;

/// How many documents are re-read at a time, so that others are not held up.
const REREAD_BATCH: usize = 100;

/// What the feed has to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FeedEvent {
    /// A session was created, updated or (without a document) deleted.
    Update {
        /// Which.
        session_id: String,
        /// What comes before the id in its key, where the message says it.
        key_prefix: Option<String>,
        /// Its document now; `None`: deleted.
        document: Option<String>,
    },
    /// A message to the WebSocket clients of a session.
    WebSocket {
        /// Which session.
        session_id: String,
        /// JSON text.
        message: String,
    },
    /// The interest with this number is confirmed, and all before it.
    Confirmed {
        /// From [`Feed::listen_to`].
        interest: u32,
    },
    /// There was no connection for a while, or none to one of several servers. Messages to WebSocket clients
    /// of that time are lost; of the sessions known to this feed, those that changed were passed on.
    Gap {
        /// How long.
        lasted: Duration,
        /// How many sessions this feed knew of that may have changed.
        known: usize,
        /// How many of them were re-read: all, unless the engine refused.
        reread: usize,
        /// How many of them had changed.
        changed: usize,
    },
    /// A message that cannot be read was skipped.
    Malformed {
        /// Where it was published.
        channel: String,
    },
    /// The connection was lost, or could not be made; the next try is on its way.
    Lost {
        /// Why.
        reason: String,
    },
}

/// Who is told of what a feed hears.
pub trait Audience: Send + 'static {
    /// Takes note; called on the I/O thread, in order.
    fn tell(&self, event: FeedEvent);

    /// How many messages it has not got to yet.
    fn backlog(&self) -> usize;

    /// How many bytes these messages have.
    fn backlog_bytes(&self) -> usize;
}

/// A handle to a feed. Dropping it, or closing what it was opened with, ends the feed.
pub struct Feed {
    interests: mpsc::UnboundedSender<(Interest, u32)>,
}

impl Feed {
    /// A feed, and its task, to be spawned on a runtime. It ends when `closed` becomes true. It tells
    /// of the sessions of its own key prefix and of those whose messages name none; with
    /// `all_prefixes`, of all.
    pub fn new<S: Subscription>(
        subscription: S,
        keys: Keys,
        all_prefixes: bool,
        closed: watch::Receiver<bool>,
        audience: impl Audience,
        max_backlog_bytes: usize,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (interests, changes) = mpsc::unbounded_channel();
        let task = Task {
            subscription,
            keys,
            all_prefixes,
            audience,
            max_backlog_bytes,
            interest: Interest::default(),
            number: 0,
            seen: LruCache::unbounded(),
            superseded: HashMap::new(),
            markers: 0,
        };
        (Self { interests }, task.run(changes, closed))
    }

    /// Listens to this and nothing else from now on; `number` comes back when that is confirmed.
    pub fn listen_to(&self, interest: Interest, number: u32) {
        // A feed that has ended listens to nothing any more.
        let _ = self.interests.send((interest, number));
    }
}

struct Task<A, S> {
    subscription: S,
    keys: Keys,
    all_prefixes: bool,
    audience: A,
    max_backlog_bytes: usize,
    interest: Interest,
    /// The caller's number of the interest.
    number: u32,
    /// What was passed on last, for each session heard of. `None`: its deletion.
    seen: LruCache<String, Option<Identity>>,
    /// Sessions that were re-read, and the marker of that moment: messages about them that come
    /// before it are older than what was read.
    superseded: HashMap<String, u64>,
    markers: u64,
}

impl<A: Audience, S: Subscription> Task<A, S> {
    async fn run(
        mut self,
        mut changes: mpsc::UnboundedReceiver<(Interest, u32)>,
        mut closed: watch::Receiver<bool>,
    ) {
        let work = async {
            loop {
                match AssertUnwindSafe(self.step(&mut changes)).catch_unwind().await {
                    Ok(true) => {}
                    Ok(false) => break,
                    // A panic costs the connection. The next one catches up.
                    Err(_panic) => {
                        self.give_up(PANICKED.to_owned()).await;
                    }
                }
            }
        };
        tokio::select! {
            _ = closed.wait_for(|closed| *closed) => {}
            () = work => {}
        }
        self.subscription.closed();
    }

    /// Handles the next thing that happens. Returns `false` when the handle of the feed is gone.
    async fn step(&mut self, changes: &mut mpsc::UnboundedReceiver<(Interest, u32)>) -> bool {
        tokio::select! {
            biased;
            change = changes.recv() => match change {
                Some((interest, number)) => self.listen_to(interest, number).await,
                None => return false,
            },
            event = self.subscription.next() => {
                self.handle(event).await;
                self.keep_pace().await;
            }
        }
        true
    }

    /// An audience that is too far behind is not told more and more, until memory ends: the
    /// connection is given up, and what was missed is caught up on when it is ready for it.
    async fn keep_pace(&mut self) {
        if !self.is_behind(1) {
            return;
        }
        let (messages, bytes) = (self.audience.backlog(), self.audience.backlog_bytes());
        let reason = format!("the callbacks are {messages} messages behind ({bytes} bytes)");
        self.give_up(reason).await;
        self.make_room().await;
    }

    /// Waits until the audience has got to half of what it may be behind.
    async fn make_room(&mut self) {
        while self.is_behind(2) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether the audience is further behind than this part of the limits.
    fn is_behind(&self, divisor: usize) -> bool {
        self.audience.backlog() > BACKLOG / divisor
            || self.audience.backlog_bytes() > self.max_backlog_bytes / divisor
    }

    async fn give_up(&mut self, reason: String) {
        if let Some(lost) = self.subscription.give_up(reason) {
            self.handle(lost).await;
        }
    }

    async fn listen_to(&mut self, interest: Interest, number: u32) {
        (self.interest, self.number) = (interest, number);
        if !interest.updates {
            self.seen.clear();
            self.superseded.clear(); // Without a connection its markers would not come.
        }
        match self.subscription.listen_to(interest).await {
            Ok(Listening::Confirmed) => self.confirmed(),
            Ok(Listening::Later) => {}
            Err(lost) => self.handle(lost).await,
        }
    }

    fn confirmed(&self) {
        self.audience.tell(FeedEvent::Confirmed { interest: self.number });
    }

    async fn handle(&mut self, event: Event) {
        match event {
            Event::Confirmed { gap, is_all } => {
                let caught_up = match gap {
                    Some(gap) => self.catch_up(gap).await,
                    None => Ok(()),
                };
                match caught_up {
                    Ok(()) if is_all => self.confirmed(),
                    Err(Event::Lost { reason }) => self.audience.tell(FeedEvent::Lost { reason }),
                    _ => {}
                }
            }
            Event::Lost { reason } => self.audience.tell(FeedEvent::Lost { reason }),
            Event::Update(update) => {
                if self.update(update).is_none() {
                    let channel = self.keys.updates_channel.clone();
                    self.audience.tell(FeedEvent::Malformed { channel });
                }
            }
            Event::WebSocket { session_id, message } => {
                self.audience.tell(FeedEvent::WebSocket { session_id, message });
            }
            Event::Malformed { channel } => self.audience.tell(FeedEvent::Malformed { channel }),
            Event::Marker(marker) => self.superseded.retain(|_, until| *until != marker),
        }
    }

    /// `None` where the document is no session.
    fn update(&mut self, Update { session_id, key_prefix, document }: Update) -> Option<()> {
        let identity = match &document {
            Some(document) => Some(Identity::of(document)?),
            None => None,
        };
        // An old instance names no prefix. Its session may be ours; it can be re-read under our key
        // only where that has the prefix that old instances have by default.
        let own = &self.keys.session_prefix;
        let ours = key_prefix.as_deref().unwrap_or(DEFAULT_SESSION_PREFIX) == own;
        if !ours && key_prefix.is_some() && !self.all_prefixes {
            return Some(());
        }
        if ours && self.superseded.contains_key(&session_id) {
            return Some(());
        }
        if ours {
            self.remember(&session_id, identity);
        }
        self.audience.tell(FeedEvent::Update { session_id, key_prefix, document });
        Some(())
    }

    fn remember(&mut self, session_id: &str, identity: Option<Identity>) {
        if let Some(seen) = self.seen.get_mut(session_id) {
            *seen = identity; // Found again, the key needs no copy.
            return;
        }
        self.seen.put(session_id.to_owned(), identity);
        if self.seen.len() > REMEMBERED {
            self.seen.pop_lru();
        }
    }

    /// Re-reads what was heard of and missed, and passes on what changed. `Err` when the connection is lost
    /// over it; the next confirmation comes here again.
    async fn catch_up(&mut self, gap: Gap) -> Result<(), Event> {
        let missed = self.missed(&gap);
        let parts = missed.chunk_by(|(one, _), (other, _)| one == other);
        let batches = parts.flat_map(|part| part.chunks(REREAD_BATCH));
        let (mut reread, mut changed) = (0, 0);
        for batch in batches {
            let ids: Vec<String> = batch.iter().map(|(_, id)| id.clone()).collect();
            self.make_room().await;
            self.markers += 1;
            let marker = self.markers;
            let Some(stored) = self.subscription.reread(&ids, marker).await? else { break };
            reread += ids.len();
            for (session_id, stored) in ids.iter().zip(stored) {
                self.superseded.insert(session_id.clone(), marker);
                changed += usize::from(self.compare(session_id, stored));
            }
        }
        let (lasted, known) = (gap.lasted, missed.len());
        self.audience.tell(FeedEvent::Gap { lasted, known, reread, changed });
        self.subscription.caught_up();
        Ok(())
    }

    /// What was heard of and missed, and the parts of the sessions, one after the other.
    fn missed(&mut self, gap: &Gap) -> Vec<(usize, String)> {
        let part = |id: &String| self.subscription.part(id);
        // Their markers were on the connection that was lost.
        self.superseded.retain(|id, _| !gap.covers(part(id)));
        let seen = self.seen.iter().map(|(id, _)| (part(id), id.clone()));
        let mut missed: Vec<_> = seen.filter(|(part, _)| gap.covers(*part)).collect();
        missed.sort_by_key(|(part, _)| *part);
        missed
    }

    /// Passes on a re-read session if it is another than the one passed on last. One that cannot
    /// be read is not passed on: nobody has deleted it.
    fn compare(&mut self, session_id: &str, stored: Stored) -> bool {
        let document = match stored {
            Stored::Document(document) => Some(document),
            Stored::Nothing => None,
            Stored::Foreign => return false,
        };
        let identity = document.as_deref().and_then(Identity::of);
        let is_unreadable = document.is_some() && identity.is_none();
        if is_unreadable || self.seen.peek(session_id) == Some(&identity) {
            return false;
        }
        self.remember(session_id, identity);
        let key_prefix = Some(self.keys.session_prefix.clone());
        let session_id = session_id.to_owned();
        self.audience.tell(FeedEvent::Update { session_id, key_prefix, document });
        true
    }
}

#[cfg(test)]
mod tests;
