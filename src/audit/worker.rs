//! The loop that takes records from the stream to PostgreSQL.
//!
//! What a worker has in hand is in Redis' list of what is pending, under its name; the worker
//! itself remembers nothing that it could not read there again. So it begins anew whenever
//! anything is wrong with its connection, and another takes over when it dies. A record that is
//! stored twice this way is stored once: PostgreSQL knows its id.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::fault::Fault;
use super::hand::{End, Hand};
use super::record::Record;
use super::sink::Sink;
use super::source::Source;
use super::stream::Stream;
use crate::backoff::Backoff;
use crate::redis::closing::{Closing, closing, raise};
use crate::redis::options::Options;

/// How many batches a worker has in hand: while PostgreSQL works on one, the other is read and put
/// together.
const LANES: usize = 2;

/// The longest wait between tries.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How a worker works.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// How often a record is tried whose failure is nobody's clear fault. Default 5.
    pub attempts: u32,
    /// The wait before the second try; it doubles from try to try. Default 2 s.
    pub backoff_delay: Duration,
    /// How many records go to PostgreSQL together. Default 500.
    pub batch_size: usize,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self { attempts: 5, backoff_delay: Duration::from_secs(2), batch_size: 500 }
    }
}

/// A record, as events tell of it.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// The record.
    pub record: &'a Record,
    /// Which try this is, from 1.
    pub attempt: u32,
}

/// What a worker tells.
#[derive(Debug)]
pub enum News<'a> {
    /// These go to PostgreSQL now.
    Active(Vec<Told<'a>>),
    /// These are stored.
    Completed(Vec<Told<'a>>),
    /// This one went to the dead letters.
    Failed(Told<'a>, &'a Fault),
    /// These will be tried again.
    Retrying(Vec<Told<'a>>, &'a Fault),
    /// PostgreSQL is not to be used; told once an outage.
    Outage(&'a Fault),
    /// Nothing is left in the stream.
    Drained,
    /// There is no connection to Redis, or none any more; told once an outage.
    Lost(&'a str),
    /// Something that somebody should know.
    Warning(String),
}

/// Who hears of it. Called on the worker's thread.
pub trait Audience: Send + Sync + 'static {
    /// Whether anybody listens to what costs something for every record.
    fn hears(&self, which: Which) -> bool;
    /// Tells.
    fn tell(&self, news: News<'_>);
}

/// The news that are told only to those who listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// [`News::Active`].
    Active,
    /// [`News::Completed`].
    Completed,
    /// [`News::Retrying`].
    Retrying,
    /// [`News::Drained`].
    Drained,
}

/// The owner's side of a worker. Dropped, it ends the worker at once.
pub struct WorkerHandle {
    closing: watch::Sender<Closing>,
    ended: watch::Receiver<()>,
}

impl WorkerHandle {
    /// A worker, to be spawned on a runtime.
    pub fn new<A: Audience>(
        redis: Options,
        stream: Arc<Stream>,
        sink: Arc<Sink>,
        options: WorkerOptions,
        audience: A,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (closing, closing_seen) = watch::channel(Closing::No);
        let (alive, ended) = watch::channel(());
        let audience = Arc::new(audience);
        let told = Arc::new(AlreadyTold::default());
        let lanes: Vec<_> = (0..LANES.min(sink.connections()))
            .map(|_| Worker {
                redis: redis.clone(),
                stream: stream.clone(),
                sink: sink.clone(),
                options: options.clone(),
                audience: audience.clone(),
                told: told.clone(),
                closing: closing_seen.clone(),
                consumer: format!("{:032x}", fastrand::u128(..)),
                outages: 0,
            })
            .collect();
        let work = async move {
            join_all(lanes.into_iter().map(Worker::run)).await;
            drop(alive);
        };
        (Self { closing, ended }, work)
    }

    /// Ends it, and resolves when it has: the batch in hand may take that long, and is left to
    /// others then.
    pub fn close(&self, grace: Duration) -> impl Future<Output = ()> + Send + use<> {
        let (closing, mut ended) = (self.closing.clone(), self.ended.clone());
        raise(&closing, if grace.is_zero() { Closing::AtOnce } else { Closing::Gracefully });
        async move {
            // An error is what is waited for: the worker is gone, and what it held.
            if timeout(grace, ended.changed()).await.is_err() {
                raise(&closing, Closing::AtOnce);
                let _ = ended.changed().await;
            }
        }
    }
}

impl Drop for WorkerHandle {
    fn drop(&mut self) {
        raise(&self.closing, Closing::AtOnce);
    }
}

/// What the lanes of a worker tell once for all of them.
#[derive(Default)]
pub(crate) struct AlreadyTold {
    /// That PostgreSQL is not to be used: 1; that its tables are missing: 2.
    pub outage: AtomicU8,
    /// That there is no connection to Redis.
    pub lost: AtomicBool,
    /// What in the server's settings may lose records.
    pub warned: AtomicBool,
}

/// One lane of a worker: one batch at a time.
pub(crate) struct Worker<A> {
    pub redis: Options,
    stream: Arc<Stream>,
    pub sink: Arc<Sink>,
    pub options: WorkerOptions,
    pub audience: Arc<A>,
    pub told: Arc<AlreadyTold>,
    pub closing: watch::Receiver<Closing>,
    /// Its name in the group.
    consumer: String,
    /// How often in a row PostgreSQL was not to be used.
    pub outages: u32,
}

impl<A: Audience> Worker<A> {
    /// Works until told to close: gracefully, it finishes the batch in hand; at once, it lets go of
    /// everything, whatever it waits for.
    async fn run(self) {
        let mut told = self.closing.clone();
        tokio::select! {
            _ = closing(&mut told, Closing::Gracefully) => {}
            () = self.work_on() => {}
        }
    }

    async fn work_on(mut self) {
        let mut failures = 0;
        loop {
            let begun = Instant::now();
            let reason = match self.work().await {
                End::Stopped => return,
                End::Broken(reason) => reason,
            };
            if !self.told.lost.swap(true, Ordering::Relaxed) {
                self.audience.tell(News::Lost(&reason));
            }
            if begun.elapsed() > self.redis.backoff.ceiling {
                failures = 0;
            }
            let delay = self.redis.backoff.delay(failures, fastrand::f64());
            failures = failures.saturating_add(1);
            tokio::select! {
                _ = closing(&mut self.closing, Closing::No) => return,
                () = sleep(delay) => {}
            }
        }
    }

    /// Works with one connection, for as long as it is good.
    async fn work(&mut self) -> End {
        let (redis, stream, consumer) =
            (self.redis.clone(), self.stream.clone(), self.consumer.clone());
        let source = tokio::select! {
            biased;
            _ = closing(&mut self.closing, Closing::No) => return End::Stopped,
            source = Source::open(&redis, stream, &consumer) => source,
        };
        let ended = match source {
            Ok(source) => Hand::new(self, source).work().await,
            Err(reason) => Err(End::Broken(reason)),
        };
        ended.err().unwrap_or(End::Stopped)
    }

    /// The wait before another try.
    pub fn wait(&self, tries: u32, random: f64) -> Duration {
        let backoff = Backoff {
            floor: (self.options.backoff_delay / 2).min(LONGEST_WAIT),
            ceiling: LONGEST_WAIT,
        };
        backoff.delay(tries, random)
    }
}
