//! The Redis stream that queues records, and the format of its entries.

use redis::Value;

use super::record::{Position, Record};
use crate::keys::AuditKeys;

/// A queue's stream and its limit. Everything that appends records shares it.
#[derive(Debug)]
pub struct Stream {
    pub(crate) keys: AuditKeys,
    /// The most records that the stream may hold. `None`: no limit.
    pub(crate) max_backlog: Option<u64>,
}

impl Stream {
    /// The limit in the form that the scripts expect: 0 for none.
    pub(crate) fn limit(&self) -> u64 {
        self.max_backlog.unwrap_or(0)
    }
}

/// Records that a worker has claimed, with the ids of their stream entries. The lists have the same
/// length: PostgreSQL takes the records, Redis the entry ids.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub entry_ids: Vec<String>,
    pub records: Vec<Record>,
    /// The number of the current attempt of each record, from 1.
    pub attempts: Vec<u32>,
}

impl Batch {
    pub fn len(&self) -> usize {
        self.entry_ids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entry_ids.is_empty()
    }

    pub fn push(&mut self, entry_id: String, record: Record, attempt: u32) {
        self.entry_ids.push(entry_id);
        self.records.push(record);
        self.attempts.push(attempt);
    }

    /// Splits the batch in two. The second half comes first, so that the first is on top of a stack.
    pub fn halves(mut self) -> [Self; 2] {
        let half = self.len().div_ceil(2);
        let second = Self {
            entry_ids: self.entry_ids.split_off(half),
            records: self.records.split_off(half),
            attempts: self.attempts.split_off(half),
        };
        [second, self]
    }

    /// Adds the records of another batch.
    pub fn append(&mut self, other: Self) {
        self.entry_ids.extend(other.entry_ids);
        self.records.extend(other.records);
        self.attempts.extend(other.attempts);
    }

    /// The approximate size of the records in memory, in bytes.
    pub fn bytes(&self) -> usize {
        self.records.iter().map(size).sum()
    }

    /// The approximate size of the largest record in memory, in bytes.
    pub fn largest(&self) -> usize {
        self.records.iter().map(size).max().unwrap_or_default()
    }
}

fn size(record: &Record) -> usize {
    record.state.as_ref().map_or(0, String::len) + 256
}

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
    let mut record = Record {
        id: String::new(),
        session_id: String::new(),
        event_type: String::new(),
        at_ms: 0,
        state: None,
        position: None,
        is_write: false,
    };
    let mut fields = fields.into_iter();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        let (name, value) = (text(name)?, text(value)?);
        match name.as_str() {
            "id" => record.id = value,
            "session" => record.session_id = value,
            "event" => record.event_type = value,
            "at" => record.at_ms = value.parse().unwrap_or_default(),
            "state" => record.state = Some(value),
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
