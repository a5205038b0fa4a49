//! The claims of a worker in memory.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::queue::Queue;
use crate::engine::claims::{Answer, Burial, Claims, Lost};
use crate::memory::handle::Handle;
use crate::memory::moment::{Moment, later};
use crate::memory::store::{State, Store};
use crate::operation::batch::Batch;
use crate::operation::names::Stream;
use crate::operation::record::Position;

/// The claims of a worker in memory. Dropping them keeps what they hold, for the time after which other
/// workers take it over.
pub struct MemoryClaims {
    handle: Arc<Handle>,
    stream: Arc<Stream>,
    worker: Arc<str>,
    is_first: bool,
    /// How many outages there were when they were opened.
    outages: u64,
    /// Tells of new records.
    arrival: Arc<Notify>,
    /// Ends a wait for new records.
    waking: Arc<Notify>,
}

impl MemoryClaims {
    pub(in crate::memory) fn open(
        handle: &Arc<Handle>,
        stream: Arc<Stream>,
        worker: &str,
    ) -> Answer<Self> {
        let opened = handle.store.step(|state, _| -> Answer<_> {
            check(state, handle, state.injected.outages())?;
            let (queue, ..) = state.contents.queue(&stream);
            Ok((queue.stream.enter(), queue.arrival.clone(), state.injected.outages()))
        });
        let (is_first, arrival, outages) = opened?;
        let (handle, worker, waking) = (handle.clone(), worker.into(), Arc::new(Notify::new()));
        Ok(Self { handle, stream, worker, is_first, outages, arrival, waking })
    }

    /// Does a step with the queue, unless the claims are lost.
    fn step<T>(&self, step: impl FnOnce(&mut Queue, &Arc<str>, Moment) -> T) -> Answer<T> {
        self.handle.store.step(|state, at| {
            check(state, &self.handle, self.outages)?;
            let (queue, ..) = state.contents.queue(&self.stream);
            queue.stream.heard(&self.worker, at.now);
            Ok(step(queue, &self.worker, at))
        })
    }

    fn store(&self) -> &Store {
        &self.handle.store
    }
}

impl Claims for MemoryClaims {
    fn is_first(&self) -> bool {
        self.is_first
    }

    async fn fresh(&mut self, count: usize, wait: Option<Duration>) -> Answer<Batch> {
        let clock = self.store().clock.clone();
        let mut outages = self.store().outages.subscribe();
        let mut ends_at = later(clock.now(), wait.unwrap_or_default());
        loop {
            let claimed = self.step(|queue, worker, at| {
                let batch = queue.stream.claim(worker, count, at.now);
                // The next one who waits has the rest.
                if queue.stream.has_new() {
                    queue.arrival.notify_one();
                }
                batch
            });
            // What these claims were told of a record, and can no longer use, another one is told.
            let batch = claimed.inspect_err(|_| self.arrival.notify_one())?;
            let now = clock.now();
            if !batch.is_empty() || ends_at <= now {
                return Ok(batch);
            }
            tokio::select! {
                () = self.arrival.notified() => {}
                () = self.waking.notified() => ends_at = now,
                () = clock.sleep_until(ends_at) => {}
                _ = outages.changed() => {}
            }
        }
    }

    fn waking(&self) -> impl Future<Output = ()> + Send + use<> {
        let waking = self.waking.clone();
        async move { waking.notify_one() }
    }

    async fn own(&mut self, count: usize, after: &str) -> Answer<Batch> {
        let after = Position::parse(after).unwrap_or_default();
        self.step(|queue, worker, at| queue.stream.own(worker, count, after, at.now))
    }

    async fn abandoned(&mut self, count: usize) -> Answer<(Batch, usize)> {
        // No entry vanishes without its claim.
        self.step(|queue, worker, at| (queue.stream.take_over(worker, count, at.now), 0))
    }

    async fn settle(&mut self, entry_ids: &[String]) -> Answer<u64> {
        let positions = positions(entry_ids);
        self.store().step(|state, at| {
            check(state, &self.handle, self.outages)?;
            let (queue, log, _) = state.contents.queue(&self.stream);
            queue.stream.heard(&self.worker, at.now);
            Ok(queue.settle(&positions, at, log))
        })
    }

    async fn is_drained(&mut self) -> Answer<bool> {
        self.step(|queue, _, _| queue.stream.len() == 0)
    }

    async fn delay(
        &mut self,
        entry_ids: &[String],
        delay: Duration,
        counted: bool,
    ) -> Answer<Vec<u32>> {
        let positions = positions(entry_ids);
        self.step(|queue, _, at| queue.stream.delay(&positions, later(at.now, delay), counted))
    }

    async fn bury(&mut self, burial: Burial<'_>) -> Answer<bool> {
        let position = Position::parse(burial.entry_id).unwrap_or_default();
        self.store().step(|state, at| {
            check(state, &self.handle, self.outages)?;
            let (queue, log, _) = state.contents.queue(&self.stream);
            Ok(queue.bury(position, &burial, at, log))
        })
    }

    async fn keep(&mut self, entry_ids: &[&str]) -> Answer<()> {
        let positions = positions(entry_ids);
        self.step(|queue, worker, at| queue.stream.keep(worker, &positions, at.now))
    }

    async fn release(&mut self, entry_ids: &[&str]) -> Answer<()> {
        let positions = positions(entry_ids);
        self.step(|queue, worker, at| queue.stream.release(worker, &positions, at.now))
    }

    async fn note_database(&mut self, name: &str) -> Answer<Option<String>> {
        self.step(|queue, _, _| queue.database.replace(name.to_owned()))
    }

    async fn tidy(&mut self) -> Answer<()> {
        // A worker without claims leaves no name behind.
        self.step(|_, _, _| ())
    }

    async fn warnings(&mut self) -> Vec<String> {
        // Whoever chooses memory knows that it ends with the process.
        Vec::new()
    }
}

/// Refuses claims that were opened before the latest outage, or with a handle that is closed.
fn check(state: &State, handle: &Handle, outages: u64) -> Answer<()> {
    let reason = if handle.is_closed() {
        format!("{} is closed", handle.store.display)
    } else if let Some(outage) = state.injected.outage() {
        outage
    } else if state.injected.outages() != outages {
        format!("{}: there was an outage", handle.store.display)
    } else {
        return Ok(());
    };
    Err(Lost { reason, vanished: false })
}

/// The positions of entries. What is no entry id names no entry.
fn positions(entry_ids: &[impl AsRef<str>]) -> Vec<Position> {
    entry_ids.iter().filter_map(|entry_id| Position::parse(entry_id.as_ref())).collect()
}
