//! The connection of a subscription. It is asked regularly whether it lives, and whether its server
//! is still a master.
//!
//! In RESP3 a connection that listens can also ask. In RESP2 it cannot: there a second connection,
//! the companion, asks. Both lead to the same server, and end together.

use futures_util::FutureExt;
use redis::{PushInfo, PushKind, Value};
use tokio::task::yield_now;
use tokio::time::{Duration, Instant, timeout, timeout_at};

use crate::keys::{marker_channel, marker_of_channel, probe_channel};
use crate::redis::greeting::{Protocol, Question};
use crate::redis::link::{Link, Lost, within};
use crate::redis::options::Options;
use crate::redis::probe::Probe;
use crate::redis::refusal::{Refusal, error_line, is_of_cluster, without_script};
use crate::redis::topology::slot::tag_of;

/// How often the server is asked for a sign of life and for its role.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// Asks, and publishes the moment of the answer, in one step.
const ASK_AND_MARK: &str = "local answer = redis.call(ARGV[1], unpack(KEYS))
redis.call('PUBLISH', ARGV[2], ARGV[3])
return answer";

/// Why a connection is given up that answers, and brings no messages.
const UNPROVEN: &str = "a message that the subscription has published to itself did not come back";

/// Why a connection and its companion are given up that do not belong together.
const APART: &str =
    "what one connection publishes is not heard by another one: they lead to different servers";

/// What is heard.
pub(crate) enum Heard {
    /// A message.
    Message {
        /// The pattern that it was heard by; `None` where that was the channel's own name.
        pattern: Option<String>,
        /// The channel that it was published to.
        channel: String,
        /// Its bytes.
        payload: Vec<u8>,
    },
    /// The moment of an answer, see [`SubscribedLink::ask_marked`].
    Marker(u64),
    /// A sharded channel is not listened to any more: it was asked to end, or the channel's slot has moved.
    Ended(String),
}

/// The connection of a subscription.
pub(crate) struct SubscribedLink {
    /// It listens.
    pub link: Link,
    /// In RESP2.
    companion: Option<Companion>,
    check_at: Instant,
    probe: Option<Probe>,
    /// Whether this user may not prove that messages arrive.
    is_unprovable: bool,
}

/// The connection that asks for another one, which listens in RESP2.
struct Companion {
    link: Link,
    /// The channel that marks the moments of answers; or Redis' refusal of it, to a user who may not
    /// listen or publish there.
    marks: Result<String, String>,
}

impl SubscribedLink {
    /// Connects.
    pub async fn open(options: &Options) -> Result<Self, Lost> {
        let mut link = Link::open(options).await?;
        let companion = match link.protocol {
            Protocol::Resp3 => None,
            Protocol::Resp2 => Some(Companion::open(options, &mut link).await?),
        };
        let check_at = Instant::now() + CHECK_INTERVAL;
        Ok(Self { link, companion, check_at, probe: None, is_unprovable: false })
    }

    /// Proves from now on that the messages of sharded channels arrive, if it does not yet. `channel`: one of
    /// them.
    pub async fn prove(&mut self, channel: &str) -> Result<(), Lost> {
        let Some(tag) = tag_of(channel.as_bytes()).filter(|_| !self.is_unprovable) else {
            return Ok(());
        };
        if self.probe.is_none() {
            let channel = probe_channel(&String::from_utf8_lossy(tag), fastrand::u64(..));
            match self.link.confirm("SSUBSCRIBE", std::iter::once(&channel)).await? {
                Ok(()) => self.probe = Some(Probe::new(channel, Instant::now())),
                Err(line) => self.unproven(line)?,
            }
        }
        Ok(())
    }

    /// Redis has refused what proves that messages arrive.
    fn unproven(&mut self, line: String) -> Result<(), Lost> {
        self.probe = None;
        if !is_of_cluster(&line) {
            match Refusal::of(&line) {
                Refusal::Final => self.is_unprovable = true,
                _ => return Err(self.link.lost(line)),
            }
        }
        Ok(())
    }

    async fn publish_probe(&mut self) -> Result<(), Lost> {
        let Some(Probe { channel, .. }) = &self.probe else { return Ok(()) };
        let publish = redis::cmd("SPUBLISH").arg(channel).arg("").to_owned();
        let link = self.companion.as_mut().map_or(&mut self.link, |companion| &mut companion.link);
        match link.ask(&publish).await? {
            Value::ServerError(error) => self.unproven(error_line(&error)),
            _ => Ok(()),
        }
    }

    /// What is heard next. `Err` also where the server is silent, or has become a replica. Cancel-safe.
    pub async fn next(&mut self, options: &Options) -> Result<Heard, Lost> {
        loop {
            if self.check_at <= Instant::now() {
                within(options.stall_timeout, options, self.check()).await?;
                self.check_at = Instant::now() + CHECK_INTERVAL;
            }
            if self.probe.as_mut().is_some_and(|probe| probe.is_due(Instant::now())) {
                within(options.stall_timeout, options, self.publish_probe()).await?;
            }
            let proof_at = self.probe.as_ref().map(Probe::timeout);
            let wake_at = proof_at.into_iter().chain([self.check_at]).min();
            let push = match timeout_at(wake_at.unwrap_or(self.check_at), self.link.push()).await {
                Ok(push) => Some(push?),
                // A process that stood still learns of the time before it learns of what has arrived.
                Err(_) => {
                    yield_now().await;
                    self.link.push().now_or_never().transpose()?
                }
            };
            match push {
                Some(push) => {
                    if let Some(heard) = self.heard(push) {
                        return Ok(heard);
                    }
                }
                None if self.probe.as_ref().is_some_and(|one| one.is_overdue(Instant::now())) => {
                    return Err(self.link.lost(UNPROVEN));
                }
                None => {}
            }
        }
    }

    /// Asks about keys by a command such as `MGET`, and marks the moment of the answer among what is
    /// heard: [`Heard::Marker`] comes between what was published before the answer and after it.
    /// The inner error is Redis' refusal.
    pub async fn ask_marked(
        &mut self,
        command: &str,
        keys: &[String],
        marker: u64,
    ) -> Result<Result<Value, String>, Lost> {
        let answer = match &mut self.companion {
            None => {
                let question = redis::cmd(command).arg(keys).to_owned();
                self.link.ask_marked(&marker_channel(marker), &question).await?
            }
            Some(Companion { marks: Err(refused), .. }) => return Ok(Err(refused.clone())),
            Some(Companion { link, marks: Ok(channel) }) => {
                let mut ask = redis::cmd("EVAL");
                ask.arg(ASK_AND_MARK).arg(keys.len()).arg(keys).arg(command).arg(&*channel);
                let answer = link.ask(ask.arg(marker)).await?;
                if !matches!(answer, Value::ServerError(_)) {
                    let is_mark = |push: &PushInfo| mark(channel, &push.data) == Some(marker);
                    self.link.pushed_next(is_mark).await?;
                }
                answer
            }
        };
        Ok(match answer {
            Value::ServerError(error) => Err(without_script(error_line(&error))),
            answer => Ok(answer),
        })
    }

    /// Any answer is a sign of life, an error as well.
    async fn check(&mut self) -> Result<(), Lost> {
        let asks = match &mut self.companion {
            None => &mut self.link,
            Some(companion) => {
                self.link.ask(&redis::cmd("PING")).await?;
                &mut companion.link
            }
        };
        let question = asks.question.map_or("PING", Question::word);
        let role = asks.ask(&redis::cmd(question)).await?;
        self.link.expected.check_role(&role).map_err(|reason| self.link.lost(reason))
    }

    /// `None` for a confirmation, which was seen by whoever waited for it.
    fn heard(&mut self, PushInfo { kind, data }: PushInfo) -> Option<Heard> {
        match kind {
            PushKind::SMessage => {
                if let (Some(probe), Some(Value::BulkString(channel))) =
                    (&mut self.probe, data.first())
                    && probe.heard(channel, Instant::now())
                {
                    return None;
                }
                message(data)
            }
            PushKind::SUnsubscribe => {
                let channel = redis::from_redis_value(data.into_iter().next()?).ok()?;
                if self.probe.as_ref().is_some_and(|probe| probe.channel == channel) {
                    self.probe = None;
                    return None;
                }
                Some(Heard::Ended(channel))
            }
            PushKind::Message | PushKind::PMessage => {
                let Some(Companion { marks: Ok(channel), .. }) = &self.companion else {
                    return message(data);
                };
                mark(channel, &data).map(Heard::Marker).or_else(|| message(data))
            }
            PushKind::Unsubscribe => {
                let Some(Value::BulkString(channel)) = data.first() else { return None };
                marker_of_channel(std::str::from_utf8(channel).ok()?).map(Heard::Marker)
            }
            _ => None,
        }
    }
}

impl Companion {
    /// Connects, and proves that what it publishes is heard by the connection that `listens`.
    async fn open(options: &Options, listens: &mut Link) -> Result<Self, Lost> {
        let mut link = Link::open(options).await?;
        let channel = marker_channel(fastrand::u64(..));
        let publish = redis::cmd("PUBLISH").arg(&channel).arg(0).to_owned();
        let refused = match listens.confirm("SUBSCRIBE", std::iter::once(&channel)).await? {
            Err(line) => line,
            Ok(()) => match link.ask(&publish).await? {
                Value::ServerError(error) => error_line(&error),
                _ => {
                    let proof = listens.pushed_next(|push| mark(&channel, &push.data).is_some());
                    return match timeout(options.connect_timeout / 2, proof).await {
                        Ok(proven) => proven.map(|()| Self { link, marks: Ok(channel) }),
                        Err(_) => Err(link.lost(APART)),
                    };
                }
            },
        };
        match Refusal::of(&refused) {
            Refusal::Final => Ok(Self { link, marks: Err(refused) }),
            _ => Err(link.lost(refused)),
        }
    }
}

/// The moment that a message of `channel` marks. Data: `[channel, payload]`.
fn mark(channel: &str, data: &[Value]) -> Option<u64> {
    match data {
        [Value::BulkString(heard), Value::BulkString(payload)] if heard == channel.as_bytes() => {
            std::str::from_utf8(payload).ok()?.parse().ok()
        }
        _ => None,
    }
}

/// `[channel, payload]` or `[pattern, channel, payload]`.
fn message(mut data: Vec<Value>) -> Option<Heard> {
    let Value::BulkString(payload) = data.pop()? else { return None };
    let channel = redis::from_redis_value(data.pop()?).ok()?;
    let pattern = data.pop().and_then(|pattern| redis::from_redis_value(pattern).ok());
    Some(Heard::Message { pattern, channel, payload })
}
