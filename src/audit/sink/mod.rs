//! Stores a batch of records, all or none, exactly once.
//!
//! - [`fault`]: why a batch was not stored; decides what happens to its records.
//! - `row`: a record as column values. `canary`: whether a record or the tables are at fault.
//! - [`postgres`]: the tables in PostgreSQL.

mod canary;
pub mod fault;
pub mod postgres;
mod row;

pub use postgres::database::DatabaseOptions;
pub use postgres::sink::Sink;
