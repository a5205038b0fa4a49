//! The core of `synckairos-state`: sessions that many service instances share through one engine, Redis
//! or the memory of the process.
//!
//! # Layout
//!
//! Imports point downward only; `scripts/layering.mjs` checks it.
//!
//! - [`error`], [`backoff`], [`clock`], [`document`], [`keys`]: the words of the house. Pure.
//! - `closing`: how the owner of a task tells it to end.
//! - `tls`: whom TLS trusts.
//! - [`operation`]: what managers and queues ask, as data. Pure.
//! - [`engine`]: who executes operations and tells of changes, as traits.
//! - [`redis`]: an engine that keeps sessions and records in Redis.
//! - [`memory`]: an engine that keeps them in the process.
//! - [`audit`]: every change on its way to a database.
//! - [`session`]: the store (get, create, update, delete, broadcast) and the feed (what all
//!   instances publish).
//! - `node`: the N-API boundary, behind the feature of that name. Only it knows Node.

pub mod audit;
pub mod backoff;
pub mod clock;
mod closing;
pub mod document;
pub mod engine;
pub mod error;
pub mod keys;
pub mod memory;
#[cfg(feature = "node")]
#[allow(unsafe_code)] // N-API is a C interface; each block there has its safety argument.
mod node;
pub mod operation;
pub mod redis;
pub mod session;
mod tls;
