//! Where the master is, if sentinels tell.
//!
//! - `endpoint`: a host and a port; `report`: what sentinels are asked, and their answers.
//! - `sentinels`: which of the reports counts, and whom to ask when. Pure, and simulated.
//! - `master`: what is known, for those who connect to it; `watcher`: the task that finds it out.

pub(crate) mod endpoint;
pub mod master;
mod report;
mod sentinels;
pub mod watcher;
