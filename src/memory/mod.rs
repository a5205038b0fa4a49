//! An engine in the process: sessions and records behind a lock, for one process that needs no server.
//!
//! All stores of a process have names; all handles of a name share a store, and the store ends with the
//! last of them. What is stored ends with the process.
//!
//! # Layout
//!
//! From the bottom up. Pure, told the time (`moment`):
//!
//! - `records/`: an audit queue: `entry` < `stream`, `letters`, [`log`](records::log) < `queue`.
//! - `sessions/`: sessions and their TTLs (`table`); what is published, and who listens: `message` <
//!   `topics`.
//! - `contents`: all of this. `apply`: what an operation does with it; in each room, `operations`;
//!   `ping`.
//! - `faults/`: what goes wrong on purpose, and what becomes of operations then: `pending` < `injected`.
//!
//! The shell:
//!
//! - `store`: the lock, and the housekeeping. `registry`: the stores by name. `handle`: one user of a
//!   store. `origin`: the handle that an operation comes by; `wakes`: who is woken after a step.
//! - In the rooms, what outlasts an operation: [`sessions::subscription`], [`records::claims`]; and
//!   [`faults`], by which tests make things go wrong.
//! - [`engine`]: memory as an engine.

mod apply;
mod contents;
pub mod engine;
pub mod faults;
mod handle;
mod moment;
mod origin;
mod ping;
pub mod records;
mod registry;
pub mod sessions;
mod store;
mod wakes;
