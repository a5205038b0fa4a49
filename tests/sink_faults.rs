//! The causes for which a record is not stored.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may.

mod harness;

use std::time::{Duration, Instant};

use harness::postgres::{PostgresServer, options};
use harness::records::{
    OTHER, count_events, deployed, of_session, on_both, own, record, state, with,
};
use serde_json::json;
use synckairos_state::audit::sink::Sink;
use synckairos_state::audit::sink::fault::{Cause, Fault};
use synckairos_state::operation::record::Record;

async fn refused(sink: &Sink, record: Record) -> (Cause, String) {
    let fault = sink.store(&[record]).await.unwrap_err();
    (fault.cause, fault.sqlstate.unwrap_or(fault.message))
}

fn is(cause: Cause, sqlstate: &str) -> (Cause, String) {
    (cause, sqlstate.to_owned())
}

#[tokio::test]
async fn a_record_at_fault_is_told_by_its_sqlstate_and_stores_nothing() {
    on_both(async |database, sink| {
        let nul = with(state(1), json!({ "own": "a\0b" }));
        let long = Record { event_type: "e".repeat(51), ..record(Some(&state(1))) };
        let broken = |text: &str| Record { state: Some(text.into()), ..record(None) };
        for (record, sqlstate) in [
            (record(Some(&nul)), "22P05"),
            (long, "22001"),
            (broken("{"), "22P02"),
            (broken("{\"a\":\"\\ud800\"}"), "22P02"),
            (broken("a\0"), "22021"),
            (broken("{\"a\":1e999999}"), "22003"),
        ] {
            let good = of_session(OTHER, Some(&state(1)));
            let fault = sink.store(&[good, record.clone()]).await.unwrap_err();
            assert_eq!(fault.sqlstate.as_deref(), Some(sqlstate), "{fault}");
            assert_eq!(fault.cause, Cause::Record);
        }
        assert_eq!(count_events(&database).await, 0);
        sink.store(&[of_session(OTHER, Some(&state(1)))]).await.unwrap();
        // One that is no object is an event.
        sink.store(&[broken("[1]")]).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_the_deployed_tables_must_hold_and_cannot_is_the_records_fault() {
    let (database, sink) = deployed().await;
    let sideways = with(state(1), json!({ "sync_mode": "sideways" }));
    assert_eq!(refused(&sink, record(Some(&sideways))).await, is(Cause::Record, "22P02"));
    let strange = of_session("session-123", Some(&state(1)));
    assert_eq!(refused(&sink, strange.clone()).await, is(Cause::Record, "22P02"));
    assert_eq!(refused(&sink, of_session("session-123", None)).await, is(Cause::Record, "22P02"));

    // The cause removed while the sink still knows the tables as they were.
    sink.store(&[record(Some(&state(1)))]).await.unwrap();
    database
        .run(
            "ALTER TABLE sync_sessions ALTER session_id TYPE text;
             ALTER TABLE sync_events ALTER session_id TYPE text",
        )
        .await;
    sink.store(std::slice::from_ref(&strange)).await.unwrap();
    sink.store(&[strange]).await.unwrap();
    assert_eq!(count_events(&database).await, 2);
}

#[tokio::test]
async fn missing_tables_are_not_the_records_fault() {
    let database = PostgresServer::shared().database("").await;
    let sink = database.sink();
    let fault = sink.store(&[record(Some(&state(1)))]).await.unwrap_err();
    assert_eq!((fault.cause, fault.sqlstate.as_deref()), (Cause::Tables, Some("42P01")));
    assert!(fault.message.contains("migrate()"), "{fault}");
    sink.migrate().await.unwrap();
    sink.store(&[record(Some(&state(1)))]).await.unwrap();

    database.run("DROP TABLE sync_events").await;
    assert_eq!(refused(&sink, record(Some(&state(1)))).await, is(Cause::Tables, "42P01"));
    database.run("ALTER TABLE sync_sessions DROP metadata").await;
    sink.migrate().await.unwrap();
    assert_eq!(refused(&sink, record(None)).await, is(Cause::Tables, "42703"));
}

#[tokio::test]
async fn refusals_of_the_server_are_the_servers() {
    let (database, _) = own().await;
    let url = |rest: &str| format!("postgres://postgres:secret@127.0.0.1:{rest}");
    let port = database.server.port;
    let fault_of = async |url: &str| -> Fault {
        let sink = Sink::new(options(url, 2)).unwrap();
        let fault = sink.store(&[record(None)]).await.unwrap_err();
        assert_eq!(fault.cause, Cause::Database, "{fault}");
        assert!(!fault.message.contains("secret"), "{fault}");
        fault
    };
    let started = Instant::now();
    assert!(fault_of(&url("1/d")).await.message.contains("refused"));
    assert!(started.elapsed() < Duration::from_secs(2), "the cause is told at once");
    let missing = fault_of(&url(&format!("{port}/nowhere"))).await;
    assert_eq!(missing.sqlstate.as_deref(), Some("3D000"));

    let alter = format!("ALTER DATABASE {} SET default_transaction_read_only = on", database.name);
    database.run(&alter).await;
    let read_only = fault_of(&url(&format!("{port}/{}", database.name))).await;
    assert_eq!(read_only.sqlstate.as_deref(), Some("25006"));
}
