//! Sessions in memory.
//!
//! - `table`: the sessions, and when each expires.
//! - `message`, `topics`: what is published about sessions, and who listens.
//! - `operations`: what an operation on sessions does.
//! - [`subscription`]: what a listener hears.

pub(super) mod message;
mod operations;
pub mod subscription;
pub(super) mod table;
pub(super) mod topics;
