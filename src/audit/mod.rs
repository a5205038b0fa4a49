//! The audit: every change of a session on its way to PostgreSQL.
//!
//! - [`record`]: one change. [`stream`]: the format of queued records in Redis.
//! - [`queue`]: the calls of an audit queue. [`bullmq`]: adopts the jobs that older instances queued.
//! - [`worker`]: moves records from the stream to PostgreSQL. Behind it `worker_connection` (one
//!   connection to Redis: claims, retries, dead letters), `source` (its commands),
//!   `portion` (how much it reads at a time), `held` (what waits for its next try), `worker_context` (what outlives the connection),
//!   [`worker_events`] and [`worker_options`].
//! - [`sink`]: stores a batch of records, all or none, exactly once.

pub mod bullmq;
mod held;
mod portion;
pub mod queue;
pub mod record;
pub mod sink;
mod source;
pub mod stream;
pub mod worker;
mod worker_connection;
mod worker_context;
pub mod worker_events;
pub mod worker_options;
