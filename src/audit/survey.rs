//! How a queue is doing, with a worker's lanes as one.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::worker_name::{host_of, worker_of};
use crate::operation::survey::{Surveyed, WorkerSeen};

/// The most workers that are told of: those that were heard of last.
const MOST: usize = 200;

/// What `lib/audit/DBWriteQueue.js` reads: the fields of `QueueMetrics`, times in milliseconds.
pub fn to_json(surveyed: Surveyed) -> Json {
    let Surveyed { counts, oldest, stored_at_ms, stored_ago, workers } = surveyed;
    json!({
        "waiting": counts.waiting,
        "active": counts.active,
        "delayed": counts.delayed,
        "dead": counts.failed,
        "stored": counts.completed,
        "oldestAgeMs": oldest.map(ms),
        "lastStoredAtMs": stored_at_ms,
        "storedAgoMs": stored_ago.map(ms),
        "workers": workers.map(|seen| together(seen).into_iter().map(worker).collect::<Vec<_>>()),
    })
}

/// The workers, the one that was heard of last first. All that is told of one counts together: its lanes,
/// and in a cluster its claims in each partition.
fn together(seen: Vec<WorkerSeen>) -> Vec<WorkerSeen> {
    let mut workers: BTreeMap<String, WorkerSeen> = BTreeMap::new();
    for WorkerSeen { name, silent, claimed } in seen {
        let name = worker_of(&name).to_owned();
        let first = WorkerSeen { name: name.clone(), silent, claimed: 0 };
        let worker = workers.entry(name).or_insert(first);
        worker.silent = worker.silent.min(silent);
        worker.claimed += claimed;
    }
    let mut workers: Vec<_> = workers.into_values().collect();
    workers.sort_by_key(|worker| worker.silent);
    workers.truncate(MOST);
    workers
}

fn worker(WorkerSeen { name, silent, claimed }: WorkerSeen) -> Json {
    let mut told = json!({ "name": name, "lastHeardMs": ms(silent), "claimed": claimed });
    if let Some(host) = host_of(&name) {
        told["host"] = host.into();
    }
    told
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::queue::Metrics;

    fn seen(name: &str, seconds: u64, claimed: u64) -> WorkerSeen {
        WorkerSeen { name: name.into(), silent: Duration::from_secs(seconds), claimed }
    }

    #[test]
    fn lanes_and_partitions_of_a_worker_count_together() {
        let lanes = [("a:1:f#0", 9, 2), ("old", 1, 0), ("a:1:f#1", 3, 4), ("a:1:f#0", 70, 1)];
        let lanes = lanes.map(|(name, seconds, claimed)| seen(name, seconds, claimed)).to_vec();
        assert_eq!(together(lanes), [seen("old", 1, 0), seen("a:1:f", 3, 7)]);
    }

    #[test]
    fn so_many_are_told_of_as_a_reader_can_take() {
        let many = (0..1000).map(|number| seen(&number.to_string(), 1000 - number, 0)).collect();
        let told = together(many);
        assert_eq!((told.len(), &*told[0].name), (MOST, "999"));
    }

    #[test]
    fn what_is_unknown_is_null() {
        let told = to_json(Surveyed {
            counts: Metrics { failed: 3, ..Metrics::default() },
            oldest: None,
            stored_at_ms: None,
            stored_ago: None,
            workers: None,
        });
        assert_eq!((&told["dead"], &told["workers"]), (&json!(3), &Json::Null));
        assert_eq!((&told["oldestAgeMs"], &told["lastStoredAtMs"]), (&Json::Null, &Json::Null));
    }
}
