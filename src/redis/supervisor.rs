//! The task behind a connection: replaces broken links for ever, and settles every request.
//!
//! Requests that have queued up go out together as one pipeline, answered in order.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;

use redis::Value;
use tokio::sync::{mpsc, watch};
use tokio::time::{Duration, Instant};

use crate::error::Error;
use crate::redis::closing::{Closing, closing};
use crate::redis::flight::{BATCH, Flight, Refusal, error_line};
use crate::redis::ledger::Ledger;
use crate::redis::link::{Identity, Link, within};
use crate::redis::options::Options;
use crate::redis::request::{Effect, Pending};
use crate::redis::status::{Status, StatusSink};
use crate::redis::tracking::InvalidationSink;

/// How long a graceful end lets answers come in before it settles without them.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

const LOST: &str = "the connection was lost";

pub(crate) struct Supervisor {
    options: Options,
    requests: mpsc::UnboundedReceiver<Pending>,
    closing: watch::Receiver<Closing>,
    status: StatusSink,
    invalidated: InvalidationSink,
    /// Not sent, or to be sent again, in order.
    waiting: VecDeque<Pending>,
    /// Connections to be ended in Redis before anything is sent.
    fences: Vec<Identity>,
    ledger: Ledger,
    /// No pending request's deadline is before this. Only ever too early, never too late.
    earliest: Option<Instant>,
    /// Why there is no connection, for the errors of those who wait for it.
    reason: String,
}

/// Why a link is no longer served.
enum End {
    Broken(String),
    Closed,
}

impl Drop for Supervisor {
    /// Also after a panic: whoever waits for the end learns of it.
    fn drop(&mut self) {
        (self.status)(Status::Closed);
    }
}

impl Supervisor {
    pub fn new(
        options: Options,
        requests: mpsc::UnboundedReceiver<Pending>,
        closing: watch::Receiver<Closing>,
        status: StatusSink,
        invalidated: InvalidationSink,
    ) -> Self {
        Self {
            options,
            requests,
            closing,
            status,
            invalidated,
            waiting: VecDeque::new(),
            fences: Vec::new(),
            ledger: Ledger::new(),
            earliest: None,
            reason: String::from("no connection was made in time"),
        }
    }

    pub async fn run(mut self) {
        if self.first_request().await {
            (self.status)(Status::Connecting);
            self.keep_connected().await;
        }
        // Nothing is accepted any more; what slipped in before that is settled.
        self.requests.close();
        while let Ok(pending) = self.requests.try_recv() {
            pending.close(false);
        }
        for pending in self.waiting.drain(..) {
            pending.close(false);
        }
    }

    async fn first_request(&mut self) -> bool {
        tokio::select! {
            biased;
            _ = closing(&mut self.closing, Closing::No) => false,
            pending = self.requests.recv() => pending.map(|pending| self.accept(pending)).is_some(),
        }
    }

    /// Until closed: connects, serves, and starts over when the connection is lost.
    async fn keep_connected(&mut self) {
        let mut previous: Option<Identity> = None;
        let mut failures = 0;
        loop {
            let options = self.options.clone();
            let old = previous.clone();
            let must_fence = self
                .waiting
                .iter()
                .any(|pending| pending.repeated && pending.request.effect() != Effect::Read);
            let connecting = within(options.connect_timeout, async move {
                let link = Link::open(&options).await?;
                let fenced = must_fence && link.fence(old).await?;
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
                _ = closing(&mut self.closing, Closing::No) => return None,
                done = &mut work => return Some(done),
                pending = self.requests.recv() => self.accept(pending?),
                () = until(earliest) => self.expire(None),
            }
        }
    }

    /// Sends what waits and settles what is answered, until the link breaks or all is closed.
    async fn serve(&mut self, mut link: Link) -> End {
        let mut flight = Flight::default();
        let mut incoming = Vec::with_capacity(BATCH);
        let mut grace: Option<Instant> = None;
        let mut fencing = None;
        let end = loop {
            // What waits may be what was sent by one of them: as in `keep_connected`, its first try
            // might else be applied after the repeat.
            if fencing.is_none() {
                fencing = self.fences.last().map(|other| {
                    let ended = within(self.options.stall_timeout, link.fence(Some(other.clone())));
                    (other.clone(), Box::pin(ended))
                });
            }
            if fencing.is_none() {
                flight.fill(&link, &mut self.waiting, &mut self.ledger);
            }
            if grace.is_some() && flight.is_empty() && fencing.is_none() {
                break End::Closed;
            }
            let told = if grace.is_some() { Closing::Gracefully } else { Closing::No };
            let timer = [self.earliest, flight.stalled_at(self.options.stall_timeout), grace]
                .into_iter()
                .flatten()
                .min();
            tokio::select! {
                biased;
                (other, ended) = next_of(&mut fencing) => {
                    fencing = None;
                    if let Err(error) = ended {
                        break End::Broken(error.to_string());
                    }
                    self.fences.retain(|one| *one != other); // Of several requests by one connection.
                }
                Some(answer) = flight.next() => {
                    let broken = link.has_broken(&self.invalidated);
                    match answer {
                        Ok(settled) => if let Err(reason) = self.answered(settled) {
                            break End::Broken(reason);
                        },
                        Err(error) => break End::Broken(error.to_string()),
                    }
                    if broken {
                        break End::Broken(String::from(LOST));
                    }
                }
                count = self.requests.recv_many(&mut incoming, BATCH), if grace.is_none() => {
                    if count == 0 {
                        break End::Closed; // The last handle is gone, and with it every caller.
                    }
                    for pending in incoming.drain(..) {
                        self.accept(pending);
                    }
                }
                how = closing(&mut self.closing, told) => {
                    if how == Closing::AtOnce {
                        break End::Closed;
                    }
                    self.requests.close();
                    while let Ok(pending) = self.requests.try_recv() {
                        self.accept(pending);
                    }
                    grace = Some(Instant::now() + CLOSE_GRACE);
                }
                () = link.broken(&self.invalidated) => break End::Broken(String::from(LOST)),
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
                flight.into_pending().for_each(|pending| pending.close(true));
                End::Closed
            }
        }
    }

    fn accept(&mut self, mut pending: Pending) {
        if let Err(error) = pending.request.prepare() {
            pending.request.settle(Err(error));
            return;
        }
        let deadline = pending.request.deadline();
        self.earliest = Some(self.earliest.map_or(deadline, |earliest| earliest.min(deadline)));
        self.waiting.push_back(pending);
    }

    /// Settles what was answered. `Err` when the link is not to be used any longer.
    fn answered(&mut self, answered: Vec<(Pending, Value)>) -> Result<(), String> {
        let mut again = Vec::new();
        let mut unfit = None;
        for (mut pending, value) in answered {
            match value {
                Value::ServerError(error) => match Refusal::of(&error) {
                    Refusal::UnknownScript if !pending.with_source => {
                        pending.with_source = true;
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
        self.wait_again(again);
        unfit.map_or(Ok(()), Err)
    }

    /// What was in flight on a broken link waits again, unless it must not be repeated.
    fn take_back(&mut self, flight: Flight, reason: &str) {
        let mut again = Vec::new();
        for mut pending in flight.into_pending() {
            if pending.request.effect() == Effect::Once {
                pending.give_up(true, reason);
            } else {
                pending.repeated = true;
                again.push(pending);
            }
        }
        self.wait_again(again);
    }

    /// Before those that have not been sent yet, in their order.
    fn wait_again(&mut self, pending: Vec<Pending>) {
        for pending in pending.into_iter().rev() {
            self.waiting.push_front(pending);
        }
    }

    /// The old connection may still be executing: what could be overtaken by it is not repeated.
    fn drop_unfenced(&mut self) {
        let reason = "the connection was lost, and Redis does not let this user end it for good";
        for pending in std::mem::take(&mut self.waiting) {
            if pending.repeated && pending.request.effect() == Effect::Recognised {
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
            for pending in flight.take_unless(keep) {
                pending.give_up(true, "Redis did not answer in time");
            }
        }
        self.earliest = earliest;
    }
}

/// What comes of it, if there is one; else never. Cancel-safe.
async fn next_of<K: Clone, F: Future + Unpin>(work: &mut Option<(K, F)>) -> (K, F::Output) {
    match work {
        Some((key, work)) => (key.clone(), work.await),
        None => std::future::pending().await,
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
