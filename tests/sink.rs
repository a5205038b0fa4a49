//! Records into a real PostgreSQL.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may.

mod harness;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::postgres::{DEPLOYED, Database, PostgresServer, options};
use serde_json::{Value, json};
use synckairos_state::audit::fault::{Fault, Whose};
use synckairos_state::audit::record::{Record, new_id};
use synckairos_state::audit::sink::Sink;

const AT: i64 = 1_767_323_045_006;
const NOW: &str = "2026-01-02T03:04:05.006Z";
const SESSION: &str = "0190163d-8694-739b-aea5-966c26f8ad91";
const OTHER: &str = "0190163d-8694-739b-aea5-966c26f8ad92";
const PARTICIPANT: &str = "0190163d-8694-739b-aea5-000000000001";

fn state(version: u64) -> Value {
    json!({
        "version": version,
        "session_id": SESSION,
        "sync_mode": "per_participant",
        "status": "running",
        "participants": [
            { "participant_id": PARTICIPANT, "time_remaining_ms": 1500, "cycle_count": 3 },
            { "participant_id": "p2", "time_remaining_ms": 9, "cycle_count": 4 },
        ],
        "active_participant_id": PARTICIPANT,
        "total_time_ms": 5,
        "time_per_cycle_ms": 60_000,
        "increment_ms": null,
        "max_time_ms": 7,
        "session_started_at": "2026-01-01T00:00:00.000Z",
        "session_completed_at": null,
        "created_at": "2026-01-01T00:00:00.000Z",
        "updated_at": NOW,
        "own": { "list": [], "big": 9_007_199_254_740_993_u64, "ünï": "\"\\\n😀" },
    })
}

fn with(mut state: Value, changes: Value) -> Value {
    for (key, value) in changes.as_object().unwrap() {
        state[key] = value.clone();
    }
    state
}

fn record(state: Option<&Value>) -> Record {
    of_session(SESSION, state)
}

fn of_session(session_id: &str, state: Option<&Value>) -> Record {
    Record {
        id: new_id(AT),
        session_id: session_id.into(),
        event_type: "session_updated".into(),
        at_ms: AT,
        state: state.map(ToString::to_string),
    }
}

async fn session(database: &Database) -> Value {
    let mut rows = database.rows("SELECT * FROM sync_sessions").await;
    assert_eq!(rows.len(), 1);
    rows.remove(0)
}

async fn event(database: &Database) -> Value {
    let mut rows = database.rows("SELECT * FROM sync_events").await;
    assert_eq!(rows.len(), 1);
    rows.remove(0)
}

async fn count_events(database: &Database) -> i64 {
    database.number("SELECT count(*) FROM sync_events").await
}

/// The tables of `migrate()`.
async fn own() -> (Database, Sink) {
    let database = PostgresServer::shared().database("").await;
    let sink = database.sink();
    sink.migrate().await.unwrap();
    (database, sink)
}

/// The tables of today's services.
async fn deployed() -> (Database, Sink) {
    let database = PostgresServer::shared().database(DEPLOYED).await;
    let sink = database.sink();
    (database, sink)
}

/// Runs a test on both.
async fn on_both(test: impl AsyncFn(Database, Sink)) {
    let (database, sink) = own().await;
    test(database, sink).await;
    let (database, sink) = deployed().await;
    test(database, sink).await;
}

async fn refused(sink: &Sink, record: Record) -> (Whose, String) {
    let fault = sink.store(&[record]).await.unwrap_err();
    (fault.whose, fault.sqlstate.unwrap_or(fault.message))
}

fn is(whose: Whose, sqlstate: &str) -> (Whose, String) {
    (whose, sqlstate.to_owned())
}

#[tokio::test]
async fn a_record_becomes_a_session_and_an_event_on_both_schemas() {
    on_both(async |database, sink| {
        let state = state(4);
        let record = record(Some(&state));
        sink.store(std::slice::from_ref(&record)).await.unwrap();
        assert_eq!(
            session(&database).await,
            json!({
                "session_id": SESSION,
                "sync_mode": "per_participant",
                "time_per_cycle_ms": 60_000,
                "increment_ms": null,
                "max_time_ms": 7,
                "created_at": "2026-01-01T00:00:00+00:00",
                "started_at": "2026-01-01T00:00:00+00:00",
                "completed_at": null,
                "final_status": "running",
                "total_cycles": 7,
                "total_participants": 2,
                "metadata": { "version": 4 },
                "last_updated_at": "2026-01-02T03:04:05.006+00:00",
            })
        );
        assert_eq!(
            event(&database).await,
            json!({
                "id": record.id,
                "session_id": SESSION,
                "event_type": "session_updated",
                "participant_id": PARTICIPANT,
                "group_id": null,
                "time_remaining_ms": 1500,
                "time_elapsed_ms": null,
                "cycle_number": null,
                "timestamp": "2026-01-02T03:04:05.006+00:00",
                "state_snapshot": state,
                "metadata": {},
            })
        );
    })
    .await;
}

#[tokio::test]
async fn a_deletion_is_an_event_alone() {
    on_both(async |database, sink| {
        sink.store(&[record(Some(&state(1))), record(None)]).await.unwrap();
        let query = "SELECT state_snapshot, metadata FROM sync_events WHERE state_snapshot IS NULL";
        let rows = database.rows(query).await;
        assert_eq!(rows, [json!({ "state_snapshot": null, "metadata": {} })]);
        assert_eq!(session(&database).await["metadata"]["version"], 1);
    })
    .await;
}

#[tokio::test]
async fn a_record_is_stored_once_however_often_it_comes() {
    on_both(async |database, sink| {
        let records = [record(Some(&state(1))), record(Some(&state(2)))];
        sink.store(&[records.clone(), records.clone()].concat()).await.unwrap();
        sink.store(&records).await.unwrap();
        let (a, b) = tokio::join!(sink.store(&records), sink.store(&records));
        a.and(b).unwrap();
        assert_eq!(count_events(&database).await, 2);
    })
    .await;
}

#[tokio::test]
async fn a_session_never_goes_back_whatever_the_order() {
    on_both(async |database, sink| {
        let states: Vec<Value> = (1..=3)
            .map(|version| with(state(version), json!({ "max_time_ms": version })))
            .collect();
        for order in [[2, 1, 0], [1, 2, 0]] {
            for state in order.map(|index| &states[index]) {
                sink.store(&[record(Some(state))]).await.unwrap();
            }
            let row = session(&database).await;
            assert_eq!((&row["max_time_ms"], &row["metadata"]["version"]), (&json!(3), &json!(3)));
        }
        database.run("DELETE FROM sync_sessions").await;
        let batch: Vec<Record> = [2, 0, 1].map(|index| record(Some(&states[index]))).into();
        sink.store(&batch).await.unwrap();
        assert_eq!(session(&database).await["max_time_ms"], 3);
        assert_eq!(count_events(&database).await, 9);
    })
    .await;
}

#[tokio::test]
async fn a_session_made_anew_overwrites_and_the_old_life_does_not_come_back() {
    on_both(async |database, sink| {
        let anew = with(state(1), json!({ "created_at": NOW, "session_started_at": null }));
        for state in [state(9), anew, state(10)] {
            sink.store(&[record(Some(&state))]).await.unwrap();
        }
        let row = session(&database).await;
        assert_eq!(row["metadata"]["version"], 1);
        assert_eq!(row["created_at"], "2026-01-02T03:04:05.006+00:00");
    })
    .await;
}

#[tokio::test]
async fn a_started_date_is_never_overwritten_by_null() {
    on_both(async |database, sink| {
        let unstarted = |version| with(state(version), json!({ "session_started_at": null }));
        let finished = with(unstarted(4), json!({ "session_completed_at": NOW }));
        for batch in [vec![unstarted(1)], vec![state(2), unstarted(3)], vec![finished]] {
            let records: Vec<Record> = batch.iter().map(|state| record(Some(state))).collect();
            sink.store(&records).await.unwrap();
        }
        let row = session(&database).await;
        assert_eq!(row["metadata"]["version"], 4);
        assert_eq!(row["started_at"], "2026-01-01T00:00:00+00:00");
        assert_eq!(row["completed_at"], "2026-01-02T03:04:05.006+00:00");
    })
    .await;
}

#[tokio::test]
async fn rows_of_old_instances_have_no_version_and_their_metadata_stays() {
    on_both(async |database, sink| {
        for metadata in ["{\"note\": 1}", "{\"version\": \"x\"}", "[]", "5", "null"] {
            database.run("DELETE FROM sync_sessions").await;
            let insert = format!(
                "INSERT INTO sync_sessions (session_id, sync_mode, created_at, metadata)
                 VALUES ('{SESSION}', 'global', '2026-01-01T00:00:00Z', '{metadata}')"
            );
            database.run(&insert).await;
            sink.store(&[record(Some(&state(2)))]).await.unwrap();
            let row = session(&database).await;
            assert_eq!(row["sync_mode"], "per_participant");
            assert_eq!(row["metadata"]["version"], 2);
            let note = if metadata.contains("note") { json!(1) } else { Value::Null };
            assert_eq!(row["metadata"]["note"], note);
        }
        database.run("UPDATE sync_sessions SET metadata = NULL, last_updated_at = NULL").await;
        sink.store(&[record(Some(&state(3)))]).await.unwrap();
        assert_eq!(session(&database).await["metadata"], json!({ "version": 3 }));
    })
    .await;
}

#[tokio::test]
async fn what_an_optional_column_cannot_hold_goes_to_metadata() {
    let (database, sink) = deployed().await;
    let odd = with(
        state(1),
        json!({
            "active_participant_id": "p2",
            "time_per_cycle_ms": 3_000_000_000_u64,
            "increment_ms": 1.5,
            "max_time_ms": "7",
            "status": "asleep",
            "session_started_at": "yesterday",
            "session_completed_at": { "a": [1] },
            "updated_at": 5,
            "participants": [
                { "participant_id": "p2", "time_remaining_ms": -1e300, "cycle_count": 2_147_483_647 },
                { "participant_id": PARTICIPANT, "cycle_count": 1 },
                { "participant_id": 7, "cycle_count": "many" },
                null,
            ],
        }),
    );
    sink.store(&[record(Some(&odd))]).await.unwrap();
    let row = session(&database).await;
    assert_eq!(
        row["metadata"],
        json!({
            "version": 1,
            "time_per_cycle_ms": 3_000_000_000_u64,
            "increment_ms": 1.5,
            "max_time_ms": "7",
            "final_status": "asleep",
            "started_at": "yesterday",
            "completed_at": { "a": [1] },
            "total_cycles": 2_147_483_648_u64,
            "last_updated_at": 5,
        })
    );
    let empty = ["time_per_cycle_ms", "increment_ms", "final_status", "started_at", "total_cycles"];
    assert!(empty.iter().all(|column| row[*column].is_null()), "{row}");
    assert_eq!(row["total_participants"], 4);
    assert_eq!(row["last_updated_at"], "2026-01-02T03:04:05.006+00:00");
    let row = event(&database).await;
    assert_eq!(row["metadata"]["participant_id"], "p2");
    assert_eq!(row["metadata"]["time_remaining_ms"].as_f64(), Some(-1e300));
    assert_eq!(row["state_snapshot"]["status"], "asleep");

    // What was noted of a state is of no interest once there is a newer one.
    sink.store(&[record(Some(&state(2)))]).await.unwrap();
    assert_eq!(session(&database).await["metadata"], json!({ "version": 2 }));
    let unversioned = with(state(0), json!({ "version": null, "created_at": NOW }));
    sink.store(&[record(Some(&unversioned))]).await.unwrap();
    assert_eq!(session(&database).await["metadata"], json!({}));
}

#[tokio::test]
async fn tables_of_our_own_hold_what_the_deployed_ones_cannot() {
    let (database, sink) = own().await;
    let odd = with(
        state(1),
        json!({ "active_participant_id": "p2", "time_per_cycle_ms": 3_000_000_000_u64, "status": "new", "sync_mode": "own" }),
    );
    sink.store(&[of_session("session-123", Some(&odd))]).await.unwrap();
    let row = session(&database).await;
    assert_eq!(row["session_id"], "session-123");
    assert_eq!(row["time_per_cycle_ms"], 3_000_000_000_u64);
    assert_eq!((&row["final_status"], &row["sync_mode"]), (&json!("new"), &json!("own")));
    assert_eq!(event(&database).await["participant_id"], "p2");
}

#[tokio::test]
async fn any_object_is_a_state() {
    on_both(async |database, sink| {
        // No mode: nothing to make a row of, but an event all the same.
        let bare = json!({ "status": "running" });
        sink.store(&[record(Some(&bare))]).await.unwrap();
        assert_eq!(event(&database).await["state_snapshot"], bare);
        assert_eq!(database.number("SELECT count(*) FROM sync_sessions").await, 0);

        let odd = json!({ "sync_mode": "global", "participants": 5, "version": "x" });
        sink.store(&[record(Some(&odd))]).await.unwrap();
        let row = session(&database).await;
        assert_eq!(row["created_at"], "2026-01-02T03:04:05.006+00:00");
        assert_eq!(row["metadata"], json!({ "created_at": null, "version": "x" }));
        assert_eq!(row["total_participants"], 0);

        // A guessed date of creation gives way to a real one, and never replaces one.
        for state in [state(5), with(odd, json!({ "version": 99 }))] {
            sink.store(&[record(Some(&state))]).await.unwrap();
            let row = session(&database).await;
            assert_eq!(row["created_at"], "2026-01-01T00:00:00+00:00");
            assert_eq!(row["metadata"], json!({ "version": 5 }));
        }
    })
    .await;
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
            assert_eq!(fault.whose, Whose::Record);
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
    assert_eq!(refused(&sink, record(Some(&sideways))).await, is(Whose::Record, "22P02"));
    let strange = of_session("session-123", Some(&state(1)));
    assert_eq!(refused(&sink, strange.clone()).await, is(Whose::Record, "22P02"));
    assert_eq!(refused(&sink, of_session("session-123", None)).await, is(Whose::Record, "22P02"));

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
async fn one_session_under_two_spellings_is_one_row() {
    let (database, sink) = deployed().await;
    let spelled = [SESSION.to_owned(), SESSION.to_uppercase(), format!("{{{SESSION}}}")];
    let records = spelled.each_ref().map(|id| of_session(id, Some(&state(1))));
    sink.store(&records).await.unwrap();
    assert_eq!(session(&database).await["session_id"], SESSION);
    assert_eq!(count_events(&database).await, 3);
}

#[tokio::test]
async fn missing_tables_are_not_the_records_fault() {
    let database = PostgresServer::shared().database("").await;
    let sink = database.sink();
    let fault = sink.store(&[record(Some(&state(1)))]).await.unwrap_err();
    assert!(fault.is_missing_table() && fault.whose == Whose::Postgres, "{fault}");
    assert!(fault.message.contains("migrate()"), "{fault}");
    sink.migrate().await.unwrap();
    sink.store(&[record(Some(&state(1)))]).await.unwrap();

    database.run("DROP TABLE sync_events").await;
    let fault = sink.store(&[record(Some(&state(1)))]).await.unwrap_err();
    assert!(fault.is_missing_table() && fault.whose == Whose::Postgres, "{fault}");
    database.run("ALTER TABLE sync_sessions DROP metadata").await;
    sink.migrate().await.unwrap();
    assert_eq!(refused(&sink, record(None)).await, is(Whose::Unclear, "42703"));
}

#[tokio::test]
async fn refusals_of_the_server_are_the_servers() {
    let (database, _) = own().await;
    let url = |rest: &str| format!("postgres://postgres:secret@127.0.0.1:{rest}");
    let port = database.server.port;
    let fault_of = async |url: &str| -> Fault {
        let sink = Sink::new(&options(url, 2)).unwrap();
        let fault = sink.store(&[record(None)]).await.unwrap_err();
        assert_eq!(fault.whose, Whose::Postgres, "{fault}");
        assert!(!fault.message.contains("secret"), "{fault}");
        fault
    };
    let started = Instant::now();
    assert!(fault_of(&url("1/d")).await.message.contains("refused"));
    assert!(started.elapsed() < Duration::from_secs(2), "the cause is told at once");
    let missing = fault_of(&url(&format!("{port}/nowhere"))).await;
    assert_eq!(missing.sqlstate.as_deref(), Some("3D000"));
    let unknown = fault_of(&url(&format!("{port}/{}?sslmode=require", database.name))).await;
    assert!(unknown.message.contains("certificate"), "{unknown}");

    let alter = format!("ALTER DATABASE {} SET default_transaction_read_only = on", database.name);
    database.run(&alter).await;
    let read_only = fault_of(&url(&format!("{port}/{}", database.name))).await;
    assert_eq!(read_only.sqlstate.as_deref(), Some("25006"));
}

#[tokio::test]
async fn a_socket_of_the_machine_will_do() {
    let (database, _) = own().await;
    let sink = Sink::new(&database.socket_options()).unwrap();
    sink.store(&[record(None)]).await.unwrap();
    assert_eq!(count_events(&database).await, 1);
}

#[tokio::test]
async fn migrating_twice_or_at_once_makes_the_tables_once() {
    let database = PostgresServer::shared().database("").await;
    let sinks: Vec<Sink> = (0..4).map(|_| database.sink()).collect();
    for outcome in futures_util::future::join_all(sinks.iter().map(Sink::migrate)).await {
        outcome.unwrap();
    }
    let before = catalog(&database).await;
    assert_eq!(indexes(&before), 5);
    sinks[0].store(&[record(Some(&state(1)))]).await.unwrap();
    sinks[0].migrate().await.unwrap();
    assert_eq!(catalog(&database).await, before);
    assert_eq!(count_events(&database).await, 1);
}

#[tokio::test]
async fn migrating_changes_nothing_on_the_deployed_tables() {
    let (database, sink) = deployed().await;
    let before = catalog(&database).await;
    sink.migrate().await.unwrap();
    assert_eq!(catalog(&database).await, before);
}

fn indexes(catalog: &[Value]) -> usize {
    let indexes = catalog.iter().filter(|row| row["relkind"] == "i");
    indexes.map(|row| row["oid"].to_string()).collect::<HashSet<_>>().len()
}

/// Every relation, column and type of the public schema, as the catalog has them.
async fn catalog(database: &Database) -> Vec<Value> {
    database
        .rows(
            "SELECT c.oid, c.xmin::text, c.relname, c.relkind, c.relfilenode, a.attname, a.xmin::text AS a,
                    a.atttypid, a.atttypmod, a.attnotnull, pg_get_expr(d.adbin, d.adrelid) AS default
               FROM pg_class c
               LEFT JOIN pg_attribute a ON a.attrelid = c.oid
               LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
              WHERE c.relnamespace = 'public'::regnamespace
              ORDER BY c.oid, a.attnum",
        )
        .await
}

#[tokio::test]
async fn a_store_that_nobody_waits_for_leaves_the_connections_usable() {
    let (database, _) = own().await;
    let sink = Sink::new(&database.options(1)).unwrap();
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
    let sink = Sink::new(&database.options(1)).unwrap();
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
    assert_eq!((fault.whose, fault.sqlstate.as_deref()), (Whose::Postgres, None));
    assert!(fault.message.contains("15 s"), "{fault}");

    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    sink.store(&batch).await.unwrap();
    database.server.resume(&pids);
    sink.store(&batch).await.unwrap();
    assert_eq!(count_events(&database).await, 2);
}

#[tokio::test]
async fn tls_verifies_unless_told() {
    let (database, _) = own().await;
    let ca = std::fs::read_to_string("__test__/harness/tls/cert.pem").unwrap();
    let outcome_of = async |host: &str, ssl: Value| {
        let port = database.server.port;
        let url = format!("postgres://postgres@{host}:{port}/{}", database.name);
        let json = json!({ "url": url, "ssl": ssl });
        let sink = Sink::new(&serde_json::from_value(json).unwrap()).unwrap();
        sink.store(&[record(None)]).await
    };
    outcome_of("localhost", json!({ "mode": "verify", "ca": ca })).await.unwrap();
    outcome_of("127.0.0.1", json!({ "mode": "no-verify" })).await.unwrap();
    let fault = outcome_of("localhost", json!({ "mode": "verify" })).await.unwrap_err();
    assert_eq!(fault.whose, Whose::Postgres);
    assert!(fault.message.contains("certificate"), "{fault}");
    assert_eq!(count_events(&database).await, 2);
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
async fn many_workers_at_once_store_everything_once() {
    on_both(async |database, sink| {
        let sink = Arc::new(sink);
        let ids: Vec<String> = (0..20).map(|n| format!("{}{n:02}", &SESSION[..34])).collect();
        let batch = |seed: u64| -> Vec<Record> {
            let mut random = fastrand::Rng::with_seed(seed);
            (0..100)
                .map(|n| of_session(&ids[random.usize(..ids.len())], Some(&state(n + seed))))
                .collect()
        };
        let batches: Vec<Vec<Record>> = (0..8).map(batch).collect();
        let twice: Vec<_> = (batches.iter().chain(&batches).cloned())
            .map(|batch| {
                let sink = Arc::clone(&sink);
                tokio::spawn(async move { sink.store(&batch).await })
            })
            .collect();
        for stored in twice {
            stored.await.unwrap().unwrap();
        }
        let distinct: HashSet<&str> = batches.iter().flatten().map(|r| r.id.as_str()).collect();
        assert_eq!(count_events(&database).await, distinct.len() as i64);
        assert_eq!(database.number("SELECT count(*) FROM sync_sessions").await, 20);
    })
    .await;
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
    assert_eq!(fault.whose, Whose::Postgres);
    assert!(fault.message.contains("closed"), "{fault}");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(backends(&database).await.len(), 0);
}
