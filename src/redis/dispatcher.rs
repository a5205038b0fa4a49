//! Decides which request goes out when, and what becomes of replies, refusals, lost answers and
//! deadlines. A state machine without a socket, a task or a clock, like the [`Conversation`] that it
//! keeps while there is a connection.
//!
//! A request is in one of these places until it is settled:
//!
//! - held by the [`Order`]: an earlier call about its session goes on;
//! - `ready`: to be sent; `again`: to be sent once more, before those;
//! - `resting`: Redis has refused it for now, and it is tried again when its time has come;
//! - `placeless`: a write that waits for a place in the ledger;
//! - owed a reply, in the conversation;
//! - executed, in the [`Replication`]: replicas are to have it first.

use std::collections::VecDeque;

use redis::Value;
use tokio::time::{Duration, Instant};

use crate::backoff::Backoff;
use crate::error::{Error, Result};
use crate::operation::Effect;
use crate::redis::conversation::{Conversation, Sending, Unanswered};
use crate::redis::greeting::Identity;
use crate::redis::ledger::{Entry, Ledger};
use crate::redis::order::{Access, Order};
use crate::redis::pending::{Asker, Pending, Settled};
use crate::redis::refusal::{Refusal, error_line, without_script};
use crate::redis::replication::{Confirmed, Executed, Replication, encode_wait};
use crate::redis::request::{Attempt, Request};
use crate::redis::role::Role;

#[cfg(test)]
mod tests;

/// How long a request rests that Redis has refused for now.
const REST: Backoff =
    Backoff { floor: Duration::from_millis(10), ceiling: Duration::from_millis(500) };

/// How often the deadlines are looked at, at most.
const LOOK: Duration = Duration::from_millis(5);

/// How a command of the dispatcher's own is sent.
const INTERNAL: Sending =
    Sending { changes: false, documents: 0, replies: 1, blocks: Duration::ZERO };

/// Why a server is not to be used any longer.
struct Unfit {
    /// What it has said.
    reason: String,
    since: Instant,
}

/// What is to be done about the last connection before anything is sent on the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fence {
    NotNeeded,
    /// The server may still execute something that came by that connection, which is to be ended
    /// there. `None`: nobody knows which one it is.
    Needed(Option<Identity>),
}

/// The requests of a client, from their submission until they are settled.
pub(crate) struct Dispatcher {
    /// The server's name in errors.
    server: String,
    stall_timeout: Duration,
    order: Order<Pending>,
    ready: VecDeque<Pending>,
    again: VecDeque<Pending>,
    resting: Vec<(Instant, Pending)>,
    placeless: VecDeque<Pending>,
    conversation: Option<Conversation<Asker>>,
    replication: Replication<Pending>,
    role: Role,
    /// What the server knows the connection by.
    identity: Option<Identity>,
    fence: Fence,
    /// The server has shown that it is the wrong one: nothing more is sent.
    unfit: Option<Unfit>,
    /// Why there is no connection.
    reason: String,
    ledger: Ledger,
    /// No request's deadline is before this. It may be too early, and is never too late.
    earliest: Option<Instant>,
    settled: Vec<Settled>,
    random: fastrand::Rng,
}

impl Dispatcher {
    /// One without a connection. `server`: the server's name in errors.
    pub fn new(server: String, stall_timeout: Duration, random: fastrand::Rng) -> Self {
        Self {
            server,
            stall_timeout,
            order: Order::new(),
            ready: VecDeque::new(),
            again: VecDeque::new(),
            resting: Vec::new(),
            placeless: VecDeque::new(),
            conversation: None,
            replication: Replication::new(),
            role: Role::unknown(),
            identity: None,
            fence: Fence::NotNeeded,
            unfit: None,
            reason: String::from("no connection was made in time"),
            ledger: Ledger::new(),
            earliest: None,
            settled: Vec::new(),
            random,
        }
    }

    /// Takes a request in, which is prepared.
    pub fn submit(&mut self, request: Box<dyn Request>) {
        if let (Some(refusal), Some(_)) = (self.replication.refusal(), request.replicas()) {
            let message = format!("{refusal} at {}", self.server);
            return self.settled.push(Settled::new(request, Err(Error::Reply { message })));
        }
        let deadline = request.deadline();
        self.earliest = Some(self.earliest.map_or(deadline, |earliest| earliest.min(deadline)));
        self.ready.extend(self.order.enter(Pending::new(request), Pending::access));
    }

    /// There is a connection, which the server knows by `identity`, and which has shown its `role`.
    /// `fenced`: the server executes nothing more that came by the last one.
    pub fn connected(
        &mut self,
        identity: Option<Identity>,
        fenced: bool,
        role: Role,
        now: Instant,
    ) {
        if self.fence != Fence::NotNeeded && !fenced {
            self.give_up_unfenced();
        }
        self.fence = Fence::NotNeeded;
        self.identity = identity;
        self.role = role;
        self.conversation = Some(Conversation::new(self.stall_timeout, now));
        self.pump(now);
    }

    /// What has to be done about the last connection before the next one is used.
    pub fn fence(&self) -> &Fence {
        &self.fence
    }

    /// The connection has ended, or could not be made. What has no answer waits for the next one,
    /// unless it must not be repeated.
    pub fn lost(&mut self, reason: String) {
        self.reason = reason;
        self.unfit = None;
        let Some(conversation) = self.conversation.take() else { return };
        let identity = self.identity.take();
        if conversation.may_change() {
            self.fence = Fence::Needed(identity);
        }
        // Whether replicas have it, its repeat finds out.
        let mut again: VecDeque<Pending> = self.replication.end().into();
        again.iter_mut().for_each(|pending| pending.repeated = true);
        for Unanswered { token, sent } in conversation.end() {
            let Some(mut pending) = token.call() else { continue };
            match pending.request.effect() {
                Effect::Once | Effect::Opaque if sent => self.give_up(pending, sent),
                effect => {
                    pending.repeated |= sent && effect != Effect::Read;
                    again.push_back(pending);
                }
            }
        }
        again.append(&mut self.again);
        self.again = again;
    }

    /// Encodes what may be sent now.
    pub fn pump(&mut self, now: Instant) {
        if self.unfit.is_some() {
            return;
        }
        self.send_calls(now);
        let Some(conversation) = &mut self.conversation else { return };
        if let Some(replicas) = self.replication.due() {
            let sending = Sending { blocks: replicas.timeout, ..INTERNAL };
            conversation.send(Asker::Replicas, sending, now, |_, out| encode_wait(replicas, out));
        }
    }

    fn send_calls(&mut self, now: Instant) {
        let Some(conversation) = &mut self.conversation else { return };
        while let Some(next) = self.again.front().or(self.ready.front()) {
            let sending = next.sending();
            if !conversation.has_room(sending) {
                return;
            }
            if let Some(question) = self.role.due(next.request.proves(), now) {
                let asker = Asker::Role(question);
                conversation.send(asker, INTERNAL, now, |_, out| question.encode(out));
            }
            let Some(mut pending) = self.again.pop_front().or_else(|| self.ready.pop_front())
            else {
                return;
            };
            let notes = pending.request.notes();
            if notes && pending.number.is_none() {
                pending.number = self.ledger.take();
                if pending.number.is_none() {
                    self.placeless.push_back(pending);
                    continue;
                }
            }
            self.order.sent(pending.access());
            let renews = notes && (self.ledger.renews(now) || pending.repeated);
            let ledger = self.ledger.key();
            let entry =
                pending.number.map(|number| Entry { ledger: ledger.clone(), number, renews });
            let Pending { repeated, with_source, .. } = pending;
            let attempt = Attempt { repeated, with_source, entry };
            if let Some(replicas) = pending.request.replicas() {
                self.replication.sent(replicas);
            }
            conversation.send(Asker::Call(pending), sending, now, |asker, out| {
                if let Asker::Call(pending) = asker {
                    pending.request.encode(&attempt, out);
                }
            });
        }
    }

    /// Whether there is something to be written.
    pub fn has_unsent(&self) -> bool {
        self.conversation.as_ref().is_some_and(|one| !one.unsent().is_empty())
    }

    /// Gives all that is to be written to a writer, in exchange for an empty buffer.
    pub fn take_unsent(&mut self, buffer: &mut Vec<u8>) {
        if let Some(conversation) = &mut self.conversation {
            conversation.take_unsent(buffer);
        }
    }

    /// The writer gives back what the socket has not taken.
    pub fn return_unsent(&mut self, rest: &[u8]) {
        if let Some(conversation) = &mut self.conversation {
            conversation.return_unsent(rest);
        }
    }

    /// The server has sent something.
    pub fn received(&mut self, now: Instant) {
        if let Some(conversation) = &mut self.conversation {
            conversation.received(now);
        }
    }

    /// The server has sent a reply of so many bytes. `Err`: why the connection is to be ended.
    pub fn replied(&mut self, value: Value, bytes: usize, now: Instant) -> Result<(), String> {
        let Some(conversation) = &mut self.conversation else { return Ok(()) };
        if conversation.takes_part() {
            let refusal = match &value {
                Value::ServerError(error) => Some(error_line(error)),
                _ => None,
            };
            if let Some(Asker::Call(pending)) = conversation.next_mut() {
                pending.request.part(value);
            }
            if let Some(line) = refusal.filter(|line| Refusal::of(line) == Refusal::WrongServer) {
                self.leave(line, now);
            }
            return Ok(());
        }
        match conversation.replied(bytes)? {
            None => {}
            Some(Asker::Role(question)) => {
                if let Err(reason) = self.role.answered(question, &value) {
                    self.leave(reason, now);
                }
            }
            Some(Asker::Replicas) => self.replicas_counted(&value, now),
            Some(Asker::Call(pending)) => self.answered(pending, value, now),
        }
        Ok(())
    }

    /// Nothing more is sent to this server.
    fn leave(&mut self, reason: String, now: Instant) {
        self.unfit.get_or_insert(Unfit { reason, since: now });
    }

    fn answered(&mut self, pending: Pending, value: Value, now: Instant) {
        match (value, &self.unfit) {
            // What a wrong server has stored may be old.
            (_, Some(unfit)) if pending.request.effect() == Effect::Read => {
                let reason = unfit.reason.clone();
                self.refused_for_now(pending, Refusal::WrongServer, reason, now);
            }
            (Value::ServerError(error), _) => self.refused(pending, error_line(&error), now),
            (_, None) if self.role.is_unproven() && pending.request.effect() == Effect::Read => {
                self.again.push_back(pending);
            }
            (value, _) => match pending.request.replicas() {
                Some(replicas) if pending.request.has_changed(&value) => {
                    self.replication.executed(pending, value, replicas);
                }
                _ => self.settle(pending, Ok(value)),
            },
        }
    }

    /// So many replicas have the writes that were executed before.
    fn replicas_counted(&mut self, answer: &Value, now: Instant) {
        let confirmed = self.replication.confirmed(answer);
        if let Confirmed::Unknown(line) = &confirmed
            && Refusal::of(line) == Refusal::WrongServer
        {
            // The next connection's server may have what was written here, or not.
            return self.leave(line.clone(), now);
        }
        for Executed { call, answer, replicas } in self.replication.take_executed() {
            match confirmed.satisfies(replicas) {
                Ok(()) => self.settle(call, Ok(answer)),
                Err(reason) => self.give_up_because(call, true, &reason),
            }
        }
    }

    /// When `expire` has something to do, unless something else happens before that.
    pub fn timeout(&self) -> Option<Instant> {
        let conversation = self.conversation.as_ref().and_then(Conversation::timeout);
        let rested = self.resting.iter().map(|(due, _)| *due).min();
        let unfit = self.unfit.as_ref().map(|unfit| unfit.since + self.stall_timeout);
        [self.earliest, conversation, rested, unfit].into_iter().flatten().min()
    }

    /// Settles what is past its deadline, and sends what has rested. `Err`: why the connection is
    /// to be ended.
    pub fn expire(&mut self, now: Instant) -> Result<(), String> {
        if self.earliest.is_some_and(|earliest| earliest <= now) {
            self.settle_expired(now);
        }
        self.again.extend(self.resting.extract_if(.., |(due, _)| *due <= now).map(|(_, p)| p));
        self.pump(now);
        match &self.unfit {
            // It may block on a command for a long time.
            Some(unfit) if unfit.since + self.stall_timeout <= now => Err(unfit.reason.clone()),
            _ => self.conversation.as_ref().map_or(Ok(()), |conversation| conversation.check(now)),
        }
    }

    /// Why the server is not to be used any longer, once it has answered all that it was sent.
    pub fn unfit(&self) -> Option<&str> {
        let is_idle = self.conversation.as_ref().is_none_or(Conversation::is_idle);
        self.unfit.as_ref().filter(|_| is_idle).map(|unfit| unfit.reason.as_str())
    }

    /// Whether every request is settled.
    pub fn is_idle(&self) -> bool {
        self.again.is_empty()
            && self.ready.is_empty()
            && self.resting.is_empty()
            && self.placeless.is_empty()
            && self.replication.is_idle()
            && self.order.holds_nothing()
            && self.conversation.as_ref().is_none_or(Conversation::is_idle)
    }

    /// Settles everything, because the owner has closed.
    pub fn close(&mut self) {
        for pending in self.replication.end() {
            self.closed(pending, true);
        }
        if let Some(conversation) = self.conversation.take() {
            for Unanswered { token, sent } in conversation.end() {
                if let Some(pending) = token.call() {
                    self.closed(pending, sent);
                }
            }
        }
        let mut waiting = std::mem::take(&mut self.again);
        waiting.append(&mut self.ready);
        waiting.append(&mut self.placeless);
        waiting.extend(self.resting.drain(..).map(|(_, pending)| pending));
        waiting.extend(self.order.drain());
        for pending in waiting {
            self.closed(pending, false);
        }
    }

    /// What has come to its end since the last time.
    pub fn take_settled(&mut self) -> Vec<Settled> {
        std::mem::take(&mut self.settled)
    }

    /// Redis has refused a request.
    fn refused(&mut self, mut pending: Pending, line: String, now: Instant) {
        let is_opaque = pending.request.effect() == Effect::Opaque;
        let line = if is_opaque { line } else { without_script(line) };
        let refusal = Refusal::of(&line);
        if refusal == Refusal::WrongServer {
            self.leave(line.clone(), now);
        }
        match refusal {
            _ if is_opaque => self.settle(pending, Err(Error::Reply { message: line })),
            Refusal::UnknownScript if !pending.with_source => {
                pending.with_source = true;
                self.again.push_back(pending);
            }
            Refusal::WrongServer | Refusal::NotNow => {
                self.refused_for_now(pending, refusal, line, now);
            }
            Refusal::UnknownScript | Refusal::Final => {
                let outcome = if pending.repeated {
                    Error::unknown(format!(
                        "{}: the answer was lost, and its repeat refused: {line}",
                        self.server
                    ))
                } else {
                    Error::Reply { message: line }
                };
                self.settle(pending, Err(outcome));
            }
        }
    }

    /// Keeps a request that was refused for now, for another try.
    fn refused_for_now(
        &mut self,
        mut pending: Pending,
        refusal: Refusal,
        line: String,
        now: Instant,
    ) {
        pending.refusal = Some(line);
        pending.refusals = pending.refusals.saturating_add(1);
        // What was refused has noted nothing.
        if !pending.repeated
            && let Some(number) = pending.number.take()
        {
            self.release(number);
        }
        let rest = REST.delay(pending.refusals - 1, self.random.f64());
        let mut passing = Vec::new();
        let again = match pending.access() {
            Access::Message(session) => match self.order.refused_message(session, pending) {
                Ok(again) => again,
                Err(pending) => return self.give_up(pending, false),
            },
            Access::Write(session) => {
                self.order.refused_write(session, &mut passing);
                vec![pending]
            }
            Access::None | Access::Read(_) => vec![pending],
        };
        self.ready.extend(passing);
        if refusal == Refusal::WrongServer {
            self.again.extend(again);
        } else {
            self.resting.extend(again.into_iter().map(|pending| (now + rest, pending)));
        }
    }

    /// Ends a request with the error that tells the caller what it may rely on. `sent`: whether
    /// this try may have been executed.
    fn give_up(&mut self, pending: Pending, sent: bool) {
        let reason = match &pending.refusal {
            Some(refusal) if pending.repeated => format!("the answer was lost, then: {refusal}"),
            Some(refusal) if !sent => format!("refused: {refusal}"),
            _ => self.reason.clone(),
        };
        self.give_up_because(pending, sent, &reason);
    }

    fn give_up_because(&mut self, pending: Pending, sent: bool, reason: &str) {
        let is_known = !(sent || pending.repeated) || pending.request.effect() == Effect::Read;
        let reason = format!("{}: {reason}", self.server);
        let error = if is_known { Error::unavailable(reason) } else { Error::unknown(reason) };
        self.settle(pending, Err(error));
    }

    fn closed(&mut self, pending: Pending, sent: bool) {
        if sent || pending.repeated {
            self.give_up_because(pending, sent, "closed before the answer came");
        } else {
            self.settle(pending, Err(Error::Closed));
        }
    }

    /// The last connection could not be ended in Redis: what its first try could overtake is not
    /// repeated.
    fn give_up_unfenced(&mut self) {
        let reason = "the connection was lost, and Redis does not let this user end it for good";
        for pending in std::mem::take(&mut self.again) {
            if pending.repeated && pending.request.effect() == Effect::Recognised {
                self.give_up_because(pending, true, reason);
            } else {
                self.again.push_back(pending);
            }
        }
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
        let mut over = extract(&mut self.again, &mut is_over);
        over.extend(extract(&mut self.ready, &mut is_over));
        over.extend(extract(&mut self.placeless, &mut is_over));
        over.extend(self.resting.extract_if(.., |(_, p)| is_over(p)).map(|(_, pending)| pending));
        let conversation = self.conversation.as_mut();
        let mut is_asker_over =
            |asker: &Asker| matches!(asker, Asker::Call(pending) if is_over(pending));
        let owed = conversation.map(|one| one.give_up(now, &mut is_asker_over));
        let unconfirmed = self.replication.give_up(&mut is_over);
        self.earliest = earliest.map(|earliest| earliest.max(now + LOOK));
        let refused =
            self.resting.iter().map(|(_, pending)| pending).chain(&self.again).chain(&over);
        let refusal = refused.filter_map(|pending| pending.refusal.as_deref()).next();
        let reason = match (&self.conversation, refusal) {
            (None, _) => self.reason.clone(),
            (Some(_), Some(refusal)) => format!("an earlier call was refused: {refusal}"),
            (Some(_), None) => String::from("earlier calls took all the time"),
        };
        let error = Error::unavailable(format!("{}: {reason}", self.server));
        // What is held has not gone out, and so has nothing to leave.
        let settled = held.into_iter().map(|one| Settled::new(one.request, Err(error.clone())));
        self.settled.extend(settled);
        for pending in over {
            if pending.refusal.is_some() || pending.repeated {
                self.give_up(pending, false);
            } else {
                self.settle(pending, Err(error.clone()));
            }
        }
        for pending in unconfirmed {
            self.give_up_because(pending, true, "written, and no replica has confirmed it in time");
        }
        for Unanswered { token, sent } in owed.into_iter().flatten() {
            let Some(pending) = token.call() else { continue };
            if let (Access::Message(session), true) = (pending.access(), sent) {
                self.order.lost_message(session);
            }
            self.give_up_because(pending, sent, "no answer came in time");
        }
    }

    /// A place in the ledger is free, for the write that has waited longest for one.
    fn release(&mut self, number: u64) {
        self.ledger.release(number);
        self.again.extend(self.placeless.pop_front());
    }

    fn settle(&mut self, pending: Pending, outcome: Result<Value>) {
        if let Some(number) = pending.number {
            self.release(number);
        }
        let mut admitted = Vec::new();
        let overtaken = self.order.leave(pending.access(), &mut admitted);
        self.ready.extend(admitted);
        self.settled.push(Settled::new(pending.request, outcome));
        for message in overtaken {
            let refusal = message.refusal.unwrap_or_default();
            let reason =
                format!("{}: refused, and a later message was sent: {refusal}", self.server);
            self.settled.push(Settled::new(message.request, Err(Error::unavailable(reason))));
        }
    }
}

/// Takes out of a queue what is over, and keeps the order of the rest.
fn extract(
    queue: &mut VecDeque<Pending>,
    is_over: &mut impl FnMut(&Pending) -> bool,
) -> VecDeque<Pending> {
    let (over, kept) = std::mem::take(queue).into_iter().partition(|pending| is_over(pending));
    *queue = kept;
    over
}
