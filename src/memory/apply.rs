//! An operation that is applied to what a store holds: one step, and its outcome.

use super::contents::Contents;
use super::moment::Moment;
use crate::error::Result;
use crate::operation::Operation;

/// An operation of the memory engine.
pub(super) trait Apply: Operation {
    /// Where the sessions or records are that it is about.
    type Context: Send + Sync + 'static;

    /// Applies it.
    fn apply(
        self,
        context: &Self::Context,
        contents: &mut Contents,
        at: Moment,
    ) -> Result<Self::Outcome>;

    /// Whether the service has called it: it may be refused on purpose, or its answer lost.
    fn is_called(&self) -> bool {
        true
    }

    /// The session of which it expects a version.
    fn contested(&self) -> Option<&str> {
        None
    }

    /// Lets another writer of that session write before it.
    fn lose_race(&self, _context: &Self::Context, _contents: &mut Contents, _at: Moment) {}
}
