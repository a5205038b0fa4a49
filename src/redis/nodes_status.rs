//! The status of a connection to many servers, as one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::status::{Status, StatusSink};
use crate::redis::topology::cluster::NodeNumber;

/// What the servers' statuses amount to, told to one sink when it changes.
#[derive(Clone)]
pub(crate) struct NodesStatus(Arc<Mutex<Inner>>);

struct Inner {
    sink: StatusSink,
    told: Status,
    nodes: BTreeMap<NodeNumber, Status>,
}

impl NodesStatus {
    pub fn new(sink: StatusSink) -> Self {
        Self(Arc::new(Mutex::new(Inner { sink, told: Status::Connecting, nodes: BTreeMap::new() })))
    }

    /// Hears of the status of one server.
    pub fn of(&self, node: NodeNumber) -> StatusSink {
        let nodes = self.clone();
        Arc::new(move |status| nodes.change(|all| drop(all.insert(node, status))))
    }

    /// A server does not count any more.
    pub fn without(&self, node: NodeNumber) {
        self.change(|all| drop(all.remove(&node)));
    }

    /// Tells what all amounts to, under the lock, so that nobody tells of an earlier one later.
    fn change(&self, work: impl FnOnce(&mut BTreeMap<NodeNumber, Status>)) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut inner.nodes);
        let status = whole(inner.nodes.values());
        if let Some(status) = status.filter(|status| *status != inner.told) {
            inner.told = status.clone();
            (inner.sink)(status);
        }
    }
}

/// The worst of them, but for servers that nothing was asked of.
fn whole<'a>(all: impl Iterator<Item = &'a Status>) -> Option<Status> {
    let gravity = |status: &&Status| match status {
        Status::Reconnecting { .. } => 5,
        Status::Replacing => 4,
        Status::Limited { .. } => 3,
        Status::Ready => 2,
        Status::Connecting => 1,
        Status::Idle | Status::Closed => 0,
    };
    all.max_by_key(gravity).filter(|worst| gravity(worst) > 0).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_lasts_until_every_server_is_back() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let list = told.clone();
        let nodes =
            NodesStatus::new(Arc::new(move |status| list.lock().expect("list").push(status)));
        let lost = |reason: &str| Status::Reconnecting { reason: reason.into() };
        let [one, other] = [0, 1].map(|node| nodes.of(node));
        one(Status::Connecting);
        one(Status::Ready);
        other(Status::Connecting);
        other(lost("a"));
        one(lost("b"));
        one(Status::Ready);
        other(Status::Ready);
        other(lost("c"));
        nodes.without(1);
        one(Status::Closed);
        let expected = [Status::Ready, lost("a"), Status::Ready, lost("c"), Status::Ready];
        assert_eq!(*told.lock().expect("list"), expected);
    }
}
