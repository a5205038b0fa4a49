//! RESP, the protocol of Redis: its bytes. Pure, incremental and bounded.
//!
//! - `scanner`: where a frame ends, while its bytes arrive.
//! - [`decoder`]: received bytes in, replies and pushes out.
//! - [`encode`]: commands, as they are sent.

pub(crate) mod decoder;
pub mod encode;
mod scanner;
