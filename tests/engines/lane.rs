//! One lane: a thread with engines of its own, on which one history runs after the other.

use std::cell::RefCell;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use tokio::runtime::{Builder, Runtime};

use crate::harness::RedisServer;
use crate::history::{every_script, history};
use crate::names::Names;
use crate::play::play;
use crate::search::difference;
use crate::side::Redis;

/// The most steps of a history.
const STEPS: usize = 40;

/// How often a history that shows a fault is made smaller, at most, and how long that may take.
const SHRINKS: u32 = 2000;
const SHRINKING_MS: u32 = 120_000;

pub struct Lane {
    runtime: Runtime,
    names: Names,
    redis: RefCell<Redis>,
    /// Ends with the lane.
    _server: RedisServer,
}

impl Lane {
    pub fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let server = RedisServer::start();
        // Nothing has to outlive it, and each write would wait for the disk.
        server.ask(&["CONFIG", "SET", "appendonly", "no"]);
        let names = Names::new();
        let redis = runtime.block_on(async {
            let mut redis = Redis::new(&server);
            for history in every_script() {
                play(&mut redis, &names, &history, None).await;
            }
            RefCell::new(redis)
        });
        Self { runtime, names, redis, _server: server }
    }

    /// Runs the history of a seed. `Err` says how the engines differ, and shows the smallest history
    /// that was found in which they do.
    pub fn run(&self, seed: u64) -> Result<(), String> {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let config = Config {
            failure_persistence: None,
            max_shrink_iters: SHRINKS,
            max_shrink_time: SHRINKING_MS,
            ..Config::default()
        };
        let mut runner = TestRunner::new_with_rng(config, rng);
        let history = history(STEPS).new_tree(&mut runner).map_err(|reason| reason.to_string())?;
        let ran = runner.run_one(history, |history| {
            let mut redis = self.redis.borrow_mut();
            let difference = difference(&mut redis, &self.names, &history);
            match self.runtime.block_on(difference) {
                None => Ok(()),
                Some(words) => Err(TestCaseError::fail(words)),
            }
        });
        match ran {
            Ok(_) => Ok(()),
            Err(TestError::Abort(reason)) => Err(reason.to_string()),
            Err(TestError::Fail(reason, history)) => {
                let steps = history.steps.iter().enumerate();
                let steps: String =
                    steps.map(|(number, step)| format!("{number}: {step:?}\n")).collect();
                Err(format!("{reason}\n{:?}\n{steps}", history.setup))
            }
        }
    }
}
