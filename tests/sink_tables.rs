//! What `migrate()` makes of a database.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may.

mod harness;

use std::collections::HashSet;

use harness::postgres::{Database, PostgresServer};
use harness::records::{count_events, deployed, record, state};
use serde_json::Value;
use synckairos_state::audit::sink::Sink;

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
