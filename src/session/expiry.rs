//! Tells of sessions whose TTL has run out, for as long as an instance runs that was asked to.
//!
//! Engines forget expired sessions without a word. So each instance asks every second or two which
//! sessions it is time to look at. The first instance that finds one expired tells all; the engine sees
//! to it that nobody tells it again.

use std::panic::AssertUnwindSafe;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant};

use crate::clock::Clock;
use crate::engine::{Execute, Sessions};
use crate::error::{Error, Result};
use crate::operation::Operation;
use crate::operation::expiry::{Due, Expire, Expired};
use crate::operation::record::new_id;

/// The pause between two rounds: this, and a random part of it besides.
const PAUSE: Duration = Duration::from_secs(1);

/// How long one round may wait for answers. Where a server is away, an expiry on another one is told
/// within this and two pauses.
const ROUND: Duration = Duration::from_secs(2);

/// How many sessions are looked at in one go, in about a millisecond: a script blocks Redis.
const PORTION: usize = 100;

/// What no caller hears of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// So many expired sessions have no audit record, because the backlog is full.
    Unaudited(u64),
    /// The engine refuses to tell of expired sessions. Told once, until it refuses otherwise.
    Refused(Error),
}

/// Tells of the sessions of a namespace that have expired.
pub struct Expiry<S> {
    sessions: S,
    clock: Clock,
}

impl<S: Sessions> Expiry<S> {
    /// For these sessions.
    pub fn new(sessions: S, clock: Clock) -> Self {
        Self { sessions, clock }
    }

    /// Goes on until it is dropped.
    pub async fn run(self, tell: impl Fn(Trouble)) {
        let mut refusal = None;
        loop {
            self.clock.sleep(PAUSE + PAUSE.mul_f64(fastrand::f64())).await;
            // A panic costs one round.
            let round = AssertUnwindSafe(self.round()).catch_unwind().await;
            let Ok((expired, refused)) = round else { continue };
            if expired.unaudited > 0 {
                tell(Trouble::Unaudited(expired.unaudited));
            }
            if refused != refusal
                && let Some(error) = &refused
            {
                tell(Trouble::Refused(error.clone()));
            }
            refusal = refused;
        }
    }

    /// Looks once at all that it is time to look at. Returns what was told, and a refusal.
    pub async fn round(&self) -> (Expired, Option<Error>) {
        let deadline = self.clock.now() + ROUND;
        let asked = (0..self.sessions.parts()).map(|part| (part, self.due(part, deadline)));
        let asked: Vec<_> = asked.collect();
        self.sessions.flush();
        let parts = asked.into_iter().map(|(part, due)| self.part(part, due, deadline));
        let (mut all, mut refused) = (Expired::default(), None);
        for (expired, outcome) in join_all(parts).await {
            all.told += expired.told;
            all.unaudited += expired.unaudited;
            // Whoever calls hears of an outage.
            if let Err(error @ Error::Reply { .. }) = outcome {
                refused = Some(error);
            }
        }
        (all, refused)
    }

    /// One portion after the other, of one part.
    async fn part(
        &self,
        part: usize,
        mut due: Answer<Vec<String>>,
        deadline: Instant,
    ) -> (Expired, Result<()>) {
        let mut all = Expired::default();
        loop {
            let session_ids = match answer(due).await {
                Ok(session_ids) if session_ids.is_empty() => return (all, Ok(())),
                Ok(session_ids) => session_ids,
                Err(error) => return (all, Err(error)),
            };
            let is_last = session_ids.len() < PORTION;
            let now_ms = self.now_ms();
            let sessions = session_ids.into_iter().map(|id| (id, new_id(now_ms))).collect();
            let expired = self.ask(Expire { part, sessions }, deadline);
            self.sessions.flush();
            match answer(expired).await {
                Ok(expired) => {
                    all.told += expired.told;
                    all.unaudited += expired.unaudited;
                }
                Err(error) => return (all, Err(error)),
            }
            if is_last {
                return (all, Ok(()));
            }
            due = self.due(part, deadline);
            self.sessions.flush();
        }
    }

    fn due(&self, part: usize, deadline: Instant) -> Answer<Vec<String>> {
        self.ask(Due { part, limit: PORTION }, deadline)
    }

    fn ask<O: Operation>(&self, operation: O, deadline: Instant) -> Answer<O::Outcome>
    where
        S: Execute<O>,
    {
        let (done, answer) = oneshot::channel();
        // Nobody waits any more where the round was dropped.
        self.sessions.execute(operation, deadline, |outcome| drop(done.send(outcome)));
        answer
    }

    /// Milliseconds since the epoch.
    fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from((since + self.clock.ahead()).as_millis()).unwrap_or(i64::MAX)
    }
}

type Answer<T> = oneshot::Receiver<Result<T>>;

/// An engine calls back in any case, unless it panics.
async fn answer<T>(answer: Answer<T>) -> Result<T> {
    answer.await.unwrap_or(Err(Error::Closed))
}
