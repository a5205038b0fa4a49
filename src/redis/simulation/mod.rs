//! The dispatcher and its conversations against a simulated server and network, by seed.
//!
//! Each history has a clock of its own. Connections are cut at any byte, fall silent, drain slowly
//! and come in any portions; the server refuses, pauses, restarts and forgets its scripts. In the
//! end everything that was true is compared with what callers were told.
//!
//! `SYNCKAIROS_HISTORIES` says how many histories are made (10 000), `SYNCKAIROS_SEED` which is the
//! first (0): a failure names the seed that repeats it.

mod check;
mod cluster;
pub(super) mod request;
mod server;
mod world;

use check::check;
use world::World;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn what_callers_are_told_is_true() {
    let first = number("SYNCKAIROS_SEED").unwrap_or(0);
    let count = number("SYNCKAIROS_HISTORIES").unwrap_or(10_000);
    let mut seen = check::Seen::default();
    for seed in first..first + count {
        let panicked = |_| panic!("history {seed} ended in a panic");
        let world = std::panic::catch_unwind(|| World::run(seed)).unwrap_or_else(panicked);
        if let Err(fault) = check(&world, &mut seen) {
            panic!("history {seed}: {fault}\n{}", world.story());
        }
    }
    if count >= 1000 {
        seen.assert_varied();
    }
}
