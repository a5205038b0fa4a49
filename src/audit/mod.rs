//! The audit: every change of a session on its way to PostgreSQL.
//!
//! - [`queue`]: the calls of an audit queue. [`bullmq`]: adopts the jobs that older instances queued.
//! - [`worker`]: moves records from the stream to PostgreSQL. Behind it `worker_connection` (one
//!   connection to the engine: claims, retries, dead letters), `portion` (how much it reads at a time), `held` (what waits for its next try), `worker_context` (what outlives the connection),
//!   [`worker_events`] and [`worker_options`].
//! - [`fault`]: why PostgreSQL did not store a batch; decides what happens to its records.
//! - [`sink`]: stores a batch of records, all or none, exactly once. Behind it [`database`] (where
//!   the server is), `postgres` (a connection), `pool` (the connections), `schema` (the columns and
//!   their types), `row` (a record as column values), `statement` (the SQL), `canary` (whether a
//!   record or the tables are at fault) and `migrate` (creates missing tables).

pub mod bullmq;
mod canary;
pub mod database;
pub mod fault;
mod held;
mod migrate;
mod pool;
mod portion;
mod postgres;
pub mod queue;
mod row;
mod schema;
pub mod sink;
mod statement;
pub mod worker;
mod worker_connection;
mod worker_context;
pub mod worker_events;
pub mod worker_options;
