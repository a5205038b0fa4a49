//! What goes wrong on purpose, for tests. Workers' claims know outages only; the rest is about the
//! operations of managers and queues.
//!
//! [`Faults`] is how a test asks for it. Within the store, under its lock:
//!
//! - `pending`: an operation that is not answered yet.
//! - `injected`: what goes wrong, and what becomes of the operations that meet it.

pub(super) mod injected;
pub(super) mod pending;

use std::sync::Arc;
use std::time::Duration;

use crate::memory::moment::{CENTURY, Moment};
use crate::memory::store::{State, Store};

/// Makes things go wrong in a store, for all who use it.
#[derive(Clone)]
pub struct Faults {
    store: Arc<Store>,
}

impl Faults {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self { store }
    }

    /// The store cannot be reached for so long; `None`: until [`end_outage`](Self::end_outage).
    /// Operations wait, and end with `Error::Unavailable` at their deadline. Claims and subscriptions
    /// are lost.
    pub fn outage(&self, lasts: Option<Duration>) {
        self.step(|State { contents, injected, .. }, at| {
            injected.begin_outage(lasts, contents, at)
        });
    }

    /// Ends the outage. What waits is executed, in the order in which it came.
    pub fn end_outage(&self) {
        self.step(|State { contents, injected, due, .. }, at| {
            injected.end_outage(contents, at, due)
        });
    }

    /// The next `count` operations that change something are executed, and end with
    /// `Error::OutcomeUnknown`.
    pub fn lose_answers(&self, count: u32) {
        self.step(|state, _| state.injected.lose_answers(count));
    }

    /// Every answer comes so much later, in order; zero: none does.
    pub fn delay(&self, delay: Duration) {
        self.step(|state, _| state.injected.set_delay(delay));
    }

    /// Subscriptions are lost until [`gap_end`](Self::gap_end). Operations go on.
    pub fn gap_begin(&self) {
        self.step(|State { contents, injected, .. }, at| injected.begin_gap(contents, at));
    }

    /// Subscriptions come back.
    pub fn gap_end(&self) {
        self.step(|State { contents, injected, .. }, _| injected.end_gap(contents));
    }

    /// Another writer of this session is first, at its next write that expects a version: once.
    pub fn conflict(&self, session_id: &str) {
        self.step(|state, _| state.injected.conflict(session_id.to_owned()));
    }

    /// The next `count` operations are not executed, and end with `Error::Reply`.
    pub fn refuse(&self, message: &str, count: u32) {
        self.step(|state, _| state.injected.refuse(message.to_owned(), count));
    }

    /// Sets the clock of the store ahead, by a century at most in all. Does what is due by then.
    pub fn advance(&self, by: Duration) {
        let clock = &self.store.clock;
        clock.advance(by.min(CENTURY.saturating_sub(clock.ahead())));
        self.step(|_, _| ());
    }

    /// Does a step, after what was due before it.
    fn step(&self, step: impl FnOnce(&mut State, Moment)) {
        self.store.step(|state, at| {
            let State { contents, injected, due, .. } = &mut *state;
            injected.lapse(contents, at, due);
            step(state, at);
        });
    }
}
