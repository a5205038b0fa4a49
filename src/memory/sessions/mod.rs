//! Sessions in memory.
//!
//! - `table`: the sessions, and when each expires.
//! - `expiries`: which sessions are to be told of when they expire; `expiry`: what tells of them.
//! - `message`, `topics`: what is published about sessions, and who listens.
//! - `change`: what every change does besides. `operations`: what an operation on sessions does.
//! - [`subscription`]: what a listener hears.

mod change;
pub(super) mod expiries;
mod expiry;
pub(super) mod message;
mod operations;
pub mod subscription;
pub(super) mod table;
pub(super) mod topics;
