//! What becomes of operations that meet a fault, told the time.

use std::sync::{Arc, Mutex};

use super::*;
use crate::document::{Draft, Stamp};
use crate::keys::Keys;
use crate::memory::faults::pending::Pending;
use crate::operation::names::Namespace;
use crate::operation::rule::Rule;
use crate::operation::session::{Get, Write};

const SECOND: Duration = Duration::from_secs(1);

struct World {
    injected: Injected,
    contents: Contents,
    start: Instant,
    namespace: Arc<Namespace>,
    told: Arc<Mutex<Vec<String>>>,
}

impl World {
    fn new() -> Self {
        let namespace = Namespace {
            keys: Keys::default(),
            ttl_seconds: 99,
            replicas: None,
            announce_expiry: false,
            audit: None,
        };
        Self {
            injected: Injected::new("memory:".into()),
            contents: Contents::new(false),
            start: Instant::now(),
            namespace: Arc::new(namespace),
            told: Arc::default(),
        }
    }

    fn at(&self, seconds: u32) -> Moment {
        Moment { now: self.start + seconds * SECOND, epoch_ms: 0 }
    }

    /// Writes `session`, whose deadline is after ten seconds.
    fn write(&mut self, session: &str, rule: Rule, seconds: u32) {
        let text = format!(
            r#"{{"session_id":"{session}","sync_mode":"global","status":"running","participants":[]}}"#
        );
        let draft = Draft::new(text, session, Stamp::Updated, "now").unwrap();
        let session_id = session.into();
        let operation = Write { session_id, draft, rule, record_id: None, reason: None, now_ms: 0 };
        let (told, name) = (self.told.clone(), session.to_owned());
        let done = move |outcome: crate::error::Result<crate::operation::session::Written>| {
            let outcome = outcome.map(|written| written.version.to_string());
            told.lock().unwrap().push(format!("{name} {}", shown(outcome)));
        };
        let deadline = self.start + 10 * SECOND;
        let context = self.namespace.clone();
        self.admit(Box::new(Pending { context, operation, deadline, handle_id: 1, done }), seconds);
    }

    fn get(&mut self, session: &str, seconds: u32) {
        let operation = Get { session_id: session.into() };
        let (told, name) = (self.told.clone(), session.to_owned());
        let done = move |outcome: crate::error::Result<Option<String>>| {
            let outcome = outcome.map(|found| found.is_some().to_string());
            told.lock().unwrap().push(format!("get {name} {}", shown(outcome)));
        };
        let deadline = self.start + 10 * SECOND;
        let context = self.namespace.clone();
        self.admit(Box::new(Pending { context, operation, deadline, handle_id: 2, done }), seconds);
    }

    fn admit(&mut self, pending: Box<dyn AnyPending>, seconds: u32) {
        let at = self.at(seconds);
        self.step(|injected, contents, due| injected.admit(pending, contents, at, due));
    }

    fn lapse(&mut self, seconds: u32) {
        let at = self.at(seconds);
        self.step(|injected, contents, due| injected.lapse(contents, at, due));
    }

    fn step(&mut self, step: impl FnOnce(&mut Injected, &mut Contents, &mut Vec<Due>)) {
        let mut due = Vec::new();
        step(&mut self.injected, &mut self.contents, &mut due);
        for (answer, error) in due {
            answer(error);
        }
    }

    fn told(&self) -> Vec<String> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }
}

fn shown(outcome: crate::error::Result<String>) -> String {
    outcome.unwrap_or_else(|error| error.code().to_owned())
}

#[test]
fn what_waits_is_executed_in_order_or_ends_at_its_deadline() {
    let mut world = World::new();
    let at = world.at(0);
    world.injected.begin_outage(None, &mut world.contents, at);
    world.write("a", Rule::Any, 1);
    world.write("a", Rule::Any, 1);
    world.get("a", 1);
    assert!(world.told().is_empty() && world.injected.is_active());
    let at = world.at(5);
    world.step(|injected, contents, due| injected.end_outage(contents, at, due));
    assert_eq!(world.told(), ["a 1", "a 2", "get a true"]);
    assert!(!world.injected.is_active());
    world.injected.begin_outage(None, &mut world.contents, at);
    world.write("a", Rule::Any, 6);
    assert_eq!(world.injected.next_due(), Some(world.start + 10 * SECOND));
    world.lapse(10);
    assert_eq!(world.told(), ["a REDIS_UNAVAILABLE"]);
}

#[test]
fn an_outage_ends_by_the_clock_and_before_it_ends_deadlines_count() {
    let mut world = World::new();
    let at = world.at(0);
    world.injected.begin_outage(Some(5 * SECOND), &mut world.contents, at);
    world.write("a", Rule::Any, 1);
    world.lapse(60);
    assert_eq!(world.told(), ["a 1"]);
    let at = world.at(0);
    world.injected.begin_outage(Some(20 * SECOND), &mut world.contents, at);
    world.write("a", Rule::Any, 1);
    world.lapse(60);
    assert_eq!(world.told(), ["a REDIS_UNAVAILABLE"]);
    assert_eq!((world.injected.outage(), world.injected.outages()), (None, 2));
}

#[test]
fn answers_come_later_in_order_and_by_their_deadline() {
    let mut world = World::new();
    world.injected.set_delay(3 * SECOND);
    world.write("a", Rule::Any, 0);
    world.injected.set_delay(Duration::ZERO);
    world.get("a", 1);
    world.lapse(2);
    assert!(world.told().is_empty());
    world.lapse(3);
    assert_eq!(world.told(), ["a 1", "get a true"]);
    assert!(!world.injected.is_active());
    world.injected.set_delay(60 * SECOND);
    world.write("a", Rule::Any, 4);
    world.get("a", 4);
    world.lapse(10);
    assert_eq!(world.told(), ["a OUTCOME_UNKNOWN", "get a REDIS_UNAVAILABLE"]);
}

#[test]
fn an_answer_that_ended_at_its_deadline_holds_up_no_later_one() {
    let mut world = World::new();
    world.injected.set_delay(60 * SECOND);
    world.get("a", 0);
    world.lapse(10);
    assert_eq!(world.told(), ["get a REDIS_UNAVAILABLE"]);
    world.injected.set_delay(SECOND);
    world.start += 10 * SECOND;
    world.get("b", 1);
    world.lapse(2);
    assert_eq!(world.told(), ["get b false"]);
}

#[test]
fn a_lost_answer_is_that_of_a_change_which_was_executed() {
    let mut world = World::new();
    world.injected.lose_answers(1);
    world.get("a", 0);
    world.write("a", Rule::Any, 0);
    world.write("a", Rule::Any, 0);
    assert_eq!(world.told(), ["get a false", "a OUTCOME_UNKNOWN", "a 2"]);
    assert!(!world.injected.is_active());
}

#[test]
fn a_refused_operation_is_not_executed() {
    let mut world = World::new();
    world.injected.refuse("NO".into(), 1);
    world.write("a", Rule::Any, 0);
    world.write("a", Rule::Any, 0);
    assert_eq!(world.told(), ["a REDIS_REPLY", "a 1"]);
}

#[test]
fn another_writer_is_first_once() {
    let mut world = World::new();
    world.injected.conflict("a".into());
    world.write("a", Rule::Any, 0);
    world.write("a", Rule::Locked { expected: 1 }, 0);
    world.write("a", Rule::Locked { expected: 2 }, 0);
    assert_eq!(world.told(), ["a 1", "a CONCURRENT_MODIFICATION", "a 3"]);
    world.injected.conflict("b".into());
    world.write("b", Rule::Locked { expected: 1 }, 0);
    assert!(!world.injected.is_active());
    assert_eq!(world.told(), ["b SESSION_NOT_FOUND"]);
}

#[test]
fn the_operations_of_a_closed_handle_end() {
    let mut world = World::new();
    world.injected.set_delay(SECOND);
    world.write("held", Rule::Any, 0);
    let at = world.at(0);
    world.injected.begin_outage(None, &mut world.contents, at);
    world.write("waits", Rule::Any, 0);
    world.get("held", 0);
    world.step(|injected, _, due| injected.forget(1, due));
    assert_eq!(world.told(), ["waits CLOSED", "held 1"]);
    assert_eq!((world.injected.waiting.len(), world.injected.deadlines.len()), (1, 1));
}
