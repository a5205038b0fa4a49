//! The SQL statement that marks sessions as expired, after the states of their batch were stored.
//!
//! An expiry has a position in the stream, as the writes have (`statement.rs`). It counts unless
//! a later state was stored; one that is stored afterwards, but was queued before, leaves the mark in
//! place: the metadata of the row holds the position of the expiry, `stream_expired`.

use super::super::row::FINISHED;
use super::super::table::Kind;
use super::schema::Schema;

/// Builds the statement for a schema. Its parameters are the ids of sessions and the positions of their
/// expiries, each a `text[]`; it returns the ids that have no row. `None` where the column cannot hold
/// that a session has expired.
pub(super) fn statement(schema: &Schema) -> Option<String> {
    let sessions = &schema.tables.sessions;
    if let Some(Kind::Enum(labels)) = sessions.kind("final_status")
        && !labels.iter().any(|label| label == "expired")
    {
        return None;
    }
    let column = sessions.names().position(|name| name == "session_id")?;
    // Locks the rows in the order in which other batches do: two would deadlock.
    Some(format!(
        "WITH given AS (\
           SELECT v.id::{id_type} AS session_id, v.id, v.position::jsonb AS position \
             FROM UNNEST($1::text[], $2::text[]) AS v (id, position)), \
         locked AS (\
           SELECT s.session_id FROM {sessions_name} AS s JOIN given USING (session_id) \
             ORDER BY s.session_id FOR UPDATE OF s), \
         marked AS (\
           UPDATE {sessions_name} AS s SET \
             final_status = CASE WHEN {is_finished} THEN s.final_status ELSE 'expired' END, \
             metadata = CASE WHEN jsonb_typeof(s.metadata) = 'object' THEN s.metadata ELSE '{{}}' END \
               || jsonb_build_object('stream_expired', given.position) \
           FROM given JOIN locked USING (session_id) \
           WHERE s.session_id = given.session_id AND given.position > COALESCE(\
             GREATEST(s.metadata -> 'stream_write', s.metadata -> 'stream_position'), '[]')) \
         SELECT given.id FROM given WHERE NOT EXISTS (\
           SELECT FROM {sessions_name} AS s WHERE s.session_id = given.session_id)",
        id_type = schema.sessions.types.get(column)?,
        sessions_name = sessions.name,
        is_finished = is_finished("s"),
    ))
}

/// Whether the state in a row is that of a session whose work was done: it does not become an expired one.
pub(super) fn is_finished(row: &str) -> String {
    format!("{row}.final_status::text IN ('{}')", FINISHED.join("', '"))
}
