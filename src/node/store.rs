//! `NativeStore`: the calls of a manager that look at sessions or change them.

use std::rc::Rc;
use std::time::Duration;

use napi::bindgen_prelude::BufferSlice;
use napi_derive::napi;
use serde::Deserialize;
use serde_json::json;

use super::client::NativeClient;
use super::completions::{Completions, Lane};
use super::queue::NativeQueue;
use crate::audit::record::new_id;
use crate::document::count_iso_strings;
use crate::error::Error;
use crate::keys::Keys;
use crate::redis::ledger::{Ledger, Noted};
use crate::redis::link::Identity;
use crate::redis::options::Options;
use crate::session::carried::{Form, Update};
use crate::session::store::{Deleted, Rule, Store, StoreOptions, Written};

/// The sessions of one Redis.
#[napi]
pub struct NativeStore {
    store: Store,
    redis: Options,
    lane: Rc<Lane>,
}

#[napi]
impl NativeStore {
    /// The store of one manager.
    #[napi(constructor)]
    #[allow(clippy::too_many_arguments)] // Objects do not cross the boundary.
    pub fn new(
        completions: &Completions,
        client: &NativeClient,
        session_prefix: String,
        updates_channel: String,
        ws_channel_prefix: String,
        ttl_seconds: u32,
        command_timeout_ms: u32,
        max_state_bytes: u32,
    ) -> Self {
        let options = StoreOptions {
            keys: Keys { session_prefix, updates_channel, ws_channel_prefix },
            ttl_seconds,
            command_timeout: Duration::from_millis(command_timeout_ms.into()),
            max_state_bytes: usize::try_from(max_state_bytes).unwrap_or(usize::MAX),
        };
        Self {
            store: Store::new(client.connection.clone(), options),
            redis: client.options.clone(),
            lane: completions.lane.clone(),
        }
    }

    /// From now on each change appends its record in the script that makes it. `false`, and
    /// nothing of the kind, where the queue is on another Redis.
    #[napi]
    pub fn audit_to(&mut self, queue: &NativeQueue) -> bool {
        let same = queue.redis.is_same_server(&self.redis);
        if same {
            self.store.audit_to(queue.queue.stream());
        }
        same
    }

    /// Text: the document, and how many ISO dates it holds. Done where there is none. `waited_ms`:
    /// how much of its time the call has used already.
    #[napi]
    pub fn get(&self, slot: u32, session_id: String, waited_ms: f64) {
        let ticket = self.lane.ticket(slot);
        self.store.get(session_id, duration_of(waited_ms), move |outcome| match outcome {
            Ok(Some(document)) => {
                let dates = count_iso_strings(&document);
                ticket.text(document, dates.into());
            }
            Ok(None) => ticket.done(0.0),
            Err(error) => ticket.failed(&error),
        });
    }

    /// A part for each id, then done. `session_ids` is a JSON list of strings; `waited_ms` as that of
    /// a `get`.
    #[napi]
    pub fn get_many(&self, slot: u32, session_ids: String, waited_ms: f64) {
        let ticket = self.lane.ticket(slot);
        let ids = match serde_json::from_str(&session_ids) {
            Ok(ids) => ids,
            Err(_) => return ticket.failed(&Error::invalid("session_id", "it is not a string")),
        };
        self.store.get_many(ids, duration_of(waited_ms), move |outcome| match outcome {
            Ok(documents) => {
                for document in documents {
                    let dates = document.as_deref().map_or(0, count_iso_strings);
                    ticket.part(document, dates.into());
                }
                ticket.done(0.0);
            }
            Err(error) => ticket.failed(&error),
        });
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
        let locked = Rule::Locked { expected: expected as u64 };
        let rule = if expected < 0.0 { Rule::Any } else { locked };
        self.write(slot, session_id, text, rule, now_ms);
    }

    /// What is the same in the commands of all locked updates, for JavaScript to send them: JSON, as
    /// `lib/UpdateForm.js` reads it.
    #[napi]
    pub fn update_form(&self) -> String {
        let Form { head, stream, tail } = Form::of(&self.store);
        let (places, width) = (Ledger::PLACES, Ledger::WIDTH);
        json!({ "head": head, "stream": stream, "tail": tail, "places": places, "width": width })
            .to_string()
    }

    /// An id for the record of an update.
    #[napi]
    pub fn record_id(&self, now_ms: f64) -> String {
        new_id(now_ms as i64)
    }

    /// Ends an update that JavaScript has sent by the reply that came, as `update` ends. False where
    /// it says that the server cannot take it now.
    #[napi]
    #[allow(clippy::too_many_arguments)] // Objects do not cross the boundary.
    pub fn replied(
        &self,
        slot: u32,
        session_id: String,
        document: String,
        version: f64,
        now_ms: f64,
        record_id: String,
        waited_ms: f64,
        reply: BufferSlice<'_>,
    ) -> bool {
        let ticket = self.lane.ticket(slot);
        let update = carried(session_id, document, version, now_ms, record_id, waited_ms);
        update.replied(&self.store, &reply, move |outcome| {
            ticket.outcome(outcome.map(number_of));
        })
    }

    /// Takes over an update that JavaScript has not sent, or whose reply was lost: then `sent` is JSON,
    /// as `lib/carried.js` writes it.
    #[napi]
    #[allow(clippy::too_many_arguments)] // Objects do not cross the boundary.
    pub fn take_over(
        &self,
        slot: u32,
        session_id: String,
        document: String,
        version: f64,
        now_ms: f64,
        record_id: String,
        waited_ms: f64,
        sent: Option<String>,
    ) {
        let ticket = self.lane.ticket(slot);
        let update = carried(session_id, document, version, now_ms, record_id, waited_ms);
        let done = move |outcome: crate::error::Result<Written>| {
            ticket.outcome(outcome.map(number_of));
        };
        match sent.as_deref().map(serde_json::from_str::<Sent>) {
            None => update.hand_over(&self.store, None, done),
            Some(Ok(Sent { ledger, number, id, name })) => {
                let noted = Noted { ledger: ledger.into(), number };
                let by = id.map(|id| Identity { id, name });
                update.hand_over(&self.store, Some((noted, by)), done);
            }
            Some(Err(error)) => done(Err(Error::unknown(error.to_string()))),
        }
    }

    fn write(&self, slot: u32, session_id: String, text: String, rule: Rule, now_ms: f64) {
        let ticket = self.lane.ticket(slot);
        self.store.write(session_id, text, rule, now_ms as i64, move |outcome| {
            ticket.outcome(outcome.map(number_of));
        });
    }

    /// Done with 1, or 0 where there was no such session; with -1 where there was and it is not
    /// audited, because as many records wait as may.
    #[napi]
    pub fn delete(&self, slot: u32, session_id: String, now_ms: f64) {
        let ticket = self.lane.ticket(slot);
        self.store.delete(session_id, now_ms as i64, move |outcome| {
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

    /// Done. `message` is JSON text. `waited_ms` as that of a `get`.
    #[napi]
    pub fn broadcast(
        &self,
        slot: u32,
        session_id: String,
        message: String,
        now_ms: f64,
        waited_ms: f64,
    ) {
        let ticket = self.lane.ticket(slot);
        let waited = duration_of(waited_ms);
        self.store.broadcast(session_id, message, now_ms as i64, waited, move |outcome| {
            ticket.outcome(outcome.map(|()| 0.0));
        });
    }
}

/// Where an update that was sent notes that it was applied, and the connection that it was sent by.
#[derive(Deserialize)]
struct Sent {
    ledger: String,
    number: u64,
    /// Of the connection, in Redis.
    id: Option<i64>,
    name: String,
}

fn carried(
    session_id: String,
    document: String,
    version: f64,
    now_ms: f64,
    record_id: String,
    waited_ms: f64,
) -> Update {
    let waited = duration_of(waited_ms);
    Update {
        session_id,
        document,
        version: version as u64,
        now_ms: now_ms as i64,
        record_id,
        waited,
    }
}

fn duration_of(ms: f64) -> Duration {
    Duration::try_from_secs_f64(ms / 1000.0).unwrap_or_default()
}

/// The version; negative where it is not audited.
fn number_of(Written { version, unaudited }: Written) -> f64 {
    let version = version as f64;
    if unaudited { -version } else { version }
}
