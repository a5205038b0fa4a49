//! The audit: every change of a session on its way to PostgreSQL.
//!
//! - [`record`]: one change. [`stream`]: how records wait in Redis.
//! - [`queue`]: what callers ask of an audit queue. [`bullmq`]: takes over what older instances queued.
//! - [`worker`]: takes records from the stream (`source`) to PostgreSQL, and decides (`hand`) by
//!   the [`fault`] what becomes of one that cannot be stored.
//! - [`sink`]: takes a batch of records, all or none, exactly once. Behind it [`database`] (where
//!   the server is), `pool` (its connections), `schema` (which of the two kinds of tables are
//!   there), `row` (a record as column values), `statement` (the SQL) and `migrate` (makes tables
//!   where there are none).

pub mod bullmq;
pub mod database;
pub mod fault;
mod hand;
mod migrate;
mod pool;
pub mod queue;
pub mod record;
mod row;
mod schema;
pub mod sink;
mod source;
mod statement;
pub mod stream;
pub mod worker;
