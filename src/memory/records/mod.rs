//! The records of an audit queue in memory.
//!
//! - `entry`: a record, as the store keeps it. `stream`: the records that wait, and who claims them.
//!   `letters`: the dead letters. `queue`: both, of one audit queue.
//! - [`log`]: every record that was appended, for tests.
//! - `operations`: what an operation on records does. [`claims`]: the claims of a worker.

pub mod claims;
pub(super) mod entry;
mod letters;
pub mod log;
mod operations;
pub(super) mod queue;
mod stream;
