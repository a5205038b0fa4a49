//! What Redis tells of keys that have changed, on a real Redis, without Node.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may.

mod harness;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use harness::{RedisServer, settled};
use synckairos_state::redis::caller::{Answers, Caller};
use synckairos_state::redis::connection::Connection;
use synckairos_state::redis::track::track as redis_track;
use tokio::time::Instant;

type Told = Arc<Mutex<Vec<Option<String>>>>;

fn connect(server: &RedisServer) -> (Connection, Told) {
    let told = Told::default();
    let list = told.clone();
    let invalidated = Arc::new(move |key| {
        list.lock().unwrap().push(key);
        true
    });
    let (connection, supervisor) = Connection::new(server.options(), Arc::new(|_| {}), invalidated);
    tokio::spawn(supervisor);
    (connection, told)
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

async fn track(connection: &Connection) {
    let tracked = settled(|done| redis_track(connection, deadline(), done));
    tracked.await.unwrap();
}

/// Sends a command, and looks when it is settled at what had been told by then.
fn call(
    connection: &Connection,
    told: &Told,
    words: &[&str],
) -> impl Future<Output = Vec<Option<String>>> {
    let command = words.iter().map(|word| word.as_bytes()).collect();
    let (told, connection) = (told.clone(), connection.clone());
    let (sender, receiver) = tokio::sync::oneshot::channel();
    Caller::new(connection).call(&[command], false, deadline(), move |answers| {
        assert!(matches!(answers, Answers::Together((_, Ok(())))));
        sender.send(told.lock().unwrap().clone()).unwrap();
    });
    async { receiver.await.unwrap() }
}

#[tokio::test]
async fn what_was_pushed_before_an_answer_is_told_before_it_is_settled() {
    let server = RedisServer::start();
    let (connection, told) = connect(&server);
    track(&connection).await;
    for n in 1..=100 {
        call(&connection, &told, &["GET", "k"]).await;
        // In one pipeline, so that the push comes in one read with the answers around it.
        let set = call(&connection, &told, &["SET", "k", "v"]);
        let later = call(&connection, &told, &["PING"]);
        set.await;
        assert_eq!(later.await, vec![Some("k".into()); n]);
    }
}

#[tokio::test]
async fn keys_are_told_of_once_tracked_and_a_flush_as_all() {
    let server = RedisServer::start();
    let (connection, told) = connect(&server);
    call(&connection, &told, &["GET", "before"]).await;
    track(&connection).await;
    track(&connection).await; // Again, which changes nothing.
    call(&connection, &told, &["MGET", "a", "b"]).await;
    server.ask(&["MSET", "before", "1", "b", "1", "c", "1"]);
    server.ask(&["FLUSHALL"]);
    let all = call(&connection, &told, &["PING"]).await;
    assert_eq!(all, [Some("b".into()), None]);
}
