//! `NativeStore`: the calls of a manager that look at sessions or change them.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use napi_derive::napi;
use tokio::time::Instant;

use super::client::NativeClient;
use super::completions::{Completions, Lane, Ticket};
use super::engine::AnyEngine;
use super::queue::NativeQueue;
use crate::document::count_iso_strings;
use crate::engine::Engine as _;
use crate::error::{Error, Result};
use crate::keys::Keys;
use crate::operation::replicas::Replicas;
use crate::session::store::{Change, Deleted, Over, Reason, Rule, Store, StoreOptions, Written};

/// The sessions of one engine.
#[napi]
pub struct NativeStore {
    pub(crate) store: Store<AnyEngine>,
    engine: AnyEngine,
    options: StoreOptions,
    lane: Rc<Lane>,
    /// Of the next change.
    reason: Cell<Option<Box<Reason>>>,
}

#[napi]
impl NativeStore {
    /// The store of one manager. So many `replicas` are to have a write before it is acknowledged;
    /// 0: none has to.
    #[napi(constructor)]
    #[allow(clippy::too_many_arguments)] // Objects do not cross the boundary.
    pub fn new(
        completions: &Completions,
        client: &NativeClient,
        session_prefix: String,
        updates_channel: String,
        ws_channel_prefix: String,
        ttl_seconds: u32,
        announce_expiry: bool,
        command_timeout_ms: u32,
        max_state_bytes: u32,
        replicas: u32,
        replicas_timeout_ms: u32,
    ) -> Self {
        let timeout = Duration::from_millis(replicas_timeout_ms.into());
        let options = StoreOptions {
            keys: Keys { session_prefix, updates_channel, ws_channel_prefix },
            ttl_seconds,
            announce_expiry,
            replicas: (replicas > 0).then_some(Replicas { count: replicas, timeout }),
            command_timeout: Duration::from_millis(command_timeout_ms.into()),
            max_state_bytes: usize::try_from(max_state_bytes).unwrap_or(usize::MAX),
        };
        Self {
            store: Store::new(&client.engine, options.clone(), None),
            engine: client.engine.clone(),
            options,
            lane: completions.lane.clone(),
            reason: Cell::default(),
        }
    }

    /// From now on each change appends its record in the operation that makes it. `false`, and
    /// nothing of the kind, where the queue is of another engine.
    #[napi]
    pub fn audit_to(&mut self, queue: &NativeQueue) -> bool {
        let is_same = queue.engine.is_same(&self.engine);
        if is_same {
            let stream = Some(queue.queue.stream());
            self.store = Store::new(&self.engine, self.options.clone(), stream);
        }
        is_same
    }

    /// Text: the document, and how many ISO dates it holds. Done where there is none.
    #[napi]
    pub fn get(&self, slot: u32, session_id: String) {
        let ticket = self.lane.ticket(slot);
        self.store.get(session_id, move |outcome| tell_document(ticket, outcome));
    }

    /// The same within so many milliseconds.
    #[napi]
    pub fn get_within(&self, slot: u32, session_id: String, within_ms: u32) {
        let ticket = self.lane.ticket(slot);
        let deadline = self.deadline_after(within_ms);
        self.store.get_by(session_id, deadline, move |outcome| tell_document(ticket, outcome));
    }

    /// A part for each id, then done; the part is an error where no session is stored.
    /// `session_ids` is a JSON list of strings.
    #[napi]
    pub fn get_many(&self, slot: u32, session_ids: String) {
        let ticket = self.lane.ticket(slot);
        let ids = match serde_json::from_str(&session_ids) {
            Ok(ids) => ids,
            Err(_) => return ticket.failed(&Error::invalid("session_id", "it is not a string")),
        };
        self.store.get_many(ids, move |outcome| match outcome {
            Ok(documents) => {
                for document in documents {
                    match document {
                        Ok(document) => {
                            let dates = document.as_deref().map_or(0, count_iso_strings);
                            ticket.part(document, dates.into());
                        }
                        Err(error) => ticket.failed_part(&error),
                    }
                }
                ticket.done(0.0);
            }
            Err(error) => ticket.failed(&error),
        });
    }

    /// The reason of the change that is called next: its event type, and the text of a JSON object. A call
    /// of its own, since most changes have none, and each argument costs them time.
    #[napi]
    pub fn because(&self, event_type: Option<String>, metadata: Option<String>) {
        self.reason.set(Some(Box::new(Reason { event_type, metadata })));
    }

    /// Done with version 1; negative as that of an update.
    #[napi]
    pub fn create(
        &self,
        slot: u32,
        session_id: String,
        text: String,
        if_absent: bool,
        now_ms: f64,
    ) {
        let rule = if if_absent { Rule::CreateIfAbsent } else { Rule::Create };
        self.write(slot, session_id, text, rule, now_ms);
    }

    /// Done with the version written, negative where it is not audited because as many records
    /// wait as may. `expected` is negative where no version is expected.
    #[napi]
    pub fn update(&self, slot: u32, session_id: String, text: String, expected: f64, now_ms: f64) {
        self.write(slot, session_id, text, update_rule(expected), now_ms);
    }

    /// The same within so many milliseconds.
    #[napi]
    pub fn update_within(
        &self,
        slot: u32,
        session_id: String,
        text: String,
        expected: f64,
        now_ms: f64,
        within_ms: u32,
    ) {
        let ticket = self.lane.ticket(slot);
        let change = self.change(session_id, text, update_rule(expected), now_ms);
        let deadline = self.deadline_after(within_ms);
        self.store.write_by(change, deadline, |outcome| ticket.outcome(outcome.map(number_of)));
    }

    /// Writes an earlier state again, with the version `least` at least. `over` is the version that may be
    /// stored; null where no session may be, negative where anything may. Done as an update.
    #[napi]
    pub fn restore(
        &self,
        slot: u32,
        session_id: String,
        text: String,
        least: f64,
        over: Option<f64>,
        now_ms: f64,
    ) {
        let over = match over {
            None => Over::Nothing,
            Some(version) if version < 0.0 => Over::Anything,
            Some(version) => Over::Version(version as u64),
        };
        let rule = Rule::Restore { least: least as u64, over };
        self.write(slot, session_id, text, rule, now_ms);
    }

    fn deadline_after(&self, ms: u32) -> Instant {
        self.engine.clock().now() + Duration::from_millis(ms.into())
    }

    fn write(&self, slot: u32, session_id: String, text: String, rule: Rule, now_ms: f64) {
        let ticket = self.lane.ticket(slot);
        let change = self.change(session_id, text, rule, now_ms);
        self.store.write(change, |outcome| ticket.outcome(outcome.map(number_of)));
    }

    fn change(&self, session_id: String, text: String, rule: Rule, now_ms: f64) -> Change {
        Change { session_id, text, rule, now_ms: now_ms as i64, reason: self.reason.take() }
    }

    /// Done with 1, or 0 where there was no such session; with -1 where there was and it is not
    /// audited, because as many records wait as may.
    #[napi]
    pub fn delete(&self, slot: u32, session_id: String, now_ms: f64) {
        let ticket = self.lane.ticket(slot);
        self.store.delete(session_id, now_ms as i64, self.reason.take(), move |outcome| {
            ticket.outcome(outcome.map(|Deleted { existed, unaudited }| {
                if unaudited { -1.0 } else { f64::from(u8::from(existed)) }
            }));
        });
    }

    /// Done with 1, or 0 where there is no such session.
    #[napi]
    pub fn touch(&self, slot: u32, session_id: String) {
        let ticket = self.lane.ticket(slot);
        self.store.touch(session_id, move |outcome| {
            ticket.outcome(outcome.map(|found| f64::from(u8::from(found))));
        });
    }

    /// Done. `message` is JSON text.
    #[napi]
    pub fn broadcast(&self, slot: u32, session_id: String, message: String, now_ms: f64) {
        let ticket = self.lane.ticket(slot);
        self.store.broadcast(session_id, message, now_ms as i64, move |outcome| {
            ticket.outcome(outcome.map(|()| 0.0));
        });
    }
}

fn tell_document(ticket: Ticket, outcome: Result<Option<String>>) {
    match outcome {
        Ok(Some(document)) => {
            let dates = count_iso_strings(&document);
            ticket.text(document, dates.into());
        }
        Ok(None) => ticket.done(0.0),
        Err(error) => ticket.failed(&error),
    }
}

/// `expected` is negative where no version is expected.
fn update_rule(expected: f64) -> Rule {
    if expected < 0.0 { Rule::Any } else { Rule::Locked { expected: expected as u64 } }
}

/// The version; negative where it is not audited.
fn number_of(Written { version, unaudited }: Written) -> f64 {
    let version = version as f64;
    if unaudited { -version } else { version }
}
