//! The threads behind JavaScript's, each a tokio runtime, shared by all realms of the process.

use std::future::Future;
use std::sync::OnceLock;

use napi::bindgen_prelude::{Error, Result};
use tokio::runtime::{Builder, Handle};

/// A thread that is started by the first who needs it.
///
/// It is never joined. It touches JavaScript only through threadsafe functions, which know when
/// their environment has ended.
pub(crate) struct Runtime {
    name: &'static str,
    /// After how many polls of tasks the thread looks at its timers and sockets.
    event_interval: u32,
    handle: OnceLock<Handle>,
}

/// Serves every client: the connections to Redis, the stores in this process, the feeds.
pub(crate) static IO: Runtime = Runtime::new("synckairos-io", 61);

/// Carries records to a database: work enough to make those wait whom the other thread answers. It looks
/// at its timers after each task: a PostgreSQL that sends notices without end keeps a task busy for a
/// second a poll, and should not hold up the time limits for long.
pub(crate) static AUDIT: Runtime = Runtime::new("synckairos-audit", 1);

impl Runtime {
    const fn new(name: &'static str, event_interval: u32) -> Self {
        Self { name, event_interval, handle: OnceLock::new() }
    }

    /// Runs a task on it.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        self.handle()?.spawn(task);
        Ok(())
    }

    /// What makes it the current runtime of whoever enters.
    pub fn handle(&self) -> Result<&Handle> {
        if let Some(handle) = self.handle.get() {
            return Ok(handle);
        }
        let started = start(self.name, self.event_interval).map_err(|error| {
            Error::from_reason(format!("the thread {} could not be started: {error}", self.name))
        })?;
        // Another thread (a worker's) may have been first; then ours idles, which is harmless.
        Ok(self.handle.get_or_init(|| started))
    }
}

fn start(name: &str, event_interval: u32) -> std::io::Result<Handle> {
    let runtime =
        Builder::new_current_thread().event_interval(event_interval).enable_all().build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name(name.into())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(handle)
}
