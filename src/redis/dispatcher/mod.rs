//! Decides which request goes to which server when, and what becomes of replies, refusals, lost answers
//! and deadlines. A state machine without a socket, a task or a clock, like the [`Conversation`]s that
//! it keeps while there are connections.
//!
//! A request is in one of these places until it is settled:
//!
//! - held by the [`Order`]: an earlier call about its session goes on;
//! - `homeless`: nobody has told yet which node of the cluster it goes to;
//! - in its [`Node`]: `ready` to be sent; or to be sent once more, before those (`again`);
//! - `resting`: Redis has refused it for now, and it is tried again when its time has come;
//! - `placeless`: a write that waits for a place in its ledger;
//! - owed a reply, in the conversation;
//! - executed, in its node's `replication`: replicas are to have it first.
//!
//! One server is a map with one node, number 0.

mod answers;
mod deadlines;
mod node;
mod outcomes;
mod routes;
mod sending;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use tokio::time::{Duration, Instant};

pub(crate) use self::node::Fence;
use self::node::Node;
use crate::error::Error;
use crate::operation::Effect;
use crate::redis::conversation::{Conversation, Unanswered};
use crate::redis::greeting::Identity;
use crate::redis::ledger::Ledgers;
use crate::redis::order::Order;
use crate::redis::pending::{Asker, Pending, Settled, extract};
use crate::redis::place::Place;
use crate::redis::request::Request;
use crate::redis::role::Role;
use crate::redis::topology::cluster::{Cluster, NodeNumber};

/// Who has which keys.
enum Map {
    One,
    Cluster(Box<Cluster>),
}

/// The requests of a client, from their submission until they are settled.
pub(crate) struct Dispatcher {
    /// The server's or the cluster's name in errors.
    name: String,
    stall_timeout: Duration,
    map: Map,
    /// By number.
    nodes: Vec<Node>,
    homeless: VecDeque<Pending>,
    /// Why the map is not known.
    unknown: String,
    /// How often a slot was found elsewhere than before, and how often a connection to a node was lost.
    moves: u64,
    losses: u64,
    order: Order<Pending>,
    resting: Vec<(Instant, Pending)>,
    placeless: VecDeque<Pending>,
    ledgers: Ledgers,
    /// No request's deadline is before this. It may be too early, and is never too late.
    earliest: Option<Instant>,
    settled: Vec<Settled>,
    random: fastrand::Rng,
}

impl Dispatcher {
    /// For one server. `server`: its name in errors.
    pub fn new(server: String, stall_timeout: Duration, random: fastrand::Rng) -> Self {
        Self {
            name: server.clone(),
            stall_timeout,
            map: Map::One,
            nodes: vec![Node::new(server)],
            homeless: VecDeque::new(),
            unknown: String::from("no node has told of the cluster in time"),
            moves: 0,
            losses: 0,
            order: Order::new(),
            resting: Vec::new(),
            placeless: VecDeque::new(),
            ledgers: Ledgers::new(),
            earliest: None,
            settled: Vec::new(),
            random,
        }
    }

    /// Takes a request in, which is prepared.
    pub fn submit(&mut self, request: Box<dyn Request>) {
        if request.replicas().is_some()
            && let Some((server, refusal)) = self
                .nodes
                .iter()
                .find_map(|node| node.replication.refusal().map(|refusal| (&node.server, refusal)))
        {
            let message = format!("{refusal} at {server}");
            return self.settled.push(Settled::new(request, Err(Error::Reply { message })));
        }
        let deadline = request.deadline();
        self.earliest = Some(self.earliest.map_or(deadline, |earliest| earliest.min(deadline)));
        if let Some(admitted) = self.order.enter(Pending::new(request), Pending::access) {
            self.send_later(admitted);
        }
    }

    /// There is a connection, which the server knows by `identity`, and which has shown its `role`.
    /// `fenced`: the server executes nothing more that came by the last one.
    pub fn connected(
        &mut self,
        number: NodeNumber,
        identity: Option<Identity>,
        fenced: bool,
        role: Role,
        now: Instant,
    ) {
        if let Map::Cluster(cluster) = &mut self.map {
            cluster.reached(number);
        }
        let stall_timeout = self.stall_timeout;
        if let Some(node) = self.nodes.get_mut(number) {
            node.is_unfenced |= !fenced && node.fence != Fence::NotNeeded;
            node.fence = Fence::NotNeeded;
            node.failures = 0;
            node.identity = identity;
            node.role = role;
            node.conversation = Some(Conversation::new(stall_timeout, now));
        }
        self.pump(now);
    }

    /// What has to be done about the last connection before the next one is used.
    pub fn fence(&self, number: NodeNumber) -> Fence {
        self.nodes.get(number).map_or(Fence::NotNeeded, |node| node.fence.clone())
    }

    /// The connection has ended, or could not be made. What has no answer waits for the next one,
    /// unless it must not be repeated.
    pub fn lost(&mut self, number: NodeNumber, reason: String, now: Instant) {
        let mut anywhere = Vec::new();
        let Some(node) = self.nodes.get_mut(number) else { return };
        if let Map::Cluster(cluster) = &mut self.map {
            cluster.hinted(Some(number), now);
            self.losses += 1;
            // Another master may do.
            let is_anywhere = |pending: &Pending| pending.request.place() == Place::Any;
            anywhere.extend(extract(&mut node.ready, is_anywhere));
        }
        node.failures = node.failures.saturating_add(1);
        node.reason = reason;
        node.unfit = None;
        let (mut again, mut over) = (VecDeque::new(), Vec::new());
        if let Some(conversation) = node.conversation.take() {
            let identity = node.identity.take();
            if conversation.may_change() {
                node.fence = Fence::Needed(identity);
            }
            // Whether replicas have it, its repeat finds out.
            again.extend(node.replication.end());
            again.iter_mut().for_each(|pending: &mut Pending| pending.is_unanswered_at(number));
            for Unanswered { token, sent } in conversation.end() {
                let Some(mut pending) = token.call() else { continue };
                match pending.request.effect() {
                    Effect::Once | Effect::Opaque if sent => over.push(pending),
                    effect => {
                        if sent && effect != Effect::Read {
                            pending.is_unanswered_at(number);
                        }
                        again.push_back(pending);
                    }
                }
            }
        }
        again.append(&mut node.again);
        for mut pending in again {
            // Whoever has the slot says again who is to be asked.
            pending.asking = None;
            self.send_again(pending);
        }
        anywhere.into_iter().for_each(|pending| self.send_later(pending));
        for pending in over {
            self.give_up(pending, Some(number), true);
        }
    }

    fn conversation(&mut self, number: NodeNumber) -> Option<&mut Conversation<Asker>> {
        self.nodes.get_mut(number)?.conversation.as_mut()
    }

    /// Why the server is not to be used any longer, once it has answered all that it was sent.
    pub fn unfit(&self, number: NodeNumber) -> Option<&str> {
        let node = self.nodes.get(number)?;
        let is_idle = node.conversation.as_ref().is_none_or(Conversation::is_idle);
        node.unfit.as_ref().filter(|_| is_idle).map(|unfit| unfit.reason.as_str())
    }

    /// Whether every request is settled.
    pub fn is_idle(&self) -> bool {
        self.nodes.iter().all(Node::is_idle)
            && self.homeless.is_empty()
            && self.resting.is_empty()
            && self.placeless.is_empty()
            && self.order.holds_nothing()
    }

    /// Whether a connection to a server can end without anybody waiting for another one.
    pub fn owes_nothing(&self, number: NodeNumber) -> bool {
        match self.map {
            Map::One => self.is_idle(),
            Map::Cluster(_) => self.nodes.get(number).is_none_or(Node::is_idle),
        }
    }

    /// What has come to its end since the last time.
    pub fn take_settled(&mut self) -> Vec<Settled> {
        std::mem::take(&mut self.settled)
    }

    fn is_cluster(&self) -> bool {
        matches!(self.map, Map::Cluster(_))
    }

    /// The name of a node in errors.
    fn server(&self, number: Option<NodeNumber>) -> &str {
        let node = number.and_then(|number| self.nodes.get(number));
        node.map_or(&self.name, |node| &node.server)
    }
}
