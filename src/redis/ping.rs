//! A request that asks for nothing but a connection.

use redis::Value;
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant};

use crate::error::Result;
use crate::operation::Effect;
use crate::redis::connection::Connection;
use crate::redis::request::{Attempt, Request};
use crate::redis::resp::encode::Command;

/// Has the connection made, which happens when something is asked of it: in a cluster the map comes with it.
/// The connection is tried for ever; what is asked for this long is the question alone, whose outcome is told.
pub(crate) fn connect(connection: &Connection, limit: Duration) -> oneshot::Receiver<Result<()>> {
    let (outcome, told) = oneshot::channel();
    connection.direct().submit(Box::new(Ping { deadline: Instant::now() + limit, outcome }));
    told
}

struct Ping {
    deadline: Instant,
    outcome: oneshot::Sender<Result<()>>,
}

impl Request for Ping {
    fn encode(&self, _attempt: &Attempt, out: &mut Vec<u8>) {
        Command::new(out, 1).word("PING");
    }

    fn effect(&self) -> Effect {
        Effect::Read
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn settle(self: Box<Self>, outcome: Result<Value>) {
        // Not everybody waits for it.
        let _ = self.outcome.send(outcome.map(drop));
    }
}
