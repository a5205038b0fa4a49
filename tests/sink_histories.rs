//! PostgreSQL and SQLite decide by the same rules which state of a session is newer: SQL has them for
//! one, Rust for the other. Random histories leave the same sessions in both.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may.

mod harness;

use std::collections::HashSet;

use fastrand::Rng;
use harness::records::{AT, AnyDatabase, in_sqlite, of_session, own, state, with};
use serde_json::{Value, json};
use synckairos_state::operation::record::{EXPIRED, Position, Record};

const HISTORIES: u64 = 100;
const SESSIONS: [&str; 2] = ["a", "b"];

#[tokio::test]
async fn any_history_leaves_the_same_sessions_in_both_databases() {
    let (database, postgres) = own().await;
    let (file, sqlite) = in_sqlite().await;
    let databases = [AnyDatabase::Postgres(database), AnyDatabase::Sqlite(file)];
    for seed in 0..HISTORIES {
        let mut random = Rng::with_seed(seed);
        for database in &databases {
            database.run("DELETE FROM sync_sessions").await;
        }
        if random.bool() {
            let row = row_of_others(&mut random);
            for database in &databases {
                database.run(&row).await;
            }
        }
        for batch in history(&mut random) {
            postgres.store(&batch).await.unwrap();
            sqlite.store(&batch).await.unwrap();
            let [left, right] = [sessions(&databases[0]).await, sessions(&databases[1]).await];
            assert_eq!(left, right, "history {seed}, after {batch:#?}");
        }
    }
}

async fn sessions(database: &AnyDatabase) -> Vec<Value> {
    database.rows("SELECT * FROM sync_sessions ORDER BY session_id").await
}

/// Some records in some order, some of them twice, in batches of any size.
fn history(random: &mut Rng) -> Vec<Vec<Record>> {
    let mut records: Vec<Record> = (0..random.usize(1..10)).map(|_| any_record(random)).collect();
    for _ in 0..random.usize(..3) {
        records.push(records[random.usize(..records.len())].clone());
    }
    random.shuffle(&mut records);
    let mut batches = Vec::new();
    while !records.is_empty() {
        batches.push(records.split_off(records.len() - random.usize(1..=records.len().min(6))));
    }
    // An expiry of a session without a row waits for one.
    let mut known = HashSet::new();
    for batch in &mut batches {
        let states = batch.iter().filter(|record| record.state.is_some());
        known.extend(states.map(|record| record.session_id.clone()));
        batch.retain(|record| known.contains(&record.session_id));
    }
    batches
}

fn any_record(random: &mut Rng) -> Record {
    let session = SESSIONS[random.usize(..SESSIONS.len())];
    let state = with(
        state(0),
        json!({
            "version": one_of(random, &[json!(1), json!(2), json!(3), json!(1.5), json!(null),
                json!(9_007_199_254_740_992_u64), json!(9_007_199_254_740_993_u64), json!("x")]),
            "created_at": one_of(random, &[json!("2026-01-01T00:00:00.000Z"),
                json!("2026-01-01T00:00:00.001Z"), json!("2026-01-01T02:00:00.0000005+02:00"),
                json!("2026-01-01T00:00:00.000001Z"), json!(5), json!(null)]),
            "updated_at": one_of(random, &[json!("2026-01-03T00:00:00.000Z"),
                json!("2026-01-03T00:00:00.001Z"), json!("soon"), json!(null)]),
            "session_started_at": one_of(random, &[json!(null), json!(null),
                json!("2026-01-02T00:00:00.000Z"), json!("2026-01-02T00:00:00.001Z")]),
            "max_time_ms": random.u8(..),
            "status": one_of(random, &[json!("running"), json!("completed"), json!({ "odd": true }), json!(null)]),
        }),
    );
    let position = Position { ms: random.u64(9..12), number: random.u64(..3) };
    if random.u8(..6) == 0 {
        let (event_type, position) = (EXPIRED.to_owned(), Some(position));
        return Record { event_type, position, ..of_session(session, None) };
    }
    let is_queued = random.u8(..4) > 0;
    Record {
        at_ms: AT + random.i64(..3),
        position: is_queued.then_some(position),
        is_write: random.bool(),
        ..of_session(session, Some(&state))
    }
}

/// A row that an old instance or another program has written.
fn row_of_others(random: &mut Rng) -> String {
    let metadata = *one_of_texts(
        random,
        &[
            "NULL",
            "'[]'",
            "'5'",
            "'{\"note\": [1]}'",
            "'{\"version\": 2, \"note\": \"x\"}'",
            "'{\"version\": \"x\"}'",
            "'{\"stream_write\": [10, 1], \"stream_position\": [10, 0]}'",
            "'{\"created_at\": null}'",
        ],
    );
    let started_at = *one_of_texts(random, &["NULL", "'2026-01-02T00:00:00.000Z'"]);
    let updated_at = *one_of_texts(random, &["NULL", "'2026-01-03T00:00:00.000Z'"]);
    format!(
        "INSERT INTO sync_sessions
           (session_id, sync_mode, created_at, started_at, last_updated_at, metadata)
         VALUES ('a', 'global', '2026-01-01T00:00:00.000Z', {started_at}, {updated_at}, {metadata})"
    )
}

fn one_of(random: &mut Rng, values: &[Value]) -> Value {
    values[random.usize(..values.len())].clone()
}

fn one_of_texts<'a>(random: &mut Rng, texts: &'a [&'a str]) -> &'a &'a str {
    &texts[random.usize(..texts.len())]
}
