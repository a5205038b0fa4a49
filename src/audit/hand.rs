//! What a worker does with one connection to Redis: takes records in hand, and sees each of them
//! to its end.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::fault::{Fault, Whose};
use super::source::{Answer, Source};
use super::stream::Batch;
use super::worker::{Audience, News, Told, Which, Worker};
use crate::redis::closing::{Closing, closing};

/// How often a worker that waits looks up: for what others have abandoned, and to say that it is
/// still there. Well below the time after which it counts as gone.
const ROUND: Duration = Duration::from_secs(2);

/// How often it looks for consumers to forget.
const TIDY: Duration = Duration::from_secs(600);

/// How long a worker that leaves waits for what Redis may be sending it.
const LAST: Duration = Duration::from_secs(1);

/// How many bytes of documents a batch should have at most.
const BATCH_BYTES: usize = 8 << 20;

/// How many records may wait for another try in one worker's hand before it takes no more.
const MAX_HELD: usize = 2000;

/// Why a worker has stopped to work with a connection.
pub(crate) enum End {
    Broken(String),
    Stopped,
}

impl From<String> for End {
    fn from(reason: String) -> Self {
        Self::Broken(reason)
    }
}

/// A record that waits for another try.
struct Held {
    due: Instant,
    batch: Batch,
}

pub(crate) struct Hand<'a, A> {
    worker: &'a mut Worker<A>,
    source: Source,
    /// By when they are due.
    held: VecDeque<Held>,
}

impl<'a, A: Audience> Hand<'a, A> {
    pub fn new(worker: &'a mut Worker<A>, source: Source) -> Self {
        Self { worker, source, held: VecDeque::new() }
    }

    /// Until told to close, or the connection is no good any more.
    pub async fn work(&mut self) -> Result<(), End> {
        if !self.worker.told.warned.swap(true, Ordering::Relaxed) {
            for warning in self.source.warnings().await {
                self.worker.audience.tell(News::Warning(warning));
            }
        }
        self.resume().await?;
        let mut count = self.worker.options.batch_size.min(32);
        let (mut looked, mut tidied) = (None::<Instant>, None::<Instant>);
        loop {
            if *self.worker.closing.borrow() > Closing::No {
                return self.leave().await;
            }
            self.try_again().await?;
            if looked.is_none_or(|looked| looked.elapsed() >= ROUND) {
                self.keep_held().await?;
                let (batch, vanished) = self.source.abandoned(count).await?;
                if vanished > 0 {
                    self.worker.audience.tell(News::Warning(format!(
                        "{vanished} audit records have vanished from the stream: somebody has \
                         deleted or trimmed it"
                    )));
                }
                // As long as there are more, without a pause.
                looked = (batch.len() < count).then(Instant::now);
                self.deliver(batch).await?;
            }
            if tidied.is_none_or(|tidied| tidied.elapsed() >= TIDY) {
                self.source.tidy().await?;
                tidied = Some(Instant::now());
            }
            let batch = self.next(count).await?;
            self.worker.told.lost.store(false, Ordering::Relaxed);
            // Large documents make small batches.
            if let Some(average) = batch.bytes().checked_div(batch.len()) {
                count = (BATCH_BYTES / average).clamp(1, self.worker.options.batch_size);
            }
            self.deliver(batch).await?;
        }
    }

    /// What this worker had in hand when it lost its connection.
    async fn resume(&mut self) -> Result<(), End> {
        let mut after = String::from("0");
        loop {
            let batch = self.source.own(100, &after).await?;
            let Some(last) = batch.places.last() else { return Ok(()) };
            after.clone_from(last);
            self.deliver(batch).await?;
        }
    }

    /// New records; none where none came, or enough wait for another try.
    async fn next(&mut self, count: usize) -> Result<Batch, End> {
        let due = self.held.front().map(|held| held.due);
        let wait =
            due.map_or(ROUND, |due| ROUND.min(due.saturating_duration_since(Instant::now())));
        if self.held.iter().map(|held| held.batch.len()).sum::<usize>() >= MAX_HELD {
            tokio::select! {
                _ = closing(&mut self.worker.closing, Closing::No) => {}
                () = sleep(wait) => {}
            }
            return Ok(Batch::default());
        }
        if *self.worker.closing.borrow() > Closing::No {
            return Ok(Batch::default());
        }
        let waking = self.source.waking(&self.worker.redis);
        let mut fresh = pin!(self.source.fresh(count, wait));
        tokio::select! {
            biased;
            batch = &mut fresh => return Ok(batch?),
            _ = closing(&mut self.worker.closing, Closing::No) => {}
        }
        // Records may be on their way by now. Left there, nobody would have them until they count
        // as abandoned.
        let last = async {
            waking.await;
            fresh.await
        };
        match timeout(LAST, last).await {
            Ok(batch) => Ok(batch?),
            Err(_) => Err(End::Stopped),
        }
    }

    async fn try_again(&mut self) -> Result<(), End> {
        while self.held.front().is_some_and(|held| held.due <= Instant::now()) {
            if let Some(held) = self.held.pop_front() {
                self.deliver(held.batch).await?;
            }
        }
        Ok(())
    }

    async fn keep_held(&mut self) -> Answer<()> {
        for held in &self.held {
            self.source.keep(&held.batch.places).await?;
        }
        Ok(())
    }

    /// Leaves what it has in hand to others.
    async fn leave(&mut self) -> Result<(), End> {
        for held in self.held.drain(..) {
            self.source.release(&held.batch.places).await?;
        }
        Err(End::Stopped)
    }

    /// Stores a batch, and settles it. One that PostgreSQL refuses is halved until the record at
    /// fault is alone.
    async fn deliver(&mut self, batch: Batch) -> Result<(), End> {
        let mut todo = vec![batch];
        while let Some(mut batch) = todo.pop() {
            if batch.is_empty() {
                continue;
            }
            if batch.len() > 1 && batch.bytes() > 2 * BATCH_BYTES {
                todo.extend(batch.halves());
                continue;
            }
            self.tell_if(Which::Active, &batch, News::Active);
            let Err(fault) = self.store(&batch).await? else {
                self.worker.outages = 0;
                self.worker.told.outage.store(0, Ordering::Relaxed);
                self.settled(&batch).await?;
                continue;
            };
            match fault.whose {
                // Perhaps half as much is done in time.
                Whose::Postgres if fault.is_slow() && batch.len() > 1 => {
                    todo.extend(batch.halves());
                }
                Whose::Postgres => {
                    let stopping = self.wait_for_postgres(&mut batch, &fault).await?;
                    todo.push(batch);
                    if stopping {
                        for batch in todo {
                            self.source.release(&batch.places).await?;
                        }
                        return self.leave().await;
                    }
                }
                Whose::Record | Whose::Unclear if batch.len() > 1 => todo.extend(batch.halves()),
                Whose::Record => self.bury(&batch, batch.attempts[0], &fault).await?,
                Whose::Unclear => self.hold(batch, &fault).await?,
            }
        }
        Ok(())
    }

    /// What PostgreSQL says of a batch. It may take its time: meanwhile the records are kept in
    /// hand.
    async fn store(&mut self, batch: &Batch) -> Result<Result<(), Fault>, End> {
        let sink = self.worker.sink.clone();
        let mut storing = pin!(sink.store(&batch.records));
        loop {
            tokio::select! {
                biased;
                outcome = &mut storing => return Ok(outcome),
                () = sleep(ROUND) => {
                    self.source.keep(&batch.places).await?;
                    self.keep_held().await?;
                }
            }
        }
    }

    async fn settled(&mut self, batch: &Batch) -> Result<(), End> {
        let left = self.source.settle(&batch.places).await?;
        self.tell_if(Which::Completed, batch, News::Completed);
        if left == 0 && self.worker.audience.hears(Which::Drained) {
            self.worker.audience.tell(News::Drained);
        }
        Ok(())
    }

    /// Waits for longer each time. `true` where told to close meanwhile.
    async fn wait_for_postgres(&mut self, batch: &mut Batch, fault: &Fault) -> Result<bool, End> {
        // That tables are missing is told also where something else was first.
        let severity = if fault.is_missing_table() { 2 } else { 1 };
        if self.worker.told.outage.fetch_max(severity, Ordering::Relaxed) < severity {
            self.worker.audience.tell(News::Outage(fault));
        }
        let delay = self.worker.wait(self.worker.outages, fastrand::f64());
        self.worker.outages = self.worker.outages.saturating_add(1);
        self.source.delay(&batch.places, delay, false).await?;
        for attempt in &mut batch.attempts {
            *attempt = attempt.saturating_add(1);
        }
        self.tell_if(Which::Retrying, batch, |records| News::Retrying(records, fault));
        let end = Instant::now() + delay;
        while Instant::now() < end {
            tokio::select! {
                biased;
                _ = closing(&mut self.worker.closing, Closing::No) => return Ok(true),
                () = sleep_until(end.min(Instant::now() + ROUND)) => {}
            }
            self.source.keep(&batch.places).await?;
            self.keep_held().await?;
        }
        Ok(false)
    }

    /// One record that failed for a reason that may be its own, or not: after so many tries it is.
    async fn hold(&mut self, mut batch: Batch, fault: &Fault) -> Result<(), End> {
        let tried = batch.attempts[0];
        let delay = self.worker.wait(tried.saturating_sub(1), fastrand::f64());
        let counted = self.source.delay(&batch.places, delay, true).await?;
        match counted.first().copied().unwrap_or_default() {
            0 => return Ok(()), // Settled by another worker.
            tries if tries >= self.worker.options.attempts => {
                return self.bury(&batch, tries, fault).await;
            }
            tries => batch.attempts[0] = tries + 1,
        }
        self.tell_if(Which::Retrying, &batch, |records| News::Retrying(records, fault));
        let due = Instant::now() + delay;
        let at = self.held.partition_point(|held| held.due <= due);
        self.held.insert(at, Held { due, batch });
        Ok(())
    }

    async fn bury(&mut self, batch: &Batch, tries: u32, fault: &Fault) -> Result<(), End> {
        let (place, record) = (&batch.places[0], &batch.records[0]);
        if self.source.bury(place, &record.id, tries, fault).await? {
            self.worker.audience.tell(News::Failed(Told { record, attempt: tries }, fault));
        }
        Ok(())
    }

    fn tell_if<'b>(
        &self,
        which: Which,
        batch: &'b Batch,
        news: impl FnOnce(Vec<Told<'b>>) -> News<'b>,
    ) {
        if self.worker.audience.hears(which) {
            self.worker.audience.tell(news(told(batch)));
        }
    }
}

fn told(batch: &Batch) -> Vec<Told<'_>> {
    let records = batch.records.iter().zip(&batch.attempts);
    records.map(|(record, attempt)| Told { record, attempt: *attempt }).collect()
}
