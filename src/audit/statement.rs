//! The SQL that stores a batch: one statement for both tables.
//!
//! Every column is one array of text and cast to what it is in the table: so PostgreSQL alone
//! decides about a value, a length included (an explicit cast to `varchar(50)` would cut it off).

use super::schema::{Schema, Table};

/// The statement for these tables. Its parameters: the columns of `sync_sessions`, then those of
/// `sync_events`, each as `text[]`.
pub(super) fn statement(Schema { sessions, events }: &Schema) -> String {
    let names: Vec<&str> = sessions.columns.iter().map(|column| column.name).collect();
    let set: Vec<&str> = names.iter().copied().filter(|name| *name != "session_id").collect();
    let becomes: Vec<String> = set.iter().map(|name| becomes(name, &names)).collect();
    // OFFSET 0: or else the comparison would be made anew for each column.
    format!(
        "WITH sessions AS (\
           INSERT INTO {sessions_name} AS s {session_values} \
           ON CONFLICT (session_id) DO UPDATE SET ({set}) = \
             (SELECT {becomes} FROM (SELECT {stored} < {given} AS newer OFFSET 0) AS given) \
           WHERE {stored} < {given} \
             OR (s.started_at IS NULL AND excluded.started_at IS NOT NULL)) \
         INSERT INTO {events_name} {event_values} ON CONFLICT (id) DO NOTHING",
        sessions_name = sessions.name,
        session_values = values(sessions, 1),
        set = set.join(", "),
        becomes = becomes.join(", "),
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

/// What becomes of a column of a session that is there. An older state changes nothing but a start
/// that is not known: in whatever order states come, it is not lost.
fn becomes(column: &str, columns: &[&str]) -> String {
    let newer = match column {
        "started_at" => {
            return "CASE WHEN given.newer THEN COALESCE(excluded.started_at, s.started_at) \
                    ELSE COALESCE(s.started_at, excluded.started_at) END"
                .to_owned();
        }
        // What others keep there stays; what we noted of an older state does not.
        "metadata" => format!(
            "CASE WHEN jsonb_typeof(s.metadata) = 'object' \
             THEN s.metadata - '{{version,{ours}}}'::text[] ELSE '{{}}' END || excluded.metadata",
            ours = columns.join(",")
        ),
        _ => format!("excluded.{column}"),
    };
    format!("CASE WHEN given.newer THEN {newer} ELSE s.{column} END")
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
