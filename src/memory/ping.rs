//! Whether a store answers.

use super::apply::Apply;
use super::contents::Contents;
use super::moment::Moment;
use crate::error::Result;
use crate::operation::{Effect, Operation};

/// Asks for nothing but an answer.
pub(super) struct Ping;

impl Operation for Ping {
    type Outcome = ();

    fn effect(&self) -> Effect {
        Effect::Read
    }
}

impl Apply for Ping {
    type Context = ();

    fn apply(self, (): &(), _contents: &mut Contents, _at: Moment) -> Result<()> {
        Ok(())
    }
}
