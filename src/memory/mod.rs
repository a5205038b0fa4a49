//! An engine in the process: sessions and records behind a lock, for one process that needs no server.
//!
//! All stores of a process have names; all handles of a name share a store, and the store ends with the
//! last of them. What is stored ends with the process.
//!
//! # Layout
//!
//! Pure, told the time (`moment`):
//!
//! - `sessions`: sessions and their TTLs. `message`, `topics`: what is published, and who listens.
//! - `entry`, `stream`, `letters`, `queue`: the records of an audit queue, their claims, dead letters.
//!   [`log`]: every record, for tests.
//! - `contents`: all of this. `apply`, `session_operations`, `record_operations`, `ping`: what an
//!   operation does with it.
//! - `asked`, `injected`: what goes wrong on purpose, and what becomes of operations then.
//!
//! The shell:
//!
//! - `store`: the lock, and the housekeeping. `registry`: the stores by name. `handle`: one user of a
//!   store.
//! - [`engine`], [`subscription`], [`claims`]: the engine's parts. [`faults`]: what goes wrong on
//!   purpose, for tests.

mod apply;
mod asked;
pub mod claims;
mod contents;
pub mod engine;
mod entry;
pub mod faults;
mod handle;
mod injected;
mod letters;
pub mod log;
mod message;
mod moment;
mod ping;
mod queue;
mod record_operations;
mod registry;
mod session_operations;
mod sessions;
mod store;
mod stream;
pub mod subscription;
mod topics;
