//! What goes out when: as much as each connection has room for.

use tokio::time::{Duration, Instant};

use super::Dispatcher;
use super::node::Node;
use crate::operation::Effect;
use crate::redis::conversation::Sending;
use crate::redis::ledger::Entry;
use crate::redis::pending::{Asker, Pending};
use crate::redis::replication::encode_wait;
use crate::redis::request::Attempt;
use crate::redis::resp::encode::Command;
use crate::redis::topology::cluster::NodeNumber;

/// How a command of the dispatcher's own is sent.
const INTERNAL: Sending =
    Sending { changes: false, documents: 0, replies: 1, blocks: Duration::ZERO };

impl Dispatcher {
    /// Encodes what may be sent now.
    pub fn pump(&mut self, now: Instant) {
        let reason = "the connection was lost, and Redis does not let this user end it for good";
        loop {
            let mut unfenced = Vec::new();
            for number in 0..self.nodes.len() {
                self.pump_node(number, &mut unfenced, now);
            }
            if unfenced.is_empty() {
                return;
            }
            // What waits for them may go out now.
            for (number, pending) in unfenced {
                self.give_up_because(pending, Some(number), true, reason);
            }
        }
    }

    fn pump_node(
        &mut self,
        number: NodeNumber,
        unfenced: &mut Vec<(NodeNumber, Pending)>,
        now: Instant,
    ) {
        self.send_calls(number, unfenced, now);
        let Some(node) = self.nodes.get_mut(number).filter(|node| node.unfit.is_none()) else {
            return;
        };
        let Some(conversation) = &mut node.conversation else { return };
        if let Some(replicas) = node.replication.due() {
            let sending = Sending { blocks: replicas.timeout, ..INTERNAL };
            conversation.send(Asker::Replicas, sending, now, |_, out| encode_wait(replicas, out));
        }
    }

    /// Sends what is to be sent to a node, but for what could overtake its own first try there, as the
    /// connection of that could not be ended in Redis.
    fn send_calls(
        &mut self,
        number: NodeNumber,
        unfenced: &mut Vec<(NodeNumber, Pending)>,
        now: Instant,
    ) {
        let Some(node) = self.nodes.get_mut(number).filter(|node| node.unfit.is_none()) else {
            return;
        };
        let Some(conversation) = &mut node.conversation else { return };
        while let Some(next) = node.again.front().or(node.ready.front()) {
            let sending = next.sending();
            if !conversation.has_room(sending) {
                return;
            }
            if let Some(question) = node.role.due(next.request.proves(), now) {
                let asker = Asker::Role(question);
                conversation.send(asker, INTERNAL, now, |_, out| question.encode(out));
            }
            let Some(mut pending) = node.again.pop_front().or_else(|| node.ready.pop_front())
            else {
                return;
            };
            if node.is_unfenced
                && pending.request.effect() == Effect::Recognised
                && pending.tried_at.contains(&number)
            {
                unfenced.push((number, pending));
                continue;
            }
            let mut entry = None;
            if pending.request.notes() {
                let ledger = self.ledgers.of(pending.request.place());
                let Some(written) = pending.number.or_else(|| ledger.take()) else {
                    self.placeless.push_back(pending);
                    continue;
                };
                pending.number = Some(written);
                let renews = ledger.renews(now) || pending.is_repeated();
                entry = Some(Entry { ledger: ledger.key().clone(), number: written, renews });
            }
            self.order.sent(pending.access());
            let (repeated, with_source) = (pending.is_repeated(), pending.with_source);
            let attempt = Attempt { repeated, with_source, entry };
            pending.refused_part = None;
            if let Some(replicas) = pending.request.replicas() {
                node.replication.sent(replicas);
            }
            if pending.asking.take().is_some() {
                conversation.send(Asker::Asking, INTERNAL, now, |_, out| {
                    Command::new(out, 1).word("ASKING");
                });
            }
            conversation.send(Asker::Call(pending), sending, now, |asker, out| {
                if let Asker::Call(pending) = asker {
                    pending.request.encode(&attempt, out);
                }
            });
        }
    }

    /// Whether there is something to be written.
    pub fn has_unsent(&self, number: NodeNumber) -> bool {
        self.nodes.get(number).is_some_and(Node::has_unsent)
    }

    /// Gives all that is to be written to a writer, in exchange for an empty buffer.
    pub fn take_unsent(&mut self, number: NodeNumber, buffer: &mut Vec<u8>) {
        if let Some(conversation) = self.conversation(number) {
            conversation.take_unsent(buffer);
        }
    }

    /// The writer gives back what the socket has not taken.
    pub fn return_unsent(&mut self, number: NodeNumber, rest: &[u8]) {
        if let Some(conversation) = self.conversation(number) {
            conversation.return_unsent(rest);
        }
    }
}
