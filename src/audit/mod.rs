//! The audit: every change of a session on its way to PostgreSQL.
//!
//! - [`record`]: one change.
//! - [`sink`]: the PostgreSQL side: takes a batch of records, all or none, exactly once. Behind it
//!   [`database`] (where the server is), `pool` (its connections), `schema` (which of the two
//!   kinds of tables are there), `row` (a record as column values), `statement` (the SQL),
//!   `migrate` (makes tables where there are none) and [`fault`] (whose it is when it fails).

pub mod database;
pub mod fault;
mod migrate;
mod pool;
pub mod record;
mod row;
mod schema;
pub mod sink;
mod statement;
