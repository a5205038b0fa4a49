//! The requests of a history, and what became of each.

use std::sync::{Arc, Mutex, PoisonError};

use redis::Value;
use tokio::time::Instant;

use super::server::WORDS;
use crate::error::{Error, Result};
use crate::operation::Effect;
use crate::operation::replicas::Replicas;
use crate::redis::order::{Access, SessionHash};
use crate::redis::request::{Attempt, Request};
use crate::redis::resp::encode::Command;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A read of a session.
    Read,
    /// An update without an expected version.
    Write,
    /// An update with the version that is expected.
    Locked { expected: i64 },
    /// A message to others.
    Message,
    /// A command of the caller's own.
    Opaque,
    /// The same between `MULTI` and `EXEC`.
    Transaction,
}

/// What a caller was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The reply.
    Done(i64),
    /// Redis' own refusal, or the conflict of a locked update: nothing changed.
    Refused,
    /// Nothing changed.
    Unavailable(String),
    /// It may have been executed.
    Unknown(String),
}

/// The outcomes of one request: there must be one.
pub type Outcomes = Arc<Mutex<Vec<Told>>>;

/// A request of a history.
#[derive(Clone)]
pub struct Asked {
    pub id: i64,
    pub kind: Kind,
    pub session: SessionHash,
    pub deadline: Instant,
    pub called: Instant,
    /// How many replicas are to have it.
    pub replicas: Option<Replicas>,
    pub outcomes: Outcomes,
}

impl Asked {
    pub fn outcomes(&self) -> Vec<Told> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn changes(&self) -> bool {
        self.kind != Kind::Read
    }
}

impl Request for Asked {
    fn encode(&self, attempt: &Attempt, out: &mut Vec<u8>) {
        let (names, expected): (&[&str], _) = match self.kind {
            Kind::Read => (&["READ"], 0),
            Kind::Write => (&["WRITE"], 0),
            Kind::Locked { expected } => (&["LOCKED"], expected),
            Kind::Message => (&["MESSAGE"], 0),
            Kind::Opaque => (&["OPAQUE"], 0),
            Kind::Transaction => (&["MULTI", "QUEUED", "EXEC"], 0),
        };
        let entry = attempt.entry.as_ref();
        for name in names {
            Command::new(out, WORDS)
                .word(name)
                .number(self.id.unsigned_abs())
                .number(self.session)
                .number(expected.unsigned_abs())
                .number(entry.map_or(0, |entry| entry.number))
                .word(if attempt.repeated { "repeated" } else { "" })
                .word(if attempt.with_source { "source" } else { "" });
        }
    }

    fn effect(&self) -> Effect {
        match self.kind {
            Kind::Read => Effect::Read,
            Kind::Write => Effect::Recognised,
            Kind::Locked { .. } => Effect::Idempotent,
            Kind::Message => Effect::Once,
            Kind::Opaque | Kind::Transaction => Effect::Opaque,
        }
    }

    fn access(&self) -> Access<'_> {
        match self.kind {
            Kind::Read => Access::Read(std::slice::from_ref(&self.session)),
            Kind::Write | Kind::Locked { .. } => Access::Write(self.session),
            Kind::Message => Access::Message(self.session),
            Kind::Opaque | Kind::Transaction => Access::None,
        }
    }

    fn notes(&self) -> bool {
        matches!(self.kind, Kind::Write | Kind::Locked { .. })
    }

    fn replicas(&self) -> Option<Replicas> {
        self.replicas
    }

    fn has_changed(&self, reply: &Value) -> bool {
        matches!(reply, Value::Int(_))
    }

    fn replies(&self) -> usize {
        if self.kind == Kind::Transaction { 3 } else { 1 }
    }

    fn documents(&self) -> usize {
        usize::from(self.kind == Kind::Read)
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn settle(self: Box<Self>, outcome: Result<Value>) {
        let told = match outcome {
            Ok(Value::Int(reply)) => Told::Done(reply),
            Ok(Value::Array(replies)) if self.kind == Kind::Transaction => match replies[..] {
                [Value::Int(reply)] => Told::Done(reply),
                _ => Told::Refused,
            },
            Ok(_) | Err(Error::Reply { .. }) => Told::Refused,
            Err(Error::OutcomeUnknown { reason }) => Told::Unknown(reason),
            Err(error) => Told::Unavailable(error.to_string()),
        };
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).push(told);
    }
}
