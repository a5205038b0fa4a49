//! The whole of the audit on a real Redis and a real PostgreSQL, without Node: from a write of the
//! store to its row.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may.

mod harness;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use harness::postgres::{Database, PostgresServer};
use harness::{RedisServer, change, queued, settled, state};
use synckairos_state::audit::queue::{DeadLetterSelection, Metrics, Queue, QueueOptions, Revived};
use synckairos_state::audit::worker::WorkerHandle;
use synckairos_state::audit::worker_events::{EventKind, EventListener, WorkerEvent};
use synckairos_state::audit::worker_options::WorkerOptions;
use synckairos_state::error::Error;
use synckairos_state::redis::engine::RedisEngine;
use synckairos_state::session::store::{Rule, Store, StoreOptions};

/// A listener that ignores all events.
struct Nobody;

impl EventListener for Nobody {
    fn listens_to(&self, _kind: EventKind) -> bool {
        false
    }

    fn on_event(&self, _event: WorkerEvent<'_>) {}
}

/// A listener that panics at the first batch, as nothing should, and counts what it is told of it.
#[derive(Clone, Default)]
struct Faulty {
    batches: Arc<AtomicUsize>,
    crashes: Arc<AtomicUsize>,
}

impl EventListener for Faulty {
    fn listens_to(&self, kind: EventKind) -> bool {
        kind == EventKind::Active
    }

    fn on_event(&self, event: WorkerEvent<'_>) {
        match event {
            WorkerEvent::Active(_) => {
                assert!(self.batches.fetch_add(1, Ordering::Relaxed) > 0, "the first batch");
            }
            WorkerEvent::Crashed => {
                self.crashes.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

struct Audit {
    /// Ends with the test.
    _server: RedisServer,
    database: Database,
    engine: RedisEngine,
    queue: Queue<RedisEngine>,
    store: Store<RedisEngine>,
}

impl Audit {
    async fn start(max_backlog: Option<u64>) -> Self {
        let server = RedisServer::start();
        let database = PostgresServer::shared().database("").await;
        let engine = server.engine();
        let queue = Queue::new(&engine, &QueueOptions { max_backlog, ..Default::default() });
        let store = Store::new(&engine, StoreOptions::default(), Some(queue.stream()));
        Self { _server: server, database, engine, queue, store }
    }

    async fn worker(&self) -> WorkerHandle {
        self.worker_with(Nobody).await
    }

    async fn worker_with(&self, listener: impl EventListener) -> WorkerHandle {
        let sink = Arc::new(self.database.sink());
        sink.migrate().await.unwrap();
        let (attempts, backoff_delay, batch_size) = (2, ms(20), 50);
        let options =
            WorkerOptions { attempts, backoff_delay, batch_size, ..WorkerOptions::default() };
        let (handle, work) =
            WorkerHandle::new(self.engine.clone(), self.queue.stream(), sink, options, listener);
        tokio::spawn(work);
        handle
    }

    async fn metrics(&self) -> Metrics {
        settled(|done| self.queue.metrics(done)).await.unwrap()
    }

    async fn until(&self, condition: impl Fn(Metrics) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let metrics = self.metrics().await;
            if condition(metrics) {
                return;
            }
            assert!(Instant::now() < deadline, "{metrics:?}");
            tokio::time::sleep(ms(5)).await;
        }
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[tokio::test]
async fn each_change_is_a_row_whenever_the_worker_comes() {
    let audit = Audit::start(None).await;
    harness::write(&audit.store, "s", &state("s"), Rule::Create).await.unwrap();
    for expected in 1..100 {
        harness::write(&audit.store, "s", &state("s"), Rule::Locked { expected }).await.unwrap();
    }
    assert!(settled(|done| audit.store.delete("s".into(), 1, None, done)).await.unwrap().existed);
    assert_eq!(audit.metrics().await.waiting, 101);
    let worker = audit.worker().await;
    audit.until(|metrics| metrics.completed == 101).await;
    let rows = "SELECT count(*) FROM sync_events WHERE session_id = 's'";
    assert_eq!(audit.database.number(rows).await, 101);
    let versions = "SELECT count(DISTINCT state_snapshot->'version') FROM sync_events";
    assert_eq!(audit.database.number(versions).await, 100);
    let metrics = audit.metrics().await;
    assert_eq!((metrics.waiting, metrics.active, metrics.delayed, metrics.failed), (0, 0, 0, 0));
    worker.close(ms(5000)).await;
}

#[tokio::test]
async fn a_record_that_is_refused_is_a_dead_letter_and_may_come_back() {
    let audit = Audit::start(None).await;
    let worker = audit.worker().await;
    let (long, document) = ("x".repeat(51), Some(state("s")));
    settled(|done| audit.queue.enqueue(queued(long, document), done)).await.unwrap();
    audit.until(|metrics| metrics.failed == 1).await;
    let letters =
        settled(|done| audit.queue.dead_letters("+".into(), 0, 10, done)).await.unwrap().letters;
    assert_eq!(letters[0].sqlstate.as_deref(), Some("22001"));
    audit.database.run("ALTER TABLE sync_events ALTER event_type TYPE text").await;
    let ids = vec![letters[0].record.id.clone()];
    let revived = settled(|done| audit.queue.revive(DeadLetterSelection::Records(ids), done)).await;
    assert_eq!(revived, Ok(Revived { moved: 1, more: None }));
    audit.until(|metrics| metrics.completed == 1 && metrics.failed == 0).await;
    worker.close(ms(5000)).await;
}

#[tokio::test]
async fn a_panic_costs_a_worker_its_connection_and_no_record() {
    let audit = Audit::start(None).await;
    for id in ["a", "b", "c"] {
        harness::write(&audit.store, id, &state(id), Rule::Create).await.unwrap();
    }
    let listener = Faulty::default();
    let worker = audit.worker_with(listener.clone()).await;
    audit.until(|metrics| metrics.completed == 3).await;
    assert_eq!(listener.crashes.load(Ordering::Relaxed), 1);
    assert_eq!(audit.database.number("SELECT count(*) FROM sync_events").await, 3);
    worker.close(ms(5000)).await;
}

#[tokio::test]
async fn a_full_backlog_refuses_a_record_and_not_the_change() {
    let audit = Audit::start(Some(1)).await;
    let Audit { store, queue, .. } = &audit;
    let write =
        |rule| settled(move |done| store.write(change("s".into(), state("s"), rule, 1), done));
    assert!(!write(Rule::Create).await.unwrap().unaudited);
    let second = write(Rule::Any).await.unwrap();
    assert_eq!((second.version, second.unaudited), (2, true));
    let refused = settled(|done| queue.enqueue(queued("x".into(), None), done)).await;
    assert_eq!(refused, Err(Error::BacklogFull { limit: 1 }));
    assert_eq!(audit.metrics().await.waiting, 1);
}
