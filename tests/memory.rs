//! The memory engine, as its users see it: several handles, threads, outages, workers.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may.

mod harness;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use harness::{change, get, settled, state, write};
use synckairos_state::engine::claims::{Burial, Claims};
use synckairos_state::engine::status::Status;
use synckairos_state::engine::subscription::{Event, Interest, Stored, Subscription, Update};
use synckairos_state::engine::{Engine, Execute, Records};
use synckairos_state::error::{Error, Result};
use synckairos_state::keys::{AuditKeys, Keys};
use synckairos_state::memory::engine::{MemoryEngine, MemoryOptions};
use synckairos_state::memory::records::claims::MemoryClaims;
use synckairos_state::memory::records::log::Fate;
use synckairos_state::operation::letter::{DeadLetterSelection, LetterPage};
use synckairos_state::operation::names::Stream;
use synckairos_state::operation::queue::{Append, Count, Metrics, ReadLetters, Remove, Revive};
use synckairos_state::operation::record::{Record, new_id};
use synckairos_state::session::store::{Rule, Store, StoreOptions};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);
const ALL: Interest = Interest { updates: true, web_socket: true };

/// A store of the test's own, with what its owner is told.
struct Memory {
    engine: MemoryEngine,
    store: Store<MemoryEngine>,
    statuses: Arc<Mutex<Vec<Status>>>,
}

impl Memory {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        Self::open(MemoryOptions { name, keep: false, adjustable: true }, None)
    }

    async fn audited(max_backlog: Option<u64>) -> (Self, Arc<Stream>) {
        let memory = Self::new();
        memory.get("s").await.unwrap(); // Its first use tells everybody.
        let stream = Arc::new(Stream { keys: AuditKeys::of("q"), max_backlog, replicas: None });
        let store = Store::new(&memory.engine, StoreOptions::default(), Some(stream.clone()));
        (Self { store, ..memory }, stream)
    }

    fn open(options: MemoryOptions, stream: Option<Arc<Stream>>) -> Self {
        let statuses = Arc::<Mutex<Vec<Status>>>::default();
        let told = statuses.clone();
        let status = Arc::new(move |status| told.lock().unwrap().push(status));
        let (engine, task) = MemoryEngine::open(options, status);
        tokio::spawn(task);
        let store = Store::new(&engine, StoreOptions::default(), stream);
        Self { engine, store, statuses }
    }

    /// Waits until the owner has been told these.
    async fn told(&self, statuses: &[Status]) {
        let deadline = Instant::now() + 10 * SECOND;
        while *self.statuses.lock().unwrap() != statuses {
            assert!(Instant::now() < deadline, "{:?}", self.statuses.lock().unwrap());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn write(&self, id: &str, rule: Rule) -> Result<u64> {
        write(&self.store, id, &state(id), rule).await
    }

    async fn get(&self, id: &str) -> Result<Option<String>> {
        get(&self.store, id).await
    }

    async fn claims(&self, stream: &Arc<Stream>, worker: &str) -> MemoryClaims {
        self.engine.claims(stream.clone(), worker.into()).await.unwrap()
    }

    async fn listening(&self) -> impl Subscription {
        let mut subscription = self.engine.subscription(Keys::default(), Arc::new(|_| {}));
        subscription.listen_to(ALL).await.unwrap();
        assert_eq!(subscription.next().await, Event::Confirmed { gap: None, is_all: true });
        subscription
    }
}

fn options(name: &str, keep: bool) -> MemoryOptions {
    MemoryOptions { name: name.into(), keep, adjustable: false }
}

fn any() -> Rule {
    Rule::Any
}

#[tokio::test]
async fn a_write_follows_its_rule() {
    let memory = Memory::new();
    let missing = memory.write("s", Rule::Locked { expected: 1 }).await;
    assert_eq!(missing, Err(Error::SessionNotFound { session_id: "s".into() }));
    assert_eq!(memory.write("s", Rule::CreateIfAbsent).await, Ok(1));
    let exists = memory.write("s", Rule::CreateIfAbsent).await;
    assert_eq!(exists, Err(Error::SessionExists { session_id: "s".into() }));
    assert_eq!(memory.write("s", Rule::Locked { expected: 1 }).await, Ok(2));
    let session_id = "s".into();
    let conflict = Error::ConcurrentModification { session_id, expected: 1, actual: 2 };
    assert_eq!(memory.write("s", Rule::Locked { expected: 1 }).await, Err(conflict));
    assert_eq!(memory.write("s", any()).await, Ok(3));
    let document = memory.get("s").await.unwrap().unwrap();
    assert!(document.starts_with(r#"{"version":3,"session_id":"s","#), "{document}");
    assert!(document.contains(r#""own":{"a":[],"big":9007199254740993}"#), "{document}");
    assert_eq!(memory.write("s", Rule::Create).await, Ok(1));
    // A state that was stored elsewhere goes on with its version.
    assert_eq!(memory.write("t", any()).await, Ok(2));
    assert_eq!(memory.engine.sessions_stored().len(), 2);
    assert_eq!(memory.engine.to_string().get(.."memory://".len()), Some("memory://"));
}

#[tokio::test]
async fn a_version_that_cannot_grow_is_refused() {
    let (memory, largest) = (Memory::new(), (1_u64 << 53) - 1);
    let text = state("s").replace(r#""version":1"#, &format!(r#""version":{}"#, largest - 2));
    assert_eq!(write(&memory.store, "s", &text, any()).await, Ok(largest - 1));
    assert_eq!(memory.write("s", any()).await, Ok(largest));
    let raw = memory.get("s").await.unwrap().unwrap();
    let refused = Err(Error::Deserialization { session_id: "s".into(), raw });
    assert_eq!(memory.write("s", any()).await, refused);
    assert_eq!(memory.write("s", Rule::Locked { expected: 1 }).await, refused);
    assert_eq!(memory.write("s", Rule::Create).await, Ok(1));
}

#[tokio::test]
async fn a_session_lives_until_its_ttl_has_passed_since_the_last_write_or_touch() {
    let memory = Memory::new();
    let (faults, touch) = (memory.engine.faults(), async || {
        settled(|done| memory.store.touch("s".into(), done)).await.unwrap()
    });
    memory.write("s", any()).await.unwrap();
    faults.advance(3599 * SECOND);
    assert!(touch().await);
    faults.advance(3599 * SECOND);
    assert!(memory.get("s").await.unwrap().is_some());
    assert_eq!(memory.write("s", any()).await, Ok(3));
    faults.advance(3599 * SECOND);
    assert!(memory.get("s").await.unwrap().is_some());
    faults.advance(SECOND);
    assert_eq!(memory.get("s").await, Ok(None));
    assert!(!touch().await);
    assert!(memory.engine.sessions_stored().is_empty());
    let found = settled(|done| memory.store.get_many(vec!["s".into(), "t".into()], done)).await;
    assert_eq!(found, Ok(vec![Ok(None), Ok(None)]));
    let deleted = settled(|done| memory.store.delete("s".into(), 0, None, done)).await.unwrap();
    assert!(!deleted.existed);
    assert_eq!(memory.write("s", Rule::CreateIfAbsent).await, Ok(1));
}

#[tokio::test]
async fn handles_of_a_name_share_a_store_that_ends_with_the_last() {
    let [one, other] = [(); 2].map(|()| Memory::open(options("shared", false), None));
    assert!(one.engine.is_same(&other.engine));
    one.write("s", any()).await.unwrap();
    one.engine.close();
    one.engine.close();
    assert_eq!(one.get("s").await, Err(Error::Closed));
    one.told(&[Status::Connecting, Status::Ready, Status::Closed]).await;
    assert!(other.get("s").await.unwrap().is_some());
    other.engine.close();
    let next = Memory::open(options("shared", false), None);
    assert!(!next.engine.is_same(&other.engine));
    assert_eq!(next.get("s").await, Ok(None));
}

#[tokio::test]
async fn a_dropped_handle_is_closed() {
    let one = Memory::open(options("dropped", false), None);
    one.write("s", any()).await.unwrap();
    let statuses = one.statuses.clone();
    drop(one);
    let next = Memory::open(options("dropped", false), None);
    assert_eq!(next.get("s").await, Ok(None));
    let deadline = Instant::now() + 10 * SECOND;
    while statuses.lock().unwrap().last() != Some(&Status::Closed) {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_kept_store_outlives_its_handles() {
    let one = Memory::open(options("kept", false), None);
    one.write("s", any()).await.unwrap();
    Memory::open(options("kept", true), None).engine.close();
    one.engine.close();
    let next = Memory::open(options("kept", false), None);
    assert!(next.get("s").await.unwrap().is_some());
}

#[tokio::test]
async fn threads_write_one_after_the_other() {
    let memory = Memory::new();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (store, (sender, versions)) = (memory.store.clone(), mpsc::channel());
            std::thread::spawn(move || {
                for _ in 0..500 {
                    let sender = sender.clone();
                    store.write(change("s".into(), state("s"), any(), 0), move |written| {
                        sender.send(written.unwrap().version).unwrap();
                    });
                }
                versions.try_iter().collect::<Vec<u64>>()
            })
        })
        .collect();
    let mut versions: Vec<u64> =
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    versions.sort_unstable();
    assert!(versions.into_iter().eq(2..2002));
}

#[tokio::test]
async fn a_caller_that_panics_harms_nobody_else() {
    let memory = Memory::new();
    let (store, panics) = (memory.store.clone(), |_| panic!("a test's panic"));
    let thread = std::thread::spawn(move || store.get("s".into(), panics));
    assert!(thread.join().is_err());
    memory.engine.faults().outage(None);
    memory.store.get("s".into(), panics);
    let waiting = tokio::spawn({
        let store = memory.store.clone();
        async move { write(&store, "s", &state("s"), any()).await }
    });
    while !waiting.is_finished() {
        tokio::task::yield_now().await;
        memory.engine.faults().end_outage();
    }
    assert_eq!(waiting.await.unwrap(), Ok(2));
}

#[tokio::test]
async fn a_call_may_be_made_in_the_answer_of_another() {
    let memory = Memory::new();
    let store = memory.store.clone();
    let (sender, receiver) = mpsc::channel();
    memory.store.write(change("s".into(), state("s"), any(), 0), move |_| {
        store.get("s".into(), move |found| sender.send(found).unwrap());
    });
    assert!(receiver.try_recv().unwrap().unwrap().is_some());
}

#[tokio::test]
async fn subscribers_hear_in_order_what_was_published() {
    let memory = Memory::new();
    let mut subscription = memory.listening().await;
    memory.write("s", any()).await.unwrap();
    settled(|done| memory.store.broadcast("s".into(), "[1]".into(), 0, done)).await.unwrap();
    for _ in 0..2 {
        settled(|done| memory.store.delete("s".into(), 0, None, done)).await.unwrap();
    }
    let update = |document: Option<String>| {
        let (session_id, key_prefix) = ("s".into(), Some("session:".into()));
        Event::Update(Update { session_id, key_prefix, document })
    };
    let Event::Update(Update { document: Some(document), .. }) = subscription.next().await else {
        panic!("no update");
    };
    assert!(document.starts_with(r#"{"version":2,"#), "{document}");
    let (session_id, message) = ("s".into(), "[1]".into());
    assert_eq!(subscription.next().await, Event::WebSocket { session_id, message });
    assert_eq!(subscription.next().await, update(None));
    assert_eq!(subscription.next().await, update(None));
}

#[tokio::test]
async fn a_subscription_comes_back_after_a_gap_and_rereads() {
    let memory = Memory::new();
    let mut subscription = memory.listening().await;
    memory.write("before", any()).await.unwrap();
    memory.engine.faults().gap_begin();
    assert_eq!(memory.write("missed", any()).await, Ok(2));
    assert!(matches!(subscription.next().await, Event::Update(_)));
    assert!(matches!(subscription.next().await, Event::Lost { .. }));
    assert!(matches!(subscription.reread(&[], 1).await, Err(Event::Lost { .. })));
    memory.engine.faults().advance(5 * SECOND);
    memory.engine.faults().gap_end();
    let Event::Confirmed { gap: Some(gap), .. } = subscription.next().await else {
        panic!("no gap")
    };
    assert!((5 * SECOND..6 * SECOND).contains(&gap.lasted), "{gap:?}");
    let ids = ["missed".to_owned(), "none".to_owned()];
    let stored = subscription.reread(&ids, 7).await.unwrap().unwrap();
    assert!(matches!(&stored[..], [Stored::Document(_), Stored::Nothing]), "{stored:?}");
    subscription.caught_up();
    memory.write("after", any()).await.unwrap();
    assert_eq!(subscription.next().await, Event::Marker(7));
    assert!(matches!(subscription.next().await, Event::Update(_)));
}

#[tokio::test]
async fn a_loss_that_a_reread_meets_is_told_once() {
    let memory = Memory::new();
    let mut subscription = memory.listening().await;
    memory.engine.faults().outage(None);
    assert!(matches!(subscription.reread(&[], 1).await, Err(Event::Lost { .. })));
    memory.engine.faults().end_outage();
    assert!(matches!(subscription.next().await, Event::Confirmed { gap: Some(_), .. }));
}

#[tokio::test]
async fn a_waiting_subscription_is_woken() {
    let memory = Memory::new();
    let mut subscription = memory.listening().await;
    let event = tokio::spawn(async move { subscription.next().await });
    tokio::task::yield_now().await;
    memory.write("s", any()).await.unwrap();
    assert!(matches!(event.await.unwrap(), Event::Update(_)));
}

#[tokio::test]
async fn in_an_outage_operations_wait_until_it_ends_or_their_deadline() {
    let memory = Memory::new();
    memory.write("s", any()).await.unwrap();
    memory.engine.faults().outage(None);
    let (sender, answers) = mpsc::channel();
    for n in 0..3 {
        let sender = sender.clone();
        memory.store.write(change("s".into(), state("s"), any(), 0), move |written| {
            sender.send((n, written.unwrap().version)).unwrap();
        });
    }
    assert!(answers.try_recv().is_err());
    memory.engine.faults().end_outage();
    assert_eq!(answers.try_iter().collect::<Vec<_>>(), [(0, 3), (1, 4), (2, 5)]);
    memory.engine.faults().outage(None);
    let late = tokio::spawn({
        let store = memory.store.clone();
        async move { get(&store, "s").await }
    });
    tokio::task::yield_now().await;
    memory.engine.faults().advance(3600 * SECOND);
    let Err(Error::Unavailable { reason }) = late.await.unwrap() else { panic!("it ended") };
    assert!(reason.starts_with("memory://test-"), "{reason}");
    let reason = format!("{}: there is an outage", memory.engine);
    let away = Status::Reconnecting { reason };
    let (connecting, ready) = (Status::Connecting, Status::Ready);
    memory.told(&[connecting.clone(), ready.clone(), away.clone()]).await;
    memory.engine.faults().end_outage();
    memory.told(&[connecting, ready.clone(), away, ready]).await;
}

#[tokio::test]
async fn an_outage_ends_by_the_clock_of_the_store() {
    let memory = Memory::new();
    let mut subscription = memory.listening().await;
    memory.engine.faults().outage(Some(2 * SECOND));
    assert!(matches!(subscription.next().await, Event::Lost { .. }));
    let waiting = tokio::spawn({
        let store = memory.store.clone();
        async move { write(&store, "s", &state("s"), any()).await }
    });
    let back = tokio::spawn(async move { subscription.next().await });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    memory.engine.faults().advance(2 * SECOND);
    assert_eq!(waiting.await.unwrap(), Ok(2));
    assert!(matches!(back.await.unwrap(), Event::Confirmed { gap: Some(_), .. }));
    assert_eq!(memory.get("s").await.map(|found| found.is_some()), Ok(true));
}

#[tokio::test]
async fn an_outage_ends_by_itself() {
    let memory = Memory::new();
    memory.engine.faults().outage(Some(Duration::from_millis(30)));
    assert_eq!(memory.write("s", any()).await, Ok(2));
}

#[tokio::test]
async fn a_closed_handle_ends_what_it_has_asked() {
    let memory = Memory::new();
    memory.engine.faults().outage(None);
    let (sender, answer) = mpsc::channel();
    memory.store.get("s".into(), move |found| sender.send(found).unwrap());
    memory.engine.close();
    assert_eq!(answer.try_recv(), Ok(Err(Error::Closed)));
}

#[tokio::test]
async fn answers_are_delayed_by_the_clock_of_the_store() {
    let memory = Memory::new();
    memory.engine.faults().delay(2 * SECOND);
    let waiting = tokio::spawn({
        let store = memory.store.clone();
        async move { write(&store, "s", &state("s"), any()).await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    assert_eq!(memory.engine.sessions_stored().len(), 1);
    memory.engine.faults().advance(2 * SECOND);
    assert_eq!(waiting.await.unwrap(), Ok(2));
    memory.engine.faults().delay(Duration::from_millis(30));
    assert!(memory.get("s").await.unwrap().is_some());
}

#[tokio::test]
async fn another_writer_that_is_first_is_heard_and_audited() {
    let (memory, _) = Memory::audited(None).await;
    memory.write("s", Rule::Create).await.unwrap();
    let before = memory.get("s").await.unwrap().unwrap();
    let mut subscription = memory.listening().await;
    memory.engine.faults().conflict("s");
    let conflict = memory.write("s", Rule::Locked { expected: 1 }).await;
    assert!(matches!(conflict, Err(Error::ConcurrentModification { actual: 2, .. })));
    let after = before.replace(r#"{"version":1,"#, r#"{"version":2,"#);
    assert_eq!(memory.get("s").await, Ok(Some(after.clone())));
    let Event::Update(update) = subscription.next().await else { panic!("no update") };
    assert_eq!(update.document, Some(after.clone()));
    let records = memory.engine.records_appended();
    let last = &records.last().unwrap().record;
    assert_eq!((&*last.event_type, last.is_write), ("session_updated", true));
    assert_eq!((last.state.clone(), records.len()), (Some(after), 2));
}

async fn ask<O: synckairos_state::operation::Operation>(
    records: &(impl Records + Execute<O>),
    operation: O,
) -> Result<O::Outcome> {
    let deadline = Instant::now() + 5 * SECOND;
    settled(|done| records.execute(operation, deadline, done)).await
}

fn record(id: &str) -> Record {
    Record {
        id: id.into(),
        session_id: "s".into(),
        event_type: "happened".into(),
        at_ms: 5,
        state: Some(String::new()),
        metadata: None,
        position: None,
        is_write: true,
    }
}

#[tokio::test]
async fn a_change_is_audited_in_the_step_that_makes_it() {
    let (memory, stream) = Memory::audited(Some(2)).await;
    let records = memory.engine.records(stream.clone());
    memory.write("s", Rule::Create).await.unwrap();
    ask(&records, Append { record: record("own") }).await.unwrap();
    let full = ask(&records, Append { record: record("full") }).await;
    assert_eq!(full, Err(Error::BacklogFull { limit: 2 }));
    let written = settled(|done| {
        memory.store.write(change("s".into(), state("s"), any(), 0), done);
    });
    assert!(written.await.unwrap().unaudited);
    let deleted = settled(|done| memory.store.delete("s".into(), 0, None, done)).await.unwrap();
    assert!(deleted.existed && deleted.unaudited);
    let deleted = settled(|done| memory.store.delete("s".into(), 0, None, done)).await.unwrap();
    assert!(!deleted.existed && !deleted.unaudited);
    let mut claims = memory.claims(&stream, "w").await;
    let batch = claims.fresh(9, None).await.unwrap();
    let [written, appended] = &batch.records[..] else { panic!("{batch:?}") };
    assert_eq!((&*written.event_type, written.is_write), ("session_created", true));
    assert_eq!((appended.is_write, appended.state.clone()), (false, None));
    assert!(written.position.is_some() && written.position < appended.position);
}

#[tokio::test]
async fn records_are_claimed_stored_buried_and_revived() {
    let (memory, stream) = Memory::audited(None).await;
    let records = memory.engine.records(stream.clone());
    for id in ["a", "b", "c"] {
        ask(&records, Append { record: record(id) }).await.unwrap();
    }
    let mut claims = memory.claims(&stream, "w").await;
    assert!(claims.is_first() && !memory.claims(&stream, "w").await.is_first());
    let batch = claims.fresh(2, None).await.unwrap();
    assert_eq!(claims.delay(&batch.entry_ids[1..], 60 * SECOND, true).await, Ok(vec![1]));
    let metrics = Metrics { waiting: 1, active: 1, completed: 0, failed: 0, delayed: 1 };
    assert_eq!(ask(&records, Count).await, Ok(metrics));
    assert_eq!(claims.settle(&batch.entry_ids[..1]).await, Ok(2));
    assert_eq!(claims.settle(&batch.entry_ids[..1]).await, Ok(2));
    let (entry_id, sqlstate) = (&*batch.entry_ids[1], Some("23505"));
    let burial = Burial { entry_id, record_id: "b", attempts: 2, error: "no", sqlstate };
    assert_eq!(claims.bury(burial).await, Ok(true));
    assert_eq!(claims.bury(burial).await, Ok(false));
    let metrics = Metrics { waiting: 1, active: 0, completed: 1, failed: 1, delayed: 0 };
    assert_eq!(ask(&records, Count).await, Ok(metrics));
    let page = |place: &str| ReadLetters { place: place.into(), skip: 0, limit: 9 };
    let LetterPage { letters, next: None, .. } = ask(&records, page("+")).await.unwrap() else {
        panic!("there are more");
    };
    assert_eq!(letters[0].sqlstate.as_deref(), Some("23505"));
    assert_eq!(letters[0].record.position, batch.records[1].position);
    let selection = DeadLetterSelection::UpTo(String::new());
    let revived = ask(&records, Revive { selection }).await.unwrap();
    assert_eq!((revived.moved, revived.more), (1, None));
    let batch = claims.fresh(9, None).await.unwrap();
    let ids: Vec<&str> = batch.records.iter().map(|record| &*record.id).collect();
    assert_eq!((ids, batch.attempts), (vec!["c", "b"], vec![1, 1]));
    assert_eq!(batch.records[1].position, letters[0].record.position);
    claims.settle(&batch.entry_ids[..1]).await.unwrap();
    let appended = memory.engine.records_appended();
    let fates: Vec<(&str, Fate)> =
        appended.iter().map(|appended| (&*appended.record.id, appended.fate)).collect();
    assert_eq!(fates, [("a", Fate::Stored), ("b", Fate::Waiting), ("c", Fate::Stored)]);
    let record_ids = vec!["b".into()];
    assert_eq!(ask(&records, Remove { record_ids }).await, Ok(0));
}

#[tokio::test]
async fn two_workers_share_the_records() {
    let (memory, stream) = Memory::audited(None).await;
    let records = memory.engine.records(stream.clone());
    let work = async |worker: &str| {
        let mut claims = memory.claims(&stream, worker).await;
        let mut stored = Vec::new();
        loop {
            let batch = claims.fresh(1, Some(60 * SECOND)).await.unwrap();
            let Some(record) = batch.records.into_iter().next() else { break stored };
            if record.id == "end" {
                break stored;
            }
            stored.push(record.id);
            claims.settle(&batch.entry_ids).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let append = async {
        for n in 0..100 {
            ask(&records, Append { record: record(&n.to_string()) }).await.unwrap();
            tokio::task::yield_now().await;
        }
        for _ in 0..2 {
            ask(&records, Append { record: record("end") }).await.unwrap();
        }
    };
    let (one, other, ()) = tokio::join!(work("a"), work("b"), append);
    assert_eq!(one.len() + other.len(), 100);
    assert!(one.len().min(other.len()) >= 25, "{} and {}", one.len(), other.len());
}

#[tokio::test]
async fn a_dead_workers_records_are_taken_over_after_a_while() {
    let (memory, stream) = Memory::audited(None).await;
    memory.write("s", any()).await.unwrap();
    let mut claims = memory.claims(&stream, "dead").await;
    assert_eq!(claims.fresh(9, None).await.unwrap().len(), 1);
    drop(claims);
    let mut claims = memory.claims(&stream, "other").await;
    assert_eq!(claims.abandoned(9).await.unwrap().0.len(), 0);
    memory.engine.faults().advance(10 * SECOND);
    let (batch, vanished) = claims.abandoned(9).await.unwrap();
    assert_eq!((batch.len(), vanished), (1, 0));
    assert_eq!(claims.own(9, "0").await.unwrap().entry_ids, batch.entry_ids);
    assert_eq!(claims.own(9, &batch.entry_ids[0]).await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_wait_for_records_ends_by_a_record_by_waking_and_by_the_clock() {
    let (memory, stream) = Memory::audited(None).await;
    let wait = async |how: &dyn Fn()| {
        let mut claims = memory.claims(&stream, "w").await;
        let waking = claims.waking();
        let waiting =
            tokio::spawn(async move { claims.fresh(9, Some(60 * SECOND)).await.unwrap().len() });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        how();
        (waiting, waking)
    };
    let store = memory.store.clone();
    let append = || store.write(change("s".into(), state("s"), any(), 0), |_| {});
    assert_eq!(wait(&append).await.0.await.unwrap(), 1);
    assert_eq!(wait(&|| memory.engine.faults().advance(60 * SECOND)).await.0.await.unwrap(), 0);
    let (waiting, waking) = wait(&|| {}).await;
    waking.await;
    assert_eq!(waiting.await.unwrap(), 0);
}

#[tokio::test]
async fn a_worker_that_has_ended_passes_the_news_of_a_record_on() {
    let (memory, stream) = Memory::audited(None).await;
    let name = memory.engine.to_string().replace("memory://", "");
    let other = Memory::open(MemoryOptions { name, keep: false, adjustable: true }, None);
    other.get("s").await.unwrap();
    let wait = |mut claims: MemoryClaims| {
        tokio::spawn(
            async move { claims.fresh(9, Some(60 * SECOND)).await.map(|batch| batch.len()) },
        )
    };
    let ended = wait(other.claims(&stream, "ended").await);
    tokio::task::yield_now().await;
    let waiting = wait(memory.claims(&stream, "waits").await);
    tokio::task::yield_now().await;
    other.engine.close();
    memory.write("s", any()).await.unwrap();
    let got = tokio::time::timeout(10 * SECOND, waiting).await.expect("nobody told it");
    assert_eq!(got.unwrap(), Ok(1));
    assert!(ended.await.unwrap().is_err());
}

#[tokio::test]
async fn claims_are_lost_in_an_outage_and_resumed_after_it() {
    let (memory, stream) = Memory::audited(None).await;
    memory.write("s", any()).await.unwrap();
    let mut claims = memory.claims(&stream, "w").await;
    let batch = claims.fresh(9, None).await.unwrap();
    let waiting = tokio::spawn(async move {
        let lost = claims.fresh(9, Some(60 * SECOND)).await.unwrap_err();
        (claims, lost)
    });
    tokio::task::yield_now().await;
    memory.engine.faults().outage(None);
    let (mut claims, lost) = waiting.await.unwrap();
    assert!(!lost.vanished && lost.reason.contains("outage"), "{lost}");
    assert!(memory.engine.claims(stream.clone(), "w".into()).await.is_err());
    memory.engine.faults().end_outage();
    assert!(claims.settle(&batch.entry_ids).await.is_err());
    let mut claims = memory.claims(&stream, "w").await;
    assert_eq!(claims.own(9, "0").await.unwrap().entry_ids, batch.entry_ids);
    assert_eq!(claims.note_database("one").await, Ok(None));
    assert_eq!(claims.note_database("other").await, Ok(Some("one".into())));
    memory.engine.close();
    assert!(claims.settle(&batch.entry_ids).await.is_err());
}

#[tokio::test]
async fn only_a_store_for_tests_remembers_every_record() {
    let memory = Memory::open(options("forgets", false), None);
    let stream = Arc::new(Stream { keys: AuditKeys::of("q"), max_backlog: None, replicas: None });
    let records = memory.engine.records(stream);
    ask(&records, Append { record: record(&new_id(0)) }).await.unwrap();
    assert!(memory.engine.records_appended().is_empty());
}
