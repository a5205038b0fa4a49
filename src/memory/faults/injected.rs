//! What goes wrong on purpose, and what becomes of the operations that meet it. Pure: operations and
//! the time go in; answers, and the next time at which something is due, come out.
//!
//! - *An outage*: operations wait, in the order in which they came. What waits longer than its
//!   deadline ends as not executed.
//! - *A gap*: listeners are lost; operations go on.
//! - *A refusal*: an operation is answered with an error, and not executed.
//! - *A conflict*: another writer is first.
//! - *A lost answer*: an operation is executed, and its caller does not learn what became of it.
//! - *A delay*: answers are held back, in the order in which they were given.
//!
//! What waits and what is held back is bounded by the callers, who count the bytes of their calls in
//! flight, as with any engine that does not answer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::pending::{Answer, AnyPending};
use crate::error::Error;
use crate::memory::contents::Contents;
use crate::memory::moment::{Moment, later};
use crate::memory::origin::HandleId;
use crate::operation::Effect;

/// An answer that is due: see [`Answer`].
pub(in crate::memory) type Due = (Answer, Option<Error>);

/// What goes wrong on purpose.
#[derive(Default)]
pub(in crate::memory) struct Injected {
    /// The store's name in errors.
    name: String,
    outage: Option<Outage>,
    /// How many outages there were.
    outages: u64,
    is_gap: bool,
    refusals: u32,
    refusal: String,
    lost_answers: u32,
    delay: Duration,
    /// The sessions whose next locked write meets another writer.
    conflicts: BTreeSet<String>,
    /// What waits for the end of an outage, in the order in which it came.
    waiting: BTreeMap<u64, Box<dyn AnyPending>>,
    deadlines: BTreeSet<(Instant, u64)>,
    /// Answers that are held back, by when they are due.
    held: BTreeMap<(Instant, u64), Held>,
    /// How many operations have waited or were held back.
    count: u64,
    /// Whether an operation may meet something of all this.
    is_active: bool,
    /// Whether an outage has begun or ended, and nobody was told.
    is_news: bool,
}

struct Outage {
    ends_at: Option<Instant>,
}

struct Held {
    handle_id: HandleId,
    answer: Answer,
    error: Option<Error>,
}

impl Injected {
    /// Nothing goes wrong yet.
    pub fn new(name: String) -> Self {
        Self { name, ..Self::default() }
    }

    /// Whether an operation has to go through [`admit`](Self::admit).
    pub fn is_active(&self) -> bool {
        self.is_active
    }

    /// Whether the store cannot be reached, and why.
    pub fn outage(&self) -> Option<String> {
        self.outage.as_ref().map(|_| format!("{}: there is an outage", self.name))
    }

    /// Whether an outage has begun or ended since the last time.
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.is_news)
    }

    /// How many outages there were: what was open before the latest is lost.
    pub fn outages(&self) -> u64 {
        self.outages
    }

    /// Begins an outage, or sets when the current one ends.
    pub fn begin_outage(&mut self, lasts: Option<Duration>, contents: &mut Contents, at: Moment) {
        let ends_at = lasts.map(|lasts| later(at.now, lasts));
        if self.outage.replace(Outage { ends_at }).is_none() {
            self.outages += 1;
            self.is_news = true;
        }
        self.cut(contents, at);
    }

    /// Ends the outage: what waits is executed.
    pub fn end_outage(&mut self, contents: &mut Contents, at: Moment, due: &mut Vec<Due>) {
        if self.outage.take().is_none() {
            return;
        }
        self.is_news = true;
        self.deadlines.clear();
        for pending in std::mem::take(&mut self.waiting).into_values() {
            self.execute(pending, contents, at, due);
        }
        self.reach(contents);
    }

    /// Begins a gap.
    pub fn begin_gap(&mut self, contents: &mut Contents, at: Moment) {
        self.is_gap = true;
        self.cut(contents, at);
    }

    /// Ends the gap.
    pub fn end_gap(&mut self, contents: &mut Contents) {
        self.is_gap = false;
        self.reach(contents);
    }

    /// The next operations are refused.
    pub fn refuse(&mut self, message: String, count: u32) {
        (self.refusal, self.refusals) = (message, count);
        self.note_activity();
    }

    /// The answers of the next changes are lost.
    pub fn lose_answers(&mut self, count: u32) {
        self.lost_answers = count;
        self.note_activity();
    }

    /// Answers come so much later.
    pub fn set_delay(&mut self, delay: Duration) {
        self.delay = delay;
        self.note_activity();
    }

    /// The next locked write of a session meets another writer.
    pub fn conflict(&mut self, session_id: String) {
        self.conflicts.insert(session_id);
        self.note_activity();
    }

    /// Takes an operation: it waits, or is executed.
    pub fn admit(
        &mut self,
        pending: Box<dyn AnyPending>,
        contents: &mut Contents,
        at: Moment,
        due: &mut Vec<Due>,
    ) {
        if self.outage.is_some() {
            self.count += 1;
            self.deadlines.insert((pending.deadline(), self.count));
            self.waiting.insert(self.count, pending);
        } else {
            self.execute(pending, contents, at, due);
        }
        self.note_activity();
    }

    /// Does what is due by now.
    pub fn lapse(&mut self, contents: &mut Contents, at: Moment, due: &mut Vec<Due>) {
        let ends_at = self.outage.as_ref().and_then(|outage| outage.ends_at);
        let until = ends_at.map_or(at.now, |ends_at| ends_at.min(at.now));
        while let Some((_, number)) = pop_until(&mut self.deadlines, until) {
            if let Some(pending) = self.waiting.remove(&number) {
                due.push((pending.decline(), Some(self.unavailable())));
            }
        }
        if ends_at.is_some_and(|ends_at| ends_at <= at.now) {
            self.end_outage(contents, at, due);
        }
        while let Some(first) = self.held.first_entry().filter(|first| first.key().0 <= at.now) {
            let Held { answer, error, .. } = first.remove();
            due.push((answer, error));
        }
        self.note_activity();
    }

    /// Ends the operations of a handle: what waits is not executed, and what is held back is told.
    pub fn forget(&mut self, handle_id: HandleId, due: &mut Vec<Due>) {
        for (number, pending) in
            self.waiting.extract_if(.., |_, pending| pending.handle_id() == handle_id)
        {
            self.deadlines.remove(&(pending.deadline(), number));
            due.push((pending.decline(), Some(Error::Closed)));
        }
        let held = self.held.extract_if(.., |_, held| held.handle_id == handle_id);
        due.extend(held.map(|(_, Held { answer, error, .. })| (answer, error)));
        self.note_activity();
    }

    /// When something is due next.
    pub fn next_due(&self) -> Option<Instant> {
        let deadline = self.deadlines.first().map(|(deadline, _)| *deadline);
        let held = self.held.first_key_value().map(|((time, _), _)| *time);
        let outage = self.outage.as_ref().and_then(|outage| outage.ends_at);
        [deadline, held, outage].into_iter().flatten().min()
    }

    fn execute(
        &mut self,
        pending: Box<dyn AnyPending>,
        contents: &mut Contents,
        at: Moment,
        due: &mut Vec<Due>,
    ) {
        let (handle_id, effect, deadline) =
            (pending.handle_id(), pending.effect(), pending.deadline());
        let (answer, error) = if self.refusals > 0 && pending.is_called() {
            self.refusals -= 1;
            (pending.decline(), Some(Error::Reply { message: self.refusal.clone() }))
        } else {
            self.apply(pending, contents, at)
        };
        let Some(time) = self.time_of_answer(at.now) else { return due.push((answer, error)) };
        let error = if deadline < time { error.or(Some(self.too_late(effect))) } else { error };
        self.count += 1;
        self.held.insert((time.min(deadline), self.count), Held { handle_id, answer, error });
    }

    fn apply(&mut self, pending: Box<dyn AnyPending>, contents: &mut Contents, at: Moment) -> Due {
        if pending.contested().is_some_and(|session_id| self.conflicts.remove(session_id)) {
            pending.lose_race(contents, at);
        }
        let is_lost =
            self.lost_answers > 0 && pending.is_called() && pending.effect() != Effect::Read;
        self.lost_answers -= u32::from(is_lost);
        (pending.apply(contents, at), is_lost.then(|| self.unknown("its answer was lost")))
    }

    /// When an answer is due, not before those that are held back; `None`: at once.
    fn time_of_answer(&self, now: Instant) -> Option<Instant> {
        let last = self.held.last_key_value().map(|((time, _), _)| *time);
        if self.delay.is_zero() && last.is_none() {
            return None;
        }
        let earliest = later(now, self.delay);
        Some(last.map_or(earliest, |last| last.max(earliest)))
    }

    fn too_late(&self, effect: Effect) -> Error {
        match effect {
            Effect::Read => self.unavailable(),
            _ => self.unknown("its answer came too late"),
        }
    }

    fn cut(&mut self, contents: &mut Contents, at: Moment) {
        let reason =
            self.outage().unwrap_or_else(|| format!("{}: the connection was cut", self.name));
        contents.topics.cut(&reason, at.now, &mut contents.wakes);
        self.note_activity();
    }

    fn reach(&mut self, contents: &mut Contents) {
        if self.outage.is_none() && !self.is_gap {
            contents.topics.reach(&mut contents.wakes);
        }
        self.note_activity();
    }

    fn unavailable(&self) -> Error {
        Error::unavailable(format!("{}: no answer by the deadline", self.name))
    }

    fn unknown(&self, what: &str) -> Error {
        Error::unknown(format!("{}: {what}", self.name))
    }

    fn note_activity(&mut self) {
        self.is_active = self.outage.is_some()
            || self.refusals > 0
            || self.lost_answers > 0
            || !self.delay.is_zero()
            || !self.conflicts.is_empty()
            || !self.held.is_empty();
    }
}

fn pop_until(deadlines: &mut BTreeSet<(Instant, u64)>, until: Instant) -> Option<(Instant, u64)> {
    let first = *deadlines.first().filter(|(deadline, _)| *deadline <= until)?;
    deadlines.remove(&first);
    Some(first)
}

#[cfg(test)]
mod tests;
