//! Sessions on one Redis: the store reads and writes them, the feed hears of every change.
//!
//! - [`store`]: get, write, delete, touch, broadcast. Each call is one round trip.
//! - `options`, `rule`: how a store is made, and what its writes demand.
//! - `read`, `many`, `write`: the requests behind the store's calls; `reply`: what is made of answers.
//! - `scripts`: the Lua scripts behind the writes, which hold the constants of their store.
//! - [`message`]: what is published about sessions, and how it is read.
//! - [`feed`]: updates and WebSocket messages from all instances, brought up to date after a gap.

pub mod feed;
mod many;
pub mod message;
mod options;
mod read;
mod reply;
mod rule;
mod scripts;
pub mod store;
mod write;
