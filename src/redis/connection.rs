//! The supervised connection for commands. Made when the first request comes, it is replaced for
//! ever when it breaks, and it owns every request from the moment it is submitted until it is
//! settled.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::watch;

use crate::closing::{Closing, raise};
use crate::engine::status::StatusSink;
use crate::redis::dispatcher::Dispatcher;
use crate::redis::keeper::Keeper;
use crate::redis::layout::{Layout, Spread};
use crate::redis::options::Options;
use crate::redis::request::Request;
use crate::redis::shared::Shared;
use crate::redis::topology::cluster::NodeNumber;
use crate::redis::topology::endpoint::Endpoint;
use crate::redis::topology::slot::Slot;
use crate::redis::tracking::InvalidationSink;

/// How many requests a collecting connection holds back at most: fewer would cost more system
/// calls, and with more Redis would wait for the next.
const HELD_BACK: usize = 32;

/// A handle to a supervised connection. Clones share it.
#[derive(Clone)]
pub struct Connection {
    shared: Arc<Shared>,
    closing: watch::Sender<Closing>,
    collects: bool,
}

impl Connection {
    /// A connection that is made when the first request comes, and its supervisor, to be spawned
    /// on a runtime. The supervisor ends when it is told to close or its last handle is dropped.
    pub fn new(
        options: Options,
        status: StatusSink,
        invalidated: InvalidationSink,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let server = options.to_string();
        let dispatcher = Dispatcher::new(server, options.stall_timeout, fastrand::Rng::new());
        let shared = Arc::new(Shared::new(dispatcher, invalidated.clone()));
        let (closing, closing_seen) = watch::channel(Closing::No);
        let keeper = Keeper::new(options, shared.clone(), closing_seen, status, invalidated);
        (Self { shared, closing, collects: false }, keeper.run())
    }

    /// The same, collecting: whoever submits several requests in a row calls `flush` after the
    /// last, and they are sent in one system call.
    pub fn collecting(mut self) -> Self {
        self.collects = true;
        self
    }

    /// A handle to the same that sends each request at once.
    pub fn direct(&self) -> Self {
        Self { collects: false, ..self.clone() }
    }

    /// How keys are spread.
    pub(crate) fn layout(&self) -> &Arc<Layout> {
        self.shared.layout()
    }

    /// Changes when the map of a cluster does.
    pub(crate) fn map_changes(&self) -> watch::Receiver<()> {
        self.shared.map_changes()
    }

    /// Where the nodes of a cluster listen that have these slots, by slot. `None`: nobody has told of one.
    pub(crate) fn owners(&self, slots: impl IntoIterator<Item = Slot>) -> Vec<Option<Endpoint>> {
        self.shared.look(|dispatcher| {
            slots.into_iter().map(|slot| dispatcher.owner(slot).cloned()).collect()
        })
    }

    /// Who has each partition of a cluster, by its number. `None` where nobody has told.
    pub(crate) fn partition_owners(&self) -> Vec<Option<Endpoint>> {
        match self.layout().get() {
            Some(Spread::Partitions(partitions)) => {
                self.owners(partitions.iter().map(|partition| partition.slot))
            }
            _ => Vec::new(),
        }
    }

    /// The masters of a cluster; `None`: it is one server, as far as is known.
    pub(crate) fn masters(&self) -> Option<Vec<NodeNumber>> {
        self.shared.look(Dispatcher::masters)
    }

    /// How often the news of changed keys may have had a gap, in a cluster.
    pub(crate) fn gaps_in_news(&self) -> u64 {
        self.shared.look(Dispatcher::gaps_in_news)
    }

    /// Something says that the map of the cluster may be old.
    pub(crate) fn map_is_old(&self) {
        self.shared.update_map(Dispatcher::map_is_old);
    }

    /// Hands over a request, which is settled by its deadline whatever happens. The thread that
    /// calls sends it.
    pub(crate) fn submit(&self, request: Box<dyn Request>) {
        if self.shared.submit(request) >= HELD_BACK || !self.collects {
            self.shared.flush();
        }
    }

    /// Sends what was collected.
    pub fn flush(&self) {
        self.shared.flush();
    }

    /// Accepts no more, waits a moment for what is in flight, and ends. May be called again.
    pub fn close(&self) {
        self.flush();
        raise(&self.closing, Closing::Gracefully);
    }

    /// Ends at once; what is in flight is settled without its answer.
    pub fn abort(&self) {
        self.flush();
        raise(&self.closing, Closing::AtOnce);
    }
}
