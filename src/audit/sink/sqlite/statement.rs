//! The SQL of the sink.

use sqlx::AssertSqlSafe;
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection};

use super::super::table::{EVENTS, SESSIONS, TableNames};

/// The most rows of a statement. Statements for so many rows stay prepared.
pub(super) const ROWS: usize = 50;

/// Skips the events that are stored already.
pub(super) fn insert_events(rows: usize) -> String {
    format!("{} ON CONFLICT (id) DO NOTHING", insert(&EVENTS, rows))
}

/// Inserts the sessions, or replaces what the columns of their rows hold.
pub(super) fn replace_sessions(rows: usize) -> String {
    let set: Vec<String> = (SESSIONS.columns.iter())
        .filter(|column| **column != "session_id")
        .map(|column| format!("{column} = excluded.{column}"))
        .collect();
    format!("{} ON CONFLICT (session_id) DO UPDATE SET {}", insert(&SESSIONS, rows), set.join(", "))
}

/// What an older state changes in a row.
pub(super) const AMEND_SESSION: &str =
    "UPDATE sync_sessions SET started_at = ?, metadata = ? WHERE session_id = ?";

/// What the expiry of its session changes in a row.
pub(super) const EXPIRE_SESSION: &str =
    "UPDATE sync_sessions SET final_status = ?, metadata = ? WHERE session_id = ?";

/// What decides whether the state in a row is older than another one.
pub(super) fn select_sessions(rows: usize) -> String {
    format!(
        "SELECT session_id, CAST(created_at AS TEXT), CAST(started_at AS TEXT), \
         CAST(last_updated_at AS TEXT), CAST(metadata AS TEXT), CAST(final_status AS TEXT) \
         FROM sync_sessions WHERE session_id IN ({})",
        list("?", rows)
    )
}

fn insert(names: &TableNames, rows: usize) -> String {
    let row = format!("({})", list("?", names.columns.len()));
    let columns = names.columns.join(", ");
    format!("INSERT INTO {} ({columns}) VALUES {}", names.table, list(&row, rows))
}

fn list(item: &str, count: usize) -> String {
    vec![item; count].join(", ")
}

/// A statement for `rows` rows.
pub(super) fn query(sql: String, rows: usize) -> Query<'static, Sqlite, SqliteArguments> {
    sqlx::query(AssertSqlSafe(sql)).persistent(rows == ROWS)
}

/// Runs SQL without parameters and without preparing it.
pub(super) async fn run(connection: &mut SqliteConnection, sql: &str) -> sqlx::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}
