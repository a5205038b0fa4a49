//! The SQL that stores a batch: one statement for both tables.
//!
//! Every column is one array of text and cast to what it is in the table: so PostgreSQL alone
//! decides about a value, a length included (an explicit cast to `varchar(50)` would cut it off).

use super::schema::{Schema, Table};

/// The statement for these tables. Its parameters: the columns of `sync_sessions`, then those of
/// `sync_events`, each as `text[]`.
pub(super) fn statement(Schema { sessions, events }: &Schema) -> String {
    let names: Vec<&str> = sessions.columns.iter().map(|column| column.name).collect();
    let set: Vec<String> = names.iter().filter_map(|name| set(name, &names)).collect();
    format!(
        "WITH sessions AS (\
           INSERT INTO {sessions_name} AS s {session_values} \
           ON CONFLICT (session_id) DO UPDATE SET {set} WHERE {stored} < {given}) \
         INSERT INTO {events_name} {event_values} ON CONFLICT (id) DO NOTHING",
        sessions_name = sessions.name,
        session_values = values(sessions, 1),
        set = set.join(", "),
        stored = age("s"),
        given = age("excluded"),
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

/// What becomes of a column of a session that is there.
fn set(column: &str, columns: &[&str]) -> Option<String> {
    Some(match column {
        "session_id" => return None,
        "started_at" => "started_at = COALESCE(excluded.started_at, s.started_at)".to_owned(),
        // What others keep there stays; what we noted of an older state does not.
        "metadata" => format!(
            "metadata = CASE WHEN jsonb_typeof(s.metadata) = 'object' \
             THEN s.metadata - '{{version,{ours}}}'::text[] ELSE '{{}}' END || excluded.metadata",
            ours = columns.join(",")
        ),
        _ => format!("{column} = excluded.{column}"),
    })
}

/// How new a row is: `Age` in `row.rs` says the same. `created_at` in the metadata marks a date
/// that was guessed, which is older than any that was told. The later life, then the higher version;
/// then the later date, for states that are queued by hand and have no version of their own.
fn age(row: &str) -> String {
    format!(
        "(CASE WHEN {row}.metadata ? 'created_at' THEN '-infinity' ELSE {row}.created_at END, \
          CASE WHEN jsonb_typeof({row}.metadata -> 'version') = 'number' \
          THEN ({row}.metadata ->> 'version')::numeric ELSE -1 END, \
          COALESCE({row}.last_updated_at, '-infinity'))"
    )
}
