//! Redis and the memory engine are one: random histories, and both tell the same story.
//!
//! - [`history`]: what is invented, with [`document`] and [`names`]. [`play`]: how it is played on an
//!   engine, with a [`listener`] and a [`worker`], and what is written down; [`answer`]: how that is
//!   made comparable.
//! - [`side`]: the two engines, and how time passes on each.
//! - [`search`]: how the stories are compared where operations race, over their [`orders`].
//! - [`lane`]: one history after the other.
//!
//! What gives the most for the least: the engines are compared by what they tell through their traits
//! alone, in the end also by reading all sessions, claims and letters while time passes until they have
//! expired. So nothing knows how either keeps them, and a difference is one that a caller can see.
//!
//! `SYNCKAIROS_HISTORIES` says how many histories are made (2000), `SYNCKAIROS_SEED` which is the first
//! (0), `SYNCKAIROS_LANES` how many run side by side (2): a failure names the seed that repeats it.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may.

mod answer;
mod document;
#[path = "../harness/mod.rs"]
mod harness;
mod history;
mod lane;
mod listener;
mod names;
mod orders;
mod play;
mod search;
mod side;
mod worker;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use lane::Lane;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn both_engines_tell_the_same_story() {
    let first = number("SYNCKAIROS_SEED").unwrap_or(0);
    let count = number("SYNCKAIROS_HISTORIES").unwrap_or(2000);
    let lanes = number("SYNCKAIROS_LANES").unwrap_or(2);
    let (next, has_failed) = (AtomicU64::new(first), AtomicBool::new(false));
    let began = Instant::now();
    let run = || {
        let lane = Lane::new();
        while !has_failed.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                break;
            }
            if let Err(fault) = lane.run(seed) {
                has_failed.store(true, Ordering::Relaxed);
                return Err(format!("history {seed}: {fault}"));
            }
        }
        Ok(())
    };
    let outcomes: Vec<Result<(), String>> = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..lanes).map(|_| scope.spawn(run)).collect();
        lanes.into_iter().map(|lane| lane.join().expect("a lane has panicked")).collect()
    });
    if let Some(fault) = outcomes.into_iter().find_map(Result::err) {
        panic!("{fault}");
    }
    println!("{count} histories in {:.1?}", began.elapsed());
}
