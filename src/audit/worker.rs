//! The worker: it moves records from the stream to a database.
//!
//! The engine keeps the records that a worker has claimed under the worker's name; the worker keeps
//! nothing that it could not read there again. So it asks for its claims anew and resumes after any
//! error of its connection, and another worker takes over when it dies. A record may be sent to the
//! database twice this way; its id keeps it from being stored twice.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::timeout;

use super::portion::Portion;
use super::sink::Sink;
use super::worker_connection::{StopReason, WorkerConnection};
use super::worker_context::{Shared, WorkerContext};
use super::worker_events::{EventListener, WorkerEvent};
use super::worker_name::lane_name;
use super::worker_options::WorkerOptions;
use crate::closing::{Closing, raise, requested};
use crate::engine::Engine;
use crate::engine::claims::Claims;
use crate::operation::names::Stream;

/// How many batches a worker processes at a time: one lane reads and prepares a batch while
/// the database stores that of the other.
const LANES: usize = 2;

/// Closes a worker. Dropping it ends the worker at once.
pub struct WorkerHandle {
    closing: watch::Sender<Closing>,
    ended: watch::Receiver<()>,
}

impl WorkerHandle {
    /// Makes a worker. The caller spawns the future on a runtime.
    pub fn new<E: Engine, L: EventListener>(
        engine: E,
        stream: Arc<Stream>,
        sink: Arc<Sink>,
        options: WorkerOptions,
        listener: L,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (closing, closing_seen) = watch::channel(Closing::No);
        let (alive, ended) = watch::channel(());
        let listener = Arc::new(listener);
        let shared = Arc::new(Shared::default());
        let count = LANES.min(sink.connections());
        let max_held_bytes = options.max_held_bytes / count;
        let options = WorkerOptions { max_held_bytes, ..options };
        let lanes: Vec<_> = (0..count)
            .map(|lane| Lane {
                stream: stream.clone(),
                consumer: lane_name(&options.name, lane),
                context: WorkerContext {
                    engine: engine.clone(),
                    sink: sink.clone(),
                    options: options.clone(),
                    listener: listener.clone(),
                    recovered: shared.recoveries(),
                    shared: shared.clone(),
                    closing: closing_seen.clone(),
                    outages: 0,
                    portion: Portion::default(),
                },
            })
            .collect();
        let work = async move {
            join_all(lanes.into_iter().map(Lane::run)).await;
            drop(alive);
        };
        (Self { closing, ended }, work)
    }

    /// Closes the worker, and resolves when it has ended. The worker may finish its current batch
    /// within `grace`; after that it leaves the batch to other workers.
    pub fn close(&self, grace: Duration) -> impl Future<Output = ()> + Send + use<> {
        let (closing, mut ended) = (self.closing.clone(), self.ended.clone());
        raise(&closing, if grace.is_zero() { Closing::AtOnce } else { Closing::Gracefully });
        async move {
            // The worker never sends: `changed` ends with an error when the worker is dropped.
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

/// One lane of a worker: it processes one batch at a time, with one connection to the engine.
struct Lane<E, L> {
    stream: Arc<Stream>,
    /// The lane's name among the workers of the queue.
    consumer: String,
    context: WorkerContext<E, L>,
}

impl<E: Engine, L: EventListener> Lane<E, L> {
    /// Runs until it is closed. A graceful close finishes the current batch; a close at once
    /// cancels whatever the lane waits for.
    async fn run(self) {
        let mut closing_seen = self.context.closing.clone();
        tokio::select! {
            _ = requested(&mut closing_seen, Closing::Gracefully) => {}
            () = self.keep_working() => {}
        }
    }

    /// Reconnects, with back-off, whenever a connection is lost.
    async fn keep_working(mut self) {
        let clock = self.context.engine.clock().clone();
        let mut failures = 0;
        loop {
            let started = clock.now();
            // A panic ends the connection, never the lane. What the lane keeps is as good as after
            // any other error: the next connection reads what was claimed.
            let stopped = AssertUnwindSafe(self.work()).catch_unwind().await;
            let backoff = self.context.engine.backoff();
            if clock.now() - started > backoff.ceiling {
                failures = 0;
            }
            match stopped {
                Ok(StopReason::Closing) => return,
                // The connection that replaces one that served for a while resumes its work.
                Ok(StopReason::Broken(reason)) if failures > 0 => self.context.report_lost(&reason),
                Ok(StopReason::Broken(_)) => {}
                Ok(StopReason::RecordsVanished(reason)) => {
                    self.context.report_vanished(&reason);
                }
                Err(_panic) => self.context.listener.on_event(WorkerEvent::Crashed),
            }
            self.context.portion.failed();
            let delay = backoff.delay(failures, fastrand::f64());
            failures = failures.saturating_add(1);
            tokio::select! {
                _ = requested(&mut self.context.closing, Closing::No) => return,
                () = clock.sleep(delay) => {}
            }
        }
    }

    /// Works with one connection until it breaks or the lane is closed.
    async fn work(&mut self) -> StopReason {
        let engine = self.context.engine.clone();
        let had_queue = self.context.shared.has_queue.load(Ordering::Relaxed);
        let claims = tokio::select! {
            biased;
            _ = requested(&mut self.context.closing, Closing::No) => return StopReason::Closing,
            claims = engine.claims(self.stream.clone(), self.consumer.clone()) => claims,
        };
        match claims {
            Ok(claims) => {
                // The group stays as long as the stream does.
                self.context.shared.has_queue.store(true, Ordering::Relaxed);
                if claims.is_first() && had_queue {
                    self.context.report_vanished("it had to be created again");
                }
                WorkerConnection::new(&mut self.context, claims).work().await
            }
            Err(lost) => {
                let WorkerContext { listener, shared, .. } = &self.context;
                if !shared.unreachable.swap(true, Ordering::Relaxed) {
                    listener.on_event(WorkerEvent::Unreachable(&lost.to_string()));
                }
                self.context.report_lost(&lost.reason);
                lost.into()
            }
        }
    }
}
