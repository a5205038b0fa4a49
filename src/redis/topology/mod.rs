//! Who serves which keys.
//!
//! If sentinels tell where the master is:
//!
//! - `report`: what sentinels are asked, and their answers; `sentinels`: which of the reports counts, and
//!   whom to ask when. Pure, and simulated.
//! - `master`: what is known, for those who connect to it; `watcher`: the task that finds it out.
//!
//! In a cluster, all pure:
//!
//! - `seeds`: how the cluster is told.
//! - `slot`: the slot of a key; `ranges`: what belongs to each; `partition`: the slots that sessions are in.
//! - `view`: what a node tells of its cluster; `cluster`: what is made of that, and who is asked next.
//!
//! `endpoint`: a host and a port.

pub(crate) mod cluster;
pub(crate) mod endpoint;
pub mod master;
pub(crate) mod partition;
mod ranges;
mod report;
pub(crate) mod seeds;
mod sentinels;
#[cfg(test)]
mod simulation;
pub(crate) mod slot;
pub(crate) mod view;
pub mod watcher;
