//! One connection of a worker to the engine: it claims records, stores them, and settles each of them.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::held::Held;
use super::sink::fault::{Cause, Fault};
use super::worker_context::WorkerContext;
use super::worker_events::{EventKind, EventListener, RecordAttempt, WorkerEvent};
use super::worker_options::WorkerOptions;
use crate::clock::Clock;
use crate::closing::{Closing, requested};
use crate::engine::Engine;
use crate::engine::claims::{Answer, Burial, Claims, Lost};
use crate::operation::batch::Batch;

/// How often a worker renews its claims and looks for abandoned records. Well below the time after
/// which its own claims count as abandoned.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// How often a worker has the names of workers forgotten that have ended.
const TIDY_INTERVAL: Duration = Duration::from_secs(600);

/// How often a worker looks whether another one stores in another database.
const NOTE_INTERVAL: Duration = Duration::from_secs(60);

/// How long a closing worker waits for records that the engine may be sending already.
const LAST_READ_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a worker stopped using a connection.
pub(super) enum StopReason {
    /// The connection failed, for this reason.
    Broken(String),
    /// The records of the stream are not there any more.
    RecordsVanished(String),
    /// The worker is closing.
    Closing,
}

impl From<Lost> for StopReason {
    fn from(lost: Lost) -> Self {
        let Lost { reason, vanished } = lost;
        if vanished { Self::RecordsVanished(reason) } else { Self::Broken(reason) }
    }
}

/// A worker's connection to the engine.
pub(super) struct WorkerConnection<'a, E: Engine, L> {
    context: &'a mut WorkerContext<E, L>,
    claims: E::Claims,
    clock: Clock,
    held: Held,
}

impl<'a, E: Engine, L: EventListener> WorkerConnection<'a, E, L> {
    pub fn new(context: &'a mut WorkerContext<E, L>, claims: E::Claims) -> Self {
        let clock = context.engine.clock().clone();
        Self { context, claims, clock, held: Held::default() }
    }

    /// Works until the connection fails or the worker closes.
    pub async fn work(mut self) -> StopReason {
        match self.process_records().await {
            Err(reason) => reason,
            Ok(never) => match never {},
        }
    }

    async fn process_records(&mut self) -> Result<Infallible, StopReason> {
        if !self.context.shared.warned.swap(true, Ordering::Relaxed) {
            for warning in self.claims.warnings().await {
                self.context.listener.on_event(WorkerEvent::Warning(warning));
            }
        }
        self.note_database().await?;
        self.migrate().await?;
        self.resume().await?;
        let (mut renewed, mut tidied) = (None::<Instant>, None::<Instant>);
        let mut noted = self.clock.now();
        loop {
            if *self.context.closing.borrow() > Closing::No {
                return Err(self.release(&[]).await?);
            }
            self.retry_due().await?;
            if renewed.is_none_or(|renewed| self.is_past(renewed, HEARTBEAT)) {
                self.renew(&[]).await?;
                self.take_over().await?;
                renewed = Some(self.clock.now());
            }
            if self.is_past(noted, NOTE_INTERVAL) {
                self.note_database().await?;
                noted = self.clock.now();
            }
            if tidied.is_none_or(|tidied| self.is_past(tidied, TIDY_INTERVAL)) {
                self.claims.tidy().await?;
                tidied = Some(self.clock.now());
            }
            let batch = self.next().await?;
            if self.context.shared.lost.swap(false, Ordering::Relaxed) {
                self.context.shared.unreachable.store(false, Ordering::Relaxed);
                self.context.listener.on_event(WorkerEvent::Reconnected);
            }
            if !batch.is_empty() {
                self.context.shared.vanished.store(false, Ordering::Relaxed);
            }
            self.deliver(batch).await?;
        }
    }

    /// Whether so much time has passed since then.
    fn is_past(&self, then: Instant, interval: Duration) -> bool {
        self.clock.now().saturating_duration_since(then) >= interval
    }

    /// How many records the next read may return.
    fn portion(&self) -> usize {
        self.context.portion.count().min(self.context.options.batch_size)
    }

    fn arrived(&mut self, portion: &Batch) {
        self.context.portion.arrived(portion.largest(), self.context.options.max_batch_bytes);
    }

    /// Notes at the engine in which database this worker stores. Reports another worker of the queue that
    /// stores elsewhere.
    async fn note_database(&mut self) -> Result<(), StopReason> {
        let ours = self.context.sink.database().to_owned();
        let noted = self.claims.note_database(&ours).await?;
        if let Some(other) = noted.filter(|other| *other != ours)
            && self.context.shared.is_new_database(&other)
        {
            self.context.listener.on_event(WorkerEvent::OtherDatabase(format!(
                "this worker stores the audit records of the queue in {ours}, another one in \
                 {other}: each stores a part of them. Give each service a queueName of its own, \
                 unless the database has moved"
            )));
        }
        Ok(())
    }

    /// Creates the missing tables, where the worker has to: tries until it is done.
    async fn migrate(&mut self) -> Result<(), StopReason> {
        while self.context.options.migrate {
            let (shared, sink) = (self.context.shared.clone(), self.context.sink.clone());
            let migrated = tokio::select! {
                biased;
                _ = requested(&mut self.context.closing, Closing::No) => {
                    return Err(StopReason::Closing);
                }
                migrated = shared.migrated.get_or_try_init(|| sink.migrate()) => migrated,
            };
            let Err(fault) = migrated else { break };
            self.context.report_outage(&fault);
            let delay = self.context.outage_delay();
            tokio::select! {
                biased;
                _ = requested(&mut self.context.closing, Closing::No) => {
                    return Err(StopReason::Closing);
                }
                () = self.clock.sleep(delay) => {}
            }
        }
        Ok(())
    }

    /// Processes what this lane had claimed before it lost its connection.
    async fn resume(&mut self) -> Result<(), StopReason> {
        let mut after = String::from("0");
        let mut batch = Batch::default();
        loop {
            let portion = self.claims.own(self.portion(), &after).await?;
            let Some(last) = portion.entry_ids.last() else { return self.deliver(batch).await };
            after.clone_from(last);
            self.arrived(&portion);
            batch.append(portion);
            if !self.has_room(&batch) {
                self.deliver(std::mem::take(&mut batch)).await?;
            }
        }
    }

    /// Takes over what silent workers had claimed.
    async fn take_over(&mut self) -> Result<(), StopReason> {
        let mut batch = Batch::default();
        while !self.held.is_full(self.context.options.max_held_bytes) {
            let count = self.portion();
            let (portion, vanished) = self.claims.abandoned(count).await?;
            if vanished > 0 {
                self.context.listener.on_event(WorkerEvent::RecordsLost(format!(
                    "{vanished} audit records have vanished from the stream: somebody has deleted \
                     or trimmed it"
                )));
            }
            let is_last = portion.len() < count;
            self.arrived(&portion);
            batch.append(portion);
            if is_last || !self.has_room(&batch) {
                self.deliver(std::mem::take(&mut batch)).await?;
            }
            if is_last || *self.context.closing.borrow() > Closing::No {
                break;
            }
        }
        self.deliver(batch).await
    }

    /// Whether a batch may have another portion.
    fn has_room(&self, batch: &Batch) -> bool {
        let WorkerOptions { batch_size, max_batch_bytes, .. } = self.context.options;
        batch.len() < batch_size && batch.bytes() < max_batch_bytes
    }

    /// Reads new records. Returns an empty batch where none arrive in time, or too many wait for a
    /// retry.
    async fn next(&mut self) -> Result<Batch, StopReason> {
        let until_due =
            self.held.next_due().map(|due| due.saturating_duration_since(self.clock.now()));
        let wait = until_due.map_or(HEARTBEAT, |until_due| until_due.min(HEARTBEAT));
        if self.held.is_full(self.context.options.max_held_bytes) {
            tokio::select! {
                _ = requested(&mut self.context.closing, Closing::No) => {}
                () = self.clock.sleep(wait) => {}
            }
            return Ok(Batch::default());
        }
        if *self.context.closing.borrow() > Closing::No {
            return Ok(Batch::default());
        }
        let waking = self.claims.waking();
        let count = self.portion();
        let first = {
            let mut fresh = pin!(self.claims.fresh(count, Some(wait)));
            tokio::select! {
                biased;
                batch = &mut fresh => batch?,
                _ = requested(&mut self.context.closing, Closing::No) => {
                    // The engine may have given records to this worker already. Receive them:
                    // otherwise nobody would process them until they count as abandoned.
                    let last_read = async {
                        waking.await;
                        fresh.await
                    };
                    return match timeout(LAST_READ_TIMEOUT, last_read).await {
                        Ok(batch) => Ok(batch?),
                        Err(_) => Err(StopReason::Closing),
                    };
                }
            }
        };
        self.fill(first, count).await
    }

    /// Reads more portions into a batch, as long as they are full and the batch has room.
    async fn fill(&mut self, mut batch: Batch, mut count: usize) -> Result<Batch, StopReason> {
        let began = self.clock.now();
        let mut arrived = batch.len();
        self.arrived(&batch);
        // Not for longer than a claim may go without being renewed.
        while arrived == count && self.has_room(&batch) && !self.is_past(began, HEARTBEAT) {
            count = self.portion().min(self.context.options.batch_size - batch.len());
            let portion = self.claims.fresh(count, None).await?;
            arrived = portion.len();
            self.arrived(&portion);
            batch.append(portion);
        }
        Ok(batch)
    }

    async fn retry_due(&mut self) -> Result<(), StopReason> {
        while let Some(batch) = self.held.pop_due(self.clock.now()) {
            self.deliver(batch).await?;
        }
        Ok(())
    }

    /// Renews the claims to these batches and to the held records, with one command.
    async fn renew(&mut self, batches: &[&[Batch]]) -> Answer<()> {
        self.claims.keep(&entry_ids(batches, &self.held)).await
    }

    /// Releases these batches and the held records to other workers, as the worker is closing.
    async fn release(&mut self, batches: &[&[Batch]]) -> Answer<StopReason> {
        self.claims.release(&entry_ids(batches, &self.held)).await?;
        Ok(StopReason::Closing)
    }

    /// Stores and settles a batch. Halves a refused batch until the record at fault is alone.
    async fn deliver(&mut self, batch: Batch) -> Result<(), StopReason> {
        let mut batches = vec![batch];
        while let Some(mut batch) = batches.pop() {
            if batch.is_empty() {
                continue;
            }
            if batch.len() > 1 && batch.bytes() > self.context.options.max_batch_bytes {
                batches.extend(batch.halves());
                continue;
            }
            self.emit(EventKind::Active, &batch, WorkerEvent::Active);
            let Err(fault) = self.store(&batch, &batches).await? else {
                self.context.stored();
                self.settle(&batch).await?;
                continue;
            };
            match fault.cause {
                // The database may store half of it in time.
                Cause::Database if fault.is_slow() && batch.len() > 1 => {
                    batches.extend(batch.halves());
                }
                Cause::Database | Cause::Tables => {
                    let closing = self.wait_for_database(&mut batch, &batches, &fault).await?;
                    batches.push(batch);
                    if closing {
                        return Err(self.release(&[&batches]).await?);
                    }
                }
                _ if batch.len() > 1 => batches.extend(batch.halves()),
                Cause::Others => self.hold(batch, &fault).await?,
                Cause::Record => self.bury(&batch, batch.attempts[0], &fault).await?,
                Cause::Unclear => self.retry_later(batch, &fault).await?,
            }
        }
        Ok(())
    }

    /// Sends a batch to the database, and renews the worker's claims, also to the `later` batches, until
    /// the database answers.
    async fn store(
        &mut self,
        batch: &Batch,
        later: &[Batch],
    ) -> Result<Result<(), Fault>, StopReason> {
        let sink = self.context.sink.clone();
        let mut storing = pin!(sink.store(&batch.records));
        loop {
            tokio::select! {
                biased;
                outcome = &mut storing => return Ok(outcome),
                () = self.clock.sleep(HEARTBEAT) => {
                    self.renew(&[std::slice::from_ref(batch), later]).await?;
                }
            }
        }
    }

    async fn settle(&mut self, batch: &Batch) -> Result<(), StopReason> {
        let remaining = self.claims.settle(&batch.entry_ids).await?;
        self.emit(EventKind::Completed, batch, WorkerEvent::Completed);
        if remaining == 0
            && self.context.listener.listens_to(EventKind::Drained)
            && self.claims.is_drained().await?
        {
            self.context.listener.on_event(WorkerEvent::Drained);
        }
        Ok(())
    }

    /// Waits before the batch is sent again, longer with each outage in a row, until the other lane
    /// finds that the database works again. Returns `true` if the worker closes meanwhile.
    async fn wait_for_database(
        &mut self,
        batch: &mut Batch,
        later: &[Batch],
        fault: &Fault,
    ) -> Result<bool, StopReason> {
        self.context.report_outage(fault);
        let delay = self.context.outage_delay();
        self.claims.delay(&batch.entry_ids, delay, false).await?;
        for attempt in &mut batch.attempts {
            *attempt = attempt.saturating_add(1);
        }
        self.emit(EventKind::Retrying, batch, |records| WorkerEvent::Retrying(records, fault));
        let end = self.clock.now() + delay;
        while self.clock.now() < end {
            tokio::select! {
                biased;
                _ = requested(&mut self.context.closing, Closing::No) => return Ok(true),
                Ok(()) = self.context.recovered.changed() => {
                    self.context.outages = 0;
                    return Ok(false);
                }
                () = self.clock.sleep_until(end.min(self.clock.now() + HEARTBEAT)) => {}
            }
            self.renew(&[std::slice::from_ref(batch), later]).await?;
        }
        Ok(false)
    }

    /// Schedules a retry of a record that others hold up. Other records do not wait for it.
    async fn hold(&mut self, mut batch: Batch, fault: &Fault) -> Result<(), StopReason> {
        let delay = self.retry_delay(&batch);
        self.claims.delay(&batch.entry_ids, delay, false).await?;
        batch.attempts[0] = batch.attempts[0].saturating_add(1);
        self.hold_for(delay, batch, fault);
        Ok(())
    }

    /// How long a record of its own batch waits for its next attempt.
    fn retry_delay(&self, batch: &Batch) -> Duration {
        let attempt = batch.attempts[0].saturating_sub(1);
        self.context.options.retry_delay(attempt, fastrand::f64())
    }

    fn hold_for(&mut self, delay: Duration, batch: Batch, fault: &Fault) {
        self.emit(EventKind::Retrying, &batch, |records| WorkerEvent::Retrying(records, fault));
        self.held.insert(self.clock.now() + delay, batch);
    }

    /// Schedules a retry of a record that failed without a clear cause. After its last attempt the
    /// record becomes a dead letter.
    async fn retry_later(&mut self, mut batch: Batch, fault: &Fault) -> Result<(), StopReason> {
        let delay = self.retry_delay(&batch);
        let attempts = self.claims.delay(&batch.entry_ids, delay, true).await?;
        match attempts.first().copied().unwrap_or_default() {
            0 => return Ok(()), // Settled by another worker.
            attempts if attempts >= self.context.options.attempts => {
                return self.bury(&batch, attempts, fault).await;
            }
            attempts => batch.attempts[0] = attempts + 1,
        }
        self.hold_for(delay, batch, fault);
        Ok(())
    }

    /// Moves a record to the dead letters.
    async fn bury(&mut self, batch: &Batch, attempt: u32, fault: &Fault) -> Result<(), StopReason> {
        let (entry_id, record) = (&batch.entry_ids[0], &batch.records[0]);
        let (error, sqlstate) = (&*fault.message, fault.sqlstate.as_deref());
        let record_id = &*record.id;
        let burial = Burial { entry_id, record_id, attempts: attempt, error, sqlstate };
        if self.claims.bury(burial).await? {
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

fn entry_ids<'a>(batches: &[&'a [Batch]], held: &'a Held) -> Vec<&'a str> {
    let mut ids = held.entry_ids();
    let batches = batches.iter().copied().flatten();
    ids.extend(batches.flat_map(|batch| &batch.entry_ids).map(String::as_str));
    ids
}

fn attempts_of(batch: &Batch) -> Vec<RecordAttempt<'_>> {
    let records = batch.records.iter().zip(&batch.attempts);
    records.map(|(record, attempt)| RecordAttempt { record, attempt: *attempt }).collect()
}
