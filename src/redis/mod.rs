//! How to talk to Redis. Knows no session.
//!
//! - [`options`]: where a server is and how long to wait for it.
//! - [`request`]: what a command must say about itself to be sent, repeated and settled.
//! - [`script`]: a Lua script that is sent by its digest.
//! - `link`: one established connection; lives until it breaks.
//! - [`connection`]: the supervisor that replaces links for ever and owns all pending requests.
//! - [`subscriber`]: the same for a subscription.
//! - [`call`]: any command at all, for callers of their own.

pub mod call;
pub mod connection;
mod link;
pub mod options;
pub mod request;
pub mod script;
pub mod subscriber;
