//! Has every server behind a connection tell which of the keys that were read there have changed.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::redis::connection::Connection;
use crate::redis::topology::cluster::NodeNumber;
use crate::redis::tracking::Track;

/// Done once all servers tell of the keys that are read from now on; `Err`, if one of them does not. Its
/// success also proves that what they have told before has come.
pub fn track(
    connection: &Connection,
    deadline: Instant,
    done: impl FnOnce(Result<()>) + Send + 'static,
) {
    if let Some(masters) = masters(connection) {
        return track_masters(connection, masters, deadline, done);
    }
    let again = connection.clone();
    // What was taken for one server may have turned out to be a cluster.
    let answered = move |outcome: Result<()>| match (outcome, masters(&again)) {
        (Ok(()), Some(masters)) => {
            track_masters(&again, masters, deadline, done);
            again.flush();
        }
        (outcome, _) => done(outcome),
    };
    connection.submit(Box::new(Track::new(None, deadline, answered)));
}

/// The masters that are known, if it is a cluster.
fn masters(connection: &Connection) -> Option<Vec<NodeNumber>> {
    connection.masters().filter(|masters| !masters.is_empty())
}

/// The masters that have not answered yet.
struct Asked<D> {
    left: usize,
    outcome: Result<()>,
    done: Option<D>,
}

fn track_masters<D: FnOnce(Result<()>) + Send + 'static>(
    connection: &Connection,
    masters: Vec<NodeNumber>,
    deadline: Instant,
    done: D,
) {
    let gaps = connection.gaps_in_news();
    let asked = Asked { left: masters.len(), outcome: Ok(()), done: Some(done) };
    let asked = Arc::new(Mutex::new(asked));
    for master in masters {
        let (asked, cluster) = (asked.clone(), connection.clone());
        let answered = move |outcome: Result<()>| {
            let mut all = asked.lock().unwrap_or_else(PoisonError::into_inner);
            all.left -= 1;
            if all.outcome.is_ok() {
                all.outcome = outcome;
            }
            let done = if all.left == 0 { all.done.take() } else { None };
            let outcome = all.outcome.clone();
            drop(all); // Not to be held while others' code runs.
            if let Some(done) = done {
                let is_whole = cluster.gaps_in_news() == gaps;
                done(outcome.and_then(|()| if is_whole { Ok(()) } else { Err(interrupted()) }));
            }
        };
        connection.submit(Box::new(Track::new(Some(master), deadline, answered)));
    }
}

/// One of the answers may have been that of a connection that is gone, or of a node that has other slots now.
fn interrupted() -> Error {
    Error::unavailable(String::from(
        "the cluster changed while its masters were asked to track keys",
    ))
}
