//! The audit: every change of a session on its way to a database.
//!
//! - [`queue`]: the calls of an audit queue. [`survey`]: how it is doing. [`bullmq`]: adopts the jobs that
//!   older instances queued.
//! - [`worker`]: moves records from the stream to the database. Behind it `worker_connection` (one
//!   connection to the engine: claims, retries, dead letters), `portion` (how much it reads at a
//!   time), `held` (what waits for its next try), `worker_context` (what outlives the connection),
//!   [`worker_events`], [`worker_name`] and [`worker_options`].
//! - [`sink`]: stores a batch of records, all or none, exactly once.

pub mod bullmq;
mod held;
mod portion;
pub mod queue;
pub mod sink;
pub mod survey;
pub mod worker;
mod worker_connection;
mod worker_context;
pub mod worker_events;
pub mod worker_name;
pub mod worker_options;
