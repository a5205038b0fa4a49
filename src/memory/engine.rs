//! Memory as an engine.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::apply::Apply;
use super::faults::Faults;
use super::handle::Handle;
use super::ping::Ping;
use super::records::claims::MemoryClaims;
use super::records::log::{Appended, Log};
use super::registry;
use super::sessions::subscription::MemorySubscription;
use super::store::Store;
use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::engine::claims::Lost;
use crate::engine::status::StatusSink;
use crate::engine::{Engine, Execute, Records, Sessions};
use crate::error::Result;
use crate::keys::Keys;
use crate::operation::names::{Namespace, Stream};

/// Which store, and what it is like if it does not exist yet.
#[derive(Debug, Clone, Default)]
pub struct MemoryOptions {
    /// Its name in this process. Default: the empty name.
    pub name: String,
    /// Whether it outlives its handles. Default `false`.
    pub keep: bool,
    /// Whether its clock can be set ahead, and it remembers every record: for tests. Default `false`.
    pub adjustable: bool,
}

/// A handle to a store in this process. Clones are the same handle.
#[derive(Clone)]
pub struct MemoryEngine {
    handle: Arc<Handle>,
}

impl MemoryEngine {
    /// Opens the store of this name, which all handles of the process share. Also the task of this
    /// handle, to be spawned; it ends when the handle is closed.
    pub fn open(
        options: MemoryOptions,
        status: StatusSink,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let MemoryOptions { name, keep, adjustable } = options;
        let display =
            if name.is_empty() { "memory:".to_owned() } else { format!("memory://{name}") };
        let store = registry::open(&name, keep, || Store::new(display, adjustable));
        let (handle, task) = Handle::new(store, name, status);
        (Self { handle: Arc::new(handle) }, task)
    }

    /// Accepts no more (`Error::Closed`), and lets go of the store, which ends with its last handle
    /// unless one of them said `keep`. Returns how many records were lost with it. Idempotent.
    pub fn close(&self) -> u64 {
        self.handle.close()
    }

    /// Whether the store answers, by the deadline.
    pub fn ping(&self, deadline: Instant, done: impl FnOnce(Result<()>) + Send + 'static) {
        self.handle.execute(&Arc::new(()), Ping, deadline, done);
    }

    /// What goes wrong on purpose.
    pub fn faults(&self) -> Faults {
        Faults::new(self.handle.store.clone())
    }

    /// Whether every subscription has heard what was published so far, and its owner has handled that. In
    /// an outage or a gap: what was published before.
    pub fn is_heard(&self) -> bool {
        self.handle.store.step(|state, _| state.contents.topics.is_heard())
    }

    /// The key and the document of each session, in the order of the keys.
    pub fn sessions_stored(&self) -> Vec<(String, String)> {
        let stored = self.handle.store.step(|state, at| state.contents.sessions.all(at.now));
        let owned = |(key, document): (Arc<str>, Arc<str>)| ((*key).into(), (*document).into());
        stored.into_iter().map(owned).collect()
    }

    /// Every record that was appended, in order, with what became of it. Empty unless the store is
    /// adjustable.
    pub fn records_appended(&self) -> Vec<Appended> {
        let log = |log: &Log| log.all();
        self.handle.store.step(|state, _| state.contents.log.as_ref().map(log).unwrap_or_default())
    }
}

impl fmt::Display for MemoryEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.handle.store.display)
    }
}

impl Engine for MemoryEngine {
    type Sessions = MemorySessions;
    type Records = MemoryRecords;
    type Subscription = MemorySubscription;
    type Claims = MemoryClaims;

    fn sessions(&self, namespace: Namespace) -> MemorySessions {
        MemorySessions { handle: self.handle.clone(), namespace: Arc::new(namespace) }
    }

    fn records(&self, stream: Arc<Stream>) -> MemoryRecords {
        MemoryRecords { handle: self.handle.clone(), stream }
    }

    fn subscription(&self, keys: Keys, status: StatusSink) -> MemorySubscription {
        MemorySubscription::new(self.handle.store.clone(), keys, status)
    }

    async fn claims(&self, stream: Arc<Stream>, worker: String) -> Result<MemoryClaims, Lost> {
        MemoryClaims::open(&self.handle, stream, &worker)
    }

    fn backoff(&self) -> Backoff {
        Backoff { floor: Duration::from_millis(10), ceiling: Duration::from_millis(500) }
    }

    fn clock(&self) -> &Clock {
        &self.handle.store.clock
    }

    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.handle.store, &other.handle.store)
    }
}

/// The sessions of a namespace in memory.
#[derive(Clone)]
pub struct MemorySessions {
    handle: Arc<Handle>,
    namespace: Arc<Namespace>,
}

impl Sessions for MemorySessions {
    fn parts(&self) -> usize {
        1
    }

    fn flush(&self) {}
}

impl<O: Apply<Context = Namespace>> Execute<O> for MemorySessions {
    fn execute(
        &self,
        operation: O,
        deadline: Instant,
        done: impl FnOnce(Result<O::Outcome>) + Send + 'static,
    ) {
        self.handle.execute(&self.namespace, operation, deadline, done);
    }
}

/// The records of a queue in memory.
#[derive(Clone)]
pub struct MemoryRecords {
    handle: Arc<Handle>,
    stream: Arc<Stream>,
}

impl Records for MemoryRecords {
    fn direct(&self) -> Self {
        self.clone()
    }
}

impl<O: Apply<Context = Stream>> Execute<O> for MemoryRecords {
    fn execute(
        &self,
        operation: O,
        deadline: Instant,
        done: impl FnOnce(Result<O::Outcome>) + Send + 'static,
    ) {
        self.handle.execute(&self.stream, operation, deadline, done);
    }
}
