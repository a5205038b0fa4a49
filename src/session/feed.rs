//! The feed: what all instances publish, in order, on a connection of its own.
//!
//! After a gap it re-reads the sessions whose updates it has seen, and passes on what changed
//! meanwhile, so that subscribers converge on what is stored.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use lru::LruCache;
use redis::Value;
use tokio::sync::{mpsc, watch};

use super::message::{Update, read_broadcast};
use crate::document::Identity;
use crate::keys::{DEFAULT_SESSION_PREFIX, Keys};
use crate::redis::options::Options;
use crate::redis::status::{Status, StatusSink};
use crate::redis::subscriber::{Event, Listening, Subscriber, Topics};

/// How many sessions the feed remembers to re-read after a gap, deleted ones as well; the least
/// recently updated is forgotten first. About 200 bytes each.
const REMEMBERED: usize = 10_000;

/// How many messages the audience may be behind, however small they are.
const BACKLOG: usize = 50_000;

/// How many documents are re-read at a time, so that Redis is not held up by one command.
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
    /// Redis has confirmed the interest with this number, and all before it.
    Confirmed {
        /// From [`Feed::listen_to`].
        interest: u32,
    },
    /// There was no connection for a while. Messages to WebSocket clients of that time are lost;
    /// of the sessions known to this feed, those that changed were passed on.
    Gap {
        /// How long.
        lasted: Duration,
        /// How many sessions this feed knew of.
        known: usize,
        /// How many of them were re-read: all, or what Redis did not refuse.
        reread: usize,
        /// How many of them had changed.
        changed: usize,
    },
    /// A message that is none was skipped.
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

/// What a feed listens to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Interest {
    /// Updates and deletions of sessions.
    pub updates: bool,
    /// WebSocket messages.
    pub web_socket: bool,
    /// A number of the caller's, for [`FeedEvent::Confirmed`].
    pub number: u32,
}

/// A handle to a feed. Dropping it, or closing what it was opened with, ends the feed.
pub struct Feed {
    interests: mpsc::UnboundedSender<Interest>,
}

impl Feed {
    /// A feed, and its task, to be spawned on a runtime. It connects when it is told to listen,
    /// and ends when `closed` becomes true. It tells of the sessions of its own key prefix and of
    /// those whose messages name none; with `all_prefixes`, of all.
    pub fn new(
        options: Options,
        keys: Keys,
        all_prefixes: bool,
        status: StatusSink,
        closed: watch::Receiver<bool>,
        audience: impl Audience,
        max_backlog_bytes: usize,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (interests, changes) = mpsc::unbounded_channel();
        let task = Task {
            subscriber: Subscriber::new(options.clone(), status.clone()),
            options,
            keys,
            all_prefixes,
            status,
            audience,
            max_backlog_bytes,
            interest: Interest::default(),
            seen: LruCache::unbounded(),
            superseded: HashMap::new(),
            markers: 0,
        };
        (Self { interests }, task.run(changes, closed))
    }

    /// Listens to this and nothing else from now on.
    pub fn listen_to(&self, interest: Interest) {
        // A feed that has ended listens to nothing any more.
        let _ = self.interests.send(interest);
    }
}

struct Task<A> {
    options: Options,
    keys: Keys,
    all_prefixes: bool,
    status: StatusSink,
    audience: A,
    max_backlog_bytes: usize,
    subscriber: Subscriber,
    interest: Interest,
    /// What was passed on last, for each session heard of. `None`: its deletion.
    seen: LruCache<String, Option<Identity>>,
    /// Sessions that were re-read, and the marker of that moment: messages about them that come
    /// before it are older than what was read.
    superseded: HashMap<String, u64>,
    markers: u64,
}

impl<A: Audience> Task<A> {
    async fn run(
        mut self,
        mut changes: mpsc::UnboundedReceiver<Interest>,
        mut closed: watch::Receiver<bool>,
    ) {
        let work = async {
            loop {
                match AssertUnwindSafe(self.step(&mut changes)).catch_unwind().await {
                    Ok(true) => {}
                    Ok(false) => break,
                    // A panic costs the connection. The next one catches up.
                    Err(_panic) => {
                        let lost = self.subscriber.give_up_after_panic();
                        self.given_up(lost).await;
                    }
                }
            }
        };
        tokio::select! {
            _ = closed.wait_for(|closed| *closed) => {}
            () = work => {}
        }
        (self.status)(Status::Closed);
    }

    /// Handles the next thing that happens. Returns `false` when the handle of the feed is gone.
    async fn step(&mut self, changes: &mut mpsc::UnboundedReceiver<Interest>) -> bool {
        tokio::select! {
            biased;
            change = changes.recv() => match change {
                Some(interest) => self.listen_to(interest).await,
                None => return false,
            },
            event = self.subscriber.next() => {
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
        let lost = self.subscriber.give_up(reason);
        self.given_up(lost).await;
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

    async fn given_up(&mut self, lost: Option<Event>) {
        if let Some(lost) = lost {
            self.handle(lost).await;
        }
    }

    async fn listen_to(&mut self, interest: Interest) {
        self.interest = interest;
        if !interest.updates {
            self.seen.clear();
        }
        let topics = self.topics();
        match self.subscriber.listen_to(topics.clone()).await {
            Ok(Listening::Confirmed) => self.confirmed(),
            Ok(Listening::Later) => {}
            // It is of no use without its topics: the next connection asks again.
            Ok(Listening::Refused(line)) => {
                let lost = self.subscriber.give_up(format!("{}: {line}", self.options));
                let _later = self.subscriber.listen_to(topics).await;
                self.given_up(lost).await;
            }
            Err(lost) => self.handle(lost).await,
        }
    }

    fn topics(&self) -> Topics {
        let one = |wanted: bool, name: String| BTreeSet::from_iter(wanted.then_some(name));
        Topics {
            channels: one(self.interest.updates, self.keys.updates_channel.clone()),
            patterns: one(self.interest.web_socket, self.keys.ws_pattern()),
        }
    }

    fn confirmed(&self) {
        self.audience.tell(FeedEvent::Confirmed { interest: self.interest.number });
    }

    async fn handle(&mut self, event: Event) {
        match event {
            Event::Confirmed { gap: None } => self.confirmed(),
            Event::Confirmed { gap: Some(lasted) } => match self.catch_up(lasted).await {
                Ok(()) => self.confirmed(),
                Err(Event::Lost { reason, .. }) => self.audience.tell(FeedEvent::Lost { reason }),
                Err(_) => {}
            },
            Event::Lost { reason, .. } => self.audience.tell(FeedEvent::Lost { reason }),
            Event::Message { channel, payload, .. } => self.message(channel, payload),
            Event::Marker(marker) => self.superseded.retain(|_, until| *until > marker),
        }
    }

    fn message(&mut self, channel: String, payload: Result<String, Vec<u8>>) {
        let understood = payload.ok().and_then(|payload| {
            if channel == self.keys.updates_channel {
                self.update(Update::read(&payload)?)
            } else {
                let session_id = self.keys.session_of_ws_channel(&channel)?.to_owned();
                let message = read_broadcast(&payload)?.to_owned();
                self.audience.tell(FeedEvent::WebSocket { session_id, message });
                Some(())
            }
        });
        if understood.is_none() {
            self.audience.tell(FeedEvent::Malformed { channel });
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

    /// Re-reads what was heard of, and passes on what changed. `Err` when the connection is lost
    /// over it; the next confirmation comes here again.
    async fn catch_up(&mut self, lasted: Duration) -> Result<(), Event> {
        let ids: Vec<String> = self.seen.iter().map(|(id, _)| id.clone()).collect();
        self.superseded.clear(); // Its markers were on the connection that was lost.
        let (mut reread, mut changed) = (0, 0);
        for ids in ids.chunks(REREAD_BATCH) {
            self.make_room().await;
            // Refused (a user that may not read): what changed shows with the next update.
            let Some(Value::Array(values)) = self.ask("MGET", ids).await? else { break };
            let marker = self.markers;
            reread += ids.len();
            let missing: Vec<&String> = ids
                .iter()
                .zip(&values)
                .filter_map(|(id, value)| (*value == Value::Nil).then_some(id))
                .collect();
            let foreign = self.foreign(&missing).await?;
            for (session_id, value) in ids.iter().zip(values) {
                self.superseded.insert(session_id.clone(), marker);
                let is_session = !foreign.contains(session_id);
                changed += usize::from(is_session && self.compare(session_id, value));
            }
        }
        self.audience.tell(FeedEvent::Gap { lasted, known: ids.len(), reread, changed });
        self.subscriber.caught_up();
        Ok(())
    }

    /// Asks a question about the keys of sessions. `None` where Redis refuses.
    async fn ask<T: AsRef<str>>(
        &mut self,
        question: &str,
        ids: &[T],
    ) -> Result<Option<Value>, Event> {
        let mut command = redis::cmd(question);
        for id in ids {
            command.arg(self.keys.session(id.as_ref()));
        }
        self.markers += 1;
        self.subscriber.ask(command, self.markers).await
    }

    /// Which of these sessions have a key of another type: `MGET` answers for those as for a key
    /// that is missing.
    async fn foreign(&mut self, missing: &[&String]) -> Result<Vec<String>, Event> {
        let mut foreign = Vec::new();
        if missing.is_empty() || !self.exists(missing).await? {
            return Ok(foreign);
        }
        for id in missing {
            if self.exists(&[id]).await? {
                foreign.push((*id).clone());
            }
        }
        Ok(foreign)
    }

    /// Whether any of the keys exists.
    async fn exists<T: AsRef<str>>(&mut self, ids: &[T]) -> Result<bool, Event> {
        let answer = self.ask("EXISTS", ids).await?;
        Ok(matches!(answer, Some(Value::Int(count)) if count > 0))
    }

    /// Passes on a re-read session if it is another than the one passed on last. One that cannot
    /// be read is not passed on: nobody has deleted it.
    fn compare(&mut self, session_id: &str, value: Value) -> bool {
        let document = match value {
            Value::Nil => None,
            value => match redis::from_redis_value::<String>(value) {
                Ok(document) => Some(document),
                Err(_) => return false,
            },
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
