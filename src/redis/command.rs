//! An operation as a command of Redis: one command, or one script.

use std::sync::Arc;

use redis::Value;
use tokio::time::Instant;

use crate::error::Result;
use crate::operation::replicas::Replicas;
use crate::operation::{Effect, Operation};
use crate::redis::order::{Access, SessionHash};
use crate::redis::place::Place;
use crate::redis::request::{Attempt, Request};

/// An operation that is one command.
pub(crate) trait AsCommand: Operation + Sized {
    /// What the commands of its kind share: their names and scripts.
    type Context: Send + Sync;

    /// Appends the command to what is sent.
    fn encode(&self, context: &Self::Context, attempt: &Attempt, out: &mut Vec<u8>);

    /// What it does with which session.
    fn about(&self, _context: &Self::Context) -> About {
        About::NoSession
    }

    /// Where it is to be executed.
    fn place<'a>(&'a self, _context: &'a Self::Context) -> Place<'a> {
        Place::Any
    }

    /// Whether its script notes in the ledger that it was executed.
    fn notes(&self) -> bool {
        false
    }

    /// How many replicas are to have it before it is acknowledged.
    fn replicas(&self, _context: &Self::Context) -> Option<Replicas> {
        None
    }

    /// Whether it has changed something, by its reply. A script that has not replies with a list.
    fn has_changed(reply: &Value) -> bool {
        !matches!(reply, Value::Array(_))
    }

    /// How many documents its reply holds.
    fn documents(&self) -> usize {
        0
    }

    /// Makes the outcome of the reply, which is never an error of the server, or of why there is none.
    fn read(self, context: &Self::Context, reply: Result<Value>) -> Result<Self::Outcome>;
}

/// What a command does with which session.
#[derive(Debug, Clone, Copy)]
pub(crate) enum About {
    NoSession,
    Reads(SessionHash),
    Tells(SessionHash),
    Writes(SessionHash),
}

/// A command on its way.
pub(crate) struct Asked<C: AsCommand, D> {
    context: Arc<C::Context>,
    command: C,
    about: About,
    deadline: Instant,
    done: D,
}

impl<C: AsCommand, D: FnOnce(Result<C::Outcome>) + Send + 'static> Asked<C, D> {
    pub fn new(context: &Arc<C::Context>, command: C, deadline: Instant, done: D) -> Box<Self> {
        let about = command.about(context);
        Box::new(Self { context: context.clone(), command, about, deadline, done })
    }
}

impl<C: AsCommand, D: FnOnce(Result<C::Outcome>) + Send> Request for Asked<C, D> {
    fn encode(&self, attempt: &Attempt, out: &mut Vec<u8>) {
        self.command.encode(&self.context, attempt, out);
    }

    fn effect(&self) -> Effect {
        self.command.effect()
    }

    fn access(&self) -> Access<'_> {
        match &self.about {
            About::NoSession => Access::None,
            About::Reads(session) => Access::Read(std::slice::from_ref(session)),
            About::Tells(session) => Access::Message(*session),
            About::Writes(session) => Access::Write(*session),
        }
    }

    fn place(&self) -> Place<'_> {
        self.command.place(&self.context)
    }

    fn notes(&self) -> bool {
        self.command.notes()
    }

    fn replicas(&self) -> Option<Replicas> {
        self.command.replicas(&self.context)
    }

    fn has_changed(&self, reply: &Value) -> bool {
        C::has_changed(reply)
    }

    fn documents(&self) -> usize {
        self.command.documents()
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn settle(self: Box<Self>, outcome: Result<Value>) {
        let Self { context, command, done, .. } = *self;
        done(command.read(&context, outcome));
    }
}
