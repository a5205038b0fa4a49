//! Who serves which keys: pure, without a socket, a task or a clock.
//!
//! - `slot`: the slot of a key; `partition`: the slots that sessions are in.
//! - `view`: what a node of a cluster tells of it; `cluster`: what is made of that, and who is asked
//!   next.

#![allow(dead_code)] // Until connections go by it.

mod cluster;
mod partition;
#[cfg(test)]
mod simulation;
mod slot;
mod view;
