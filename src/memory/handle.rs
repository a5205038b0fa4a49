//! A handle to a store: whether it is open, and what its owner is told of its status.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use tokio::sync::watch;
use tokio::time::Instant;

use super::apply::Apply;
use super::origin::Origin;
use super::registry;
use super::store::Store;
use crate::engine::status::{Status, StatusSink};
use crate::error::{Error, Result};

/// A handle to a store. Dropping it closes it.
pub(super) struct Handle {
    /// The store.
    pub store: Arc<Store>,
    origin: Origin,
    name: String,
    presence: Arc<Presence>,
    closed: watch::Sender<bool>,
}

/// Where a handle is in its life, as its owner knows it.
struct Presence {
    stage: AtomicU8,
    status: StatusSink,
}

const UNUSED: u8 = 0;
/// The first caller tells the status.
const BEGINNING: u8 = 1;
const READY: u8 = 2;
const AWAY: u8 = 3;
const CLOSED: u8 = 4;

static HANDLES: AtomicU64 = AtomicU64::new(0);

impl Handle {
    /// A handle to a store, which the registry has opened for it under this name. Also its task,
    /// which ends when the handle is closed.
    pub fn new(
        store: Arc<Store>,
        name: String,
        status: StatusSink,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let presence = Arc::new(Presence { stage: AtomicU8::new(UNUSED), status });
        let (closed, seen) = watch::channel(false);
        let task = run(store.clone(), presence.clone(), seen);
        let handle_id = HANDLES.fetch_add(1, Ordering::Relaxed);
        let origin = Origin { handle_id, is_closed: AtomicBool::new(false) };
        (Self { store, origin, name, presence, closed }, task)
    }

    /// Executes an operation, unless the handle is closed.
    pub fn execute<O: Apply>(
        &self,
        context: &Arc<O::Context>,
        operation: O,
        deadline: Instant,
        done: impl FnOnce(Result<O::Outcome>) + Send + 'static,
    ) {
        match self.presence.stage.load(Ordering::Acquire) {
            READY | AWAY => {}
            CLOSED => return done(Err(Error::Closed)),
            _ => self.begin(),
        }
        self.store.execute(context, operation, deadline, &self.origin, done);
    }

    /// Whether it is closed.
    pub fn is_closed(&self) -> bool {
        self.presence.stage.load(Ordering::Acquire) == CLOSED
    }

    /// Accepts no more, and lets go of the store. Returns how many records were lost with the store, if
    /// that was its end.
    pub fn close(&self) -> u64 {
        if self.presence.stage.swap(CLOSED, Ordering::AcqRel) == CLOSED {
            return 0;
        }
        self.origin.is_closed.store(true, Ordering::Release);
        self.store.step(|state, _| state.injected.forget(self.origin.handle_id, &mut state.due));
        let ended = registry::close(&self.name);
        self.closed.send_replace(true);
        ended.map_or(0, |store| store.step(|state, _| state.contents.unsettled()))
    }

    fn begin(&self) {
        let Presence { stage, status } = &*self.presence;
        if !swap(stage, UNUSED, BEGINNING) {
            return;
        }
        status(Status::Connecting);
        let to = match self.store.outage() {
            None => (READY, Status::Ready),
            Some(reason) => (AWAY, Status::Reconnecting { reason }),
        };
        status(to.1);
        swap(stage, BEGINNING, to.0);
        // The task looks whether that holds still.
        self.store.outages.send_replace(());
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}

impl Presence {
    /// Tells of an outage that has begun or ended.
    fn follow(&self, outage: Option<String>) {
        match outage {
            Some(reason) if swap(&self.stage, READY, AWAY) => {
                (self.status)(Status::Reconnecting { reason });
            }
            None if swap(&self.stage, AWAY, READY) => (self.status)(Status::Ready),
            _ => {}
        }
    }
}

async fn run(store: Arc<Store>, presence: Arc<Presence>, mut closed: watch::Receiver<bool>) {
    let mut outages = store.outages.subscribe();
    let follow = async {
        loop {
            presence.follow(store.outage());
            if outages.changed().await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        biased;
        _ = closed.wait_for(|closed| *closed) => {}
        () = store.keep_house() => {}
        () = follow => {}
    }
    (presence.status)(Status::Closed);
}

fn swap(stage: &AtomicU8, from: u8, to: u8) -> bool {
    stage.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
}
