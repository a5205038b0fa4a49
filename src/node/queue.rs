//! `NativeQueue`: the audit's queue, and its worker where this process has one.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use napi::bindgen_prelude::{Error, Result};
use napi_derive::napi;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::client::NativeClient;
use super::completions::{Completion, Completions, Kind, Lane, Queue as CompletionQueue, Ticket};
use super::engine::AnyEngine;
use super::runtime::{AUDIT, IO};
use crate::audit::bullmq::Adopted;
use crate::audit::queue::{
    DeadLetter, DeadLetterSelection, LetterPage, Queue, QueueOptions, Revived,
};
use crate::audit::sink::DatabaseOptions;
use crate::audit::sink::Sink;
use crate::audit::sink::fault::Fault;
use crate::audit::survey;
use crate::audit::worker::WorkerHandle;
use crate::audit::worker_events::{EventKind, EventListener, RecordAttempt, WorkerEvent};
use crate::audit::worker_name::worker_name;
use crate::audit::worker_options::WorkerOptions;
use crate::error::Error as CoreError;
use crate::keys::BullKeys;
use crate::operation::record::Record;
use crate::operation::replicas::Replicas;

/// How long the batch in hand may take when the owner closes; then it is left to others.
const GRACE: Duration = Duration::from_secs(9);

/// How long the connections to the database may take to end.
const END: Duration = Duration::from_millis(400);

/// What the audit's thread may be late in telling that all has ended.
const SLACK: Duration = Duration::from_millis(200);

/// The numbers of the events, as `lib/audit/DBWriteQueue.js` knows them; also bits of what is heard.
const ACTIVE: u32 = 0;
const COMPLETED: u32 = 1;
const FAILED: u32 = 2;
const RETRYING: u32 = 3;
const OUTAGE: u32 = 4;
const DRAINED: u32 = 5;
const LOST: u32 = 6;
const WARNING: u32 = 7;
const UNREACHABLE: u32 = 8;
const RECONNECTED: u32 = 9;
const RECOVERED: u32 = 10;
const RECORDS_LOST: u32 = 11;
const OTHER_DATABASE: u32 = 12;
const CRASHED: u32 = 13;

/// What `lib/settings/options.js` hands over, as JSON.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct QueueSettings {
    queue_name: String,
    attempts: u32,
    backoff_delay: u64,
    batch_size: usize,
    max_batch_bytes: usize,
    max_held_bytes: usize,
    migrate: bool,
    max_backlog: Option<u64>,
    replicas: Option<ReplicaSettings>,
    command_timeout_ms: u64,
    worker: bool,
    /// Where the worker runs.
    host: String,
    pid: u32,
    database: DatabaseOptions,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReplicaSettings {
    count: u32,
    timeout_ms: u64,
}

/// One queue of audit records.
#[napi]
pub struct NativeQueue {
    pub(crate) queue: Queue<AnyEngine>,
    pub(crate) engine: AnyEngine,
    sink: Arc<Sink>,
    lane: Rc<Lane>,
    heard: Arc<AtomicU32>,
    worker: Option<WorkerHandle>,
}

#[napi]
impl NativeQueue {
    /// News for `slot`, as the events are numbered. `settings` is JSON.
    #[napi(constructor)]
    pub fn new(
        completions: &Completions,
        client: &NativeClient,
        slot: u32,
        settings: String,
    ) -> Result<Self> {
        let settings: QueueSettings = serde_json::from_str(&settings)
            .map_err(|error| Error::from_reason(error.to_string()))?;
        let runtime = AUDIT.handle()?;
        let _entered = runtime.enter(); // The pool's own tasks live there.
        let sink = Sink::new(settings.database).map_err(|error| match error {
            CoreError::InvalidState { reason, .. } => Error::from_reason(reason),
            other => Error::from_reason(other.to_string()),
        })?;
        let sink = Arc::new(sink);
        let options = QueueOptions {
            name: settings.queue_name,
            max_backlog: settings.max_backlog,
            replicas: settings.replicas.map(|ReplicaSettings { count, timeout_ms }| Replicas {
                count,
                timeout: Duration::from_millis(timeout_ms),
            }),
            command_timeout: Duration::from_millis(settings.command_timeout_ms),
        };
        let queue = Queue::new(&client.engine, &options);
        let heard = Arc::new(AtomicU32::new(0));
        let mut worker = None;
        if settings.worker {
            let options = WorkerOptions {
                name: worker_name(&settings.host, settings.pid),
                attempts: settings.attempts,
                backoff_delay: Duration::from_millis(settings.backoff_delay),
                batch_size: settings.batch_size,
                max_batch_bytes: settings.max_batch_bytes,
                max_held_bytes: settings.max_held_bytes,
                migrate: settings.migrate,
            };
            let queue_of_news = completions.lane.queue.clone();
            let listener = Listener { queue: queue_of_news, slot, heard: heard.clone() };
            let (engine, sink) = (client.engine.clone(), sink.clone());
            let (handle, work) = WorkerHandle::new(engine, queue.stream(), sink, options, listener);
            runtime.spawn(work);
            worker = Some(handle);
        }
        let (engine, lane) = (client.engine.clone(), completions.lane.clone());
        Ok(Self { queue, engine, sink, lane, heard, worker })
    }

    /// Done once the record is queued. `document` is JSON text; null for a deletion. `metadata` is that of
    /// a JSON object, or null.
    #[napi]
    pub fn enqueue(
        &self,
        slot: u32,
        session_id: String,
        document: Option<String>,
        event_type: String,
        metadata: Option<String>,
        now_ms: f64,
    ) {
        let ticket = self.lane.ticket(slot);
        let at_ms = now_ms as i64;
        let state = document;
        let record = Record { session_id, event_type, at_ms, state, metadata, ..Record::default() };
        self.queue.enqueue(record, move |outcome| ticket.outcome(outcome.map(|()| 0.0)));
    }

    /// Text: the numbers, as JSON.
    #[napi]
    pub fn metrics(&self, slot: u32) {
        let ticket = self.lane.ticket(slot);
        self.queue.metrics(move |outcome| answer(ticket, outcome.map(|metrics| json!(metrics))));
    }

    /// Text: how the queue is doing, as JSON. The answer comes within this time, or that of every call.
    #[napi]
    pub fn survey(&self, slot: u32, within_ms: u32) {
        let ticket = self.lane.ticket(slot);
        let within = Duration::from_millis(within_ms.into());
        self.queue.survey(within, move |outcome| answer(ticket, outcome.map(survey::to_json)));
    }

    /// Text: how many records are neither stored nor dead.
    #[napi]
    pub fn unsettled(&self, slot: u32) {
        let ticket = self.lane.ticket(slot);
        self.queue.unsettled(move |outcome| answer(ticket, outcome.map(|count| json!(count))));
    }

    /// Text: `[dead letters, how many are still to be skipped, where to go on or null]`, as JSON. The
    /// newest come first, each with its document as JSON text.
    #[napi]
    pub fn dead_letters(&self, slot: u32, place: String, skip: u32, limit: u32) {
        let ticket = self.lane.ticket(slot);
        self.queue.dead_letters(place, skip, limit, move |outcome| {
            let page = outcome.map(|LetterPage { letters, skip, next }| {
                let letters: Json = letters.into_iter().map(letter_to_json).collect();
                json!([letters, skip, next])
            });
            answer(ticket, page);
        });
    }

    /// Text: `[how many, where to go on or null]`. `ids` is a JSON list; null: all up to `place`.
    #[napi]
    pub fn revive(&self, slot: u32, ids: Option<String>, place: String) {
        let ticket = self.lane.ticket(slot);
        let selection = match ids {
            Some(ids) => {
                DeadLetterSelection::Records(serde_json::from_str(&ids).unwrap_or_default())
            }
            None => DeadLetterSelection::UpTo(place),
        };
        self.queue.revive(selection, move |outcome| {
            answer(ticket, outcome.map(|Revived { moved, more }| json!([moved, more])));
        });
    }

    /// Takes over jobs of BullMQ. Text: `[how many, ids of those that are no records, how many are
    /// locked, whether there may be more]`.
    #[napi]
    pub fn adopt_jobs(&self, slot: u32, prefix: String, name: String, place: String, skip: u32) {
        let ticket = self.lane.ticket(slot);
        let keys = BullKeys::of(&prefix, &name);
        self.queue.adopt_jobs(keys, place, skip.into(), move |outcome| {
            let told = outcome.map(|Adopted { taken, skipped, locked, more }| {
                json!([taken, skipped, locked, more])
            });
            answer(ticket, told);
        });
    }

    /// Done with how many there were. `ids` is a JSON list.
    #[napi]
    pub fn remove(&self, slot: u32, ids: String) {
        let ticket = self.lane.ticket(slot);
        let ids = serde_json::from_str(&ids).unwrap_or_default();
        self.queue.remove(ids, move |outcome| {
            ticket.outcome(outcome.map(|removed| removed as f64));
        });
    }

    /// Done when the tables are there.
    #[napi]
    pub fn migrate(&self, slot: u32) -> Result<()> {
        let ticket = self.lane.ticket(slot);
        let sink = self.sink.clone();
        AUDIT.spawn(async move {
            ticket.outcome(sink.migrate().await.map(|()| 0.0).map_err(database_error));
        })
    }

    /// Text: the answer to a question about what is stored (`src/audit/sink/history.rs`). Both are JSON.
    #[napi]
    pub fn ask(&self, slot: u32, question: String) -> Result<()> {
        let question = serde_json::from_str(&question)
            .map_err(|error| Error::from_reason(error.to_string()))?;
        let ticket = self.lane.ticket(slot);
        let sink = self.sink.clone();
        AUDIT.spawn(async move {
            let answered = sink.ask(question).await.map_err(database_error);
            answer(ticket, answered.map(|answer| json!(answer)));
        })
    }

    /// Text: the status of the database (`src/audit/sink/status.rs`), as JSON.
    #[napi]
    pub fn database_status(&self, slot: u32) -> Result<()> {
        let ticket = self.lane.ticket(slot);
        let sink = self.sink.clone();
        AUDIT.spawn(async move {
            let status = sink.status().await.map_err(database_error);
            answer(ticket, status.map(|status| json!(status)));
        })
    }

    /// Which events are told: a bit for each that costs something.
    #[napi]
    pub fn hear(&self, events: u32) {
        self.heard.store(events, Ordering::Relaxed);
    }

    /// Done when the worker has ended, and with it the connections to the database.
    #[napi]
    pub fn close(&self, slot: u32, at_once: bool) -> Result<()> {
        let ticket = self.lane.ticket(slot);
        let sink = self.sink.clone();
        let grace = if at_once { Duration::ZERO } else { GRACE };
        let ended = self.worker.as_ref().map(|worker| worker.close(grace));
        let (all_ended, is_over) = oneshot::channel::<()>();
        AUDIT.spawn(async move {
            if let Some(ended) = ended {
                ended.await;
            }
            let _ = timeout(END, sink.close()).await;
            drop(all_ended);
        })?;
        // The other thread keeps the time: a PostgreSQL that sends without end can hold up the
        // audit's thread, and its timers.
        IO.spawn(async move {
            let _ = timeout(grace + END + SLACK, is_over).await;
            ticket.done(0.0);
        })
    }
}

fn answer(ticket: Ticket, outcome: crate::error::Result<Json>) {
    match outcome {
        Ok(json) => ticket.text(json.to_string(), 0.0),
        Err(error) => ticket.failed(&error),
    }
}

fn database_error(Fault { message, sqlstate, .. }: Fault) -> CoreError {
    CoreError::Database { message, sqlstate }
}

fn letter_to_json(letter: DeadLetter) -> Json {
    let DeadLetter { record, error, sqlstate, attempts, failed_at_ms } = letter;
    json!({
        "id": record.id,
        "sessionId": record.session_id,
        "eventType": record.event_type,
        "queuedAtMs": record.at_ms,
        "state": record.state,
        "error": error,
        "sqlstate": sqlstate,
        "attempts": attempts,
        "failedAtMs": failed_at_ms,
    })
}

/// JavaScript, by way of the completions.
struct Listener {
    queue: Arc<CompletionQueue>,
    slot: u32,
    heard: Arc<AtomicU32>,
}

impl EventListener for Listener {
    fn listens_to(&self, kind: EventKind) -> bool {
        let event = match kind {
            EventKind::Active => ACTIVE,
            EventKind::Completed => COMPLETED,
            EventKind::Retrying => RETRYING,
            EventKind::Drained => DRAINED,
        };
        self.heard.load(Ordering::Relaxed) & (1 << event) != 0
    }

    fn on_event(&self, event: WorkerEvent<'_>) {
        let (number, text, more) = match event {
            WorkerEvent::Active(records) => (ACTIVE, Some(to_json(&records)), None),
            WorkerEvent::Completed(records) => (COMPLETED, Some(to_json(&records)), None),
            WorkerEvent::Failed(record, fault) => (FAILED, Some(to_json(&[record])), Some(fault)),
            WorkerEvent::Retrying(records, fault) => {
                (RETRYING, Some(to_json(&records)), Some(fault))
            }
            WorkerEvent::Outage(fault) => (OUTAGE, None, Some(fault)),
            WorkerEvent::Drained => (DRAINED, None, None),
            WorkerEvent::Lost(reason) => (LOST, Some(reason.to_owned()), None),
            WorkerEvent::Unreachable(reason) => (UNREACHABLE, Some(reason.to_owned()), None),
            WorkerEvent::Reconnected => (RECONNECTED, None, None),
            WorkerEvent::Recovered => (RECOVERED, None, None),
            WorkerEvent::Warning(text) => (WARNING, Some(text), None),
            WorkerEvent::RecordsLost(text) => (RECORDS_LOST, Some(text), None),
            WorkerEvent::OtherDatabase(text) => (OTHER_DATABASE, Some(text), None),
            WorkerEvent::Crashed => (CRASHED, None, None),
        };
        let more = more.map(|Fault { message, sqlstate, .. }| {
            json!({ "message": message, "sqlstate": sqlstate }).to_string()
        });
        let (slot, kind) = (self.slot, Kind::Audit);
        let text = text.map(Into::into);
        self.queue.push(Completion { slot, kind, number: number.into(), text, more, waits: None });
    }
}

fn to_json(records: &[RecordAttempt<'_>]) -> String {
    let records: Json = records
        .iter()
        .map(|RecordAttempt { record, attempt }| {
            json!([record.id, record.session_id, record.event_type, attempt])
        })
        .collect();
    records.to_string()
}
