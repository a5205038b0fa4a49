//! The connection of a subscription. It is asked regularly whether it lives, and whether its server
//! is still a master.
//!
//! In RESP3 a connection that listens can also ask. In RESP2 it cannot: there a second connection,
//! the companion, asks. Both lead to the same server, and end together.

use redis::{PushInfo, PushKind, Value};
use tokio::time::{Duration, Instant, timeout, timeout_at};

use crate::keys::{marker_channel, marker_of_channel};
use crate::redis::greeting::{Protocol, Question, check_server};
use crate::redis::link::{Link, Lost, within};
use crate::redis::options::Options;
use crate::redis::refusal::{Refusal, error_line, without_script};

/// How often the server is asked for a sign of life and for its role.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// Asks, and publishes the moment of the answer, in one step.
const ASK_AND_MARK: &str = "local answer = redis.call(ARGV[1], unpack(KEYS))
redis.call('PUBLISH', ARGV[2], ARGV[3])
return answer";

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
}

/// The connection of a subscription.
pub(crate) struct SubscribedLink {
    /// It listens.
    pub link: Link,
    /// In RESP2.
    companion: Option<Companion>,
    check_at: Instant,
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
        Ok(Self { link, companion, check_at: Instant::now() + CHECK_INTERVAL })
    }

    /// What is heard next. `Err` also where the server is silent, or has become a replica. Cancel-safe.
    pub async fn next(&mut self, options: &Options) -> Result<Heard, Lost> {
        loop {
            if self.check_at <= Instant::now() {
                within(options.stall_timeout, options, self.check()).await?;
                self.check_at = Instant::now() + CHECK_INTERVAL;
            }
            if let Ok(push) = timeout_at(self.check_at, self.link.push()).await
                && let Some(heard) = self.heard(push?)
            {
                return Ok(heard);
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
        check_server(&role).map_err(|reason| self.link.lost(reason))
    }

    /// `None` for a confirmation, which was seen by whoever waited for it.
    fn heard(&self, PushInfo { kind, data }: PushInfo) -> Option<Heard> {
        match kind {
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
