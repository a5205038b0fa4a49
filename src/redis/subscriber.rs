//! A supervised subscription: a connection of its own that is replaced for ever, and whose every
//! (re)subscription is confirmed by Redis before it counts.
//!
//! Pulled, not pushed: [`Subscriber::next`] is one loop of its owner's task.

use std::collections::BTreeSet;

use redis::{Cmd, PushInfo, PushKind, RedisResult, Value};
use tokio::time::{Duration, Instant};

use crate::redis::flight::{Refusal, error_line};
use crate::redis::link::{Link, within};
use crate::redis::options::Options;
use crate::redis::status::{Status, StatusSink};

/// A silent connection is asked for a sign of life this often.
const PING_INTERVAL: Duration = Duration::from_secs(2);

/// What is listened to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topics {
    /// Channels by their names.
    pub channels: BTreeSet<String>,
    /// Channels by glob pattern.
    pub patterns: BTreeSet<String>,
}

impl Topics {
    /// Whether there is nothing to listen to.
    pub fn is_empty(&self) -> bool {
        self.channels.is_empty() && self.patterns.is_empty()
    }

    fn without(&self, other: &Self) -> Self {
        Self {
            channels: self.channels.difference(&other.channels).cloned().collect(),
            patterns: self.patterns.difference(&other.patterns).cloned().collect(),
        }
    }
}

/// What happened to a subscription.
#[derive(Debug)]
pub enum Event {
    /// Redis has confirmed all topics on a new connection. `gap`: how long there was none, where
    /// there had been one before.
    Confirmed {
        /// Since the previous connection was lost.
        gap: Option<Duration>,
    },
    /// A message.
    Message {
        /// The channel that it was published to.
        channel: String,
        /// Its bytes, if they are text.
        payload: Result<String, Vec<u8>>,
    },
    /// The connection was lost or could not be made; the next is on its way.
    Lost {
        /// Why.
        reason: String,
    },
}

/// A subscription that is kept up. Dropping it ends it.
pub struct Subscriber {
    options: Options,
    topics: Topics,
    status: StatusSink,
    link: Option<Link>,
    /// When the last confirmed connection was lost.
    lost_at: Option<Instant>,
    failures: u32,
    retry_at: Instant,
}

impl Subscriber {
    /// A subscription to `topics`, made by the first call of [`Subscriber::next`].
    pub fn new(options: Options, topics: Topics, status: StatusSink) -> Self {
        Self {
            options,
            topics,
            status,
            link: None,
            lost_at: None,
            failures: 0,
            retry_at: Instant::now(),
        }
    }

    /// The next thing that happens. Cancel-safe: dropped between two events, nothing is lost but
    /// a connection attempt.
    pub async fn next(&mut self) -> Event {
        loop {
            let Some(link) = &mut self.link else { return self.connect().await };
            match next_push(link, self.options.stall_timeout).await {
                Ok(PushInfo { kind: PushKind::Message | PushKind::PMessage, data }) => {
                    if let Some(message) = message(data) {
                        return message;
                    }
                }
                Ok(_) => {} // A confirmation, seen by whoever waited for it.
                Err(reason) => return self.lost(reason),
            }
        }
    }

    /// Listens to `topics` and to nothing else. `true` when Redis has confirmed it; `false` when
    /// the next connection will.
    pub async fn listen_to(&mut self, topics: Topics) -> bool {
        let before = std::mem::replace(&mut self.topics, topics);
        let Some(link) = &mut self.link else { return false };
        let added = self.topics.without(&before);
        let removed = before.without(&self.topics);
        let changed = within(self.options.stall_timeout, async {
            subscribe(link, &added).await?;
            unsubscribe(link, &removed).await
        });
        match changed.await {
            Ok(()) => true,
            Err(error) => {
                self.lost(error.to_string());
                false
            }
        }
    }

    /// Asks something on the subscription's own connection: what was published before the answer
    /// was made has arrived before it. `None` where Redis refuses, or cannot answer now; the
    /// connection is then given up, and `next` makes another.
    pub async fn ask(&mut self, command: &Cmd) -> Option<Value> {
        let link = self.link.as_mut()?;
        let asked = link.connection.send_packed_command(command);
        let reason = match within(self.options.stall_timeout, asked).await {
            Ok(Value::ServerError(error)) => match Refusal::of(&error) {
                Refusal::NotNow => error_line(&error),
                _ => return None,
            },
            Ok(value) => return Some(value),
            Err(error) => error.to_string(),
        };
        self.lost(reason);
        None
    }

    /// How many messages have arrived and wait to be taken by `next`.
    pub fn backlog(&self) -> usize {
        self.link.as_ref().map_or(0, |link| link.pushes.len())
    }

    async fn connect(&mut self) -> Event {
        tokio::time::sleep_until(self.retry_at).await;
        let attempt = within(self.options.connect_timeout, async {
            let mut link = Link::open(&self.options).await?;
            subscribe(&mut link, &self.topics).await?;
            Ok(link)
        });
        match attempt.await {
            Ok(link) => {
                self.link = Some(link);
                self.failures = 0;
                (self.status)(Status::Ready);
                Event::Confirmed { gap: self.lost_at.take().map(|at| at.elapsed()) }
            }
            Err(error) => self.lost(error.to_string()),
        }
    }

    fn lost(&mut self, reason: String) -> Event {
        if self.link.take().is_some() {
            self.lost_at.get_or_insert_with(Instant::now);
        }
        let delay = self.options.backoff.delay(self.failures, fastrand::f64());
        self.retry_at = Instant::now() + delay;
        self.failures = self.failures.saturating_add(1);
        (self.status)(Status::Reconnecting { reason: reason.clone() });
        Event::Lost { reason }
    }
}

/// The next push, or why there will be none. A silent connection is asked for a sign of life.
async fn next_push(link: &mut Link, stall_timeout: Duration) -> Result<PushInfo, String> {
    loop {
        match tokio::time::timeout(PING_INTERVAL, link.pushes.recv()).await {
            Ok(Some(PushInfo { kind: PushKind::Disconnection, .. }) | None) => {
                return Err(String::from("the connection was lost"));
            }
            Ok(Some(push)) => return Ok(push),
            Err(_silent) => {
                let ping = redis::cmd("PING");
                within(stall_timeout, link.connection.send_packed_command(&ping))
                    .await
                    .map_err(|_| String::from("Redis stopped answering"))?;
            }
        }
    }
}

async fn subscribe(link: &mut Link, topics: &Topics) -> RedisResult<()> {
    if !topics.channels.is_empty() {
        link.connection.subscribe(&topics.channels).await?;
    }
    if !topics.patterns.is_empty() {
        link.connection.psubscribe(&topics.patterns).await?;
    }
    Ok(())
}

async fn unsubscribe(link: &mut Link, topics: &Topics) -> RedisResult<()> {
    if !topics.channels.is_empty() {
        link.connection.unsubscribe(&topics.channels).await?;
    }
    if !topics.patterns.is_empty() {
        link.connection.punsubscribe(&topics.patterns).await?;
    }
    Ok(())
}

/// `[channel, payload]` or `[pattern, channel, payload]`.
fn message(mut data: Vec<Value>) -> Option<Event> {
    let Value::BulkString(payload) = data.pop()? else { return None };
    let channel = redis::from_redis_value(data.pop()?).ok()?;
    let payload = String::from_utf8(payload).map_err(std::string::FromUtf8Error::into_bytes);
    Some(Event::Message { channel, payload })
}
