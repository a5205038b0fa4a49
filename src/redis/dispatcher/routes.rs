//! Which node a request goes to, and how the dispatcher learns of that.

use tokio::time::Instant;

use super::node::Node;
use super::{Dispatcher, Map};
use crate::error::Error;
use crate::redis::pending::Pending;
use crate::redis::place::Place;
use crate::redis::refusal::Redirection;
use crate::redis::request::Request;
use crate::redis::topology::cluster::{Cluster, NodeNumber};
use crate::redis::topology::endpoint::Endpoint;
use crate::redis::topology::seeds::Seeds;
use crate::redis::topology::slot::Slot;
use crate::redis::topology::view::View;

impl Dispatcher {
    /// What was taken for one server is a cluster, of which these nodes are known. It has no connection.
    pub fn is_part_of_cluster(&mut self, seeds: Seeds, now: Instant) {
        if let Map::One = self.map {
            let random = fastrand::Rng::with_seed(self.random.u64(..));
            self.map = Map::Cluster(Box::new(Cluster::new(seeds, now, random)));
            if let Some(node) = self.nodes.first_mut() {
                self.homeless.append(&mut node.again);
                self.homeless.append(&mut node.ready);
            }
            self.nodes.clear();
            self.reroute();
        }
    }

    /// When the keeper of a cluster's map has something to do: to ask a node for the map, or to look at
    /// deadlines, which are nobody else's there.
    pub fn map_timeout(&self) -> Option<Instant> {
        let Map::Cluster(cluster) = &self.map else { return None };
        cluster.timeout().into_iter().chain(self.waiting_timeout()).min()
    }

    /// The node that is to be asked for the map now, with `map_answered` or `map_unanswered` to follow; and
    /// whether it may take long.
    pub fn ask_for_map(&mut self, now: Instant) -> Option<(Endpoint, bool)> {
        let Map::Cluster(cluster) = &mut self.map else { return None };
        let number = cluster.ask(now)?;
        Some((cluster.endpoint(number)?.clone(), cluster.is_patient()))
    }

    /// Something says that the map may be old.
    pub fn map_is_old(&mut self, now: Instant) {
        if let Map::Cluster(cluster) = &mut self.map {
            cluster.hinted(None, now);
        }
    }

    /// The node that was asked for the map has answered.
    pub fn map_answered(&mut self, view: &View, now: Instant) {
        let Map::Cluster(cluster) = &mut self.map else { return };
        let has_changed = cluster.answered(view, now);
        if has_changed || view.masters.is_empty() {
            self.unknown = String::from("no master has the slot");
        }
        if has_changed {
            self.reroute();
        }
    }

    /// The node that was asked for the map has not answered.
    pub fn map_unanswered(&mut self, reason: String, now: Instant) {
        let Map::Cluster(cluster) = &mut self.map else { return };
        cluster.unanswered(now);
        self.unknown = reason;
    }

    /// Nobody could tell how keys are spread.
    pub fn spread_unanswered(&mut self, reason: String, now: Instant) {
        self.unknown = reason;
        self.map_is_old(now);
    }

    /// Why there is no node for a request.
    pub(super) fn nowhere(&self, request: &dyn Request) -> String {
        match (request.place().slot(), &self.map) {
            (Some(slot), Map::Cluster(cluster)) if cluster.has_owners() => {
                format!("no master has the slot {}", slot.number())
            }
            _ => self.unknown.clone(),
        }
    }

    /// Whether something waits to be sent to a node.
    pub fn has_work(&self, number: NodeNumber) -> bool {
        self.nodes.get(number).is_some_and(Node::has_work)
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Where a node of a cluster listens.
    pub fn endpoint(&self, number: NodeNumber) -> Option<&Endpoint> {
        let Map::Cluster(cluster) = &self.map else { return None };
        cluster.endpoint(number)
    }

    /// How often it has changed who has which keys, as far as that is known.
    pub fn moves(&self) -> u64 {
        self.moves
    }

    /// How often the news of changed keys may have had a gap: some node has none for what was read before.
    pub fn gaps_in_news(&self) -> u64 {
        self.moves + self.losses
    }

    /// Where the node listens that has a slot. `None`: nobody has told of one.
    pub fn owner(&self, slot: Slot) -> Option<&Endpoint> {
        let Map::Cluster(cluster) = &self.map else { return None };
        cluster.endpoint(cluster.owner(slot)?)
    }

    /// The masters of the cluster; `None`: it is one server.
    pub fn masters(&self) -> Option<Vec<NodeNumber>> {
        let Map::Cluster(cluster) = &self.map else { return None };
        Some((0..cluster.nodes()).filter(|number| cluster.is_owner(*number)).collect())
    }

    /// Forgets the connection to a node that has no slots and owes nothing. `false`: it is needed.
    pub fn dismiss(&mut self, number: NodeNumber) -> bool {
        let Map::Cluster(cluster) = &self.map else { return false };
        let is_owner = cluster.is_owner(number);
        let Some(node) = self.nodes.get_mut(number) else { return false };
        let is_done = !is_owner && node.is_idle();
        if is_done {
            *node = node.without_connection();
        }
        is_done
    }

    /// How the keys are spread is known now, or is known to be otherwise.
    pub fn reroute(&mut self) {
        self.has_moved();
        let (mut again, mut ready) = (Vec::new(), Vec::new());
        for node in &mut self.nodes {
            again.extend(node.again.drain(..));
            ready.extend(node.ready.drain(..));
        }
        ready.extend(self.homeless.drain(..));
        for mut pending in again {
            pending.asking = None;
            self.send_again(pending);
        }
        ready.into_iter().for_each(|pending| self.send_later(pending));
    }

    /// A slot is found elsewhere than before, perhaps at a node that is new.
    fn has_moved(&mut self) {
        let Map::Cluster(cluster) = &self.map else { return };
        self.moves += 1;
        for number in self.nodes.len()..cluster.nodes() {
            let name = cluster.endpoint(number).map(Endpoint::to_string);
            self.nodes.push(Node::new(name.unwrap_or_default()));
        }
    }

    /// The node that a request goes to. `None`: nobody has told yet.
    pub(super) fn route(&self, request: &dyn Request) -> Option<NodeNumber> {
        let Map::Cluster(cluster) = &self.map else { return Some(0) };
        let number = match request.place() {
            Place::Unknown | Place::Nowhere(_) => return None,
            Place::Node(number) => Some(number).filter(|number| cluster.is_owner(*number))?,
            Place::Slot(slot) | Place::Partition { slot, .. } => cluster.owner(slot)?,
            Place::Any => self.any_owner(cluster)?,
        };
        (number < self.nodes.len()).then_some(number)
    }

    /// A master, with a connection if there is one; else one that was not tried so often.
    fn any_owner(&self, cluster: &Cluster) -> Option<NodeNumber> {
        let owners = (0..self.nodes.len()).filter(|number| cluster.is_owner(*number));
        owners.min_by_key(|number| {
            self.nodes.get(*number).map(|node| (!node.is_connected(), node.failures))
        })
    }

    /// To be sent when what is ready before it is sent.
    pub(super) fn send_later(&mut self, pending: Pending) {
        match self.route(&*pending.request).and_then(|number| self.nodes.get_mut(number)) {
            Some(node) => node.ready.push_back(pending),
            None => self.is_homeless(pending),
        }
    }

    /// To be sent before what is ready.
    pub(super) fn send_again(&mut self, pending: Pending) {
        let number = pending.asking.or_else(|| self.route(&*pending.request));
        match number.and_then(|number| self.nodes.get_mut(number)) {
            Some(node) => node.again.push_back(pending),
            None => self.is_homeless(pending),
        }
    }

    /// It waits until somebody tells where it belongs, unless that is nowhere.
    fn is_homeless(&mut self, pending: Pending) {
        match pending.request.place() {
            Place::Node(number) => {
                let server = self.nodes.get(number).map_or("the node", |node| &node.server);
                let refusal = Error::unavailable(format!("{server} is no master any more"));
                self.settle(pending, Err(refusal));
            }
            Place::Nowhere(error) => {
                let refusal = error.clone();
                self.settle(pending, Err(refusal));
            }
            _ => self.homeless.push_back(pending),
        }
    }

    /// Whether a refusal says that another node is to be asked, which is noted.
    pub(super) fn is_redirected(
        &mut self,
        number: NodeNumber,
        pending: &mut Pending,
        line: &str,
        now: Instant,
    ) -> bool {
        let Map::Cluster(cluster) = &mut self.map else { return false };
        if line.starts_with("CLUSTERDOWN") {
            cluster.hinted(Some(number), now);
        }
        let Some(asked) = cluster.endpoint(number).cloned() else { return false };
        let Some(redirection) = Redirection::of(line, &asked) else { return false };
        match redirection {
            Redirection::Moved(slot, to) => {
                if cluster.redirected(slot, &to, now) {
                    self.reroute();
                }
            }
            Redirection::Ask(to) => {
                let to = cluster.number(&to);
                self.has_moved();
                pending.asking = Some(to);
            }
            Redirection::Unknown => cluster.hinted(None, now),
        }
        true
    }
}
