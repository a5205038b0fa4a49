//! The core of `synckairos-state`: sessions that many service instances share through one Redis.
//!
//! # Layout
//!
//! Imports point downward only; `scripts/layering.mjs` checks it.
//!
//! - [`error`], [`backoff`], [`document`], [`keys`]: the words of the house. Pure.
//! - [`redis`]: how to talk to Redis. Knows no session.
//! - [`audit`]: every change on its way to PostgreSQL.
//! - [`session`]: the store (get, create, update, delete, broadcast) and the feed (what all
//!   instances publish).
//! - `node`: the N-API boundary, behind the feature of that name. Only it knows Node.

pub mod audit;
pub mod backoff;
pub mod document;
pub mod error;
pub mod keys;
#[cfg(feature = "node")]
#[allow(unsafe_code)] // N-API is a C interface; each block there has its safety argument.
mod node;
pub mod redis;
pub mod session;
