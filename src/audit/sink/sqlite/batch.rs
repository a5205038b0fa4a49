//! Writes the rows of a batch, in a transaction that has begun.

use std::collections::{HashMap, HashSet};

use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use super::super::row::{Row, Rows};
use super::newest::{Change, Kept, SessionState, newest};
use super::statement::{
    AMEND_SESSION, EXPIRE_SESSION, ROWS, insert_events, query, replace_sessions, select_sessions,
};

/// Inserts the events that are not stored yet, and brings the sessions up to date. Returns the sessions
/// that have expired by these rows, and have none themselves.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    rows: &Rows<'_>,
) -> sqlx::Result<HashSet<String>> {
    for chunk in rows.events.chunks(ROWS) {
        let mut insert = query(insert_events(chunk.len()), chunk.len());
        for value in chunk.iter().flat_map(Row::values) {
            insert = insert.bind(value);
        }
        insert.execute(&mut *connection).await?;
    }

    let given = newest_of_each(&rows.sessions);
    let ids: Vec<&str> = given.keys().copied().collect();
    let mut stored = stored(connection, &ids).await?;
    let mut replaced = Vec::new();
    for (id, (row, state)) in given {
        match state.change(stored.remove(id)) {
            Change::Nothing => {}
            Change::Replace(kept) => replaced.push((row, kept)),
            Change::Amend(kept) => amend(connection, id, kept).await?,
        }
    }
    replace(connection, &replaced).await?;
    expire(connection, rows).await
}

/// Marks the sessions that have expired.
async fn expire(
    connection: &mut SqliteConnection,
    rows: &Rows<'_>,
) -> sqlx::Result<HashSet<String>> {
    let ids: Vec<&str> = rows.expiries.keys().copied().collect();
    let mut stored = stored(connection, &ids).await?;
    let mut rowless = HashSet::new();
    for (id, position) in &rows.expiries {
        let Some(state) = stored.remove(*id) else {
            rowless.insert((*id).to_owned());
            continue;
        };
        if let Some(kept) = state.expire((position.ms, position.number)) {
            let expire = sqlx::query(EXPIRE_SESSION).bind(kept.final_status).bind(kept.metadata);
            expire.bind(*id).execute(&mut *connection).await?;
        }
    }
    Ok(rowless)
}

/// By session the newest row of the batch.
fn newest_of_each<'a>(rows: &'a [Row<'a>]) -> HashMap<&'a str, (&'a Row<'a>, SessionState)> {
    let mut sessions: HashMap<&str, Vec<(&Row<'_>, SessionState)>> = HashMap::new();
    for row in rows {
        let value = |column| row.value_of(column);
        let state = SessionState::of(
            value("created_at"),
            value("last_updated_at"),
            value("started_at"),
            value("metadata"),
            value("final_status"),
        );
        sessions.entry(value("session_id").unwrap_or_default()).or_default().push((row, state));
    }
    sessions.into_iter().filter_map(|(id, states)| Some((id, newest(states)?))).collect()
}

/// What the table has of these sessions.
async fn stored(
    connection: &mut SqliteConnection,
    ids: &[&str],
) -> sqlx::Result<HashMap<String, SessionState>> {
    let mut stored = HashMap::new();
    for chunk in ids.chunks(ROWS) {
        let mut select = query(select_sessions(chunk.len()), chunk.len());
        for id in chunk {
            select = select.bind(*id);
        }
        for row in select.fetch_all(&mut *connection).await? {
            let text = |column: usize| row.try_get::<Option<&str>, _>(column);
            let state = SessionState::of(text(1)?, text(3)?, text(2)?, text(4)?, text(5)?);
            stored.insert(row.try_get(0)?, state);
        }
    }
    Ok(stored)
}

async fn replace(connection: &mut SqliteConnection, rows: &[(&Row<'_>, Kept)]) -> sqlx::Result<()> {
    for chunk in rows.chunks(ROWS) {
        let mut replace = query(replace_sessions(chunk.len()), chunk.len());
        for (row, kept) in chunk {
            for (column, value) in row.columns() {
                replace = replace.bind(match column {
                    "started_at" => kept.started_at.as_deref(),
                    "metadata" => Some(kept.metadata.as_str()),
                    "final_status" => kept.final_status.as_deref().or(value),
                    _ => value,
                });
            }
        }
        replace.execute(&mut *connection).await?;
    }
    Ok(())
}

async fn amend(connection: &mut SqliteConnection, id: &str, kept: Kept) -> sqlx::Result<()> {
    let amend = sqlx::query(AMEND_SESSION).bind(kept.started_at).bind(kept.metadata).bind(id);
    amend.execute(connection).await?;
    Ok(())
}
