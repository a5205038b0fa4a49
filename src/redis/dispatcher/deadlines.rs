//! What is past its deadline, what has rested, and which connection is over.

use tokio::time::{Duration, Instant};

use super::{Dispatcher, Map};
use crate::error::Error;
use crate::redis::conversation::Unanswered;
use crate::redis::order::Access;
use crate::redis::pending::{Asker, Pending, Settled, extract};
use crate::redis::request::Request;
use crate::redis::topology::cluster::NodeNumber;

/// How often the deadlines are looked at, at most.
const LOOK: Duration = Duration::from_millis(5);

impl Dispatcher {
    /// When `expire` has something to do for a server, unless something else happens before that.
    pub fn timeout(&self, number: NodeNumber) -> Option<Instant> {
        let node = self.nodes.get(number).and_then(|node| node.timeout(self.stall_timeout));
        let waiting = self.waiting_timeout().filter(|_| matches!(self.map, Map::One));
        node.into_iter().chain(waiting).min()
    }

    /// When `expire_waiting` has something to do.
    pub fn waiting_timeout(&self) -> Option<Instant> {
        let rested = self.resting.iter().map(|(due, _)| *due).min();
        self.earliest.into_iter().chain(rested).min()
    }

    /// Settles what is past its deadline, and sends what has rested. `Err`: why the connection to this
    /// server is to be ended.
    pub fn expire(&mut self, number: NodeNumber, now: Instant) -> Result<(), String> {
        self.expire_waiting(now);
        self.nodes.get(number).map_or(Ok(()), |node| node.check(self.stall_timeout, now))
    }

    /// Settles what is past its deadline, and sends what has rested.
    pub fn expire_waiting(&mut self, now: Instant) {
        if self.earliest.is_some_and(|earliest| earliest <= now) {
            self.settle_expired(now);
        }
        let rested: Vec<_> = self.resting.extract_if(.., |(due, _)| *due <= now).collect();
        for (_, pending) in rested {
            self.send_again(pending);
        }
        self.pump(now);
    }

    fn settle_expired(&mut self, now: Instant) {
        let mut earliest: Option<Instant> = None;
        let mut is_over = |pending: &Pending| {
            let deadline = pending.request.deadline();
            let is_over = deadline <= now;
            if !is_over {
                earliest = Some(earliest.map_or(deadline, |earliest| earliest.min(deadline)));
            }
            is_over
        };
        let held = self.order.give_up(&mut is_over);
        let mut waiting: Vec<(Option<NodeNumber>, Pending)> = Vec::new();
        let mut owed = Vec::new();
        let mut unconfirmed = Vec::new();
        for (number, node) in self.nodes.iter_mut().enumerate() {
            for queue in [&mut node.again, &mut node.ready] {
                waiting.extend(
                    extract(queue, &mut is_over).into_iter().map(|pending| (Some(number), pending)),
                );
            }
            let mut is_asker_over =
                |asker: &Asker| matches!(asker, Asker::Call(pending) if is_over(pending));
            if let Some(conversation) = &mut node.conversation {
                let over = conversation.give_up(now, &mut is_asker_over);
                owed.extend(over.into_iter().map(|unanswered| (number, unanswered)));
            }
            let over = node.replication.give_up(&mut is_over);
            unconfirmed.extend(over.into_iter().map(|pending| (number, pending)));
        }
        for queue in [&mut self.placeless, &mut self.homeless] {
            waiting.extend(extract(queue, &mut is_over).into_iter().map(|pending| (None, pending)));
        }
        let rested = self.resting.extract_if(.., |(_, pending)| is_over(pending));
        waiting.extend(rested.map(|(_, pending)| (None, pending)));
        self.earliest = earliest.map(|earliest| earliest.max(now + LOOK));
        // What is held has not gone out, and so has nothing to leave.
        for Pending { request, .. } in held {
            let number = self.route(&*request);
            let error = self.too_late(&*request, number, &waiting);
            self.settled.push(Settled::new(request, Err(error)));
        }
        let errors: Vec<_> = waiting
            .iter()
            .map(|(number, pending)| {
                let number = number.or_else(|| self.route(&*pending.request));
                (number, self.too_late(&*pending.request, number, &waiting))
            })
            .collect();
        for ((_, pending), (number, error)) in waiting.into_iter().zip(errors) {
            if pending.refusal.is_some() || pending.is_repeated() {
                self.give_up(pending, number, false);
            } else {
                self.settle(pending, Err(error));
            }
        }
        for (number, pending) in unconfirmed {
            let reason = "written, and no replica has confirmed it in time";
            self.give_up_because(pending, Some(number), true, reason);
        }
        for (number, Unanswered { token, sent }) in owed {
            let Some(pending) = token.call() else { continue };
            if let (Access::Message(session), true) = (pending.access(), sent) {
                self.order.lost_message(session);
            }
            self.give_up_because(pending, Some(number), sent, "no answer came in time");
        }
    }

    /// Why a call was not sent in time to the node that it belongs to.
    fn too_late(
        &self,
        request: &dyn Request,
        number: Option<NodeNumber>,
        over: &[(Option<NodeNumber>, Pending)],
    ) -> Error {
        let Some(node) = number.and_then(|number| self.nodes.get(number)) else {
            return Error::unavailable(format!("{}: {}", self.name, self.nowhere(request)));
        };
        let resting = self.resting.iter().map(|(_, pending)| pending);
        let refused = resting.chain(&node.again).chain(over.iter().map(|(_, pending)| pending));
        let refusal = refused.filter_map(|pending| pending.refusal.as_deref()).next();
        let reason = match (&node.conversation, refusal) {
            (None, _) => node.reason.clone(),
            (Some(_), Some(refusal)) => format!("an earlier call was refused: {refusal}"),
            (Some(_), None) => String::from("earlier calls took all the time"),
        };
        Error::unavailable(format!("{}: {reason}", node.server))
    }
}
