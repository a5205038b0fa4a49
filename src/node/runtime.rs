//! The I/O thread: one tokio runtime a process, shared by every client in every realm.

use std::future::Future;
use std::sync::OnceLock;

use napi::bindgen_prelude::{Error, Result};
use tokio::runtime::{Builder, Handle};

static IO: OnceLock<Handle> = OnceLock::new();

/// Runs a task on the I/O thread, which is started by the first.
///
/// The thread is never joined. It touches JavaScript only through threadsafe functions, which
/// know when their environment has ended.
pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Result<()> {
    let handle = match IO.get() {
        Some(handle) => handle,
        None => {
            let started = start().map_err(|error| {
                Error::from_reason(format!("the I/O thread could not be started: {error}"))
            })?;
            // Another thread (a worker's) may have been first; then ours idles, which is harmless.
            IO.get_or_init(|| started)
        }
    };
    handle.spawn(task);
    Ok(())
}

fn start() -> std::io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name("synckairos-io".into())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(handle)
}
