//! Replies of Redis about records, and the entries of the streams that hold them.

use redis::Value;

use crate::error::{Error, Result};
use crate::operation::record::{Position, Record};

/// Reads stream entries from a reply of Redis: the id of each entry, and its record.
///
/// Skips entries without fields, which have been deleted from the stream. An entry that another
/// program wrote becomes a record without a session, with the entry's id, for PostgreSQL to store or
/// refuse.
pub(crate) fn read_entries(value: Value) -> Vec<(String, Record)> {
    let Value::Array(entries) = value else { return Vec::new() };
    entries
        .into_iter()
        .filter_map(|entry| {
            let Value::Array(parts) = entry else { return None };
            let mut parts = parts.into_iter();
            let entry_id = text(parts.next()?)?;
            let mut record = read_record(parts.next()?)?;
            if record.id.is_empty() {
                record.id.clone_from(&entry_id);
            }
            record.position = record.position.or_else(|| Position::parse(&entry_id));
            Some((entry_id, record))
        })
        .collect()
}

/// Reads a record from the fields of an entry.
pub(crate) fn read_record(fields: Value) -> Option<Record> {
    let Value::Array(fields) = fields else { return None };
    let mut record = Record::default();
    let mut fields = fields.into_iter();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        let (name, value) = (text(name)?, text(value)?);
        match name.as_str() {
            "id" => record.id = value,
            "session" => record.session_id = value,
            "event" => record.event_type = value,
            "at" => record.at_ms = value.parse().unwrap_or_default(),
            "state" => record.state = Some(value),
            "metadata" => record.metadata = Some(value),
            "position" => record.position = Position::parse(&value),
            "write" => record.is_write = true,
            _ => {}
        }
    }
    Some(record)
}

pub(crate) fn text(value: Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(
            String::from_utf8(bytes)
                .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
        ),
        Value::SimpleString(text) => Some(text),
        Value::Okay => Some("OK".into()),
        Value::Int(int) => Some(int.to_string()),
        _ => None,
    }
}

pub(crate) fn int(value: &Value) -> u64 {
    if let Value::Int(int) = value { u64::try_from(*int).unwrap_or_default() } else { 0 }
}

/// The values of a list.
pub(super) fn list(value: Value) -> Result<Vec<Value>> {
    if let Value::Array(values) = value { Ok(values) } else { Err(unexpected()) }
}

/// The error of a script whose answer cannot be read.
pub(super) fn unexpected() -> Error {
    Error::unknown("Redis answered an audit script with something else")
}
