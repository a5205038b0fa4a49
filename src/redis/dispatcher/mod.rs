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

mod node;
mod routes;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use redis::Value;
use tokio::time::{Duration, Instant};

pub(crate) use self::node::Fence;
use self::node::Node;
use crate::backoff::Backoff;
use crate::error::{Error, Result};
use crate::operation::Effect;
use crate::redis::conversation::{Conversation, Sending, Unanswered};
use crate::redis::greeting::Identity;
use crate::redis::ledger::{Entry, Ledgers};
use crate::redis::order::{Access, Order};
use crate::redis::pending::{Asker, Pending, Settled};
use crate::redis::place::Place;
use crate::redis::refusal::{Refusal, error_line, is_of_cluster, without_script};
use crate::redis::replication::{Confirmed, Executed, encode_wait};
use crate::redis::request::{Attempt, Request};
use crate::redis::resp::encode::Command;
use crate::redis::role::Role;
use crate::redis::topology::cluster::{Cluster, NodeNumber};

/// How long a request rests that Redis has refused for now.
const REST: Backoff =
    Backoff { floor: Duration::from_millis(10), ceiling: Duration::from_millis(500) };

/// How often the deadlines are looked at, at most.
const LOOK: Duration = Duration::from_millis(5);

/// How a command of the dispatcher's own is sent.
const INTERNAL: Sending =
    Sending { changes: false, documents: 0, replies: 1, blocks: Duration::ZERO };

/// Who has which keys.
enum Map {
    One,
    Cluster(Box<Cluster>),
}

/// How a request goes on that Redis has refused for now.
enum Next {
    /// When it has rested.
    Rests,
    /// At once, where it belongs.
    Again,
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
            anywhere.extend(extract(&mut node.ready, &mut { is_anywhere }));
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

    /// The server has sent something.
    pub fn received(&mut self, number: NodeNumber, now: Instant) {
        if let Some(conversation) = self.conversation(number) {
            conversation.received(now);
        }
    }

    fn conversation(&mut self, number: NodeNumber) -> Option<&mut Conversation<Asker>> {
        self.nodes.get_mut(number)?.conversation.as_mut()
    }

    /// The server has sent a reply of so many bytes. `Err`: why the connection is to be ended.
    pub fn replied(
        &mut self,
        number: NodeNumber,
        value: Value,
        bytes: usize,
        now: Instant,
    ) -> Result<(), String> {
        let Some(node) = self.nodes.get_mut(number) else { return Ok(()) };
        let Some(conversation) = &mut node.conversation else { return Ok(()) };
        if conversation.takes_part() {
            let refusal = match &value {
                Value::ServerError(error) => Some(error_line(error)),
                _ => None,
            };
            if let Some(Asker::Call(pending)) = conversation.next_mut() {
                pending.request.part(value);
                pending.refused_part =
                    pending.refused_part.take().or(refusal.clone().filter(|line| is_of_cluster(line)));
            }
            if let Some(line) = refusal.filter(|line| Refusal::of(line) == Refusal::WrongServer) {
                self.leave(number, line, now);
            }
            return Ok(());
        }
        match conversation.replied(bytes)? {
            None | Some(Asker::Asking) => {}
            Some(Asker::Role(question)) => {
                if let Err(reason) = node.role.answered(question, &value) {
                    self.leave(number, reason, now);
                }
            }
            Some(Asker::Replicas) => self.replicas_counted(number, &value, now),
            Some(Asker::Call(pending)) => self.answered(number, pending, value, now),
        }
        Ok(())
    }

    /// Nothing more is sent to this server.
    fn leave(&mut self, number: NodeNumber, reason: String, now: Instant) {
        if let Some(node) = self.nodes.get_mut(number) {
            node.leave(reason, now);
        }
        if let Map::Cluster(cluster) = &mut self.map {
            cluster.hinted(Some(number), now);
        }
    }

    fn answered(&mut self, number: NodeNumber, pending: Pending, value: Value, now: Instant) {
        let Some(node) = self.nodes.get_mut(number) else { return };
        match (value, &node.unfit) {
            // Even a wrong server knows a better one.
            (Value::ServerError(error), Some(_)) if error.code() == "MOVED" => {
                self.refused(number, pending, error_line(&error), now);
            }
            // What a wrong server has stored may be old.
            (_, Some(unfit)) if pending.request.effect() == Effect::Read => {
                let reason = unfit.reason.clone();
                self.refused_for_now(number, pending, Next::Again, reason, now);
            }
            (Value::ServerError(error), _) => {
                self.refused(number, pending, error_line(&error), now);
            }
            (_, None) if node.role.is_unproven() && pending.request.effect() == Effect::Read => {
                self.send_again(pending);
            }
            (value, _) => match pending.request.replicas() {
                Some(replicas) if pending.request.has_changed(&value) => {
                    node.replication.executed(pending, value, replicas);
                }
                _ => self.settle(pending, Ok(value)),
            },
        }
    }

    /// So many replicas have the writes that were executed before.
    fn replicas_counted(&mut self, number: NodeNumber, answer: &Value, now: Instant) {
        let Some(node) = self.nodes.get_mut(number) else { return };
        let confirmed = node.replication.confirmed(answer);
        if let Confirmed::Unknown(line) = &confirmed
            && Refusal::of(line) == Refusal::WrongServer
        {
            // The next connection's server may have what was written here, or not.
            return self.leave(number, line.clone(), now);
        }
        for Executed { call, answer, replicas } in node.replication.take_executed() {
            match confirmed.satisfies(replicas) {
                Ok(()) => self.settle(call, Ok(answer)),
                Err(reason) => self.give_up_because(call, Some(number), true, &reason),
            }
        }
    }

    /// When `expire` has something to do for a server, unless something else happens before that.
    pub fn timeout(&self, number: NodeNumber) -> Option<Instant> {
        let node = self.nodes.get(number).and_then(|node| node.timeout(self.stall_timeout));
        let waiting = self.waiting_timeout().filter(|_| matches!(self.map, Map::One));
        node.into_iter().chain(waiting).min()
    }

    /// When `expire_waiting` has something to do.
    fn waiting_timeout(&self) -> Option<Instant> {
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

    /// What has come to its end since the last time.
    pub fn take_settled(&mut self) -> Vec<Settled> {
        std::mem::take(&mut self.settled)
    }

    /// Redis has refused a request.
    fn refused(&mut self, number: NodeNumber, mut pending: Pending, line: String, now: Instant) {
        let is_opaque = pending.request.effect() == Effect::Opaque;
        let mut line = if is_opaque { line } else { without_script(line) };
        // Of a transaction in which a node has refused a command, nothing is executed.
        if self.is_cluster()
            && line.starts_with("EXECABORT")
            && let Some(cause) = pending.refused_part.take()
        {
            line = cause;
        }
        if self.is_redirected(number, &mut pending, &line, now) {
            // Where the map was wrong once, it is right now; else it needs time.
            let next = if pending.refusals == 0 { Next::Again } else { Next::Rests };
            return self.refused_for_now(number, pending, next, line, now);
        }
        let refusal = Refusal::of(&line);
        if refusal == Refusal::WrongServer {
            self.leave(number, line.clone(), now);
        }
        match refusal {
            _ if is_opaque && !(self.is_cluster() && is_of_cluster(&line)) => {
                self.settle(pending, Err(Error::Reply { message: line }));
            }
            Refusal::UnknownScript if !pending.with_source => {
                pending.with_source = true;
                self.send_again(pending);
            }
            Refusal::WrongServer => {
                self.refused_for_now(number, pending, Next::Again, line, now);
            }
            Refusal::NotNow => self.refused_for_now(number, pending, Next::Rests, line, now),
            Refusal::UnknownScript | Refusal::Final => {
                let outcome = if pending.is_repeated() {
                    let server = self.server(Some(number));
                    Error::unknown(format!(
                        "{server}: the answer was lost, and its repeat refused: {line}"
                    ))
                } else {
                    Error::Reply { message: line }
                };
                self.settle(pending, Err(outcome));
            }
        }
    }

    fn is_cluster(&self) -> bool {
        matches!(self.map, Map::Cluster(_))
    }

    /// Keeps a request that was refused for now, for another try.
    fn refused_for_now(
        &mut self,
        number: NodeNumber,
        mut pending: Pending,
        next: Next,
        line: String,
        now: Instant,
    ) {
        pending.refusal = Some(line);
        pending.refusals = pending.refusals.saturating_add(1);
        // What was refused has noted nothing.
        if !pending.is_repeated()
            && let Some(written) = pending.number.take()
        {
            self.release(&pending, written);
        }
        let rest = REST.delay(pending.refusals - 1, self.random.f64());
        let mut passing = Vec::new();
        let again = match pending.access() {
            Access::Message(session) => match self.order.refused_message(session, pending) {
                Ok(again) => again,
                Err(pending) => return self.give_up(pending, Some(number), false),
            },
            Access::Write(session) => {
                self.order.refused_write(session, &mut passing);
                vec![pending]
            }
            Access::None | Access::Read(_) => vec![pending],
        };
        passing.into_iter().for_each(|pending| self.send_later(pending));
        match next {
            Next::Again => again.into_iter().for_each(|pending| self.send_again(pending)),
            Next::Rests => {
                self.resting.extend(again.into_iter().map(|pending| (now + rest, pending)));
            }
        }
    }

    /// Ends a request with the error that tells the caller what it may rely on. `sent`: whether
    /// this try may have been executed.
    fn give_up(&mut self, pending: Pending, number: Option<NodeNumber>, sent: bool) {
        let reason = match &pending.refusal {
            Some(refusal) if pending.is_repeated() => format!("the answer was lost, then: {refusal}"),
            Some(refusal) if !sent => format!("refused: {refusal}"),
            _ => {
                let node = number.and_then(|number| self.nodes.get(number));
                node.map_or(&self.unknown, |node| &node.reason).clone()
            }
        };
        self.give_up_because(pending, number, sent, &reason);
    }

    fn give_up_because(
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

    /// The name of a node in errors.
    fn server(&self, number: Option<NodeNumber>) -> &str {
        let node = number.and_then(|number| self.nodes.get(number));
        node.map_or(&self.name, |node| &node.server)
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
                waiting.extend(extract(queue, &mut is_over).map(|pending| (Some(number), pending)));
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
            waiting.extend(extract(queue, &mut is_over).map(|pending| (None, pending)));
        }
        let rested = self.resting.extract_if(.., |(_, pending)| is_over(pending));
        waiting.extend(rested.map(|(_, pending)| (None, pending)));
        self.earliest = earliest.map(|earliest| earliest.max(now + LOOK));
        // What is held has not gone out, and so has nothing to leave.
        for Pending { request, .. } in held {
            let number = self.route(&*request);
            let error = self.too_late(number, &waiting);
            self.settled.push(Settled::new(request, Err(error)));
        }
        let errors: Vec<_> = waiting
            .iter()
            .map(|(number, pending)| {
                let number = number.or_else(|| self.route(&*pending.request));
                (number, self.too_late(number, &waiting))
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
        number: Option<NodeNumber>,
        over: &[(Option<NodeNumber>, Pending)],
    ) -> Error {
        let Some(node) = number.and_then(|number| self.nodes.get(number)) else {
            return Error::unavailable(format!("{}: {}", self.name, self.unknown));
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

    /// A place in a ledger is free, for the write that has waited longest for one there.
    fn release(&mut self, pending: &Pending, number: u64) {
        let place = pending.request.place();
        self.ledgers.of(place).release(number);
        let is_same = |other: &Pending| other.request.place().slot() == place.slot();
        if let Some(next) = self.placeless.iter().position(is_same)
            && let Some(next) = self.placeless.remove(next)
        {
            self.send_again(next);
        }
    }

    fn settle(&mut self, pending: Pending, outcome: Result<Value>) {
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

/// Takes out of a queue what is over, and keeps the order of the rest.
fn extract(
    queue: &mut VecDeque<Pending>,
    is_over: &mut impl FnMut(&Pending) -> bool,
) -> impl Iterator<Item = Pending> {
    let (over, kept): (VecDeque<_>, VecDeque<_>) =
        std::mem::take(queue).into_iter().partition(|pending| is_over(pending));
    *queue = kept;
    over.into_iter()
}
