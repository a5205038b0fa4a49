//! Commands on the records of one server or one partition, and operations that are one such command for
//! each partition.

use redis::Value;

use super::context::Context;
use crate::error::Result;
use crate::keys::AuditKeys;
use crate::operation::{Effect, Operation};
use crate::redis::command::AsCommand;
use crate::redis::place::Place;
use crate::redis::request::Attempt;

/// A command on the records of one server or one partition.
pub(super) trait Part: Send + 'static {
    type Answer: Send + 'static;

    /// What repeating it would do.
    const EFFECT: Effect;

    /// Appends the command to what is sent.
    fn encode(&self, keys: &AuditKeys, attempt: &Attempt, out: &mut Vec<u8>);

    /// Makes the answer of a reply.
    fn read(reply: Value) -> Result<Self::Answer>;
}

/// An operation on the records of all partitions, or of the one server.
pub(super) trait Everywhere: Operation + Sized {
    type Part: Part;

    /// What each of so many partitions is asked, by its number.
    fn parts(&self, count: usize) -> Result<Vec<Option<Self::Part>>>;

    /// Makes the outcome of the answers to the parts.
    fn combine(self, answers: Vec<Option<<Self::Part as Part>::Answer>>) -> Result<Self::Outcome>;
}

/// A part, for the partition of this number.
pub(super) struct InPartition<P> {
    pub number: usize,
    pub part: P,
}

impl<P: Part> Operation for InPartition<P> {
    type Outcome = P::Answer;

    fn effect(&self) -> Effect {
        P::EFFECT
    }
}

impl<P: Part> AsCommand for InPartition<P> {
    type Context = Context;

    fn encode(&self, context: &Context, attempt: &Attempt, out: &mut Vec<u8>) {
        self.part.encode(context.keys(self.number), attempt, out);
    }

    fn place<'a>(&'a self, context: &'a Context) -> Place<'a> {
        context.place(self.number)
    }

    fn read(self, _context: &Context, reply: Result<Value>) -> Result<P::Answer> {
        P::read(reply?)
    }
}

/// Asks for nothing: its answer says that a server has told how the records are divided.
pub(super) struct Learn;

impl Operation for Learn {
    type Outcome = ();

    fn effect(&self) -> Effect {
        Effect::Read
    }
}

impl AsCommand for Learn {
    type Context = Context;

    fn encode(&self, _context: &Context, _attempt: &Attempt, out: &mut Vec<u8>) {
        crate::redis::resp::encode::append(out, &redis::cmd("PING"));
    }

    fn place<'a>(&'a self, context: &'a Context) -> Place<'a> {
        context.anywhere()
    }

    fn read(self, _context: &Context, reply: Result<Value>) -> Result<()> {
        reply.map(drop)
    }
}
