//! The N-API boundary, and the only place that knows Node.
//!
//! - `runtime`: the threads behind JavaScript's.
//! - `engine`: whichever engine a client's settings name.
//! - `completions`: answers and events on their way back to JavaScript, one wake-up for many.
//! - `client`, `subscription`, `store`, `feed`, `queue`, `test_store`: one file a class that JavaScript sees.
//!
//! Nothing with a prototype crosses: strings, numbers, booleans and buffers only. States, dates,
//! errors and promises are made in `lib/`, in the caller's own realm.

mod client;
mod completions;
mod engine;
mod expiry;
mod feed;
mod queue;
mod runtime;
mod store;
mod subscription;
mod test_store;

/// Which release this binary is of: JavaScript refuses one that is not of its own.
#[napi_derive::napi]
#[cfg_attr(test, expect(dead_code, reason = "the tests' build exports nothing"))]
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
