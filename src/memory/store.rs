//! A store: what it holds, behind a lock, and its housekeeping. It decides nothing itself.
//!
//! The lock is held for one step at a time. What others are to be told of a step, they are told after
//! the lock is released.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::apply::Apply;
use super::contents::Contents;
use super::faults::injected::{Due, Injected};
use super::faults::pending::Pending;
use super::moment::Moment;
use super::origin::Origin;
use super::sessions::table::Session;
use super::wakes::Wakes;
use crate::clock::Clock;
use crate::error::{Error, Result};

/// How often expired sessions are removed.
const SWEEP_INTERVAL: Duration = Duration::from_millis(100);

/// How many sessions are looked at while the lock is held: about 0.1 ms.
const SWEEP_PORTION: usize = 256;

/// The pause before the next portion. Without one, the lock would be held most of the time, and a caller
/// would wait for a thread that has lost its core meanwhile.
const SWEEP_PAUSE: Duration = Duration::from_millis(1);

/// A store, which all handles of its name share.
pub(super) struct Store {
    /// How it is called in errors: `memory:`, or `memory://name`.
    pub display: String,
    /// Its clock.
    pub clock: Clock,
    state: Mutex<State>,
    /// Tells the housekeeping of something that is due earlier.
    earlier: Notify,
    /// Whose turn it is to keep house: one task at a time.
    turn: tokio::sync::Mutex<()>,
    /// Tells of outages, when they begin and when they end.
    pub outages: watch::Sender<()>,
}

/// What the lock protects.
pub(super) struct State {
    /// What the store holds.
    pub contents: Contents,
    /// What goes wrong on purpose.
    pub injected: Injected,
    /// The answers of this step.
    pub due: Vec<Due>,
    /// No session is removed before.
    rests_until: Instant,
    /// When the housekeeping wakes up by itself.
    wakes_at: Option<Instant>,
}

impl Store {
    /// An empty store.
    pub fn new(display: String, is_adjustable: bool) -> Self {
        let clock = if is_adjustable { Clock::adjustable() } else { Clock::default() };
        let state = State {
            contents: Contents::new(is_adjustable),
            injected: Injected::new(display.clone()),
            due: Vec::new(),
            rests_until: clock.now(),
            wakes_at: None,
        };
        Self {
            display,
            clock,
            state: Mutex::new(state),
            earlier: Notify::new(),
            turn: tokio::sync::Mutex::new(()),
            outages: watch::Sender::new(()),
        }
    }

    /// Executes an operation, or lets it wait. `done` is called without the lock.
    pub fn execute<O: Apply>(
        &self,
        context: &Arc<O::Context>,
        operation: O,
        deadline: Instant,
        origin: &Origin,
        done: impl FnOnce(Result<O::Outcome>) + Send + 'static,
    ) {
        let mut state = self.lock();
        let at = Moment::of(&self.clock);
        if state.injected.is_active() {
            // Closed since it was called: the operation would wait for ever.
            if origin.is_closed.load(Ordering::Acquire) {
                drop(state);
                return done(Err(Error::Closed));
            }
            let (context, handle_id) = (context.clone(), origin.handle_id);
            let pending = Pending { context, operation, deadline, handle_id, done };
            let State { contents, injected, due, .. } = &mut *state;
            injected.lapse(contents, at, due);
            injected.admit(Box::new(pending), contents, at, due);
            return self.release(state);
        }
        let outcome = operation.apply(context, &mut state.contents, at);
        self.release(state);
        done(outcome);
    }

    /// Does a step.
    pub fn step<T>(&self, step: impl FnOnce(&mut State, Moment) -> T) -> T {
        let mut state = self.lock();
        let at = Moment::of(&self.clock);
        let result = step(&mut state, at);
        self.release(state);
        result
    }

    /// Why the store cannot be reached.
    pub fn outage(&self) -> Option<String> {
        self.lock().injected.outage()
    }

    /// Does what is due at its time, until it is dropped.
    pub async fn keep_house(&self) {
        let _turn = self.turn.lock().await;
        loop {
            let (next, expired) = self.step(State::keep_house);
            drop(expired); // Without the lock, as it takes longest.
            match next {
                Some(time) => tokio::select! {
                    () = self.clock.sleep_until(time) => {}
                    () = self.earlier.notified() => {}
                },
                None => self.earlier.notified().await,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Releases the lock, then tells whom the step concerns.
    fn release(&self, mut state: MutexGuard<'_, State>) {
        let next = state.next_due();
        let is_earlier =
            next.is_some_and(|next| state.wakes_at.is_none_or(|wakes_at| next < wakes_at));
        if is_earlier {
            state.wakes_at = next;
        }
        let due = std::mem::take(&mut state.due);
        let wakes = std::mem::take(&mut state.contents.wakes);
        let is_news = state.injected.take_news();
        drop(state);
        if is_news {
            self.outages.send_replace(());
        }
        if is_earlier {
            self.earlier.notify_one();
        }
        tell(wakes, due);
    }
}

impl State {
    /// Does what is due. Returns when to come again, and the sessions that were removed.
    fn keep_house(&mut self, at: Moment) -> (Option<Instant>, Vec<Session>) {
        let Self { contents, injected, due, .. } = self;
        injected.lapse(contents, at, due);
        let mut expired = Vec::new();
        if self.next_sweep().is_some_and(|time| time <= at.now) {
            expired = self.contents.sessions.sweep(SWEEP_PORTION, at.now);
            let is_done = self.contents.sessions.next_sweep().is_none_or(|time| time > at.now);
            self.rests_until = at.now + if is_done { SWEEP_INTERVAL } else { SWEEP_PAUSE };
        }
        self.wakes_at = self.next_due();
        (self.wakes_at, expired)
    }

    fn next_due(&self) -> Option<Instant> {
        match (self.next_sweep(), self.injected.next_due()) {
            (Some(sweep), Some(due)) => Some(sweep.min(due)),
            (sweep, due) => sweep.or(due),
        }
    }

    fn next_sweep(&self) -> Option<Instant> {
        let time = self.contents.sessions.next_sweep()?;
        Some(time.max(self.rests_until))
    }
}

fn tell(wakes: Wakes, due: Vec<Due>) {
    for wake in wakes {
        wake.notify_one();
    }
    for (answer, error) in due {
        // A caller that panics costs no other caller its answer.
        let _ = std::panic::catch_unwind(AssertUnwindSafe(|| answer(error)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn expired_sessions_are_removed_in_portions() {
        let store = Arc::new(Store::new("memory:".into(), true));
        let sessions = 2 * SWEEP_PORTION + 1;
        store.step(|state, at| {
            for n in 0..sessions {
                let expires_at = at.now + Duration::from_secs(60);
                state.contents.sessions.put(&n.to_string(), "{}".into(), 1, expires_at);
            }
        });
        store.clock.advance(Duration::from_secs(60));
        let (next, expired) = store.step(State::keep_house);
        assert_eq!(expired.len(), SWEEP_PORTION);
        assert!(next.is_some_and(|next| next < store.clock.now() + SWEEP_INTERVAL));
        let keeper = store.clone();
        let task = tokio::spawn(async move { keeper.keep_house().await });
        let is_empty = async {
            while store.step(|state, _| state.contents.sessions.next_sweep().is_some()) {
                tokio::time::sleep(SWEEP_PAUSE).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), is_empty).await.unwrap();
        task.abort();
    }
}
