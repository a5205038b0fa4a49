//! The supervised connection for commands: it replaces broken links for ever, and owns every
//! request from the moment it is submitted until it is settled.
//!
//! One task an instance. Requests that have queued up go out together as one pipeline; several
//! pipelines may be in flight, answered in order.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{FuturesOrdered, StreamExt};
use redis::{Arg, Cmd, Pipeline, RedisResult, ServerError, Value};
use tokio::sync::{mpsc, watch};
use tokio::time::{Duration, Instant};

use crate::error::Error;
use crate::redis::link::{Identity, Link, within};
use crate::redis::options::Options;
use crate::redis::request::{Effect, Pending, Request};

/// The most commands in one pipeline, and bytes: enough to share the cost of a system call, few
/// enough that its answer is not mistaken for one that does not come.
const BATCH: usize = 128;
const BATCH_BYTES: usize = 256 * 1024;

/// The most pipelines in flight: one that Redis works on, and one that is on its way meanwhile.
/// With more, callers that each wait for their own answer break up into ever smaller pipelines.
const PIPELINES: usize = 2;

/// How long [`Connection::close`] lets answers come in before it settles without them.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// Where a connection is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Nothing was asked of it yet.
    Idle,
    /// The first connection is being made.
    Connecting,
    /// Connected.
    Ready,
    /// The connection was lost, or could not be made, and the next try is on its way.
    Reconnecting {
        /// What went wrong last.
        reason: String,
    },
    /// Closed for good, by its owner.
    Closed,
}

/// Where a connection tells of its status: called on the I/O thread, for every change.
pub type StatusSink = Arc<dyn Fn(Status) + Send + Sync>;

/// A handle to a supervised connection. Clones share it.
#[derive(Clone)]
pub struct Connection {
    inbox: mpsc::UnboundedSender<Box<dyn Request>>,
    closing: watch::Sender<Closing>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Closing {
    No,
    Gracefully,
    AtOnce,
}

impl Connection {
    /// A connection that is made when the first request comes, and its supervisor, to be spawned
    /// on a runtime. The supervisor ends when it is told to close or its last handle is dropped.
    pub fn new(options: Options, status: StatusSink) -> (Self, impl Future<Output = ()> + Send) {
        let (inbox, requests) = mpsc::unbounded_channel();
        let (closing, closing_seen) = watch::channel(Closing::No);
        let supervisor = Supervisor {
            options,
            requests,
            closing: closing_seen,
            status,
            waiting: VecDeque::new(),
            earliest: None,
            reason: String::from("no connection was made in time"),
        };
        (Self { inbox, closing }, supervisor.run())
    }

    /// Hands over a request, which is settled by its deadline whatever happens.
    pub fn submit(&self, request: Box<dyn Request>) {
        if let Err(mpsc::error::SendError(request)) = self.inbox.send(request) {
            request.settle(Err(Error::Closed));
        }
    }

    /// Accepts no more, waits a moment for what is in flight, and ends. May be called again.
    pub fn close(&self) {
        self.raise(Closing::Gracefully);
    }

    /// Ends at once; what is in flight is settled without its answer.
    pub fn abort(&self) {
        self.raise(Closing::AtOnce);
    }

    fn raise(&self, to: Closing) {
        self.closing.send_if_modified(|closing| {
            let raised = *closing < to;
            if raised {
                *closing = to;
            }
            raised
        });
    }
}

struct Supervisor {
    options: Options,
    requests: mpsc::UnboundedReceiver<Box<dyn Request>>,
    closing: watch::Receiver<Closing>,
    status: StatusSink,
    /// Not sent, or to be sent again, in order.
    waiting: VecDeque<Pending>,
    /// No pending request's deadline is before this. Only ever too early, never too late.
    earliest: Option<Instant>,
    /// Why there is no connection, for the errors of those who wait for it.
    reason: String,
}

/// Requests that went out as one pipeline; `None` where one is settled already.
struct Batch {
    sent: Instant,
    pending: Vec<Option<Pending>>,
}

/// The requests on one link, and the answers that are still to come.
#[derive(Default)]
struct Flight {
    batches: VecDeque<Batch>,
    last_answer: Option<Instant>,
    answers: FuturesOrdered<BoxFuture<'static, RedisResult<Vec<Value>>>>,
}

/// Why a link is no longer served.
enum End {
    Broken(String),
    Closed,
}

impl Supervisor {
    async fn run(mut self) {
        if self.first_request().await {
            (self.status)(Status::Connecting);
            self.keep_connected().await;
        }
        // Nothing is accepted any more; what slipped in before that is settled.
        self.requests.close();
        while let Ok(request) = self.requests.try_recv() {
            request.settle(Err(Error::Closed));
        }
        for pending in self.waiting.drain(..) {
            pending.close(false);
        }
        (self.status)(Status::Closed);
    }

    async fn first_request(&mut self) -> bool {
        tokio::select! {
            biased;
            _ = closing(&mut self.closing) => false,
            request = self.requests.recv() => request.map(|request| self.accept(request)).is_some(),
        }
    }

    /// Until closed: connects, serves, and starts over when the connection is lost.
    async fn keep_connected(&mut self) {
        let mut previous: Option<Identity> = None;
        let mut failures = 0;
        loop {
            let options = self.options.clone();
            let old = previous.clone();
            let must_fence = self.waiting.iter().any(needs_fence);
            let connecting = within(options.connect_timeout, async move {
                let mut link = Link::open(&options).await?;
                let fenced = must_fence && link.fence(old.as_ref()).await?;
                Ok((link, fenced))
            });
            let Some(connected) = self.meanwhile(connecting).await else { return };
            let ended = match connected {
                Ok((link, fenced)) => {
                    if must_fence && !fenced {
                        self.drop_unfenced();
                    }
                    previous.clone_from(&link.identity);
                    (self.status)(Status::Ready);
                    let served = Instant::now();
                    let end = self.serve(link).await;
                    // A link that served for a while was a good one: the next try is prompt. One
                    // that answers LOADING or READONLY every time is not.
                    if served.elapsed() > self.options.backoff.ceiling {
                        failures = 0;
                    }
                    end
                }
                Err(error) => End::Broken(error.to_string()),
            };
            let End::Broken(reason) = ended else { return };
            self.reason.clone_from(&reason);
            (self.status)(Status::Reconnecting { reason });
            let delay = self.options.backoff.delay(failures, fastrand::f64());
            failures = failures.saturating_add(1);
            if self.meanwhile(tokio::time::sleep(delay)).await.is_none() {
                return;
            }
        }
    }

    /// Runs `work` while accepting requests and keeping deadlines; `None` when told to close.
    async fn meanwhile<F: Future>(&mut self, work: F) -> Option<F::Output> {
        let mut work = pin!(work);
        loop {
            let earliest = self.earliest;
            tokio::select! {
                biased;
                _ = closing(&mut self.closing) => return None,
                done = &mut work => return Some(done),
                request = self.requests.recv() => self.accept(request?),
                () = until(earliest) => self.expire(None),
            }
        }
    }

    /// Sends what waits and settles what is answered, until the link breaks or all is closed.
    async fn serve(&mut self, mut link: Link) -> End {
        let mut flight = Flight::default();
        let mut incoming = Vec::with_capacity(BATCH);
        let mut grace: Option<Instant> = None;
        let end = loop {
            while !self.waiting.is_empty() && flight.batches.len() < PIPELINES {
                flight.send(&link, &mut self.waiting);
            }
            if grace.is_some() && flight.batches.is_empty() {
                break End::Closed;
            }
            let timer = [self.earliest, flight.stalled_at(self.options.stall_timeout), grace]
                .into_iter()
                .flatten()
                .min();
            tokio::select! {
                biased;
                Some(answer) = flight.answers.next() => {
                    if let Err(reason) = self.answered(&mut flight, answer) {
                        break End::Broken(reason);
                    }
                }
                count = self.requests.recv_many(&mut incoming, BATCH), if grace.is_none() => {
                    if count == 0 {
                        break End::Closed; // The last handle is gone, and with it every caller.
                    }
                    for request in incoming.drain(..) {
                        self.accept(request);
                    }
                }
                how = closing(&mut self.closing), if grace.is_none() => {
                    if how == Closing::AtOnce {
                        break End::Closed;
                    }
                    self.requests.close();
                    while let Ok(request) = self.requests.try_recv() {
                        self.accept(request);
                    }
                    grace = Some(Instant::now() + CLOSE_GRACE);
                }
                () = link.broken() => break End::Broken(String::from("the connection was lost")),
                () = until(timer) => {
                    let now = Instant::now();
                    if grace.is_some_and(|grace| grace <= now) {
                        break End::Closed;
                    }
                    if flight.stalled_at(self.options.stall_timeout).is_some_and(|at| at <= now) {
                        break End::Broken(String::from("Redis stopped answering"));
                    }
                    self.expire(Some(&mut flight));
                }
            }
        };
        match end {
            End::Broken(reason) => {
                self.take_back(flight, &reason);
                End::Broken(reason)
            }
            End::Closed => {
                for pending in flight.batches.into_iter().flat_map(|batch| batch.pending).flatten()
                {
                    pending.close(true);
                }
                End::Closed
            }
        }
    }

    fn accept(&mut self, mut request: Box<dyn Request>) {
        if let Err(error) = request.prepare() {
            request.settle(Err(error));
            return;
        }
        let deadline = request.deadline();
        self.earliest = Some(self.earliest.map_or(deadline, |earliest| earliest.min(deadline)));
        self.waiting.push_back(Pending::new(request));
    }

    /// Settles the oldest batch. `Err` when the link is not to be used any longer.
    fn answered(
        &mut self,
        flight: &mut Flight,
        answer: RedisResult<Vec<Value>>,
    ) -> Result<(), String> {
        let values = answer.map_err(|error| error.to_string())?;
        let Some(batch) = flight.batches.pop_front() else { return Ok(()) };
        flight.last_answer = Some(Instant::now());
        let mut again = Vec::new();
        let mut unfit = None;
        for (pending, value) in batch.pending.into_iter().zip(values) {
            let Some(mut pending) = pending else { continue };
            match value {
                Value::ServerError(error) => match Refusal::of(&error) {
                    Refusal::UnknownScript if !pending.attempt.with_source => {
                        pending.attempt.with_source = true;
                        again.push(pending);
                    }
                    Refusal::NotNow => {
                        unfit = Some(error_line(&error));
                        again.push(pending);
                    }
                    _ => pending.request.settle(Err(Error::Reply { message: error_line(&error) })),
                },
                value => pending.request.settle(Ok(value)),
            }
        }
        for pending in again.into_iter().rev() {
            self.waiting.push_front(pending);
        }
        unfit.map_or(Ok(()), Err)
    }

    /// What was in flight on a broken link waits again, unless it must not be repeated.
    fn take_back(&mut self, flight: Flight, reason: &str) {
        let mut again = Vec::new();
        for mut pending in flight.batches.into_iter().flat_map(|batch| batch.pending).flatten() {
            if pending.request.effect() == Effect::Once {
                pending.give_up(true, reason);
            } else {
                pending.attempt.repeated = true;
                again.push(pending);
            }
        }
        for pending in again.into_iter().rev() {
            self.waiting.push_front(pending);
        }
    }

    /// The old connection may still be executing: what could be overtaken by it is not repeated.
    fn drop_unfenced(&mut self) {
        let reason = "the connection was lost, and Redis does not let this user end it for good";
        for pending in std::mem::take(&mut self.waiting) {
            if needs_fence(&pending) {
                pending.give_up(true, reason);
            } else {
                self.waiting.push_back(pending);
            }
        }
    }

    /// Gives up whatever is past its deadline, and finds the next deadline.
    fn expire(&mut self, flight: Option<&mut Flight>) {
        let now = Instant::now();
        let mut earliest: Option<Instant> = None;
        let mut keep = |pending: &Pending| {
            let deadline = pending.request.deadline();
            let keep = deadline > now;
            if keep {
                earliest = Some(earliest.map_or(deadline, |earliest| earliest.min(deadline)));
            }
            keep
        };
        for pending in std::mem::take(&mut self.waiting) {
            if keep(&pending) {
                self.waiting.push_back(pending);
            } else {
                pending.give_up(false, &self.reason);
            }
        }
        if let Some(flight) = flight {
            for slot in flight.batches.iter_mut().flat_map(|batch| &mut batch.pending) {
                if slot.as_ref().is_some_and(|pending| !keep(pending))
                    && let Some(pending) = slot.take()
                {
                    pending.give_up(true, "Redis did not answer in time");
                }
            }
        }
        self.earliest = earliest;
    }
}

impl Flight {
    /// Sends up to one batch of what waits.
    fn send(&mut self, link: &Link, waiting: &mut VecDeque<Pending>) {
        let mut pipeline = Pipeline::with_capacity(waiting.len().min(BATCH));
        let mut pending = Vec::with_capacity(waiting.len().min(BATCH));
        let mut bytes = 0;
        while pending.len() < BATCH && bytes < BATCH_BYTES {
            let Some(next) = waiting.pop_front() else { break };
            let command = next.request.command(next.attempt);
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
    fn stalled_at(&self, timeout: Duration) -> Option<Instant> {
        let oldest = self.batches.front()?;
        Some(self.last_answer.map_or(oldest.sent, |last| last.max(oldest.sent)) + timeout)
    }
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

fn needs_fence(pending: &Pending) -> bool {
    pending.attempt.repeated && pending.request.effect() == Effect::Recognised
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// Resolves when the owner wants an end; also when no owner is left.
async fn closing(closing: &mut watch::Receiver<Closing>) -> Closing {
    match closing.wait_for(|closing| *closing != Closing::No).await {
        Ok(closing) => *closing,
        Err(_) => Closing::AtOnce,
    }
}
