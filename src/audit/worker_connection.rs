//! One connection of a worker to Redis: it claims records, stores them, and settles each of them.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::fault::{Cause, Fault};
use super::source::{Answer, Source};
use super::stream::Batch;
use super::worker_context::WorkerContext;
use super::worker_events::{EventKind, EventListener, RecordAttempt, WorkerEvent};
use crate::redis::closing::{Closing, requested};
use crate::redis::link::Lost;

/// How often a worker renews its claims and looks for abandoned records. Well below the time after
/// which its own claims count as abandoned.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// How often a worker removes the consumers of processes that have ended.
const TIDY_INTERVAL: Duration = Duration::from_secs(600);

/// How long a closing worker waits for records that Redis may be sending already.
const LAST_READ_TIMEOUT: Duration = Duration::from_secs(1);

/// The intended size of a batch's documents, in bytes.
const BATCH_BYTES: usize = 8 << 20;

/// How many records may wait for a retry before the worker reads no new ones.
const MAX_DELAYED: usize = 2000;

/// Why a worker stopped using a connection.
pub(super) enum StopReason {
    /// The connection failed, for this reason.
    Broken(String),
    /// The worker is closing.
    Closing,
}

impl From<Lost> for StopReason {
    fn from(lost: Lost) -> Self {
        Self::Broken(lost.to_string())
    }
}

/// A record that waits for a retry.
struct Delayed {
    due: Instant,
    batch: Batch,
}

/// A worker's connection to Redis.
pub(super) struct WorkerConnection<'a, L> {
    context: &'a mut WorkerContext<L>,
    source: Source,
    /// The earliest due first.
    delayed: VecDeque<Delayed>,
}

impl<'a, L: EventListener> WorkerConnection<'a, L> {
    pub fn new(context: &'a mut WorkerContext<L>, source: Source) -> Self {
        Self { context, source, delayed: VecDeque::new() }
    }

    /// Works until the connection fails or the worker closes.
    pub async fn work(mut self) -> StopReason {
        match self.process_records().await {
            Err(reason) => reason,
            Ok(never) => match never {},
        }
    }

    async fn process_records(&mut self) -> Result<Infallible, StopReason> {
        if !self.context.reported.warned.swap(true, Ordering::Relaxed) {
            for warning in self.source.warnings().await {
                self.context.listener.on_event(WorkerEvent::Warning(warning));
            }
        }
        self.resume().await?;
        let mut count = self.context.options.batch_size.min(32);
        let (mut renewed, mut tidied) = (None::<Instant>, None::<Instant>);
        loop {
            if *self.context.closing.borrow() > Closing::No {
                return Err(self.release_delayed().await?);
            }
            self.retry_due().await?;
            if renewed.is_none_or(|renewed| renewed.elapsed() >= HEARTBEAT) {
                self.renew_delayed().await?;
                let (batch, vanished) = self.source.abandoned(count).await?;
                if vanished > 0 {
                    self.context.listener.on_event(WorkerEvent::Warning(format!(
                        "{vanished} audit records have vanished from the stream: somebody has \
                         deleted or trimmed it"
                    )));
                }
                // A full batch means that there are more: look again without a pause.
                renewed = (batch.len() < count).then(Instant::now);
                self.deliver(batch).await?;
            }
            if tidied.is_none_or(|tidied| tidied.elapsed() >= TIDY_INTERVAL) {
                self.source.tidy().await?;
                tidied = Some(Instant::now());
            }
            let batch = self.next(count).await?;
            if self.context.reported.lost.swap(false, Ordering::Relaxed) {
                self.context.reported.unreachable.store(false, Ordering::Relaxed);
                self.context.listener.on_event(WorkerEvent::Reconnected);
            }
            // Read fewer records where the documents are large.
            if let Some(average) = batch.bytes().checked_div(batch.len()) {
                count = (BATCH_BYTES / average).clamp(1, self.context.options.batch_size);
            }
            self.deliver(batch).await?;
        }
    }

    /// Processes what this consumer had claimed before it lost its connection.
    async fn resume(&mut self) -> Result<(), StopReason> {
        let mut after = String::from("0");
        loop {
            let batch = self.source.own(100, &after).await?;
            let Some(last) = batch.entry_ids.last() else { return Ok(()) };
            after.clone_from(last);
            self.deliver(batch).await?;
        }
    }

    /// Reads new records. Returns an empty batch where none arrive in time, or too many wait for a
    /// retry.
    async fn next(&mut self, count: usize) -> Result<Batch, StopReason> {
        let due = self.delayed.front().map(|first| first.due);
        let until_due = due.map(|due| due.saturating_duration_since(Instant::now()));
        let wait = until_due.map_or(HEARTBEAT, |until_due| until_due.min(HEARTBEAT));
        if self.delayed.iter().map(|delayed| delayed.batch.len()).sum::<usize>() >= MAX_DELAYED {
            tokio::select! {
                _ = requested(&mut self.context.closing, Closing::No) => {}
                () = sleep(wait) => {}
            }
            return Ok(Batch::default());
        }
        if *self.context.closing.borrow() > Closing::No {
            return Ok(Batch::default());
        }
        let waking = self.source.waking();
        let mut fresh = pin!(self.source.fresh(count, wait));
        tokio::select! {
            biased;
            batch = &mut fresh => return Ok(batch?),
            _ = requested(&mut self.context.closing, Closing::No) => {}
        }
        // Redis may have assigned records to this consumer already. Receive them: otherwise nobody
        // would process them until they count as abandoned.
        let last_read = async {
            waking.await;
            fresh.await
        };
        match timeout(LAST_READ_TIMEOUT, last_read).await {
            Ok(batch) => Ok(batch?),
            Err(_) => Err(StopReason::Closing),
        }
    }

    async fn retry_due(&mut self) -> Result<(), StopReason> {
        while self.delayed.front().is_some_and(|first| first.due <= Instant::now()) {
            if let Some(Delayed { batch, .. }) = self.delayed.pop_front() {
                self.deliver(batch).await?;
            }
        }
        Ok(())
    }

    async fn renew_delayed(&mut self) -> Answer<()> {
        for Delayed { batch, .. } in &self.delayed {
            self.source.keep(&batch.entry_ids).await?;
        }
        Ok(())
    }

    /// Releases the records that wait for a retry to other workers, as the worker is closing.
    async fn release_delayed(&mut self) -> Answer<StopReason> {
        for Delayed { batch, .. } in self.delayed.drain(..) {
            self.source.release(&batch.entry_ids).await?;
        }
        Ok(StopReason::Closing)
    }

    /// Stores and settles a batch. Halves a refused batch until the record at fault is alone.
    async fn deliver(&mut self, batch: Batch) -> Result<(), StopReason> {
        let mut batches = vec![batch];
        while let Some(mut batch) = batches.pop() {
            if batch.is_empty() {
                continue;
            }
            if batch.len() > 1 && batch.bytes() > 2 * BATCH_BYTES {
                batches.extend(batch.halves());
                continue;
            }
            self.emit(EventKind::Active, &batch, WorkerEvent::Active);
            let Err(fault) = self.store(&batch).await? else {
                self.context.outages = 0;
                if self.context.reported.outage.swap(0, Ordering::Relaxed) > 0 {
                    self.context.listener.on_event(WorkerEvent::Recovered);
                }
                self.settle(&batch).await?;
                continue;
            };
            match fault.cause {
                // PostgreSQL may store half of it in time.
                Cause::Postgres if fault.is_slow() && batch.len() > 1 => {
                    batches.extend(batch.halves());
                }
                Cause::Postgres => {
                    let closing = self.wait_for_postgres(&mut batch, &fault).await?;
                    batches.push(batch);
                    if closing {
                        for batch in batches {
                            self.source.release(&batch.entry_ids).await?;
                        }
                        return Err(self.release_delayed().await?);
                    }
                }
                Cause::Record | Cause::Unclear if batch.len() > 1 => batches.extend(batch.halves()),
                Cause::Record => self.bury(&batch, batch.attempts[0], &fault).await?,
                Cause::Unclear => self.retry_later(batch, &fault).await?,
            }
        }
        Ok(())
    }

    /// Sends a batch to PostgreSQL, and renews the worker's claims until PostgreSQL answers.
    async fn store(&mut self, batch: &Batch) -> Result<Result<(), Fault>, StopReason> {
        let sink = self.context.sink.clone();
        let mut storing = pin!(sink.store(&batch.records));
        loop {
            tokio::select! {
                biased;
                outcome = &mut storing => return Ok(outcome),
                () = sleep(HEARTBEAT) => {
                    self.source.keep(&batch.entry_ids).await?;
                    self.renew_delayed().await?;
                }
            }
        }
    }

    async fn settle(&mut self, batch: &Batch) -> Result<(), StopReason> {
        let remaining = self.source.settle(&batch.entry_ids).await?;
        self.emit(EventKind::Completed, batch, WorkerEvent::Completed);
        if remaining == 0 && self.context.listener.listens_to(EventKind::Drained) {
            self.context.listener.on_event(WorkerEvent::Drained);
        }
        Ok(())
    }

    /// Waits before the batch is sent again, longer with each outage in a row. Returns `true` if
    /// the worker closes meanwhile.
    async fn wait_for_postgres(
        &mut self,
        batch: &mut Batch,
        fault: &Fault,
    ) -> Result<bool, StopReason> {
        // Missing tables are reported even after another outage was.
        let severity = if fault.is_missing_table() { 2 } else { 1 };
        if self.context.reported.outage.fetch_max(severity, Ordering::Relaxed) < severity {
            self.context.listener.on_event(WorkerEvent::Outage(fault));
        }
        let delay = self.context.options.retry_delay(self.context.outages, fastrand::f64());
        self.context.outages = self.context.outages.saturating_add(1);
        self.source.delay(&batch.entry_ids, delay, false).await?;
        for attempt in &mut batch.attempts {
            *attempt = attempt.saturating_add(1);
        }
        self.emit(EventKind::Retrying, batch, |records| WorkerEvent::Retrying(records, fault));
        let end = Instant::now() + delay;
        while Instant::now() < end {
            tokio::select! {
                biased;
                _ = requested(&mut self.context.closing, Closing::No) => return Ok(true),
                () = sleep_until(end.min(Instant::now() + HEARTBEAT)) => {}
            }
            self.source.keep(&batch.entry_ids).await?;
            self.renew_delayed().await?;
        }
        Ok(false)
    }

    /// Schedules a retry of a record that failed without a clear cause. After its last attempt the
    /// record becomes a dead letter.
    async fn retry_later(&mut self, mut batch: Batch, fault: &Fault) -> Result<(), StopReason> {
        let attempt = batch.attempts[0];
        let delay = self.context.options.retry_delay(attempt.saturating_sub(1), fastrand::f64());
        let attempts = self.source.delay(&batch.entry_ids, delay, true).await?;
        match attempts.first().copied().unwrap_or_default() {
            0 => return Ok(()), // Settled by another worker.
            attempts if attempts >= self.context.options.attempts => {
                return self.bury(&batch, attempts, fault).await;
            }
            attempts => batch.attempts[0] = attempts + 1,
        }
        self.emit(EventKind::Retrying, &batch, |records| WorkerEvent::Retrying(records, fault));
        let due = Instant::now() + delay;
        let position = self.delayed.partition_point(|other| other.due <= due);
        self.delayed.insert(position, Delayed { due, batch });
        Ok(())
    }

    /// Moves a record to the dead letters.
    async fn bury(&mut self, batch: &Batch, attempt: u32, fault: &Fault) -> Result<(), StopReason> {
        let (entry_id, record) = (&batch.entry_ids[0], &batch.records[0]);
        if self.source.bury(entry_id, &record.id, attempt, fault).await? {
            self.context
                .listener
                .on_event(WorkerEvent::Failed(RecordAttempt { record, attempt }, fault));
        }
        Ok(())
    }

    /// Emits an event about all records of a batch, if the listener wants it.
    fn emit<'b>(
        &self,
        kind: EventKind,
        batch: &'b Batch,
        event: impl FnOnce(Vec<RecordAttempt<'b>>) -> WorkerEvent<'b>,
    ) {
        if self.context.listener.listens_to(kind) {
            self.context.listener.on_event(event(attempts_of(batch)));
        }
    }
}

fn attempts_of(batch: &Batch) -> Vec<RecordAttempt<'_>> {
    let records = batch.records.iter().zip(&batch.attempts);
    records.map(|(record, attempt)| RecordAttempt { record, attempt: *attempt }).collect()
}
