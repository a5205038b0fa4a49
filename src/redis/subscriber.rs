//! A supervised subscription: a connection of its own that is replaced for ever, and whose every
//! (re)subscription is confirmed by Redis before it counts.
//!
//! Pulled, not pushed: [`Subscriber::next`] is one loop of its owner's task.

use std::collections::{BTreeMap, BTreeSet};

use redis::Value;
use tokio::time::{Duration, Instant};

use crate::engine::status::{Status, StatusSink};
use crate::redis::link::{Link, Lost, within};
use crate::redis::options::Options;
use crate::redis::refusal::{Refusal, is_of_cluster};
use crate::redis::subscribed_link::{Heard, SubscribedLink};
use crate::redis::topology::slot::Slot;

/// What is listened to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topics {
    /// Channels by their names.
    pub channels: BTreeSet<String>,
    /// Channels by glob pattern.
    pub patterns: BTreeSet<String>,
    /// Sharded channels of a cluster, on the master that has their slots.
    pub sharded: BTreeSet<String>,
}

impl Topics {
    /// Whether there is nothing to listen to.
    pub fn is_empty(&self) -> bool {
        self.channels.is_empty() && self.patterns.is_empty() && self.sharded.is_empty()
    }

    fn without(&self, other: &Self) -> Self {
        Self {
            channels: self.channels.difference(&other.channels).cloned().collect(),
            patterns: self.patterns.difference(&other.patterns).cloned().collect(),
            sharded: self.sharded.difference(&other.sharded).cloned().collect(),
        }
    }
}

/// What happened to a subscription.
#[derive(Debug)]
pub enum Event {
    /// Redis has confirmed all topics on a new connection.
    Confirmed {
        /// The time since the first connection was lost whose messages were not caught up on. `None`:
        /// nothing was missed.
        gap: Option<Duration>,
    },
    /// A message.
    Message {
        /// The pattern that it was heard by; `None` where that was the channel's own name.
        pattern: Option<String>,
        /// The channel that it was published to.
        channel: String,
        /// Its bytes, if they are text.
        payload: Result<String, Vec<u8>>,
    },
    /// The moment of an answer, see [`Subscriber::ask`].
    Marker(u64),
    /// The slot of this sharded channel has moved to another master: it is no topic any more.
    Moved(String),
    /// The server is a part of a cluster, and none was expected.
    IsCluster,
    /// The connection was lost or could not be made; the next is on its way.
    Lost {
        /// Why.
        reason: String,
        /// What Redis said, if that is since this user may not listen to all topics.
        refused: Option<String>,
    },
}

/// What has become of a change of the topics.
#[derive(Debug, PartialEq, Eq)]
pub enum Listening {
    /// Redis has confirmed it.
    Confirmed,
    /// There is no connection: the next one will be asked.
    Later,
    /// Redis does not let this user listen to what was added, and says so. The topics are those of
    /// before.
    Refused(String),
}

/// Why a question has no answer.
#[derive(Debug)]
pub enum Unanswered {
    /// Another node of the cluster has the keys, or is about to have them, as this line says.
    Moved(String),
    /// The connection was lost over it.
    Lost(Event),
}

/// A subscription that is kept up. It has a connection while there are topics. Dropping it ends it.
pub struct Subscriber {
    options: Options,
    topics: Topics,
    status: StatusSink,
    link: Option<SubscribedLink>,
    /// When the connection was lost after which [`Subscriber::caught_up`] was not called yet.
    lost_at: Option<Instant>,
    connected_at: Instant,
    failures: u32,
    retry_at: Instant,
    /// The name of the server that was connected to last.
    server: String,
}

impl Subscriber {
    /// A subscription to nothing yet.
    pub fn new(options: Options, status: StatusSink) -> Self {
        Self {
            options,
            topics: Topics::default(),
            status,
            link: None,
            lost_at: None,
            connected_at: Instant::now(),
            failures: 0,
            retry_at: Instant::now(),
            server: String::new(),
        }
    }

    /// The next thing that happens. Cancel-safe: dropped between two events, nothing is lost but
    /// a connection attempt. Without topics nothing happens.
    pub async fn next(&mut self) -> Event {
        if self.topics.is_empty() {
            return std::future::pending().await;
        }
        loop {
            let Some(link) = &mut self.link else { return self.connect().await };
            let heard = tokio::select! {
                biased;
                reason = self.options.moved(&self.server) => {
                    Err(Lost::new(self.server.clone(), reason))
                }
                heard = link.next(&self.options) => heard,
            };
            return match heard {
                Ok(Heard::Message { pattern, channel, payload }) => {
                    let payload = String::from_utf8(payload);
                    let payload = payload.map_err(std::string::FromUtf8Error::into_bytes);
                    Event::Message { pattern, channel, payload }
                }
                Ok(Heard::Marker(marker)) => Event::Marker(marker),
                // Else it was asked to end.
                Ok(Heard::Ended(channel)) if self.topics.sharded.remove(&channel) => {
                    Event::Moved(channel)
                }
                Ok(Heard::Ended(_)) => continue,
                Err(lost) => self.lost(lost.to_string()),
            };
        }
    }

    /// What is listened to, once it is confirmed: sharded channels are left out whose slots another master has.
    pub fn topics(&self) -> &Topics {
        &self.topics
    }

    /// Listens to `topics` and to nothing else. `Err` when the connection was lost over it.
    pub async fn listen_to(&mut self, topics: Topics) -> Result<Listening, Event> {
        if topics.is_empty() {
            // What is missed from now on is no gap.
            *self = Self::new(self.options.clone(), self.status.clone());
            (self.status)(Status::Idle);
            return Ok(Listening::Confirmed);
        }
        let before = std::mem::replace(&mut self.topics, topics);
        if before.is_empty() {
            (self.status)(Status::Connecting);
        }
        let Some(link) = &mut self.link else { return Ok(Listening::Later) };
        let added = self.topics.without(&before);
        let removed = before.without(&self.topics);
        let changed = within(self.options.stall_timeout, &self.options, async {
            let confirmed = confirm(&mut link.link, SUBSCRIBE, &added).await?;
            // Channels may have been confirmed before patterns were refused.
            let over = if confirmed.is_ok() { &removed } else { &added };
            let ended = confirm(&mut link.link, UNSUBSCRIBE, over).await?;
            if let Some(channel) = self.topics.sharded.first() {
                link.prove(channel).await?;
            }
            Ok(confirmed.and_then(|moved| ended.map(|_| moved)))
        });
        match changed.await {
            Ok(Ok(moved)) => {
                self.topics.sharded.retain(|channel| !moved.contains(channel));
                Ok(Listening::Confirmed)
            }
            Ok(Err(line)) if Refusal::of(&line) == Refusal::Final => {
                self.topics = before;
                Ok(Listening::Refused(line))
            }
            Ok(Err(line)) => Err(self.lost(format!("{}: {line}", self.options))),
            Err(error) => Err(self.lost(error.to_string())),
        }
    }

    /// Asks about keys by a command such as `MGET`, and marks the moment of the answer in the stream of
    /// messages: [`Event::Marker`] comes between those that were published before it and those after.
    /// `None` where Redis refuses.
    pub async fn ask(
        &mut self,
        command: &str,
        keys: &[String],
        marker: u64,
    ) -> Result<Option<Value>, Unanswered> {
        let Some(link) = &mut self.link else {
            return Err(Unanswered::Lost(Event::Lost {
                reason: String::from("there is no connection"),
                refused: None,
            }));
        };
        let asked = link.ask_marked(command, keys, marker);
        let reason = match within(self.options.stall_timeout, &self.options, asked).await {
            Ok(Ok(answer)) => return Ok(Some(answer)),
            Ok(Err(line)) if is_of_cluster(&line) => {
                return Err(Unanswered::Moved(format!("{}: {line}", self.options)));
            }
            Ok(Err(line)) if Refusal::of(&line) == Refusal::Final => return Ok(None),
            Ok(Err(line)) => line,
            Err(lost) => lost.to_string(),
        };
        Err(Unanswered::Lost(self.lost(reason)))
    }

    /// Connects to this server from now on, when the connection to the last one is lost.
    pub(crate) fn turn_to(&mut self, options: Options) {
        self.options = options;
    }

    /// To be called after a gap, once nothing of it is left to be told.
    pub fn caught_up(&mut self) {
        self.lost_at = None;
    }

    async fn connect(&mut self) -> Event {
        tokio::select! {
            () = tokio::time::sleep_until(self.retry_at) => {}
            () = self.options.moved_from(&self.server) => {}
        }
        self.server = self.options.present();
        let attempt = within(self.options.connect_timeout, &self.options, async {
            let mut link = SubscribedLink::open(&self.options).await?;
            let confirmed = confirm(&mut link.link, SUBSCRIBE, &self.topics).await?;
            if let Some(channel) = self.topics.sharded.first() {
                link.prove(channel).await?;
            }
            Ok((link, confirmed))
        });
        match attempt.await {
            Ok((_, Err(line))) => {
                let refused = (Refusal::of(&line) == Refusal::Final).then(|| line.clone());
                self.lost_by(format!("{}: {line}", self.options), refused)
            }
            Ok((link, Ok(moved))) => {
                self.topics.sharded.retain(|channel| !moved.contains(channel));
                self.server.clone_from(&link.link.server);
                self.link = Some(link);
                self.connected_at = Instant::now();
                (self.status)(Status::Ready);
                Event::Confirmed { gap: self.lost_at.map(|at| at.elapsed()) }
            }
            Err(Lost { is_cluster: true, .. }) => Event::IsCluster,
            Err(error) => self.lost(error.to_string()),
        }
    }

    /// Gives the connection up; `next` makes another. `None` where nothing is listened to.
    pub fn give_up(&mut self, reason: String) -> Option<Event> {
        (!self.topics.is_empty()).then(|| self.lost(reason))
    }

    fn lost(&mut self, reason: String) -> Event {
        self.lost_by(reason, None)
    }

    fn lost_by(&mut self, reason: String, refused: Option<String>) -> Event {
        if self.link.take().is_some() {
            self.lost_at.get_or_insert_with(Instant::now);
            // A link that served for a while was a good one: the next try is prompt.
            if self.connected_at.elapsed() > self.options.backoff.ceiling {
                self.failures = 0;
            }
        }
        let delay = self.options.backoff.delay(self.failures, fastrand::f64());
        self.retry_at = Instant::now() + delay;
        self.failures = self.failures.saturating_add(1);
        (self.status)(Status::Reconnecting { reason: reason.clone() });
        Event::Lost { reason, refused }
    }
}

const SUBSCRIBE: [&str; 3] = ["SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"];
const UNSUBSCRIBE: [&str; 3] = ["UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE"];

/// Sends the commands for channels, for patterns and for sharded channels, each where there are any, and
/// waits until Redis has confirmed them, or has refused one of them. Returns the sharded channels whose
/// slots another master has.
async fn confirm(
    link: &mut Link,
    [of_channels, of_patterns, of_sharded]: [&str; 3],
    topics: &Topics,
) -> Result<Result<Vec<String>, String>, Lost> {
    let mut confirmed = Ok(());
    for (command, names) in [(of_channels, &topics.channels), (of_patterns, &topics.patterns)] {
        if !names.is_empty() {
            confirmed = confirmed.and(link.confirm(command, names.iter()).await?);
        }
    }
    if let Err(line) = confirmed {
        return Ok(Err(line));
    }
    if topics.sharded.is_empty() {
        return Ok(Ok(Vec::new()));
    }
    // The channels of one command are to be of one slot.
    let mut slots: BTreeMap<Slot, Vec<&String>> = BTreeMap::new();
    for channel in &topics.sharded {
        slots.entry(Slot::of(channel.as_bytes())).or_default().push(channel);
    }
    let each = slots.values().map(|channels| channels.iter().copied());
    let refusals = link.confirm_each(of_sharded, each).await?;
    let mut moved = Vec::new();
    for (channels, refusal) in slots.into_values().zip(refusals) {
        match refusal {
            Some(line) if is_of_cluster(&line) => moved.extend(channels.into_iter().cloned()),
            Some(line) => return Ok(Err(line)),
            None => {}
        }
    }
    Ok(Ok(moved))
}
