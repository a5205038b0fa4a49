//! Sessions: the store reads and writes them, the feed hears of every change.
//!
//! - [`store`]: get, write, delete, touch, broadcast; makes operations for the engine.
//! - `options`: how a store is made.
//! - [`expiry`]: tells of sessions whose TTL has run out.
//! - [`feed`]: updates and WebSocket messages from all instances, brought up to date after a gap.

pub mod expiry;
pub mod feed;
mod options;
pub mod store;
