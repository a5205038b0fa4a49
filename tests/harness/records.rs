//! Audit records of a session, and what a database has of them.

use serde_json::{Value, json};
use synckairos_state::audit::sink::Sink;
use synckairos_state::operation::record::{Record, new_id};

use super::postgres::{DEPLOYED, Database, PostgresServer};

pub const AT: i64 = 1_767_323_045_006;
pub const NOW: &str = "2026-01-02T03:04:05.006Z";
pub const SESSION: &str = "0190163d-8694-739b-aea5-966c26f8ad91";
pub const OTHER: &str = "0190163d-8694-739b-aea5-966c26f8ad92";
pub const PARTICIPANT: &str = "0190163d-8694-739b-aea5-000000000001";

pub fn state(version: u64) -> Value {
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

pub fn with(mut state: Value, changes: Value) -> Value {
    for (key, value) in changes.as_object().unwrap() {
        state[key] = value.clone();
    }
    state
}

pub fn record(state: Option<&Value>) -> Record {
    of_session(SESSION, state)
}

pub fn of_session(session_id: &str, state: Option<&Value>) -> Record {
    Record {
        id: new_id(AT),
        session_id: session_id.into(),
        event_type: "session_updated".into(),
        at_ms: AT,
        state: state.map(ToString::to_string),
        position: None,
        is_write: false,
    }
}

pub async fn session(database: &Database) -> Value {
    let mut rows = database.rows("SELECT * FROM sync_sessions").await;
    assert_eq!(rows.len(), 1);
    rows.remove(0)
}

pub async fn event(database: &Database) -> Value {
    let mut rows = database.rows("SELECT * FROM sync_events").await;
    assert_eq!(rows.len(), 1);
    rows.remove(0)
}

pub async fn count_events(database: &Database) -> i64 {
    database.number("SELECT count(*) FROM sync_events").await
}

/// The tables of `migrate()`.
pub async fn own() -> (Database, Sink) {
    let database = PostgresServer::shared().database("").await;
    let sink = database.sink();
    sink.migrate().await.unwrap();
    (database, sink)
}

/// The tables of today's services.
pub async fn deployed() -> (Database, Sink) {
    let database = PostgresServer::shared().database(DEPLOYED).await;
    let sink = database.sink();
    (database, sink)
}

/// Runs a test on both.
pub async fn on_both(test: impl AsyncFn(Database, Sink)) {
    let (database, sink) = own().await;
    test(database, sink).await;
    let (database, sink) = deployed().await;
    test(database, sink).await;
}
