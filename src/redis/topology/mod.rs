//! Who serves which keys: pure, without a socket, a task or a clock.
//!
//! - `slot`: the slot of a key; `partition`: the slots that sessions are in.
//! - `view`: what a node of a cluster tells of it; `cluster`: what is made of that, and who is asked
//!   next.

pub(crate) mod cluster;
pub(crate) mod partition;
#[cfg(test)]
mod simulation;
pub(crate) mod slot;
pub(crate) mod view;
