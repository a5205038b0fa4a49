//! What a lane of a worker keeps while its connections come and go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8};

use tokio::sync::watch;

use super::sink::Sink;
use super::worker_options::WorkerOptions;
use crate::redis::closing::Closing;
use crate::redis::options::Options;

/// The state and the settings of a lane.
pub(super) struct WorkerContext<L> {
    pub redis: Options,
    pub sink: Arc<Sink>,
    pub options: WorkerOptions,
    pub listener: Arc<L>,
    pub reported: Arc<Reported>,
    pub closing: watch::Receiver<Closing>,
    /// How many batches in a row PostgreSQL could not store.
    pub outages: u32,
}

/// The problems that a worker has already reported. Its lanes share it: a worker reports a problem
/// once.
#[derive(Default)]
pub(super) struct Reported {
    /// How severe the reported outage of PostgreSQL is. 0: no outage; 1: PostgreSQL cannot be
    /// used; 2: its tables are missing.
    pub outage: AtomicU8,
    /// The connection to Redis is lost.
    pub lost: AtomicBool,
    /// A connection to Redis could not be made.
    pub unreachable: AtomicBool,
    /// The server's settings put records at risk.
    pub warned: AtomicBool,
}
