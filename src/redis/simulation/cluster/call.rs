//! What is asked for in a history, and what its caller was told.

use std::sync::{Arc, Mutex};

use redis::Value;
use tokio::time::Instant;

use super::node::{GROUPS, WIDTH};
use crate::error::{Error, Result};
use crate::operation::Effect;
use crate::redis::order::{Access, SessionHash};
use crate::redis::place::Place;
use crate::redis::request::{Attempt, Request};
use crate::redis::resp::encode::Command;
use crate::redis::topology::slot::Slot;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Done(i64),
    Unavailable,
    Unknown,
}

pub(super) type Outcomes = Arc<Mutex<Vec<(u64, Told)>>>;

/// A read or a write of a session, with a tag of its slot.
#[derive(Clone)]
pub(super) struct Call {
    pub id: u64,
    pub writes: bool,
    pub session: SessionHash,
    pub deadline: Instant,
    pub outcomes: Outcomes,
}

pub(super) fn slot_of(session: SessionHash) -> Slot {
    let group = u16::try_from(session % u64::from(GROUPS)).expect("a group");
    Slot::new(group * WIDTH).expect("a slot")
}

impl Request for Call {
    fn encode(&self, attempt: &Attempt, out: &mut Vec<u8>) {
        Command::new(out, 5)
            .word(if self.writes { "WRITE" } else { "READ" })
            .number(self.id)
            .number(self.session)
            .number(attempt.entry.as_ref().map_or(0, |entry| entry.number))
            .word(if attempt.repeated { "repeated" } else { "" });
    }

    fn effect(&self) -> Effect {
        if self.writes { Effect::Recognised } else { Effect::Read }
    }

    fn access(&self) -> Access<'_> {
        match self.writes {
            true => Access::Write(self.session),
            false => Access::Read(std::slice::from_ref(&self.session)),
        }
    }

    fn place(&self) -> Place<'_> {
        Place::Partition { slot: slot_of(self.session), tag: "t" }
    }

    fn notes(&self) -> bool {
        self.writes
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn settle(self: Box<Self>, outcome: Result<Value>) {
        let told = match outcome {
            Ok(Value::Int(version)) => Told::Done(version),
            Err(Error::Unavailable { .. }) => Told::Unavailable,
            Err(Error::OutcomeUnknown { .. }) => Told::Unknown,
            other => panic!("{other:?}"),
        };
        self.outcomes.lock().expect("outcomes").push((self.id, told));
    }
}
