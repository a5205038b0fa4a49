//! What only a SQLite file can do to the records.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may.

mod harness;

use std::time::Duration;

use harness::records::{OTHER, in_sqlite, of_session, record, state};
use harness::sqlite::{SqliteFile, options};
use serde_json::json;
use sqlx::Connection as _;
use synckairos_state::audit::sink::Sink;
use synckairos_state::audit::sink::fault::Cause;
use synckairos_state::operation::record::Record;

async fn events(file: &SqliteFile) -> i64 {
    file.rows("SELECT count(*) AS n FROM sync_events").await[0]["n"].as_i64().unwrap()
}

#[tokio::test]
async fn a_record_that_sqlite_refuses_is_at_fault_and_nothing_of_its_batch_is_stored() {
    let (file, sink) = in_sqlite().await;
    file.run(
        "CREATE TRIGGER no_seven BEFORE INSERT ON sync_sessions WHEN new.max_time_ms = 13
         BEGIN SELECT RAISE(ABORT, 'unlucky'); END",
    )
    .await;
    let long = Record { event_type: "e".repeat(51), ..record(None) };
    let broken = Record { state: Some("{".into()), ..record(None) };
    let unlucky = json!({ "sync_mode": "global", "max_time_ms": 13 });
    for refused in [long, broken, record(Some(&unlucky))] {
        let batch = [of_session(OTHER, Some(&state(1))), refused.clone()];
        for records in [&batch[..], &batch[1..]] {
            let fault = sink.store(records).await.unwrap_err();
            assert_eq!(fault.sqlstate.as_deref(), Some("SQLITE_CONSTRAINT"), "{fault}");
            assert_eq!(fault.cause, Cause::Record);
            assert!(fault.message.contains(file.path.to_str().unwrap()), "{fault}");
        }
    }
    assert_eq!(events(&file).await, 0);
    sink.store(&[of_session(OTHER, Some(&state(1)))]).await.unwrap();
}

#[tokio::test]
async fn tables_that_refuse_every_record_are_at_fault() {
    for change in [
        "CREATE TRIGGER none BEFORE INSERT ON sync_events BEGIN SELECT RAISE(ABORT, 'no'); END",
        "CREATE TRIGGER none BEFORE UPDATE ON sync_sessions BEGIN SELECT RAISE(ABORT, 'no'); END",
        "ALTER TABLE sync_sessions DROP COLUMN max_time_ms",
        "DROP TABLE sync_events",
        "DROP TABLE sync_events; CREATE VIEW sync_events AS SELECT * FROM gone",
    ] {
        let (file, sink) = in_sqlite().await;
        sink.store(&[record(Some(&state(1)))]).await.unwrap();
        file.run(change).await;
        let fault = sink.store(&[record(Some(&state(2)))]).await.unwrap_err();
        assert_eq!(fault.cause, Cause::Tables, "{change}: {fault}");
    }
}

#[tokio::test]
async fn a_file_that_is_deleted_is_made_again_and_nothing_goes_to_the_deleted_one() {
    let (file, sink) = in_sqlite().await;
    sink.store(&[record(Some(&state(1)))]).await.unwrap();
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", file.path.display()));
    }
    let records = [record(Some(&state(2)))];
    let fault = sink.store(&records).await.unwrap_err();
    assert_eq!(fault.cause, Cause::Tables, "{fault}");
    assert!(fault.message.contains("migrate()"), "{fault}");
    sink.migrate().await.unwrap();
    sink.store(&records).await.unwrap();
    assert_eq!(events(&file).await, 1);
}

#[tokio::test]
async fn a_path_that_cannot_be_a_file_is_told_what_a_file_is() {
    let file = SqliteFile::new();
    for path in [file.directory.clone(), file.directory.join("e".repeat(600))] {
        let fault = Sink::new(options(path.to_str())).unwrap().migrate().await.unwrap_err();
        assert_eq!(fault.sqlstate.as_deref(), Some("SQLITE_CANTOPEN"), "{fault}");
        assert!(fault.message.contains("it must be a file"), "{fault}");
    }
}

#[cfg(unix)] // Windows lets nobody delete or empty a file that is open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_was_committed_to_a_file_that_is_gone_is_stored_again() {
    let (file, sink) = in_sqlite().await;
    sink.store(&[record(Some(&state(1)))]).await.unwrap();
    let (held, records) = (file.lock().await, [record(Some(&state(2)))]);
    let storing = sink.store(&records);
    let replacing = async {
        // By now the batch waits for the lock, in the old file.
        tokio::time::sleep(Duration::from_millis(500)).await;
        for end in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{end}", file.path.display()));
        }
        file.sink().migrate().await.unwrap();
        held.close().await.unwrap();
    };
    let (stored, ()) = tokio::join!(storing, replacing);
    stored.unwrap();
    assert_eq!(events(&file).await, 1);
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_stored_after_the_file_was_emptied_survives_a_kill() {
    let (file, sink) = in_sqlite().await;
    sink.store(&[record(Some(&state(1)))]).await.unwrap();
    std::fs::File::create(&file.path).unwrap(); // Empties it.
    sink.store(&[record(Some(&state(2)))]).await.unwrap();
    // The next to open an empty file throws its WAL away.
    assert!(std::fs::metadata(&file.path).unwrap().len() > 0);
    assert_eq!(events(&file).await, 2);
}

#[tokio::test]
async fn names_of_tables_and_columns_may_be_in_any_case() {
    let (file, sink) = in_sqlite().await;
    file.run(
        "ALTER TABLE sync_events RENAME TO old; ALTER TABLE old RENAME TO SYNC_EVENTS;
         ALTER TABLE SYNC_EVENTS RENAME COLUMN id TO ID",
    )
    .await;
    sink.migrate().await.unwrap();
    sink.store(&[record(Some(&state(1)))]).await.unwrap();
    let long = Record { event_type: "e".repeat(51), ..record(None) };
    assert_eq!(sink.store(&[long]).await.unwrap_err().cause, Cause::Record);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sinks_of_several_owners_store_everything_once_and_wait_for_each_other() {
    let (file, first) = in_sqlite().await;
    let sinks = [first, file.sink(), file.sink()];
    let batches: Vec<Vec<Record>> = (0..20)
        .map(|n| (0..50).map(|m| of_session(&format!("s{m}"), Some(&state(n * 50 + m)))).collect())
        .collect();
    let storing = sinks.iter().flat_map(|sink| batches.iter().map(|batch| sink.store(batch)));
    for outcome in futures_util::future::join_all(storing).await {
        outcome.unwrap();
    }
    assert_eq!(events(&file).await, 1000);
    let versions = file.rows("SELECT min(metadata ->> 'version') AS v FROM sync_sessions").await;
    assert_eq!(versions[0]["v"], 950);
}

#[tokio::test]
async fn a_batch_that_nobody_waits_for_any_more_leaves_no_transaction_open() {
    let (file, sink) = in_sqlite().await;
    let batch: Vec<Record> = (0..500).map(|n| record(Some(&state(n)))).collect();
    for micros in [0, 50, 500, 2000, 5000, 10_000] {
        let _ = tokio::time::timeout(Duration::from_micros(micros), sink.store(&batch)).await;
    }
    // Another connection may write at once.
    file.run("UPDATE sync_sessions SET final_status = 'x'").await;
    sink.store(&batch).await.unwrap();
    assert_eq!(events(&file).await, 500);
}

#[tokio::test]
async fn closing_ends_the_connection_and_leaves_one_file() {
    let (file, sink) = in_sqlite().await;
    sink.store(&[record(Some(&state(1)))]).await.unwrap();
    let journal = file.rows("PRAGMA journal_mode").await;
    assert_eq!(journal[0]["journal_mode"], "wal");
    sink.close().await;
    sink.close().await;
    let left: Vec<_> = std::fs::read_dir(&file.directory).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    let fault = sink.store(&[record(None)]).await.unwrap_err();
    assert_eq!(fault.cause, Cause::Database);
    assert!(fault.message.contains("closed"), "{fault}");
}

#[tokio::test]
async fn a_database_in_memory_stays_through_refusals_and_ends_with_its_sink() {
    let sink = Sink::new(options(None)).unwrap();
    assert_eq!(sink.database(), "sqlite::memory:");
    sink.migrate().await.unwrap();
    sink.store(&[record(Some(&state(1)))]).await.unwrap();
    let long = Record { event_type: "e".repeat(51), ..record(None) };
    assert_eq!(sink.store(&[long]).await.unwrap_err().cause, Cause::Record);
    sink.store(&[record(Some(&state(2)))]).await.unwrap();
    let other = Sink::new(options(None)).unwrap();
    assert_eq!(other.store(&[record(None)]).await.unwrap_err().cause, Cause::Tables);
}
