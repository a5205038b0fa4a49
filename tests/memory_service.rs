//! A service on the memory engine: the feed, and the audit with a real PostgreSQL.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may.

mod harness;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use harness::postgres::PostgresServer;
use harness::{queued, settled, state, write};
use synckairos_state::audit::queue::{Queue, QueueOptions};
use synckairos_state::audit::worker::WorkerHandle;
use synckairos_state::audit::worker_events::{EventKind, EventListener, WorkerEvent};
use synckairos_state::audit::worker_options::WorkerOptions;
use synckairos_state::engine::Engine;
use synckairos_state::engine::subscription::Interest;
use synckairos_state::keys::Keys;
use synckairos_state::memory::engine::{MemoryEngine, MemoryOptions};
use synckairos_state::session::feed::{Audience, Feed, FeedEvent};
use synckairos_state::session::store::{Rule, Store, StoreOptions};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

fn open(name: &str) -> MemoryEngine {
    let options = MemoryOptions { name: name.into(), keep: false, adjustable: true };
    let (engine, task) = MemoryEngine::open(options, Arc::new(|_| {}));
    tokio::spawn(task);
    engine
}

struct Ears(mpsc::UnboundedSender<FeedEvent>);

impl Audience for Ears {
    fn tell(&self, event: FeedEvent) {
        drop(self.0.send(event));
    }

    fn backlog(&self) -> usize {
        0
    }

    fn backlog_bytes(&self) -> usize {
        0
    }
}

/// Listens to nothing for a moment, as soon as it is told of a gap.
struct Restless {
    events: mpsc::UnboundedSender<FeedEvent>,
    feed: Arc<OnceLock<Feed>>,
}

impl Audience for Restless {
    fn tell(&self, event: FeedEvent) {
        if let (FeedEvent::Gap { .. }, Some(feed)) = (&event, self.feed.get()) {
            feed.listen_to(Interest::default(), 2);
            feed.listen_to(Interest { updates: true, web_socket: false }, 3);
        }
        drop(self.events.send(event));
    }

    fn backlog(&self) -> usize {
        0
    }

    fn backlog_bytes(&self) -> usize {
        0
    }
}

struct Nobody;

impl EventListener for Nobody {
    fn listens_to(&self, _kind: EventKind) -> bool {
        false
    }

    fn on_event(&self, _event: WorkerEvent<'_>) {}
}

#[tokio::test]
async fn after_a_gap_the_feed_tells_what_has_changed() {
    let engine = open("feed");
    let store = Store::new(&engine, StoreOptions::default(), None);
    let (sender, mut events) = mpsc::unbounded_channel();
    let (_open, closed) = watch::channel(false);
    let keys = Keys::default();
    let subscription = engine.subscription(keys.clone(), Arc::new(|_| {}));
    let (feed, task) = Feed::new(subscription, keys, false, closed, Ears(sender), 64 << 20);
    tokio::spawn(task);
    feed.listen_to(Interest { updates: true, web_socket: true }, 1);
    let mut next = async || events.recv().await.expect("the feed ended");
    assert_eq!(next().await, FeedEvent::Confirmed { interest: 1 });
    for id in ["changed", "same"] {
        write(&store, id, &state(id), Rule::Create).await.unwrap();
        assert!(matches!(next().await, FeedEvent::Update { document: Some(_), .. }));
    }
    engine.faults().outage(Some(SECOND));
    assert!(matches!(next().await, FeedEvent::Lost { .. }));
    engine.faults().gap_begin();
    engine.faults().advance(SECOND);
    write(&store, "changed", &state("changed"), Rule::Any).await.unwrap();
    engine.faults().gap_end();
    let FeedEvent::Update { session_id, document, .. } = next().await else { panic!("no update") };
    assert_eq!(session_id, "changed");
    assert!(document.unwrap().starts_with(r#"{"version":2,"#));
    let FeedEvent::Gap { lasted, known, reread, changed } = next().await else { panic!("no gap") };
    assert_eq!((known, reread, changed), (2, 2, 1));
    assert!(lasted >= SECOND, "{lasted:?}");
    assert_eq!(next().await, FeedEvent::Confirmed { interest: 1 });
    settled(|done| store.delete("same".into(), 0, None, done)).await.unwrap();
    assert!(matches!(next().await, FeedEvent::Update { document: None, .. }));
}

#[tokio::test]
async fn who_listens_again_right_after_a_gap_hears_every_update() {
    let engine = open("restless");
    let store = Store::new(&engine, StoreOptions::default(), None);
    let (sender, mut events) = mpsc::unbounded_channel();
    let (_open, closed) = watch::channel(false);
    let keys = Keys::default();
    let subscription = engine.subscription(keys.clone(), Arc::new(|_| {}));
    let handle = Arc::new(OnceLock::new());
    let audience = Restless { events: sender, feed: handle.clone() };
    let (feed, task) = Feed::new(subscription, keys, false, closed, audience, 64 << 20);
    tokio::spawn(task);
    let feed = handle.get_or_init(|| feed);
    let mut next =
        async || tokio::time::timeout(10 * SECOND, events.recv()).await.unwrap().unwrap();
    feed.listen_to(Interest { updates: true, web_socket: false }, 1);
    assert_eq!(next().await, FeedEvent::Confirmed { interest: 1 });
    write(&store, "s", &state("s"), Rule::Create).await.unwrap();
    assert!(matches!(next().await, FeedEvent::Update { .. }));
    engine.faults().gap_begin();
    assert!(matches!(next().await, FeedEvent::Lost { .. }));
    engine.faults().gap_end();
    while next().await != (FeedEvent::Confirmed { interest: 3 }) {}
    write(&store, "s", &state("s"), Rule::Any).await.unwrap();
    assert!(matches!(next().await, FeedEvent::Update { .. }));
}

#[tokio::test]
async fn workers_store_each_record_once_across_an_outage() {
    let (engine, database) = (open("audit"), PostgresServer::shared().database("").await);
    let queue = Queue::new(&engine, &QueueOptions::default());
    let store = Store::new(&engine, StoreOptions::default(), Some(queue.stream()));
    let sink = Arc::new(database.sink());
    sink.migrate().await.unwrap();
    let workers: Vec<WorkerHandle> = (0..2)
        .map(|_| {
            let options = WorkerOptions { batch_size: 7, ..WorkerOptions::default() };
            let (sink, stream) = (sink.clone(), queue.stream());
            let (worker, work) = WorkerHandle::new(engine.clone(), stream, sink, options, Nobody);
            tokio::spawn(work);
            worker
        })
        .collect();
    let metrics = async || settled(|done| queue.metrics(done)).await.unwrap();
    for n in 0..300 {
        write(&store, "s", &state("s"), Rule::Any).await.unwrap();
        if n == 100 {
            engine.faults().outage(Some(Duration::from_millis(50)));
        }
    }
    let (too_long, document) = ("x".repeat(51), Some(state("s")));
    settled(|done| queue.enqueue(queued(too_long, document), done)).await.unwrap();
    let deadline = Instant::now() + 30 * SECOND;
    while metrics().await.completed < 300 || metrics().await.failed < 1 {
        assert!(Instant::now() < deadline, "{:?}", metrics().await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let rows = "SELECT count(*) FROM sync_events WHERE session_id = 's'";
    assert_eq!(database.number(rows).await, 300);
    let counts = metrics().await;
    assert_eq!((counts.waiting, counts.active, counts.completed), (0, 0, 300));
    for worker in workers {
        worker.close(5 * SECOND).await;
    }
}
