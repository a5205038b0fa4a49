//! How to talk to Redis. Knows no session.
//!
//! Pure, without a socket, a task or a clock:
//!
//! - [`resp`]: the protocol's bytes.
//! - `greeting`: what a connection says first; `refusal`: what an error reply means.
//! - [`request`]: what a command must say about itself; [`order`]: the order of the calls about a
//!   session; [`ledger`]: where a write notes that it was applied.
//! - `conversation`: what was sent and is owed on one connection; `dispatcher`: which request goes
//!   out when, and what becomes of it.
//!
//! With a server:
//!
//! - [`options`]: where it is and how long to wait for it, from a URL or [`settings`]; `trust`: whom
//!   TLS trusts; `verifier`: how it verifies a server's certificate, by the `authorities` that are
//!   given and its `common_name`, both in `der`.
//! - `transport`: the socket, plain or with `tls`; any thread writes, one task reads.
//! - `link`: a connection in the hands of one task; [`subscriber`]: a subscription on one;
//!   [`subscription`]: topics that change, and who hears of them.
//! - [`connection`]: the handle to a supervised connection, and its [`status`]. Behind it `shared`
//!   (what the threads share), `supervisor` (the task) and its `timer`.
//! - [`script`], [`call`], [`tracking`]: requests that know no session.
//! - `closing`: how the owner of a task tells it to end.
//!
//! In tests, `simulation`: the dispatcher against a simulated server and network.

mod authorities;
pub mod call;
pub(crate) mod closing;
mod common_name;
pub mod connection;
mod conversation;
mod der;
mod dispatcher;
mod greeting;
pub mod ledger;
pub(crate) mod link;
pub mod options;
pub mod order;
pub(crate) mod refusal;
pub mod request;
pub mod resp;
pub mod script;
pub mod settings;
mod shared;
#[cfg(test)]
mod simulation;
pub mod status;
pub mod subscriber;
pub mod subscription;
mod supervisor;
mod timer;
mod tls;
pub mod tracking;
mod transport;
pub(crate) mod trust;
pub(crate) mod verifier;
