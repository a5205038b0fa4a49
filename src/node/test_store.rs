//! `NativeTestStore`: what a test does to the store in this process that its managers and queues use.

use std::rc::Rc;
use std::time::Duration;

use napi::bindgen_prelude::Result;
use napi_derive::napi;
use serde_json::{Value as Json, json};

use super::client::NativeClient;
use super::completions::{Completions, Lane};
use super::runtime::IO;
use crate::error::Error;
use crate::memory::engine::MemoryEngine;
use crate::memory::faults::Faults;
use crate::memory::records::log::{Appended, Fate};

/// How often to look whether all is heard, and for how long.
const LOOK: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(10);

/// A store in this process, in the hands of a test.
#[napi]
pub struct NativeTestStore {
    engine: MemoryEngine,
    faults: Faults,
    lane: Rc<Lane>,
}

#[napi]
impl NativeTestStore {
    /// The store of a client, whose clock must be adjustable.
    #[napi(constructor)]
    pub fn new(completions: &Completions, client: &NativeClient) -> Result<Self> {
        let engine = client.memory()?.clone();
        Ok(Self { faults: engine.faults(), engine, lane: completions.lane.clone() })
    }

    /// Sets the clock ahead.
    #[napi]
    pub fn advance(&self, ms: f64) {
        self.faults.advance(duration(ms));
    }

    /// From now on nothing is answered: for so long, or with a negative number until `end_outage`.
    #[napi]
    pub fn outage(&self, ms: f64) {
        self.faults.outage((ms >= 0.0).then(|| duration(ms)));
    }

    /// Ends an outage.
    #[napi]
    pub fn end_outage(&self) {
        self.faults.end_outage();
    }

    /// The next so many changes happen, and their answers are lost.
    #[napi]
    pub fn lose_answers(&self, count: u32) {
        self.faults.lose_answers(count);
    }

    /// From now on each answer comes so much later.
    #[napi]
    pub fn delay(&self, ms: f64) {
        self.faults.delay(duration(ms));
    }

    /// From now on no subscription hears anything.
    #[napi]
    pub fn gap_begin(&self) {
        self.faults.gap_begin();
    }

    /// Subscriptions hear again, and catch up.
    #[napi]
    pub fn gap_end(&self) {
        self.faults.gap_end();
    }

    /// Before the next update of this session that expects a version another writer is first.
    #[napi]
    pub fn conflict(&self, session_id: String) {
        self.faults.conflict(&session_id);
    }

    /// The next so many operations are refused with this message.
    #[napi]
    pub fn refuse(&self, message: String, count: u32) {
        self.faults.refuse(&message, count);
    }

    /// Done when every subscription has heard what was published so far. On the way to JavaScript it is
    /// behind what the subscriptions of this thread have heard.
    #[napi]
    pub fn settled(&self, slot: u32) -> Result<()> {
        let (ticket, engine) = (self.lane.ticket(slot), self.engine.clone());
        IO.spawn(async move {
            let heard = async {
                while !engine.is_heard() {
                    tokio::time::sleep(LOOK).await;
                }
            };
            match tokio::time::timeout(PATIENCE, heard).await {
                Ok(()) => ticket.done(0.0),
                Err(_) => ticket.failed(&Error::unavailable(format!(
                    "{engine}: after {} s there are updates or messages that were not heard",
                    PATIENCE.as_secs()
                ))),
            }
        })
    }

    /// Every record that was appended, in order, as JSON: `[id, session id, event type, at (ms), document
    /// or null, what became of it]`.
    #[napi]
    pub fn records(&self) -> String {
        let records: Json = self.engine.records_appended().into_iter().map(to_json).collect();
        records.to_string()
    }

    /// The documents of all sessions, as a JSON list of texts.
    #[napi]
    pub fn sessions(&self) -> String {
        let documents: Json =
            self.engine.sessions_stored().into_iter().map(|(_, document)| document).collect();
        documents.to_string()
    }
}

fn to_json(Appended { record, fate }: Appended) -> Json {
    let fate = match fate {
        Fate::Waiting => "waiting",
        Fate::Stored => "stored",
        Fate::Failed => "failed",
    };
    json!([record.id, record.session_id, record.event_type, record.at_ms, record.state, fate])
}

/// A time of JavaScript's; what is no time is none.
fn duration(ms: f64) -> Duration {
    Duration::try_from_secs_f64(ms / 1000.0).unwrap_or_default()
}
