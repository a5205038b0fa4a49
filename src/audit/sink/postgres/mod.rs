//! The audit in PostgreSQL.
//!
//! - [`sink`]: stores a batch. Behind it [`database`] (where the server is), `pool` (the
//!   connections), `schema` (the columns and their types), `statement` and `expiry` (the SQL),
//!   `sqlstate` (what its errors say) and `migrate` (creates missing
//!   tables). `history` reads what is stored; `status` says whether the sink can work.
//!
//! sqlx takes no stream from its caller: it resolves the host, connects, encrypts and logs in by
//! itself. This room does all of that instead, as `pg` and libpq do it, and gives sqlx the connection
//! that is ready.
//!
//! - `scram`: the password exchange; `message`: the messages of the start-up. Both are pure.
//! - `login`: the start-up, up to the first `ReadyForQuery`.
//! - `stream`: the socket and TLS; `dial`: which of several addresses answers.
//! - `bridge`: connects sqlx to a stream that is logged in.
//! - `connection`: all of it.

mod bridge;
mod connection;
pub mod database;
mod dial;
mod expiry;
mod history;
mod login;
mod message;
mod migrate;
mod pool;
mod schema;
mod scram;
pub mod sink;
mod sqlstate;
mod statement;
mod status;
mod stream;
