//! The audit in SQLite.
//!
//! - [`sink`]: the task that has the connection, and stores one batch after the other.
//! - `writer`: a transaction, and whose fault a refusal is. Behind it `batch` (the rows of a
//!   transaction), `newest` (which state of a session is newer), `statement` (the SQL), `tables`
//!   (their columns, their migration) and `code` (what SQLite's result codes say).
//! - `history` reads what is stored; `status` says whether the sink can work.
//! - [`file`]: where the database is, and how a connection to it is opened.

mod batch;
mod code;
pub mod file;
mod history;
mod newest;
pub mod sink;
mod statement;
mod status;
mod tables;
mod writer;
