//! The tables in SQLite: what their columns can hold, whether they are there, and how they are made.

use std::collections::HashSet;

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row as _};

use super::super::fault::Fault;
use super::super::table::{Column, EVENTS, Kind, SESSIONS, Table, TableNames, Tables};
use super::statement::run;

/// What creates each table.
const MIGRATIONS: [(&str, &str); 2] = [
    (SESSIONS.table, include_str!("../../../../migrations/sqlite/0001_sync_sessions.sql")),
    (EVENTS.table, include_str!("../../../../migrations/sqlite/0001_sync_events.sql")),
];

/// The columns that are there, as `table.column`. SQLite takes names in any case.
const COLUMNS: &str = "SELECT lower(m.name || '.' || c.name) FROM sqlite_master AS m, \
                       pragma_table_info(m.name) AS c \
                       WHERE lower(m.name) IN ('sync_sessions', 'sync_events')";

/// The tables. SQLite keeps any value in any column, so the tables of others need no other values.
pub(super) fn tables() -> Tables {
    Tables { sessions: table(&SESSIONS), events: table(&EVENTS) }
}

fn table(names: &TableNames) -> Table {
    let column = |name: &&'static str| Column { name, kind: kind(name) };
    Table { name: names.table, columns: names.columns.iter().map(column).collect() }
}

fn kind(column: &str) -> Kind {
    if column.ends_with("_ms") || column.starts_with("total_") {
        return Kind::Integer { min: i64::MIN, max: i64::MAX };
    }
    if column.ends_with("_at") || column == "timestamp" { Kind::Date } else { Kind::Text }
}

/// Creates the missing tables, in a transaction that has begun.
pub(super) async fn create_missing(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    let found = found(connection).await?;
    for (table, migration) in MIGRATIONS {
        if !has_table(&found, table) {
            run(connection, migration).await?;
        }
    }
    Ok(())
}

/// What the tables lack that the sink needs.
pub(super) async fn lack(
    connection: &mut SqliteConnection,
    file: &str,
) -> sqlx::Result<Option<Fault>> {
    let found = found(connection).await?;
    for names in [&SESSIONS, &EVENTS] {
        let table = names.table;
        let lack = |what: String| Ok(Some(Fault::unsuitable_table("SQLITE_ERROR", what)));
        if !has_table(&found, table) {
            return lack(format!(
                "there is no table \"{table}\": call migrate() to create the tables ({file})"
            ));
        }
        let missing = |column: &&&str| !found.contains(&format!("{table}.{column}"));
        if let Some(column) = names.columns.iter().find(missing) {
            return lack(format!("table \"{table}\" has no column \"{column}\" ({file})"));
        }
    }
    Ok(None)
}

pub(super) async fn found(connection: &mut SqliteConnection) -> sqlx::Result<HashSet<String>> {
    let rows = sqlx::raw_sql(AssertSqlSafe(COLUMNS)).fetch_all(connection).await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

pub(super) fn has_table(found: &HashSet<String>, table: &str) -> bool {
    found.iter().any(|column| column.split('.').next() == Some(table))
}
