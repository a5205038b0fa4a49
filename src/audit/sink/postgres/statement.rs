//! The SQL statement that stores a batch in both tables.
//!
//! Each parameter is a column as an array of text, which the statement casts to the column's type.
//! The cast has no length: a cast to `varchar(50)` would truncate a value that PostgreSQL must refuse.
//!
//! Which of two states of a session is newer, is decided here alone, for two states of a batch and
//! for a state and the row in the table. Redis appends the record of a write in the script that
//! writes, so the positions of these records in the stream are in the order of the writes. The
//! metadata of a row holds
//!
//! - `stream_position`: where the record with the row's state was queued;
//! - `stream_write`: the position of the latest write that was stored.
//!
//! A state that was queued before the other one's latest write is the older one. The dates order
//! all other states: those that `queueWrite` queued after a write, and those without a position,
//! from older instances. Of equal dates the one queued later is the newer.

use super::super::table::Table;
use super::expiry::is_finished;
use super::schema::{Description, Schema};

/// Builds the statement for a schema. Its parameters are the columns of `sync_sessions`, then those
/// of `sync_events`, each a `text[]`.
pub(super) fn statement(schema: &Schema) -> String {
    let (sessions, events) = (&schema.tables.sessions, &schema.tables.events);
    let names: Vec<&str> = sessions.names().collect();
    let set: Vec<&str> = names.iter().copied().filter(|name| *name != "session_id").collect();
    let new_values: Vec<String> = set.iter().map(|name| new_value(name, &names)).collect();
    // OFFSET 0 keeps PostgreSQL from evaluating the comparison again for each column. The rows are
    // sorted: two workers that change the same rows in different orders would deadlock.
    format!(
        "WITH queued AS ({session_values}), \
         newest AS (SELECT DISTINCT ON (session_id) {newest} FROM \
           (SELECT *, first_value(metadata -> 'stream_write') OVER (PARTITION BY session_id \
              ORDER BY metadata -> 'stream_write' DESC NULLS LAST) AS stream_write FROM queued) AS q \
           ORDER BY session_id, \
             COALESCE(metadata -> 'stream_position' < stream_write, false), {dates} DESC, n DESC), \
         sessions AS (\
           INSERT INTO {sessions_name} AS s ({names}) SELECT {names} FROM newest \
             ORDER BY session_id \
           ON CONFLICT (session_id) DO UPDATE SET ({set}) = \
             (SELECT {new_values} FROM (SELECT {is_newer} AS newer OFFSET 0) AS given) \
           WHERE {is_newer} \
             OR (s.started_at IS NULL AND excluded.started_at IS NOT NULL) \
             OR excluded.metadata -> 'stream_write' > \
                COALESCE(s.metadata -> 'stream_write', '[]')) \
         INSERT INTO {events_name} ({event_names}) {event_values}",
        session_values = values(sessions, &schema.sessions, 1),
        newest = names.iter().map(|name| newest(name)).collect::<Vec<_>>().join(", "),
        dates = dates("q"),
        sessions_name = sessions.name,
        names = names.join(", "),
        set = set.join(", "),
        new_values = new_values.join(", "),
        is_newer = is_newer(),
        events_name = events.name,
        event_names = column_names(events),
        event_values = once(
            events,
            &schema.events.key,
            &values(events, &schema.events, 1 + sessions.columns.len())
        ),
    )
}

/// Skips the events that are stored already. Without a unique index that tells, the transaction holds
/// a lock ([`super::sink`]), so that no other one stores the same event at the same time.
fn once(events: &Table, key: &[&str], values: &str) -> String {
    let names = column_names(events);
    if !key.is_empty() {
        let key = quoted(key);
        return format!("SELECT {names} FROM ({values}) AS e ON CONFLICT ({key}) DO NOTHING");
    }
    // The timestamp of an event never changes: it finds the partition. A column may round it, to
    // seconds (`timestamptz(0)`).
    format!(
        "SELECT DISTINCT ON (e.id) {names} FROM ({values}) AS e \
         WHERE NOT EXISTS (SELECT FROM {events_name} AS stored WHERE stored.id = e.id \
           AND stored.timestamp BETWEEN e.timestamp - interval '1 s' AND e.timestamp + interval '1 s')",
        events_name = events.name,
    )
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
}

/// A query for the rows of a batch, with their number as `n`.
fn values(table: &Table, Description { types, .. }: &Description, first: usize) -> String {
    let casts: Vec<String> = (table.names().zip(types))
        .map(|(name, type_name)| format!("v.\"{name}\"::{type_name} AS \"{name}\""))
        .collect();
    let parameters: Vec<String> =
        (first..first + table.columns.len()).map(|n| format!("${n}::text[]")).collect();
    format!(
        "SELECT {}, v.n FROM UNNEST({}) WITH ORDINALITY AS v ({}, n)",
        casts.join(", "),
        parameters.join(", "),
        column_names(table),
    )
}

fn column_names(table: &Table) -> String {
    quoted(&table.names().collect::<Vec<_>>())
}

/// A column of the newest state of a session in the batch, which also takes over what an older state
/// knows: a start, and the latest write.
fn newest(column: &str) -> String {
    match column {
        "started_at" => {
            "COALESCE(started_at, max(started_at) OVER (PARTITION BY session_id)) AS started_at"
                .to_owned()
        }
        "metadata" => format!("metadata || {} AS metadata", latest_write(&["stream_write"])),
        _ => column.to_owned(),
    }
}

/// The new value of a column of an existing session. An older state changes only `started_at`, and
/// only if the row has none: the start is kept in whatever order the states arrive.
fn new_value(column: &str, columns: &[&str]) -> String {
    match column {
        "started_at" => "CASE WHEN given.newer THEN COALESCE(excluded.started_at, s.started_at) \
                         ELSE COALESCE(s.started_at, excluded.started_at) END"
            .to_owned(),
        // Keeps the keys of other programs; drops those that the sink wrote for an older state.
        "metadata" => format!(
            "CASE WHEN jsonb_typeof(s.metadata) <> 'object' OR s.metadata IS NULL THEN '{{}}' \
             WHEN given.newer THEN s.metadata - '{{version,stream_position,{ours}}}'::text[] \
             ELSE s.metadata END \
             || CASE WHEN given.newer THEN excluded.metadata ELSE '{{}}' END || {latest_write}",
            ours = columns.join(","),
            latest_write = latest_write(&[
                "s.metadata -> 'stream_write'",
                "excluded.metadata -> 'stream_write'"
            ]),
        ),
        // A session that has expired since is expired, unless its work was done before.
        "final_status" => format!(
            "CASE WHEN given.newer AND ({is_finished} OR (excluded.metadata -> 'stream_position' \
               < s.metadata -> 'stream_expired') IS NOT TRUE) \
             THEN excluded.final_status ELSE s.final_status END",
            is_finished = is_finished("excluded"),
        ),
        _ => format!("CASE WHEN given.newer THEN excluded.{column} ELSE s.{column} END"),
    }
}

/// A JSON object with the latest of these positions as `stream_write`; empty where all are null.
fn latest_write(positions: &[&str]) -> String {
    format!(
        "jsonb_strip_nulls(jsonb_build_object('stream_write', GREATEST({})))",
        positions.join(", ")
    )
}

/// Whether the given state is newer than the row's.
fn is_newer() -> String {
    format!(
        "CASE WHEN excluded.metadata -> 'stream_position' < s.metadata -> 'stream_write' \
           THEN false \
         WHEN s.metadata -> 'stream_position' < excluded.metadata -> 'stream_write' THEN true \
         ELSE {} < {} END",
        dates("s"),
        dates("excluded")
    )
}

/// Orders the states of a session by their dates: by the start of the session's life, then by
/// version, then by date (for states without a version, from `queueWrite`); of equals, by position.
/// `created_at` in the metadata marks a start that is a guess, which counts as the oldest.
fn dates(row: &str) -> String {
    format!(
        "(CASE WHEN {row}.metadata ? 'created_at' THEN '-infinity' ELSE {row}.created_at END, \
          CASE WHEN jsonb_typeof({row}.metadata -> 'version') = 'number' \
          THEN ({row}.metadata ->> 'version')::numeric ELSE -1 END, \
          COALESCE({row}.last_updated_at, '-infinity'), \
          COALESCE({row}.metadata -> 'stream_position', '[]'))"
    )
}
