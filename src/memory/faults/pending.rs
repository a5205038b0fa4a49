//! An operation that is not answered yet, of any kind: it can wait, and its answer can be held back.

use std::sync::Arc;

use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::memory::apply::Apply;
use crate::memory::contents::Contents;
use crate::memory::moment::Moment;
use crate::memory::origin::HandleId;
use crate::operation::Effect;

/// Tells the caller the outcome; or the error, if there is one, in its place. Called without the lock.
pub(in crate::memory) type Answer = Box<dyn FnOnce(Option<Error>) + Send>;

/// A pending operation of any kind.
pub(in crate::memory) trait AnyPending: Send {
    /// Applies it.
    fn apply(self: Box<Self>, contents: &mut Contents, at: Moment) -> Answer;

    /// Does not apply it: its answer will be an error.
    fn decline(self: Box<Self>) -> Answer;

    /// By when it has to be answered.
    fn deadline(&self) -> Instant;

    /// The handle that it came by.
    fn handle_id(&self) -> HandleId;

    /// What repeating it would do.
    fn effect(&self) -> Effect;

    /// Whether the service has called it.
    fn is_called(&self) -> bool;

    /// The session of which it expects a version.
    fn contested(&self) -> Option<&str>;

    /// Lets another writer of that session write before it.
    fn lose_race(&self, contents: &mut Contents, at: Moment);
}

/// An operation that is not answered yet.
pub(in crate::memory) struct Pending<O: Apply, D> {
    pub context: Arc<O::Context>,
    pub operation: O,
    pub deadline: Instant,
    pub handle_id: HandleId,
    pub done: D,
}

impl<O: Apply, D: FnOnce(Result<O::Outcome>) + Send + 'static> AnyPending for Pending<O, D> {
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

    fn handle_id(&self) -> HandleId {
        self.handle_id
    }

    fn effect(&self) -> Effect {
        self.operation.effect()
    }

    fn is_called(&self) -> bool {
        self.operation.is_called()
    }

    fn contested(&self) -> Option<&str> {
        self.operation.contested()
    }

    fn lose_race(&self, contents: &mut Contents, at: Moment) {
        self.operation.lose_race(&self.context, contents, at);
    }
}
