//! Requests in flight on one link, pipeline by pipeline, and what their refusals mean.

use std::collections::VecDeque;

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{FuturesOrdered, StreamExt};
use redis::{Arg, Cmd, Pipeline, RedisResult, ServerError, Value};
use tokio::time::{Duration, Instant};

use crate::redis::ledger::{Entry, Ledger};
use crate::redis::link::Link;
use crate::redis::request::{Attempt, Effect, Pending};

/// The most pipelines in flight: one that Redis works on, and one that is on its way meanwhile.
/// With more, callers that each wait for their own answer break up into ever smaller pipelines.
const PIPELINES: usize = 2;

/// The most commands in one pipeline, and bytes: few enough that its answer, which comes as a
/// whole, is not mistaken for one that does not come.
pub(crate) const BATCH: usize = 128;
const BATCH_BYTES: usize = 256 * 1024;

/// From so many commands on, what there is is divided among the pipelines: while JavaScript works
/// on the answers of one, Redis works on the other. Fewer share the cost of a system call.
const WORTHWHILE: usize = 32;

// What is in flight is the oldest of what is unsettled, so its numbers are never further apart
// than there are requests in flight, and none of them shares a place in the ledger.
const _: () = assert!(Ledger::PLACES > (PIPELINES * BATCH) as u64);

/// Requests that went out as one pipeline; `None` where one is settled already.
struct Batch {
    sent: Instant,
    pending: Vec<Option<Pending>>,
}

/// The requests on one link, and the answers that are still to come.
#[derive(Default)]
pub(crate) struct Flight {
    batches: VecDeque<Batch>,
    last_answer: Option<Instant>,
    answers: FuturesOrdered<BoxFuture<'static, RedisResult<Vec<Value>>>>,
}

impl Flight {
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Sends of what waits as much as may be in flight.
    pub fn fill(&mut self, link: &Link, waiting: &mut VecDeque<Pending>, ledger: &mut Ledger) {
        while !waiting.is_empty() && self.batches.len() < PIPELINES {
            self.send(link, waiting, ledger);
        }
    }

    /// The next pipeline's answers, each with its request; never `None` while any is in flight.
    /// On an error the requests stay in flight: the link has broken. Cancel-safe.
    pub async fn next(&mut self) -> Option<RedisResult<Vec<(Pending, Value)>>> {
        let answer = self.answers.next().await?;
        Some(answer.map(|values| {
            self.last_answer = Some(Instant::now());
            let pending = self.batches.pop_front().map_or_else(Vec::new, |batch| batch.pending);
            pending
                .into_iter()
                .zip(values)
                .filter_map(|(slot, value)| Some((slot?, value)))
                .collect()
        }))
    }

    /// Takes out what is not to be kept; its answers, should they come, are for nobody.
    pub fn take_unless(&mut self, mut keep: impl FnMut(&Pending) -> bool) -> Vec<Pending> {
        let slots = self.batches.iter_mut().flat_map(|batch| &mut batch.pending);
        slots.filter_map(|slot| slot.take_if(|pending| !keep(pending))).collect()
    }

    /// All that is in flight, in the order in which it was sent.
    pub fn into_pending(self) -> impl Iterator<Item = Pending> {
        self.batches.into_iter().flat_map(|batch| batch.pending).flatten()
    }

    fn send(&mut self, link: &Link, waiting: &mut VecDeque<Pending>, ledger: &mut Ledger) {
        let in_flight: usize = self.batches.iter().map(|batch| batch.pending.len()).sum();
        let share = ((in_flight + waiting.len()) / PIPELINES).clamp(WORTHWHILE, BATCH);
        let mut pipeline = Pipeline::with_capacity(waiting.len().min(share));
        let mut pending = Vec::with_capacity(waiting.len().min(share));
        let mut bytes = 0;
        let mut renewed = false;
        while pending.len() < share && bytes < BATCH_BYTES {
            let Some(mut next) = waiting.pop_front() else { break };
            let renews = !renewed && next.request.effect() != Effect::Read;
            renewed |= renews;
            let attempt = attempt(&mut next, ledger, renews);
            let command = next.request.command(&attempt);
            bytes += size(&command);
            pipeline.add_command(command);
            pending.push(Some(next));
        }
        let count = pending.len();
        let mut connection = link.connection.clone();
        self.answers.push_back(
            async move { connection.send_packed_commands(&pipeline, 0, count).await }.boxed(),
        );
        self.batches.push_back(Batch { sent: Instant::now(), pending });
    }

    /// When the oldest batch will have waited for too long. Answers come in order, so its time
    /// does not run while those before it are answered.
    pub fn stalled_at(&self, timeout: Duration) -> Option<Instant> {
        let oldest = self.batches.front()?;
        Some(self.last_answer.map_or(oldest.sent, |last| last.max(oldest.sent)) + timeout)
    }
}

fn attempt(pending: &mut Pending, ledger: &mut Ledger, renews: bool) -> Attempt {
    let noted = pending.noted.get_or_insert_with(|| ledger.next_place()).clone();
    let Pending { repeated, with_source, .. } = *pending;
    // A repeat may have another ledger than its neighbours.
    let entry = Entry { noted, renews: renews || repeated };
    Attempt { repeated, with_source, entry }
}

fn size(command: &Cmd) -> usize {
    command
        .args_iter()
        .map(|argument| if let Arg::Simple(a) = argument { a.len() } else { 0 })
        .sum()
}

/// What a server error means for the request that drew it.
pub(crate) enum Refusal {
    /// The script cache was flushed.
    UnknownScript,
    /// This server cannot take it now, another or a later one will: nothing changed.
    NotNow,
    /// It never will.
    Final,
}

impl Refusal {
    pub fn of(error: &ServerError) -> Self {
        match error.code() {
            "NOSCRIPT" => Self::UnknownScript,
            "LOADING" | "READONLY" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" | "BUSY"
            | "NOREPLICAS" | "MISCONF" => Self::NotNow,
            _ => Self::Final,
        }
    }
}

/// The error as Redis wrote it.
pub(crate) fn error_line(error: &ServerError) -> String {
    match error.details() {
        Some(details) => format!("{} {details}", error.code()),
        None => error.code().to_owned(),
    }
}
