//! The connections of a sink: made, checked, given up, closed.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may.

mod harness;

use std::time::Duration;

use harness::postgres::{Database, with_tls};
use harness::records::{count_events, own, record, state};
use serde_json::{Value, json};
use synckairos_state::audit::sink::Sink;
use synckairos_state::audit::sink::fault::Cause;
use synckairos_state::operation::record::Record;

#[tokio::test]
async fn a_socket_of_the_machine_will_do() {
    let (database, _) = own().await;
    let sink = Sink::new(database.socket_options()).unwrap();
    sink.store(&[record(None)]).await.unwrap();
    assert_eq!(count_events(&database).await, 1);
}

#[tokio::test]
async fn tls_verifies_unless_told() {
    let (database, _) = own().await;
    let ca = std::fs::read_to_string("__test__/harness/tls/cert.pem").unwrap();
    let outcome_of = async |host: &str, trust: Value| {
        let port = database.server.port;
        let url = format!("postgres://postgres@{host}:{port}/{}", database.name);
        let tls = json!({ "isRequired": true, "isDirect": false, "trust": trust });
        let sink = Sink::new(with_tls(&url, 2, tls)).unwrap();
        sink.store(&[record(None)]).await
    };
    outcome_of("localhost", json!({ "verify": true, "ca": ca })).await.unwrap();
    outcome_of("127.0.0.1", json!({ "verify": false })).await.unwrap();
    let fault = outcome_of("localhost", json!({ "verify": true })).await.unwrap_err();
    assert_eq!(fault.cause, Cause::Database);
    assert!(fault.message.contains("certificate"), "{fault}");
    assert_eq!(count_events(&database).await, 2);
}

#[tokio::test]
async fn a_connection_that_the_server_ended_is_replaced() {
    let (database, sink) = own().await;
    sink.store(&[record(None)]).await.unwrap();
    database
        .run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
              WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
    sink.store(&[record(None)]).await.unwrap();
    assert_eq!(count_events(&database).await, 2);
}

#[tokio::test]
async fn a_store_that_nobody_waits_for_leaves_the_connections_usable() {
    let (database, _) = own().await;
    let sink = Sink::new(database.options(1)).unwrap();
    let batch = [record(Some(&state(1)))];
    let given_up = || tokio::time::timeout(Duration::from_millis(200), sink.store(&batch));
    sink.store(&[record(None)]).await.unwrap();
    let pids = backends(&database).await;
    assert_eq!(pids.len(), 1);

    // In the middle of the statement.
    let mut other = database.connect().await;
    sqlx::raw_sql("BEGIN; LOCK TABLE sync_events").execute(&mut other).await.unwrap();
    assert!(given_up().await.is_err());
    assert!(given_up().await.is_err());
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    sink.store(&batch).await.unwrap();

    // While a server that stands still is asked whether it is there.
    let pids = backends(&database).await;
    database.server.pause(&pids);
    assert!(given_up().await.is_err());
    sink.store(&batch).await.unwrap();
    database.server.resume(&pids);
    assert_eq!(count_events(&database).await, 2);
}

#[tokio::test]
async fn a_statement_without_an_answer_ends_by_its_deadline() {
    let (database, _) = own().await;
    let sink = Sink::new(database.options(1)).unwrap();
    sink.store(&[record(None)]).await.unwrap();
    let pids = backends(&database).await;
    let mut other = database.connect().await;
    sqlx::raw_sql("BEGIN; LOCK TABLE sync_events").execute(&mut other).await.unwrap();
    let batch = [record(Some(&state(1)))];
    let (outcome, ()) = tokio::join!(sink.store(&batch), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        database.server.pause(&pids);
        tokio::time::pause(); // From here on time flies while nothing happens.
    });
    tokio::time::resume();
    let fault = outcome.unwrap_err();
    assert_eq!((fault.cause, fault.sqlstate.as_deref()), (Cause::Database, None));
    assert!(fault.message.contains("15 s"), "{fault}");

    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    sink.store(&batch).await.unwrap();
    database.server.resume(&pids);
    sink.store(&batch).await.unwrap();
    assert_eq!(count_events(&database).await, 2);
}

#[tokio::test]
async fn connections_with_nothing_to_do_are_closed_but_for_a_few() {
    let (database, sink) = own().await; // Of the four that it may have it keeps one.
    let batches: Vec<[Record; 1]> = (0..4).map(|_| [record(None)]).collect();
    for outcome in futures_util::future::join_all(batches.iter().map(|b| sink.store(b))).await {
        outcome.unwrap();
    }
    assert_eq!(backends(&database).await.len(), 4);
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(31)).await;
    tokio::time::resume();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(backends(&database).await.len(), 1);
}

#[tokio::test]
async fn closing_is_prompt_and_leaves_no_connection() {
    let (database, sink) = own().await;
    sink.store(&[record(None)]).await.unwrap();
    sink.close().await;
    sink.close().await;
    let fault = sink.store(&[record(None)]).await.unwrap_err();
    assert_eq!(fault.cause, Cause::Database);
    assert!(fault.message.contains("closed"), "{fault}");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(backends(&database).await.len(), 0);
}

/// The processes of the server that serve sinks.
async fn backends(database: &Database) -> Vec<i64> {
    let query = format!(
        "SELECT pid FROM pg_stat_activity
          WHERE datname = '{}' AND application_name = 'synckairos-state'",
        database.name
    );
    database.rows(&query).await.iter().filter_map(|row| row["pid"].as_i64()).collect()
}
