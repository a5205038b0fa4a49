//! How to talk to Redis. Knows no session.
//!
//! - [`options`]: where a server is and how long to wait for it; [`settings`]: the same, told in parts.
//! - [`request`]: what a command must say about itself to be sent, repeated and settled.
//! - [`ledger`]: where a write notes that it was applied.
//! - [`script`]: a Lua script that is sent by its digest.
//! - [`call`]: any command at all, for callers of their own.
//! - [`connection`]: the handle to a supervised connection, and its [`status`]. Behind it
//!   `supervisor` (the task), `flight` (what was sent and not answered yet) and `link` (one
//!   established connection, until it breaks).
//! - `trust`: which certificate authorities count.
//! - [`tracking`]: which keys have changed since they were read.
//! - [`subscriber`]: the same for a subscription.
//! - `closing`: how the owner of a task tells it to end.

pub mod call;
pub(crate) mod closing;
pub mod connection;
pub(crate) mod flight;
pub mod ledger;
pub(crate) mod link;
pub mod options;
pub mod request;
pub mod script;
pub mod settings;
pub mod status;
pub mod subscriber;
mod supervisor;
pub mod tracking;
mod trust;
