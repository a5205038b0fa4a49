//! How the clients of a cluster agree on the number of partitions: the first one writes it down, and the
//! others take what is written. A client that is to use another number uses none.

use std::sync::Arc;

use redis::Value;
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::keys::PARTITIONS;
use crate::operation::Effect;
use crate::redis::options::Options;
use crate::redis::place::Place;
use crate::redis::request::{Attempt, Request};
use crate::redis::resp::encode::Command;
use crate::redis::shared::Shared;
use crate::redis::topology::partition::{DEFAULT, MOST};
use crate::redis::topology::slot::Slot;

/// Takes the number that is written down; writes one down where there is none. If no node
/// answers within the stall time, the map is asked for, and whoever hears that agrees anew.
pub(crate) fn agree(shared: &Arc<Shared>, options: &Options) {
    let (wanted, server) = (options.partitions, options.to_string());
    let (again, deadline) = (shared.clone(), Instant::now() + options.stall_timeout);
    // To look first needs neither memory nor the right to write where others have agreed.
    let looked = move |noted: Result<Option<u16>>| match noted {
        Ok(None) => {
            let count = wanted.unwrap_or(DEFAULT);
            let shared = again.clone();
            let noted = move |noted: Result<Option<u16>>| {
                agreed(&shared, wanted, &server, noted.map(|noted| noted.unwrap_or(count)));
            };
            let note = Ask { note: Some(count), deadline, done: noted };
            again.submit(Box::new(note));
            again.flush();
        }
        Ok(Some(count)) => agreed(&again, wanted, &server, Ok(count)),
        Err(error) => agreed(&again, wanted, &server, Err(error)),
    };
    shared.submit(Box::new(Ask { note: None, deadline, done: looked }));
    shared.flush();
}

fn agreed(shared: &Shared, wanted: Option<u16>, server: &str, noted: Result<u16>) {
    // Both under one lock: what is called meanwhile must not pass what has waited.
    shared.update_map(|dispatcher, now| {
        match noted {
            Ok(count) if wanted.is_none_or(|wanted| wanted == count) => {
                shared.layout().is_partitioned(count);
            }
            Ok(count) => {
                let reason = format!(
                    "{server}: this cluster has {count} (its key {PARTITIONS}): set partitions to \
                     {count}, or leave it out"
                );
                shared.layout().is_refused(Error::invalid("partitions", reason));
            }
            Err(Error::Reply { message }) if !is_for_now(&message) => {
                let message = format!("{message} ({server}: its key {PARTITIONS})");
                shared.layout().is_refused(Error::Reply { message });
            }
            // Whoever answers next is asked again.
            Err(Error::Unavailable { reason } | Error::OutcomeUnknown { reason }) => {
                return dispatcher.spread_unanswered(reason, now);
            }
            Err(error) => return dispatcher.spread_unanswered(error.to_string(), now),
        }
        dispatcher.reroute();
    });
}

/// Whether a refusal ends without anybody changing something about this client: the memory is full.
fn is_for_now(refusal: &str) -> bool {
    refusal.starts_with("OOM ")
}

/// Asks what is noted, or has a number noted unless one is.
struct Ask<D> {
    note: Option<u16>,
    deadline: Instant,
    done: D,
}

impl<D: FnOnce(Result<Option<u16>>) + Send> Request for Ask<D> {
    fn encode(&self, _attempt: &Attempt, out: &mut Vec<u8>) {
        match self.note {
            None => {
                Command::new(out, 2).word("GET").word(PARTITIONS);
            }
            Some(count) => {
                let mut set = Command::new(out, 5);
                set.word("SET").word(PARTITIONS).number(count.into()).word("NX").word("GET");
            }
        }
    }

    fn effect(&self) -> Effect {
        if self.note.is_some() { Effect::Idempotent } else { Effect::Read }
    }

    fn place(&self) -> Place<'_> {
        Place::Slot(Slot::of(PARTITIONS.as_bytes()))
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn settle(self: Box<Self>, outcome: Result<Value>) {
        (self.done)(outcome.and_then(|noted| {
            if noted == Value::Nil {
                return Ok(None);
            }
            let count = redis::from_redis_value(noted).ok();
            let count = count.filter(|count| (1..=MOST).contains(count)).ok_or_else(|| {
                Error::Reply { message: format!("ERR it holds no number from 1 to {MOST}") }
            });
            count.map(Some)
        }));
    }
}
