//! What a lane of a worker keeps while its connections come and go, and what its lanes share.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OnceCell, watch};

use super::portion::Portion;
use super::sink::Sink;
use super::sink::fault::{Cause, Fault};
use super::worker_events::{EventListener, WorkerEvent};
use super::worker_options::WorkerOptions;
use crate::closing::Closing;
use crate::engine::Engine;

/// The state and the settings of a lane.
pub(super) struct WorkerContext<E, L> {
    pub engine: E,
    pub sink: Arc<Sink>,
    pub options: WorkerOptions,
    pub listener: Arc<L>,
    pub shared: Arc<Shared>,
    pub closing: watch::Receiver<Closing>,
    /// Changes when the database has stored a batch after an outage.
    pub recovered: watch::Receiver<()>,
    /// How many batches in a row the database could not store.
    pub outages: u32,
    /// How much the lane reads at a time.
    pub portion: Portion,
}

/// What the lanes of a worker share. A worker reports a problem once.
pub(super) struct Shared {
    /// How severe the reported outage of the database is. 0: no outage; 1: the database cannot be used;
    /// 2: its tables refuse every record, until somebody changes them.
    outage: AtomicU8,
    /// Tells all lanes that the database works again.
    recovered: watch::Sender<()>,
    /// The connection to the engine is lost, and that was reported.
    pub lost: AtomicBool,
    /// A connection to the engine could not be made, and that was reported.
    pub unreachable: AtomicBool,
    /// The queue is known to have been there.
    pub has_queue: AtomicBool,
    /// The queue had vanished, and that was reported.
    pub vanished: AtomicBool,
    /// The server's settings put records at risk, and that was reported.
    pub warned: AtomicBool,
    /// The other databases that were reported.
    pub other_databases: Mutex<HashSet<String>>,
    /// Whether the tables were created, where the worker has to.
    pub migrated: OnceCell<()>,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            outage: AtomicU8::new(0),
            recovered: watch::Sender::new(()),
            lost: AtomicBool::new(false),
            unreachable: AtomicBool::new(false),
            has_queue: AtomicBool::new(false),
            vanished: AtomicBool::new(false),
            warned: AtomicBool::new(false),
            other_databases: Mutex::default(),
            migrated: OnceCell::new(),
        }
    }
}

impl Shared {
    /// Changes at each end of an outage.
    pub fn recoveries(&self) -> watch::Receiver<()> {
        self.recovered.subscribe()
    }

    /// Whether nobody was told of this other database yet.
    pub fn is_new_database(&self, name: &str) -> bool {
        let mut known = self.other_databases.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(name.to_owned())
    }
}

impl<E: Engine, L: EventListener> WorkerContext<E, L> {
    /// The database has stored a batch. The end of an outage wakes up the other lanes, too.
    pub fn stored(&mut self) {
        self.outages = 0;
        if self.shared.outage.swap(0, Ordering::Relaxed) > 0 {
            self.shared.recovered.send_replace(());
            self.recovered.mark_unchanged();
            self.listener.on_event(WorkerEvent::Recovered);
        }
    }

    /// The database cannot be used: reports it, once an outage. What the tables refuse is reported even
    /// after another outage was.
    pub fn report_outage(&self, fault: &Fault) {
        let severity = if fault.cause == Cause::Tables { 2 } else { 1 };
        if self.shared.outage.fetch_max(severity, Ordering::Relaxed) < severity {
            self.listener.on_event(WorkerEvent::Outage(fault));
        }
    }

    /// The worker cannot work, as it has no connection that lasts: reports it, once.
    pub fn report_lost(&self, reason: &str) {
        if !self.shared.lost.swap(true, Ordering::Relaxed) {
            self.listener.on_event(WorkerEvent::Lost(reason));
        }
    }

    /// The queue has vanished from the engine, and with it the records: reports it, once.
    pub fn report_vanished(&self, reason: &str) {
        if !self.shared.vanished.swap(true, Ordering::Relaxed) {
            self.listener.on_event(WorkerEvent::RecordsLost(format!(
                "audit records may be lost: the queue vanished from {} (FLUSHALL, or a \
                 restart without its data): {reason}",
                self.engine
            )));
        }
    }

    /// How long to wait for the database: longer with each outage in a row.
    pub fn outage_delay(&mut self) -> std::time::Duration {
        let delay = self.options.retry_delay(self.outages, fastrand::f64());
        self.outages = self.outages.saturating_add(1);
        delay
    }
}
