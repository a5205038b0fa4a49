//! The survey of a queue: every partition is asked, in one round trip to each node. In a cluster an idle worker
//! leaves no trace in the streams: there the table of leases tells who is alive.

use std::sync::LazyLock;
use std::time::Duration;

use redis::Value;
use tokio::time::Instant;

use super::claims::ALIVE;
use super::context::Context;
use super::entries::{int, list, text, unexpected};
use super::gather::Gather;
use super::handle::RedisRecords;
use super::part::{InPartition, Part};
use super::queue::{add, read_counts};
use crate::error::Result;
use crate::keys::{AUDIT_GROUP, AuditKeys};
use crate::operation::queue::Metrics;
use crate::operation::survey::{LEFT_OUT, Surveyed, WorkerSeen};
use crate::operation::{Effect, Operation};
use crate::redis::command::AsCommand;
use crate::redis::place::Place;
use crate::redis::request::Attempt;
use crate::redis::resp::encode::append;
use crate::redis::script::Script;
use crate::redis::topology::slot::Slot;

static SURVEY: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(include_str!("scripts/counts.lua"), include_str!("scripts/survey.lua")))
});
static ALIVE_NOW: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/alive.lua")));

/// Looks at one partition.
pub(super) struct SurveyPart;

/// Asks the table of leases which workers are alive, in a cluster.
struct Alive;

impl RedisRecords {
    /// Asks all partitions, and in a cluster the table of the workers, at once.
    pub(super) fn survey(
        &self,
        deadline: Instant,
        done: impl FnOnce(Result<Surveyed>) + Send + 'static,
    ) {
        self.when_known(deadline, move |known| {
            let (records, count) = match known {
                Ok(known) => known,
                Err(error) => return done(Err(error)),
            };
            let is_cluster = records.context().partitions().is_some();
            let places = count + usize::from(is_cluster);
            let gather = Gather::new(places, places, move |answers: Result<Vec<_>>| {
                done(answers.map(|answers| combine(answers.into_iter().flatten().collect())));
            });
            for number in 0..count {
                let (part, gather) = (SurveyPart, gather.clone());
                records.submit(InPartition { number, part }, deadline, move |answer| {
                    gather.tell(number, answer, false);
                });
            }
            if is_cluster {
                records.submit(Alive, deadline, move |answer| gather.tell(count, answer, false));
            }
            records.flush();
        });
    }
}

/// Times of different nodes are not compared: the clock of each says how long ago something was.
fn combine(answers: Vec<Surveyed>) -> Surveyed {
    let counts = answers.iter().fold(Metrics::default(), |sum, one| add(sum, &one.counts));
    let oldest = answers.iter().filter_map(|one| one.oldest).max();
    let latest = answers.iter().filter(|one| one.stored_ago.is_some());
    let latest = latest.min_by_key(|one| one.stored_ago);
    let (stored_at_ms, stored_ago) =
        latest.map_or((None, None), |one| (one.stored_at_ms, one.stored_ago));
    let workers: Option<Vec<_>> = answers.into_iter().map(|one| one.workers).collect();
    let workers = workers.map(|all| all.into_iter().flatten().collect());
    Surveyed { counts, oldest, stored_at_ms, stored_ago, workers }
}

impl Operation for Alive {
    type Outcome = Surveyed;

    fn effect(&self) -> Effect {
        Effect::Read
    }
}

impl AsCommand for Alive {
    type Context = Context;

    fn encode(&self, context: &Context, attempt: &Attempt, out: &mut Vec<u8>) {
        append(out, &ALIVE_NOW.command(attempt.with_source, &[&context.stream.keys.workers]));
    }

    fn place<'a>(&'a self, context: &'a Context) -> Place<'a> {
        Place::Slot(Slot::of(context.stream.keys.workers.as_bytes()))
    }

    fn read(self, _context: &Context, reply: Result<Value>) -> Result<Surveyed> {
        let workers = match reply? {
            Value::Nil => None,
            workers => {
                let alive = list(workers)?;
                let pairs = alive.chunks_exact(2).filter_map(|pair| {
                    let name = text(pair[0].clone())?;
                    let silent = ALIVE.saturating_sub(Duration::from_millis(int(&pair[1])));
                    Some(WorkerSeen { name, silent, claimed: 0 })
                });
                Some(pairs.collect())
            }
        };
        Ok(Surveyed { workers, ..Surveyed::default() })
    }
}

impl Part for SurveyPart {
    type Answer = Surveyed;

    const EFFECT: Effect = Effect::Read;

    fn encode(&self, keys: &AuditKeys, attempt: &Attempt, out: &mut Vec<u8>) {
        let AuditKeys { stream, delayed, dead, completed, stored, .. } = keys;
        let names = [&**stream, delayed, dead, completed, stored];
        let mut command = SURVEY.command(attempt.with_source, &names);
        command.arg(AUDIT_GROUP).arg(LEFT_OUT.as_millis() as u64);
        append(out, &command);
    }

    fn read(reply: Value) -> Result<Surveyed> {
        let parts = <[Value; 5]>::try_from(list(reply)?).map_err(|_| unexpected())?;
        let [counts, oldest, stored, ago, workers] = parts;
        let workers = match workers {
            Value::Nil => None,
            workers => Some(read_workers(list(workers)?)),
        };
        Ok(Surveyed {
            counts: read_counts(counts)?,
            oldest: known(&oldest).map(Duration::from_millis),
            stored_at_ms: known(&stored),
            stored_ago: known(&ago).map(Duration::from_millis),
            workers,
        })
    }
}

/// A number, unless it is -1.
fn known(value: &Value) -> Option<u64> {
    if let Value::Int(number) = value { u64::try_from(*number).ok() } else { None }
}

fn read_workers(fields: Vec<Value>) -> Vec<WorkerSeen> {
    let mut workers = Vec::with_capacity(fields.len() / 3);
    let mut fields = fields.into_iter();
    while let (Some(name), Some(silent), Some(claimed)) =
        (fields.next().and_then(text), fields.next(), fields.next())
    {
        let (silent, claimed) = (Duration::from_millis(int(&silent)), int(&claimed));
        workers.push(WorkerSeen { name, silent, claimed });
    }
    workers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surveyed(oldest: u64, (at, ago): (u64, u64), workers: Option<&str>) -> Surveyed {
        let worker = |name: &str| {
            let (name, silent) = (name.to_owned(), Duration::from_secs(1));
            vec![WorkerSeen { name, silent, claimed: 2 }]
        };
        Surveyed {
            counts: Metrics { waiting: 1, completed: 2, ..Metrics::default() },
            oldest: Some(Duration::from_secs(oldest)),
            stored_at_ms: Some(at),
            stored_ago: Some(Duration::from_millis(ago)),
            workers: workers.map(worker),
        }
    }

    #[test]
    fn the_oldest_record_and_the_latest_that_was_stored_are_those_of_all_partitions() {
        // The second node's clock is ahead: what it says to be later was earlier.
        let parts = vec![surveyed(3, (1000, 5), Some("a")), surveyed(9, (9000, 70), Some("b"))];
        let all = combine(parts);
        assert_eq!(all.counts, Metrics { waiting: 2, completed: 4, ..Metrics::default() });
        assert_eq!(all.oldest, Some(Duration::from_secs(9)));
        assert_eq!(
            (all.stored_at_ms, all.stored_ago),
            (Some(1000), Some(Duration::from_millis(5)))
        );
        assert_eq!(all.workers.map(|all| all.len()), Some(2));
    }

    #[test]
    fn workers_are_unknown_where_one_node_hides_them() {
        let parts = vec![surveyed(3, (1, 1), Some("a")), surveyed(3, (1, 1), None)];
        assert_eq!(combine(parts).workers, None);
    }
}
