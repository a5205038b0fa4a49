//! That a large batch, which is copied into its table, ends as small ones do, which are inserted.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may.

mod harness;

use harness::postgres::{Database, PostgresServer, options};
use harness::records::{OTHER, count_events, deployed, of_session, on_both, record, state, with};
use serde_json::{Value, json};
use synckairos_state::audit::fault::Whose;
use synckairos_state::audit::record::Record;
use synckairos_state::audit::sink::Sink;

/// As many as are copied.
fn many() -> Vec<Record> {
    (1..=200).map(|version| record(Some(&state(version)))).collect()
}

/// Notes how events come into their table.
async fn note_how(database: &Database) {
    database
        .run(
            "CREATE TABLE how (word text);
             CREATE FUNCTION note_how() RETURNS trigger LANGUAGE plpgsql AS $$
               BEGIN INSERT INTO how VALUES (left(current_query(), 4)); RETURN NULL; END $$;
             CREATE TRIGGER note_how AFTER INSERT ON sync_events
               FOR EACH STATEMENT EXECUTE FUNCTION note_how()",
        )
        .await;
}

/// How often so far.
async fn how(database: &Database) -> Vec<(String, i64)> {
    let rows = database.rows("SELECT word, count(*) FROM how GROUP BY word ORDER BY word").await;
    let pair =
        |row: &Value| (row["word"].as_str().unwrap().to_owned(), row["count"].as_i64().unwrap());
    rows.iter().map(pair).collect()
}

fn times(pairs: &[(&str, i64)]) -> Vec<(String, i64)> {
    pairs.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect()
}

#[tokio::test]
async fn what_is_copied_is_what_is_inserted() {
    let strange = ["\\N", "\\.", "a\tb\\\nc\rd\\t", "", "ünï 😀", "\\\\", "\""];
    on_both(async |database, sink| {
        note_how(&database).await;
        let mut records = many();
        for (record, text) in records.iter_mut().zip(strange) {
            record.event_type = text.into();
            let own = with(state(3), json!({ "own": text, "max_time_ms": text }));
            record.state = Some(serde_json::to_string_pretty(&own).unwrap().replace("  ", "\t"));
        }
        records.push(record(None));
        records.push(of_session(OTHER, Some(&state(7))));
        sink.store(&records).await.unwrap();
        let all = async || {
            let mut rows = Vec::new();
            for table in ["sync_events ORDER BY id", "sync_sessions ORDER BY session_id"] {
                rows.extend(database.rows(&format!("SELECT * FROM {table}")).await);
            }
            rows
        };
        let copied = all().await;
        assert_eq!(how(&database).await, times(&[("COPY", 1)]));
        assert_eq!(copied.len(), 204);

        database.run("TRUNCATE sync_events, sync_sessions").await;
        for record in records {
            sink.store(&[record]).await.unwrap();
        }
        assert_eq!(how(&database).await, times(&[("COPY", 1), ("WITH", 202)]));
        assert_eq!(all().await, copied);
    })
    .await;
}

#[tokio::test]
async fn records_that_are_there_are_passed_over() {
    on_both(async |database, sink| {
        note_how(&database).await;
        let records = many();
        sink.store(&records[..1]).await.unwrap();
        sink.store(&records).await.unwrap();
        sink.store(&[records.clone(), records.clone()].concat()).await.unwrap();
        let (a, b) = tokio::join!(sink.store(&records), sink.store(&records));
        a.and(b).unwrap();
        assert_eq!(count_events(&database).await, 200);
        // And new ones are copied as before.
        sink.store(&many()).await.unwrap();
        assert_eq!(how(&database).await, times(&[("COPY", 1), ("WITH", 5)]));
    })
    .await;
}

#[tokio::test]
async fn one_record_that_is_refused_refuses_all() {
    on_both(async |database, sink| {
        let mut records = many();
        records[150].event_type = "e".repeat(51);
        let fault = sink.store(&records).await.unwrap_err();
        assert_eq!((fault.whose, fault.sqlstate.as_deref()), (Whose::Record, Some("22001")));
        assert_eq!(count_events(&database).await, 0);
        records.remove(150);
        // A session at fault, when the events are copied already.
        records[9].state = None;
        records.push(of_session(OTHER, Some(&with(state(1), json!({ "sync_mode": "a\0" })))));
        let fault = sink.store(&records).await.unwrap_err();
        assert_eq!(fault.whose, Whose::Record, "{fault}");
        assert_eq!(count_events(&database).await, 0);
        records.pop();
        sink.store(&records).await.unwrap();
        assert_eq!(count_events(&database).await, 199);
    })
    .await;
}

/// Whatever an insertion can store is stored.
#[tokio::test]
async fn a_table_that_takes_no_copies_gets_insertions() {
    let (view, reference, secured) = (
        "ALTER TABLE sync_events RENAME TO all_events;
         CREATE VIEW sync_events AS SELECT * FROM all_events",
        "ALTER TABLE sync_events ADD FOREIGN KEY (session_id) REFERENCES sync_sessions",
        "CREATE ROLE auditor LOGIN;
         GRANT ALL ON sync_events, sync_sessions TO auditor;
         ALTER TABLE sync_events ENABLE ROW LEVEL SECURITY;
         CREATE POLICY everything ON sync_events FOR ALL TO PUBLIC USING (true)",
    );
    for (change, user) in [(view, "postgres"), (reference, "postgres"), (secured, "auditor")] {
        let (database, _) = deployed().await;
        database.run(change).await;
        let PostgresServer { port, .. } = database.server;
        let url = format!("postgres://{user}@127.0.0.1:{port}/{}", database.name);
        let sink = Sink::new(&options(&url, 2)).unwrap();
        sink.store(&many()).await.unwrap();
        assert_eq!(count_events(&database).await, 200, "{change}");
    }
}

#[tokio::test]
async fn what_takes_no_copies_is_not_asked_each_time() {
    let (database, sink) = deployed().await;
    let reference = "FOREIGN KEY (session_id) REFERENCES sync_sessions";
    database.run(&format!("ALTER TABLE sync_events ADD CONSTRAINT known {reference}")).await;
    sink.store(&many()).await.unwrap();
    note_how(&database).await;
    database.run("ALTER TABLE sync_events DROP CONSTRAINT known").await;
    sink.store(&many()).await.unwrap();
    assert_eq!(how(&database).await, times(&[("WITH", 1)]));
}
