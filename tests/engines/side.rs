//! The engines under test, and how time passes on each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::Script;
use synckairos_state::backoff::Backoff;
use synckairos_state::engine::Engine;
use synckairos_state::memory::engine::{MemoryEngine, MemoryOptions};
use synckairos_state::redis::connection::Connection;
use synckairos_state::redis::engine::RedisEngine;

use crate::harness::RedisServer;
use crate::history::HANDLES;
use crate::names::Names;

/// An engine with several handles.
pub trait Side {
    type Engine: Engine;

    fn handles(&self) -> &[Self::Engine];

    /// Lets time pass.
    fn pass(&mut self, time: Duration, names: &Names);

    /// Forgets everything that is stored.
    fn forget(&mut self, names: &Names);
}

/// A real Redis.
pub struct Redis {
    handles: Vec<RedisEngine>,
    connection: redis::Connection,
    pass: Script,
}

impl Redis {
    pub fn new(server: &RedisServer) -> Self {
        let mut options = server.options();
        // A subscription that loses its connection on purpose is back at once.
        let at_once = Duration::from_millis(1);
        options.backoff = Backoff { floor: at_once, ceiling: at_once };
        let handle = || {
            let (connection, supervisor) =
                Connection::new(options.clone(), Arc::new(|_| {}), Arc::new(|_| true));
            tokio::spawn(supervisor);
            RedisEngine::new(options.clone(), connection)
        };
        let client = redis::Client::open(("127.0.0.1", server.port)).unwrap();
        Self {
            handles: (0..HANDLES).map(|_| handle()).collect(),
            connection: client.get_connection().unwrap(),
            pass: Script::new(include_str!("pass.lua")),
        }
    }
}

impl Side for Redis {
    type Engine = RedisEngine;

    fn handles(&self) -> &[RedisEngine] {
        &self.handles
    }

    fn pass(&mut self, time: Duration, names: &Names) {
        let mut pass = self.pass.key(&names.queue.stream);
        pass.key(&names.queue.delayed);
        pass.key(names.expiries());
        for session in names.sessions() {
            pass.key(session);
        }
        pass.arg(time.as_millis() as u64).arg("workers");
        let () = pass.invoke(&mut self.connection).unwrap();
    }

    fn forget(&mut self, names: &Names) {
        let mut delete = redis::cmd("DEL");
        let queue = &names.queue;
        delete.arg(&queue.stream).arg(&queue.delayed).arg(&queue.tries).arg(&queue.dead);
        delete
            .arg(&queue.index)
            .arg(&queue.completed)
            .arg(&queue.stored)
            .arg(&queue.database)
            .arg(names.expiries());
        for session in names.sessions() {
            delete.arg(session);
        }
        delete.exec(&mut self.connection).unwrap();
    }
}

/// A store in this process, whose clock is set ahead.
pub struct Memory {
    handles: Vec<MemoryEngine>,
}

static STORES: AtomicU64 = AtomicU64::new(0);

impl Memory {
    /// A store of its own.
    pub fn new() -> Self {
        let name = format!("engines-{}", STORES.fetch_add(1, Ordering::Relaxed));
        let handle = |_| {
            let options = MemoryOptions { name: name.clone(), keep: false, adjustable: true };
            let (engine, task) = MemoryEngine::open(options, Arc::new(|_| {}));
            tokio::spawn(task);
            engine
        };
        Self { handles: (0..HANDLES).map(handle).collect() }
    }
}

impl Side for Memory {
    type Engine = MemoryEngine;

    fn handles(&self) -> &[MemoryEngine] {
        &self.handles
    }

    fn pass(&mut self, time: Duration, _names: &Names) {
        self.handles[0].clock().advance(time);
    }

    fn forget(&mut self, _names: &Names) {}
}

impl Drop for Memory {
    fn drop(&mut self) {
        for handle in &self.handles {
            handle.close();
        }
    }
}
