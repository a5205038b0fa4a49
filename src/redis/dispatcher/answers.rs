//! What becomes of replies and refusals.

use redis::Value;
use tokio::time::{Duration, Instant};

use super::{Dispatcher, Map};
use crate::backoff::Backoff;
use crate::error::Error;
use crate::operation::Effect;
use crate::redis::order::Access;
use crate::redis::pending::{Asker, Pending};
use crate::redis::refusal::{Refusal, error_line, is_of_cluster, without_script};
use crate::redis::replication::{Confirmed, Executed};
use crate::redis::topology::cluster::NodeNumber;

/// How long a request rests that Redis has refused for now.
const REST: Backoff =
    Backoff { floor: Duration::from_millis(10), ceiling: Duration::from_millis(500) };

/// How a request goes on that Redis has refused for now.
enum Next {
    /// When it has rested.
    Rests,
    /// At once, where it belongs.
    Again,
}

impl Dispatcher {
    /// The server has sent something.
    pub fn received(&mut self, number: NodeNumber, now: Instant) {
        if let Some(conversation) = self.conversation(number) {
            conversation.received(now);
        }
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
                pending.refused_part = pending
                    .refused_part
                    .take()
                    .or(refusal.clone().filter(|line| is_of_cluster(line)));
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
}
