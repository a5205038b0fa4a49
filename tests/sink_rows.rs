//! What a record becomes in the tables.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may.

mod harness;

use std::collections::HashSet;
use std::sync::Arc;

use harness::records::{
    AnyDatabase, NOW, PARTICIPANT, SESSION, deployed, of_session, on_all, on_own, record, state,
    with,
};
use serde_json::{Value, json};
use synckairos_state::operation::record::{Position, Record};

#[tokio::test]
async fn a_record_becomes_a_session_and_an_event_on_both_schemas() {
    on_all(async |database, sink| {
        let state = state(4);
        let record = record(Some(&state));
        sink.store(std::slice::from_ref(&record)).await.unwrap();
        assert_eq!(
            database.session().await,
            json!({
                "session_id": SESSION,
                "sync_mode": "per_participant",
                "time_per_cycle_ms": 60_000,
                "increment_ms": null,
                "max_time_ms": 7,
                "created_at": "2026-01-01T00:00:00.000Z",
                "started_at": "2026-01-01T00:00:00.000Z",
                "completed_at": null,
                "final_status": "running",
                "total_cycles": 7,
                "total_participants": 2,
                "metadata": { "version": 4 },
                "last_updated_at": NOW,
            })
        );
        assert_eq!(
            database.event().await,
            json!({
                "id": record.id,
                "session_id": SESSION,
                "event_type": "session_updated",
                "participant_id": PARTICIPANT,
                "group_id": null,
                "time_remaining_ms": 1500,
                "time_elapsed_ms": null,
                "cycle_number": null,
                "timestamp": NOW,
                "state_snapshot": state,
                "metadata": {},
            })
        );
    })
    .await;
}

#[tokio::test]
async fn a_deletion_is_an_event_alone() {
    on_all(async |database, sink| {
        sink.store(&[record(Some(&state(1))), record(None)]).await.unwrap();
        let query = "SELECT state_snapshot, metadata FROM sync_events WHERE state_snapshot IS NULL";
        let rows = database.rows(query).await;
        assert_eq!(rows, [json!({ "state_snapshot": null, "metadata": {} })]);
        assert_eq!(database.session().await["metadata"]["version"], 1);
    })
    .await;
}

#[tokio::test]
async fn a_record_is_stored_once_however_often_it_comes() {
    on_all(async |database, sink| {
        let records = [record(Some(&state(1))), record(Some(&state(2)))];
        sink.store(&[records.clone(), records.clone()].concat()).await.unwrap();
        sink.store(&records).await.unwrap();
        let (a, b) = tokio::join!(sink.store(&records), sink.store(&records));
        a.and(b).unwrap();
        assert_eq!(database.count_events().await, 2);
    })
    .await;
}

#[tokio::test]
async fn a_session_never_goes_back_whatever_the_order() {
    on_all(async |database, sink| {
        let states: Vec<Value> = (1..=3)
            .map(|version| with(state(version), json!({ "max_time_ms": version })))
            .collect();
        for order in [[2, 1, 0], [1, 2, 0]] {
            for state in order.map(|index| &states[index]) {
                sink.store(&[record(Some(state))]).await.unwrap();
            }
            let row = database.session().await;
            assert_eq!((&row["max_time_ms"], &row["metadata"]["version"]), (&json!(3), &json!(3)));
        }
        database.run("DELETE FROM sync_sessions").await;
        let batch: Vec<Record> = [2, 0, 1].map(|index| record(Some(&states[index]))).into();
        sink.store(&batch).await.unwrap();
        assert_eq!(database.session().await["max_time_ms"], 3);
        assert_eq!(database.count_events().await, 9);
    })
    .await;
}

#[tokio::test]
async fn a_session_made_anew_overwrites_and_the_old_life_does_not_come_back() {
    on_all(async |database, sink| {
        let anew = with(state(1), json!({ "created_at": NOW, "session_started_at": null }));
        for state in [state(9), anew, state(10)] {
            sink.store(&[record(Some(&state))]).await.unwrap();
        }
        let row = database.session().await;
        assert_eq!(row["metadata"]["version"], 1);
        assert_eq!(row["created_at"], NOW);
    })
    .await;
}

#[tokio::test]
async fn a_started_date_is_never_overwritten_by_null() {
    on_all(async |database, sink| {
        let unstarted = |version| with(state(version), json!({ "session_started_at": null }));
        let finished = with(unstarted(4), json!({ "session_completed_at": NOW }));
        for batch in [vec![unstarted(1)], vec![state(2), unstarted(3)], vec![finished]] {
            let records: Vec<Record> = batch.iter().map(|state| record(Some(state))).collect();
            sink.store(&records).await.unwrap();
        }
        let row = database.session().await;
        assert_eq!(row["metadata"]["version"], 4);
        assert_eq!(row["started_at"], "2026-01-01T00:00:00.000Z");
        assert_eq!(row["completed_at"], NOW);
    })
    .await;
}

#[tokio::test]
async fn rows_of_old_instances_have_no_version_and_their_metadata_stays() {
    on_all(async |database, sink| {
        for metadata in ["{\"note\": 1}", "{\"version\": \"x\"}", "[]", "5", "null"] {
            database.run("DELETE FROM sync_sessions").await;
            let insert = format!(
                "INSERT INTO sync_sessions (session_id, sync_mode, created_at, metadata)
                 VALUES ('{SESSION}', 'global', '2026-01-01T00:00:00Z', '{metadata}')"
            );
            database.run(&insert).await;
            sink.store(&[record(Some(&state(2)))]).await.unwrap();
            let row = database.session().await;
            assert_eq!(row["sync_mode"], "per_participant");
            assert_eq!(row["metadata"]["version"], 2);
            let note = if metadata.contains("note") { json!(1) } else { Value::Null };
            assert_eq!(row["metadata"]["note"], note);
        }
        database.run("UPDATE sync_sessions SET metadata = NULL, last_updated_at = NULL").await;
        sink.store(&[record(Some(&state(3)))]).await.unwrap();
        assert_eq!(database.session().await["metadata"], json!({ "version": 3 }));
    })
    .await;
}

#[tokio::test]
async fn what_an_optional_column_cannot_hold_goes_to_metadata() {
    let (database, sink) = deployed().await;
    let database = AnyDatabase::Postgres(database);
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
    let row = database.session().await;
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
    assert_eq!(row["last_updated_at"], NOW);
    let row = database.event().await;
    assert_eq!(row["metadata"]["participant_id"], "p2");
    assert_eq!(row["metadata"]["time_remaining_ms"].as_f64(), Some(-1e300));
    assert_eq!(row["state_snapshot"]["status"], "asleep");

    // What was noted of a state is of no interest once there is a newer one.
    sink.store(&[record(Some(&state(2)))]).await.unwrap();
    assert_eq!(database.session().await["metadata"], json!({ "version": 2 }));
    let unversioned = with(state(0), json!({ "version": null, "created_at": NOW }));
    sink.store(&[record(Some(&unversioned))]).await.unwrap();
    assert_eq!(database.session().await["metadata"], json!({}));
}

#[tokio::test]
async fn tables_of_our_own_hold_what_the_deployed_ones_cannot() {
    on_own(async |database, sink| {
    let odd = with(
        state(1),
        json!({ "active_participant_id": "p2", "time_per_cycle_ms": 3_000_000_000_u64, "status": "new", "sync_mode": "own" }),
    );
    sink.store(&[of_session("session-123", Some(&odd))]).await.unwrap();
    let row = database.session().await;
    assert_eq!(row["session_id"], "session-123");
    assert_eq!(row["time_per_cycle_ms"], 3_000_000_000_u64);
    assert_eq!((&row["final_status"], &row["sync_mode"]), (&json!("new"), &json!("own")));
    assert_eq!(database.event().await["participant_id"], "p2");
    })
    .await;
}

#[tokio::test]
async fn any_object_is_a_state() {
    on_all(async |database, sink| {
        // No mode: nothing to make a row of, but an event all the same.
        let bare = json!({ "status": "running" });
        sink.store(&[record(Some(&bare))]).await.unwrap();
        assert_eq!(database.event().await["state_snapshot"], bare);
        assert_eq!(database.number("SELECT count(*) FROM sync_sessions").await, 0);

        let odd = json!({ "sync_mode": "global", "participants": 5, "version": "x" });
        sink.store(&[record(Some(&odd))]).await.unwrap();
        let row = database.session().await;
        assert_eq!(row["created_at"], NOW);
        assert_eq!(row["metadata"], json!({ "created_at": null, "version": "x" }));
        assert_eq!(row["total_participants"], 0);

        // A guessed date of creation gives way to a real one, and never replaces one.
        for state in [state(5), with(odd, json!({ "version": 99 }))] {
            sink.store(&[record(Some(&state))]).await.unwrap();
            let row = database.session().await;
            assert_eq!(row["created_at"], "2026-01-01T00:00:00.000Z");
            assert_eq!(row["metadata"], json!({ "version": 5 }));
        }
    })
    .await;
}

#[tokio::test]
async fn one_session_under_two_spellings_is_one_row() {
    let (database, sink) = deployed().await;
    let database = AnyDatabase::Postgres(database);
    let spelled = [SESSION.to_owned(), SESSION.to_uppercase(), format!("{{{SESSION}}}")];
    let records = spelled.each_ref().map(|id| of_session(id, Some(&state(1))));
    sink.store(&records).await.unwrap();
    assert_eq!(database.session().await["session_id"], SESSION);
    assert_eq!(database.count_events().await, 3);
}

#[tokio::test]
async fn many_workers_at_once_store_everything_once() {
    on_all(async |database, sink| {
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
        assert_eq!(database.count_events().await, distinct.len() as i64);
        assert_eq!(database.number("SELECT count(*) FROM sync_sessions").await, 20);
    })
    .await;
}

/// An expiry that was queued there.
fn expiry(ms: u64) -> Record {
    let position = Some(Position { ms, number: 0 });
    Record { event_type: "session_expired".into(), position, ..record(None) }
}

/// A write that was queued there.
fn write(ms: u64, state: &Value) -> Record {
    let position = Some(Position { ms, number: 0 });
    Record { position, is_write: true, ..record(Some(state)) }
}

#[tokio::test]
async fn an_expired_session_says_so_until_it_is_made_anew() {
    on_all(async |database, sink| {
        let status = async || database.session().await["final_status"].clone();
        sink.store(&[write(10, &state(1)), expiry(20)]).await.unwrap();
        let row = database.session().await;
        assert_eq!((&row["final_status"], &row["max_time_ms"]), (&json!("expired"), &json!(7)));
        assert_eq!(row["metadata"]["stream_expired"], json!([20, 0]));
        sink.store(&[write(30, &state(1))]).await.unwrap();
        assert_eq!(status().await, "running");
        sink.store(&[expiry(20)]).await.unwrap();
        assert_eq!(status().await, "running");
        sink.store(&[expiry(40), expiry(35)]).await.unwrap();
        assert_eq!(status().await, "expired");
        assert_eq!(database.session().await["metadata"]["stream_expired"], json!([40, 0]));
    })
    .await;
}

#[tokio::test]
async fn a_state_from_before_the_expiry_that_comes_late_leaves_the_session_expired() {
    on_all(async |database, sink| {
        sink.store(&[write(10, &state(1))]).await.unwrap();
        sink.store(&[expiry(30)]).await.unwrap();
        sink.store(&[write(20, &with(state(2), json!({ "max_time_ms": 8 })))]).await.unwrap();
        let row = database.session().await;
        assert_eq!((&row["final_status"], &row["max_time_ms"]), (&json!("expired"), &json!(8)));
    })
    .await;
}

#[tokio::test]
async fn a_session_whose_work_was_done_keeps_its_status_when_it_expires() {
    on_all(async |database, sink| {
        for (at, status) in [(10, "completed"), (30, "cancelled")] {
            let state = with(state(at), json!({ "status": status }));
            sink.store(&[write(at, &state)]).await.unwrap();
            sink.store(&[expiry(at + 10)]).await.unwrap();
            assert_eq!(database.session().await["final_status"], status);
        }
        // Another worker stores what was written before.
        sink.store(&[write(50, &state(50)), expiry(70)]).await.unwrap();
        sink.store(&[write(60, &with(state(60), json!({ "status": "completed" })))]).await.unwrap();
        assert_eq!(database.session().await["final_status"], "completed");
    })
    .await;
}

#[tokio::test]
async fn an_expiry_waits_a_moment_for_the_row_that_another_worker_inserts() {
    on_all(async |database, sink| {
        let (expiry, write) = ([expiry(20)], [write(10, &state(1))]);
        let late = async {
            while database.count_events().await == 0 {
                tokio::task::yield_now().await;
            }
            sink.store(&write).await
        };
        let (expired, written) = tokio::join!(sink.store(&expiry), late);
        expired.and(written).unwrap();
        assert_eq!(database.session().await["final_status"], "expired");
        assert_eq!(database.count_events().await, 2);
    })
    .await;
}

#[tokio::test]
async fn an_expiry_of_a_session_without_a_row_is_an_event_alone() {
    on_all(async |database, sink| {
        sink.store(&[expiry(20)]).await.unwrap();
        assert_eq!(database.count_events().await, 1);
        assert_eq!(database.number("SELECT count(*) FROM sync_sessions").await, 0);
    })
    .await;
}
