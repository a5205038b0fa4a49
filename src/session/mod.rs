//! Sessions: the store reads and writes them, the feed hears of every change.
//!
//! - [`store`]: get, write, delete, touch, broadcast; makes operations for the engine.
//! - `options`: how a store is made.
//! - [`feed`]: updates and WebSocket messages from all instances, brought up to date after a gap.

pub mod feed;
mod options;
pub mod store;
