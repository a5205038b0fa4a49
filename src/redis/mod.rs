//! How to talk to Redis; Redis as an engine.
//!
//! Pure, without a socket, a task or a clock:
//!
//! - [`resp`]: the protocol's bytes.
//! - `greeting`: what a connection says first; `refusal`: what an error reply means; `limits`: what a
//!   server's refusals mean for its users.
//! - [`request`]: what a command must say about itself; [`order`]: the order of the calls about a
//!   session; [`ledger`]: where a write notes that it was applied.
//! - `probe`: when a subscription proves that messages arrive.
//! - `role`: whether the server is still a master; `replication`: which writes wait for replicas.
//! - `place`: where a request is to be executed; `layout`: how keys are spread, which says so.
//! - `conversation`: what was sent and is owed on one connection; `pending`: a request on its way;
//!   `dispatcher`: which request goes out when, and what becomes of it.
//!
//! With a server:
//!
//! - [`options`]: where it is and how long to wait for it, from a URL or [`settings`].
//! - `topology`: where it is if sentinels tell.
//! - `transport`: the socket, plain or with `tls`; any thread writes, one task reads.
//! - `link`: a connection in the hands of one task; `subscribed_link`: one that listens;
//!   [`subscriber`]: a subscription on one; [`subscription`]: topics that change, and who hears of them.
//! - [`connection`]: the handle to a supervised connection. Behind it `shared`
//!   (what the threads share), `supervisor` (a task a server) and its `timer`, `keeper` (which owns them), `agreement`
//!   (on the number of partitions), `nodes_status`.
//! - [`script`], [`tracking`], [`track`], `ping`: requests that know no session; `call`: the owner's own commands,
//!   [`caller`]: where they go, by the `command_table` of a cluster.
//! - [`engine`]: Redis as an engine. `command`: an operation as a command. [`sessions`], [`records`]:
//!   the operations, and what is published and claimed.
//!
//! In tests, `simulation`: the dispatcher against a simulated server and network.

mod agreement;
mod call;
pub mod caller;
mod command;
mod command_table;
pub mod connection;
mod conversation;
mod dispatcher;
pub mod engine;
mod greeting;
mod keeper;
mod layout;
pub mod ledger;
mod limits;
pub(crate) mod link;
mod nodes_status;
pub mod options;
pub mod order;
mod pending;
mod ping;
mod place;
mod probe;
pub mod records;
pub(crate) mod refusal;
mod replication;
pub mod request;
pub mod resp;
mod role;
pub mod script;
pub mod sessions;
pub mod settings;
mod shared;
#[cfg(test)]
mod simulation;
mod subscribed_link;
pub mod subscriber;
pub mod subscription;
mod supervisor;
mod timer;
mod tls;
pub mod topology;
pub mod track;
pub mod tracking;
mod transport;
