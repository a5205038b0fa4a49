//! An operation that somebody has asked, of any kind: it can wait, and its answer can be held back.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::time::Instant;

use super::apply::Apply;
use super::contents::Contents;
use super::moment::Moment;
use crate::error::{Error, Result};
use crate::operation::Effect;

/// The number of a handle, which tells what it has asked from what others have.
pub(super) type AskerId = u64;

/// By which handle operations are asked.
#[derive(Debug)]
pub(super) struct Asker {
    /// Its number.
    pub id: AskerId,
    /// Whether it is closed.
    pub is_closed: AtomicBool,
}

/// Tells the caller the outcome; or the error, if there is one, in its place. Called without the lock.
pub(super) type Answer = Box<dyn FnOnce(Option<Error>) + Send>;

/// An operation of any kind that somebody has asked.
pub(super) trait AnyAsked: Send {
    /// Applies it.
    fn apply(self: Box<Self>, contents: &mut Contents, at: Moment) -> Answer;

    /// Does not apply it: its answer will be an error.
    fn decline(self: Box<Self>) -> Answer;

    /// By when it has to be answered.
    fn deadline(&self) -> Instant;

    /// Who asked it.
    fn asker(&self) -> AskerId;

    /// What repeating it would do.
    fn effect(&self) -> Effect;

    /// The session of which it expects a version.
    fn contested(&self) -> Option<&str>;

    /// Lets another writer of that session write before it.
    fn lose_race(&self, contents: &mut Contents, at: Moment);
}

/// An operation that somebody has asked.
pub(super) struct Asked<O: Apply, D> {
    pub context: Arc<O::Context>,
    pub operation: O,
    pub deadline: Instant,
    pub asker: AskerId,
    pub done: D,
}

impl<O: Apply, D: FnOnce(Result<O::Outcome>) + Send + 'static> AnyAsked for Asked<O, D> {
    fn apply(self: Box<Self>, contents: &mut Contents, at: Moment) -> Answer {
        let Self { context, operation, done, .. } = *self;
        let outcome = operation.apply(&context, contents, at);
        Box::new(|error| done(error.map_or(outcome, Err)))
    }

    fn decline(self: Box<Self>) -> Answer {
        let done = self.done;
        Box::new(|error| done(Err(error.unwrap_or(Error::Closed))))
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn asker(&self) -> AskerId {
        self.asker
    }

    fn effect(&self) -> Effect {
        self.operation.effect()
    }

    fn contested(&self) -> Option<&str> {
        self.operation.contested()
    }

    fn lose_race(&self, contents: &mut Contents, at: Moment) {
        self.operation.lose_race(&self.context, contents, at);
    }
}
