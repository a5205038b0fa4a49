//! The SQL statement that stores a batch in both tables.
//!
//! Each parameter is a column as an array of text, which the statement casts to the column's type.
//! The cast has no length: a cast to `varchar(50)` would truncate a value that PostgreSQL must refuse.

use super::schema::{Schema, Table};

/// Builds the statement for a schema. Its parameters are the columns of `sync_sessions`, then those
/// of `sync_events`, each a `text[]`.
pub(super) fn statement(Schema { sessions, events }: &Schema) -> String {
    let names: Vec<&str> = sessions.columns.iter().map(|column| column.name).collect();
    let set: Vec<&str> = names.iter().copied().filter(|name| *name != "session_id").collect();
    let new_values: Vec<String> = set.iter().map(|name| new_value(name, &names)).collect();
    // OFFSET 0 keeps PostgreSQL from evaluating the comparison again for each column.
    format!(
        "WITH sessions AS (\
           INSERT INTO {sessions_name} AS s {session_values} \
           ON CONFLICT (session_id) DO UPDATE SET ({set}) = \
             (SELECT {new_values} FROM (SELECT {stored} < {given} AS newer OFFSET 0) AS given) \
           WHERE {stored} < {given} \
             OR (s.started_at IS NULL AND excluded.started_at IS NOT NULL)) \
         INSERT INTO {events_name} {event_values} ON CONFLICT (id) DO NOTHING",
        sessions_name = sessions.name,
        session_values = values(sessions, 1),
        set = set.join(", "),
        new_values = new_values.join(", "),
        stored = recency("s"),
        given = recency("excluded"),
        events_name = events.name,
        event_values = values(events, 1 + sessions.columns.len()),
    )
}

/// `(names) SELECT casts FROM UNNEST(parameters)`
fn values(table: &Table, first: usize) -> String {
    let columns = || table.columns.iter();
    let names: Vec<String> = columns().map(|c| format!("\"{}\"", c.name)).collect();
    let casts: Vec<String> =
        columns().map(|c| format!("v.\"{}\"::{}", c.name, c.type_name)).collect();
    let parameters: Vec<String> =
        (first..first + table.columns.len()).map(|n| format!("${n}::text[]")).collect();
    let names = names.join(", ");
    format!(
        "({names}) SELECT {} FROM UNNEST({}) AS v ({names})",
        casts.join(", "),
        parameters.join(", ")
    )
}

/// The new value of a column of an existing session. An older state changes only `started_at`, and
/// only if the row has none: the start is kept in whatever order the states arrive.
fn new_value(column: &str, columns: &[&str]) -> String {
    let newer = match column {
        "started_at" => {
            return "CASE WHEN given.newer THEN COALESCE(excluded.started_at, s.started_at) \
                    ELSE COALESCE(s.started_at, excluded.started_at) END"
                .to_owned();
        }
        // Keeps the keys of other programs; drops those that the sink wrote for an older state.
        "metadata" => format!(
            "CASE WHEN jsonb_typeof(s.metadata) = 'object' \
             THEN s.metadata - '{{version,{ours}}}'::text[] ELSE '{{}}' END || excluded.metadata",
            ours = columns.join(",")
        ),
        _ => format!("excluded.{column}"),
    };
    format!("CASE WHEN given.newer THEN {newer} ELSE s.{column} END")
}

/// Orders the states of a session from old to new, as `Recency` in `row.rs` does: by the start of the
/// session's life, then by version, then by date (for states without a version, from `queueWrite`).
/// `created_at` in the metadata marks a start that is a guess, which counts as the oldest.
fn recency(row: &str) -> String {
    format!(
        "(CASE WHEN {row}.metadata ? 'created_at' THEN '-infinity' ELSE {row}.created_at END, \
          CASE WHEN jsonb_typeof({row}.metadata -> 'version') = 'number' \
          THEN ({row}.metadata ->> 'version')::numeric ELSE -1 END, \
          COALESCE({row}.last_updated_at, '-infinity'))"
    )
}
