//! Tables whose unique indexes do not tell an event by its id alone.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may.

mod harness;

use harness::records::{count_events, own, record, state};

/// From the table of `migrate()`, renamed to `whole`.
const SHAPES: &[&str] = &[
    "CREATE TABLE sync_events (LIKE whole, PRIMARY KEY (id, timestamp)) PARTITION BY RANGE (timestamp);
     CREATE TABLE rest PARTITION OF sync_events DEFAULT",
    "CREATE TABLE sync_events (LIKE whole)",
    "CREATE TABLE sync_events (LIKE whole);
     ALTER TABLE sync_events ALTER COLUMN timestamp TYPE timestamptz(0)",
    "CREATE TABLE sync_events (LIKE whole, PRIMARY KEY (id) DEFERRABLE)",
];

#[tokio::test]
async fn an_event_is_stored_once_whoever_stores_it_and_how_often() {
    for shape in SHAPES {
        let (database, sink) = own().await;
        database.run("ALTER TABLE sync_events RENAME TO whole").await;
        database.run(shape).await;
        let other = database.sink();
        for round in 1..=10 {
            let batch: Vec<_> = (0..5).map(|version| record(Some(&state(version)))).collect();
            let twice = [&batch[..], &batch[..]].concat();
            let all =
                [sink.store(&batch), sink.store(&twice), other.store(&batch), other.store(&batch)];
            for outcome in futures_util::future::join_all(all).await {
                outcome.unwrap();
            }
            sink.store(&batch).await.unwrap();
            assert_eq!(count_events(&database).await, 5 * round, "{shape}");
        }
    }
}

#[tokio::test]
async fn a_table_that_is_partitioned_meanwhile_is_noticed() {
    let (database, sink) = own().await;
    sink.store(&[record(Some(&state(1)))]).await.unwrap();
    database.run("ALTER TABLE sync_events RENAME TO whole").await;
    database.run(SHAPES[0]).await;
    let batch = [record(Some(&state(2)))];
    sink.store(&batch).await.unwrap();
    sink.store(&batch).await.unwrap();
    assert_eq!(count_events(&database).await, 1);
}
