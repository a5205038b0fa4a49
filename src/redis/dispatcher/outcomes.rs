//! How a request ends, and who may go on then.

use redis::Value;

use super::Dispatcher;
use crate::error::{Error, Result};
use crate::operation::Effect;
use crate::redis::conversation::Conversation;
use crate::redis::pending::{Pending, Settled};
use crate::redis::topology::cluster::NodeNumber;

impl Dispatcher {
    /// Settles everything, because the owner has closed.
    pub fn close(&mut self) {
        // All are taken out before the first is settled: what is settled lets others go on.
        let mut waiting = std::mem::take(&mut self.homeless);
        let mut sent = Vec::new();
        for (number, node) in self.nodes.iter_mut().enumerate() {
            waiting.append(&mut node.again);
            waiting.append(&mut node.ready);
            let executed = node.replication.end().into_iter();
            sent.extend(executed.map(|pending| (number, pending, true)));
            for unanswered in node.conversation.take().into_iter().flat_map(Conversation::end) {
                let call = unanswered.token.call();
                sent.extend(call.map(|pending| (number, pending, unanswered.sent)));
            }
        }
        waiting.append(&mut self.placeless);
        waiting.extend(self.resting.drain(..).map(|(_, pending)| pending));
        waiting.extend(self.order.drain());
        for (number, pending, sent) in sent {
            self.closed(pending, Some(number), sent);
        }
        for pending in waiting {
            self.closed(pending, None, false);
        }
    }

    /// Ends a request with the error that tells the caller what it may rely on. `sent`: whether
    /// this try may have been executed.
    pub(super) fn give_up(&mut self, pending: Pending, number: Option<NodeNumber>, sent: bool) {
        let reason = match &pending.refusal {
            Some(refusal) if pending.is_repeated() => {
                format!("the answer was lost, then: {refusal}")
            }
            Some(refusal) if !sent => format!("refused: {refusal}"),
            _ => {
                let node = number.and_then(|number| self.nodes.get(number));
                node.map_or_else(|| self.nowhere(&*pending.request), |node| node.reason.clone())
            }
        };
        self.give_up_because(pending, number, sent, &reason);
    }

    pub(super) fn give_up_because(
        &mut self,
        pending: Pending,
        number: Option<NodeNumber>,
        sent: bool,
        reason: &str,
    ) {
        let is_known = !(sent || pending.is_repeated()) || pending.request.effect() == Effect::Read;
        let reason = format!("{}: {reason}", self.server(number));
        let error = if is_known { Error::unavailable(reason) } else { Error::unknown(reason) };
        self.settle(pending, Err(error));
    }

    fn closed(&mut self, pending: Pending, number: Option<NodeNumber>, sent: bool) {
        if sent || pending.is_repeated() {
            self.give_up_because(pending, number, sent, "closed before the answer came");
        } else {
            self.settle(pending, Err(Error::Closed));
        }
    }

    /// A place in a ledger is free, for the write that has waited longest for one there.
    pub(super) fn release(&mut self, pending: &Pending, number: u64) {
        let place = pending.request.place();
        self.ledgers.of(place).release(number);
        let is_same = |other: &Pending| other.request.place().slot() == place.slot();
        if let Some(next) = self.placeless.iter().position(is_same)
            && let Some(next) = self.placeless.remove(next)
        {
            self.send_again(next);
        }
    }

    pub(super) fn settle(&mut self, pending: Pending, outcome: Result<Value>) {
        if let Some(number) = pending.number {
            self.release(&pending, number);
        }
        let mut admitted = Vec::new();
        let overtaken = self.order.leave(pending.access(), &mut admitted);
        admitted.into_iter().for_each(|pending| self.send_later(pending));
        self.settled.push(Settled::new(pending.request, outcome));
        for message in overtaken {
            let number = self.route(&*message.request);
            let refusal = message.refusal.unwrap_or_default();
            let server = self.server(number);
            let reason = format!("{server}: refused, and a later message was sent: {refusal}");
            self.settled.push(Settled::new(message.request, Err(Error::unavailable(reason))));
        }
    }
}
