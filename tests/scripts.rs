//! The scripts that change sessions, on a real Redis, with constants that are hard to quote.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may.

mod harness;

use std::sync::Arc;
use std::time::Duration;

use harness::{RedisServer, change, get, settled, state, write};
use redis::Value;
use serde_json::json;
use synckairos_state::error::Error;
use synckairos_state::keys::{AuditKeys, Keys};
use synckairos_state::operation::names::Stream;
use synckairos_state::redis::engine::RedisEngine;
use synckairos_state::session::store::{Over, Rule, Store, StoreOptions};

/// All that a Lua literal, a Redis key or JSON could stumble over.
const ODD: &str = "'\"\\]]--\n\r\t\u{0}1\u{7f}é\u{1f600}\\n%s{}";
const ID: &str = "é/1";
const NOW_MS: i64 = 1_767_323_045_006;

fn odd_store(server: &RedisServer, audit: Option<Stream>) -> Store<RedisEngine> {
    let keys = Keys {
        session_prefix: format!("{ODD}session"),
        updates_channel: format!("{ODD}updates"),
        ..Keys::default()
    };
    let options = StoreOptions { keys, ttl_seconds: 60, ..StoreOptions::default() };
    Store::new(&server.engine(), options, audit.map(Arc::new))
}

fn stream(max_backlog: Option<u64>) -> Stream {
    Stream { keys: AuditKeys::of(ODD), max_backlog, replicas: None }
}

/// Publications on a channel, in order.
struct Subscriber(redis::Connection);

impl Subscriber {
    fn new(server: &RedisServer, channel: &str) -> Self {
        let client = redis::Client::open(("127.0.0.1", server.port)).unwrap();
        let mut connection = client.get_connection().unwrap();
        redis::cmd("SUBSCRIBE").arg(channel).exec(&mut connection).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Self(connection)
    }

    fn next(&mut self) -> serde_json::Value {
        loop {
            let push: Vec<String> =
                redis::from_redis_value(self.0.recv_response().unwrap()).unwrap_or_default();
            if let [kind, _channel, payload] = &*push
                && kind == "message"
            {
                return serde_json::from_str(payload).unwrap();
            }
        }
    }
}

async fn stored(server: &RedisServer, store: &Store<RedisEngine>) -> serde_json::Value {
    let ttl = server.ask(&["TTL", &format!("{ODD}session{ID}")]);
    assert!(matches!(ttl, Value::Int(50..=60)), "{ttl:?}");
    get(store, ID).await.unwrap().unwrap().into()
}

async fn each_rule_does_its_job(audited: bool) {
    let server = RedisServer::start();
    let store = odd_store(&server, audited.then(|| stream(None)));
    let mut updates = Subscriber::new(&server, &format!("{ODD}updates"));
    let prefix = format!("{ODD}session");

    assert_eq!(
        write(&store, ID, &state(ID), Rule::Locked { expected: 1 }).await,
        Err(Error::SessionNotFound { session_id: ID.into() })
    );
    let mut documents = Vec::new();
    for (rule, version) in
        [(Rule::Create, 1), (Rule::Locked { expected: 1 }, 2), (Rule::Any, 3), (Rule::Create, 1)]
    {
        assert_eq!(write(&store, ID, &state(ID), rule).await, Ok(version), "{rule:?}");
        let document = stored(&server, &store).await;
        assert!(document.as_str().unwrap().starts_with(&format!(r#"{{"version":{version},"#)));
        let message = json!({
            "sessionId": ID, "state": document, "timestamp": NOW_MS, "keyPrefix": prefix,
        });
        assert_eq!(updates.next(), message, "{rule:?}");
        documents.push(Some(document));
    }
    assert_eq!(
        write(&store, ID, &state(ID), Rule::Locked { expected: 7 }).await,
        Err(Error::ConcurrentModification { session_id: ID.into(), expected: 7, actual: 1 })
    );
    assert_eq!(
        write(&store, ID, &state(ID), Rule::CreateIfAbsent).await,
        Err(Error::SessionExists { session_id: ID.into() })
    );
    for existed in [true, false] {
        let deleted = settled(|done| store.delete(ID.into(), NOW_MS, None, done)).await.unwrap();
        assert_eq!((deleted.existed, deleted.unaudited), (existed, false));
        assert_eq!(get(&store, ID).await, Ok(None));
        let message = json!({
            "sessionId": ID, "deleted": true, "timestamp": NOW_MS, "keyPrefix": prefix,
        });
        assert_eq!(updates.next(), message);
    }
    documents.push(None);
    assert_eq!(write(&store, ID, &state(ID), Rule::CreateIfAbsent).await, Ok(1));
    documents.push(Some(stored(&server, &store).await));
    let restore = |least, over| Rule::Restore { least, over };
    for (rule, outcome) in [
        (restore(9, Over::Nothing), Err(Error::SessionExists { session_id: ID.into() })),
        (
            restore(9, Over::Version(2)),
            Err(Error::ConcurrentModification { session_id: ID.into(), expected: 2, actual: 1 }),
        ),
        (restore(9, Over::Version(1)), Ok(9)),
        (restore(2, Over::Anything), Ok(10)),
    ] {
        assert_eq!(write(&store, ID, &state(ID), rule).await, outcome, "{rule:?}");
        if let Ok(version) = outcome {
            let document = stored(&server, &store).await;
            assert!(document.as_str().unwrap().starts_with(&format!(r#"{{"version":{version},"#)));
            documents.push(Some(document));
        }
    }
    if audited {
        let events = [
            "created", "updated", "updated", "created", "deleted", "created", "restored",
            "restored",
        ];
        assert_eq!(
            records(&server),
            events.iter().zip(documents).map(expected).collect::<Vec<_>>()
        );
    } else {
        assert_eq!(records(&server), Vec::<Vec<String>>::new());
    }
}

fn expected((event, document): (&&str, Option<serde_json::Value>)) -> Vec<String> {
    let event = format!("session_{event}");
    let mut fields =
        ["session", ID, "event", &event, "at", &NOW_MS.to_string()].map(String::from).to_vec();
    if let Some(document) = document {
        fields.extend(["write", "1", "state", document.as_str().unwrap()].map(String::from));
    }
    fields
}

/// What the records say, without their ids.
fn records(server: &RedisServer) -> Vec<Vec<String>> {
    let entries = server.ask(&["XRANGE", &AuditKeys::of(ODD).stream, "-", "+"]);
    let entries: Vec<(String, Vec<String>)> = redis::from_redis_value(entries).unwrap();
    let records = entries.into_iter().map(|(_place, mut fields)| {
        let id: Vec<String> = fields.drain(..2).collect();
        assert_eq!((&*id[0], id[1].len()), ("id", 36));
        fields
    });
    records.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_rule_does_its_job_with_odd_constants() {
    each_rule_does_its_job(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_rule_does_its_job_with_odd_constants_and_an_audit() {
    each_rule_does_its_job(true).await;
}

#[tokio::test]
async fn beyond_the_backlog_limit_each_rule_says_that_it_is_not_audited() {
    let server = RedisServer::start();
    let store = odd_store(&server, Some(stream(Some(1))));
    let mut outcomes = Vec::new();
    for (id, rule) in [
        ("a", Rule::Create),
        ("a", Rule::Locked { expected: 1 }),
        ("a", Rule::Any),
        ("a", Rule::Create),
        ("b", Rule::CreateIfAbsent),
    ] {
        let written =
            settled(|done| store.write(change(id.into(), state(id), rule, NOW_MS), done)).await;
        outcomes.push(written.map(|written| (written.version, written.unaudited)).unwrap());
    }
    assert_eq!(outcomes, [(1, false), (2, true), (3, true), (1, true), (1, true)]);
    let deleted = settled(|done| store.delete("a".into(), NOW_MS, None, done)).await.unwrap();
    assert_eq!((deleted.existed, deleted.unaudited), (true, true));
    assert_eq!(records(&server).len(), 1);
}

#[tokio::test]
async fn messages_name_the_default_prefix() {
    let server = RedisServer::start();
    let store = server.store();
    let mut updates = Subscriber::new(&server, "session-updates");
    write(&store, "s", &state("s"), Rule::Create).await.unwrap();
    let document = get(&store, "s").await.unwrap();
    settled(|done| store.delete("s".into(), NOW_MS, None, done)).await.unwrap();
    let prefix = "session:";
    let message = json!({
        "sessionId": "s", "state": document, "timestamp": NOW_MS, "keyPrefix": prefix,
    });
    assert_eq!(updates.next(), message);
    let message = json!({
        "sessionId": "s", "deleted": true, "timestamp": NOW_MS, "keyPrefix": prefix,
    });
    assert_eq!(updates.next(), message);
}

#[tokio::test]
async fn the_ledger_holds_an_answer_at_its_place_and_has_a_ttl() {
    let server = RedisServer::start();
    let store = server.store();
    for (rule, version) in [(Rule::Create, 1), (Rule::Locked { expected: 1 }, 2), (Rule::Any, 3)] {
        assert_eq!(write(&store, "s", &state("s"), rule).await, Ok(version));
    }
    let ledgers = server.ask(&["KEYS", "synckairos:ledger:*"]);
    let [ledger] =
        <[String; 1]>::try_from(redis::from_redis_value::<Vec<String>>(ledgers).unwrap()).unwrap();
    // One after the other they have the same place, whose number grows by 512.
    let noted = server.ask(&["GETRANGE", &ledger, "0", "6"]);
    assert_eq!(redis::from_redis_value::<String>(noted).unwrap(), "1536:3;");
    assert!(matches!(server.ask(&["TTL", &ledger]), Value::Int(890..=900)));
}
