//! Audit records of a session, and what a database has of them.

use serde_json::{Value, json};
use synckairos_state::audit::sink::Sink;
use synckairos_state::operation::record::{Record, new_id};

use super::postgres::{DEPLOYED, Database, PostgresServer};
use super::sqlite::SqliteFile;

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
        metadata: None,
        position: None,
        is_write: false,
    }
}

/// A database of either kind.
pub enum AnyDatabase {
    Postgres(Database),
    Sqlite(SqliteFile),
}

impl AnyDatabase {
    pub async fn run(&self, sql: &str) {
        match self {
            Self::Postgres(database) => database.run(sql).await,
            Self::Sqlite(file) => file.run(sql).await,
        }
    }

    /// The rows of a query, as JSON. Dates have the form of a document's.
    pub async fn rows(&self, query: &str) -> Vec<Value> {
        let mut rows = match self {
            Self::Postgres(database) => database.rows(query).await,
            Self::Sqlite(file) => file.rows(query).await,
        };
        for (column, value) in rows.iter_mut().filter_map(Value::as_object_mut).flatten() {
            let is_date = column.ends_with("_at") || column == "timestamp";
            if let Some(text) = value.as_str().filter(|_| is_date) {
                *value = of_document(text).into();
            }
        }
        rows
    }

    pub async fn number(&self, query: &str) -> i64 {
        self.rows(&format!("SELECT ({query}) AS n")).await[0]["n"].as_i64().unwrap()
    }

    pub async fn session(&self) -> Value {
        self.only("SELECT * FROM sync_sessions").await
    }

    pub async fn event(&self) -> Value {
        self.only("SELECT * FROM sync_events").await
    }

    async fn only(&self, query: &str) -> Value {
        let mut rows = self.rows(query).await;
        assert_eq!(rows.len(), 1);
        rows.remove(0)
    }

    pub async fn count_events(&self) -> i64 {
        self.number("SELECT count(*) FROM sync_events").await
    }
}

/// `2026-01-01T00:00:00.1+00:00` as `2026-01-01T00:00:00.100Z`.
fn of_document(date: &str) -> String {
    let date = date.strip_suffix("+00:00").or_else(|| date.strip_suffix('Z')).unwrap_or(date);
    let (seconds, fraction) = date.split_once('.').unwrap_or((date, ""));
    format!("{seconds}.{fraction:0<3}Z")
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

/// A SQLite file with the tables of `migrate()`.
pub async fn in_sqlite() -> (SqliteFile, Sink) {
    let file = SqliteFile::new();
    let sink = file.sink();
    sink.migrate().await.unwrap();
    (file, sink)
}

/// Runs a test on both schemas of PostgreSQL.
pub async fn on_both(test: impl AsyncFn(Database, Sink)) {
    let (database, sink) = own().await;
    test(database, sink).await;
    let (database, sink) = deployed().await;
    test(database, sink).await;
}

/// Runs a test on both schemas of PostgreSQL, and on SQLite.
pub async fn on_all(test: impl AsyncFn(AnyDatabase, Sink)) {
    on_both(async |database, sink| test(AnyDatabase::Postgres(database), sink).await).await;
    on_own_of_sqlite(test).await;
}

/// Runs a test on the tables of `migrate()`, in PostgreSQL and in SQLite.
pub async fn on_own(test: impl AsyncFn(AnyDatabase, Sink)) {
    let (database, sink) = own().await;
    test(AnyDatabase::Postgres(database), sink).await;
    on_own_of_sqlite(test).await;
}

async fn on_own_of_sqlite(test: impl AsyncFn(AnyDatabase, Sink)) {
    let (file, sink) = in_sqlite().await;
    test(AnyDatabase::Sqlite(file), sink).await;
}
