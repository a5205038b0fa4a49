//! The store on a real Redis, without Node.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may.

mod harness;

use std::time::Duration;

use harness::{RedisServer, get, settled, state, write};
use synckairos_state::error::Error;
use synckairos_state::session::store::Rule;

const NOW: &str = "2026-01-02T03:04:05.006Z";

#[tokio::test]
async fn what_was_written_comes_back_byte_for_byte() {
    let server = RedisServer::start();
    let store = server.store();
    assert_eq!(get(&store, "s").await, Ok(None));
    assert_eq!(write(&store, "s", &state("s"), Rule::Create).await, Ok(1));
    assert_eq!(write(&store, "s", &state("s"), Rule::Locked { expected: 1 }).await, Ok(2));
    let expected = format!(
        r#"{{"version":2,"session_id":"s","sync_mode":"global","status":"running","participants":[],"own":{{"a":[],"big":9007199254740993}},"updated_at":"{NOW}"}}"#
    );
    assert_eq!(get(&store, "s").await, Ok(Some(expected)));
}

#[tokio::test]
async fn each_refusal_is_told_apart_and_changes_nothing() {
    let server = RedisServer::start();
    let store = server.store();
    let id = String::from("s");
    assert_eq!(
        write(&store, "s", &state("s"), Rule::Locked { expected: 1 }).await,
        Err(Error::SessionNotFound { session_id: id.clone() })
    );
    assert_eq!(write(&store, "s", &state("s"), Rule::CreateIfAbsent).await, Ok(1));
    assert_eq!(
        write(&store, "s", &state("s"), Rule::CreateIfAbsent).await,
        Err(Error::SessionExists { session_id: id.clone() })
    );
    assert_eq!(
        write(&store, "s", &state("s"), Rule::Locked { expected: 7 }).await,
        Err(Error::ConcurrentModification { session_id: id.clone(), expected: 7, actual: 1 })
    );
    assert!(matches!(
        write(&store, "t", &state("s"), Rule::Create).await,
        Err(Error::InvalidState { field, .. }) if field == "session_id"
    ));
    assert!(get(&store, "s").await.unwrap().unwrap().starts_with(r#"{"version":1,"#));
}

#[tokio::test]
async fn a_stored_value_that_is_no_session_is_not_written_over() {
    let server = RedisServer::start();
    let store = server.store();
    for raw in ["", "no", "[]", "5", r#"{"version":"1"}"#, r#"{"version":1.5}"#, "{}"] {
        server.ask(&["SET", "session:s", raw]);
        for rule in [Rule::Any, Rule::Locked { expected: 1 }] {
            assert_eq!(
                write(&store, "s", &state("s"), rule).await,
                Err(Error::Deserialization { session_id: "s".into(), raw: raw.into() }),
            );
        }
        assert_eq!(get(&store, "s").await, Ok(Some(raw.into())));
    }
    assert_eq!(write(&store, "s", &state("s"), Rule::Create).await, Ok(1));
}

#[tokio::test]
async fn the_version_of_a_foreign_document_is_found_wherever_it_is() {
    let server = RedisServer::start();
    let store = server.store();
    server.ask(&["SET", "session:s", r#"{ "participants":[{"version":9}], "version" : 41 }"#]);
    assert_eq!(write(&store, "s", &state("s"), Rule::Any).await, Ok(42));
    assert_eq!(write(&store, "t", &state("t"), Rule::Any).await, Ok(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_locked_writers_exactly_one_wins() {
    let server = RedisServer::start();
    let stores = [server.store(), server.store()];
    write(&stores[0], "s", &state("s"), Rule::Create).await.unwrap();
    for version in 1..=20 {
        let mut writers = tokio::task::JoinSet::new();
        for n in 0..50 {
            let store = stores[n % 2].clone();
            writers.spawn(async move {
                write(&store, "s", &state("s"), Rule::Locked { expected: version }).await
            });
        }
        let outcomes = writers.join_all().await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    }
    assert!(get(&stores[0], "s").await.unwrap().unwrap().starts_with(r#"{"version":21,"#));
}

#[tokio::test]
async fn a_flushed_script_cache_is_not_noticed() {
    let server = RedisServer::start();
    let store = server.store();
    write(&store, "s", &state("s"), Rule::Create).await.unwrap();
    server.ask(&["SCRIPT", "FLUSH"]);
    assert_eq!(write(&store, "s", &state("s"), Rule::Any).await, Ok(2));
    assert!(settled(|done| store.delete("s".into(), 1, None, done)).await.unwrap().existed);
    assert_eq!(settled(|done| store.touch("s".into(), done)).await, Ok(false));
}

#[tokio::test]
async fn calls_wait_for_a_server_that_is_away() {
    let mut server = RedisServer::start();
    let store = server.store();
    write(&store, "s", &state("s"), Rule::Create).await.unwrap();
    server.kill();
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { write(&store, "s", &state("s"), Rule::Locked { expected: 1 }).await }
    });
    tokio::time::sleep(Duration::from_millis(500)).await; // Longer than the first back-offs.
    server.restart();
    assert_eq!(waiting.await.unwrap(), Ok(2));
}

#[tokio::test]
async fn several_documents_come_in_order() {
    let server = RedisServer::start();
    let store = server.store();
    for id in ["a", "c"] {
        write(&store, id, &state(id), Rule::Create).await.unwrap();
    }
    let ids = ["c", "b", "a"].map(String::from).to_vec();
    let documents = settled(|done| store.get_many(ids, done)).await.unwrap();
    let documents: Vec<Option<String>> = documents.into_iter().collect::<Result<_, _>>().unwrap();
    assert!(documents[0].as_ref().unwrap().contains(r#""session_id":"c""#));
    assert_eq!(documents[1], None);
    assert!(documents[2].as_ref().unwrap().contains(r#""session_id":"a""#));
}
