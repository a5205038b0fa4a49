//! The stream of records in Redis, as all who use it see it: what a record looks like there.

use redis::Value;

use super::record::Record;
use crate::keys::AuditKeys;

/// A queue's stream, and how much may wait in it. Shared by all who append.
#[derive(Debug)]
pub struct Stream {
    pub(crate) keys: AuditKeys,
    /// How many records may wait; `None`: any number.
    pub(crate) max_backlog: Option<u64>,
}

impl Stream {
    /// The limit as the scripts take it.
    pub(crate) fn limit(&self) -> u64 {
        self.max_backlog.unwrap_or(0)
    }
}

/// Records on their way from the stream to PostgreSQL: what they are, and where in the stream.
/// Lists of the same length, as PostgreSQL takes the records and Redis the places.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub entry_ids: Vec<String>,
    pub records: Vec<Record>,
    /// Which try this is for each, from 1.
    pub attempts: Vec<u32>,
}

impl Batch {
    pub fn len(&self) -> usize {
        self.entry_ids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entry_ids.is_empty()
    }

    pub fn push(&mut self, place: String, record: Record, attempt: u32) {
        self.entry_ids.push(place);
        self.records.push(record);
        self.attempts.push(attempt);
    }

    /// Two of half the size: the second, then the first, as they go onto a stack.
    pub fn halves(mut self) -> [Self; 2] {
        let half = self.len().div_ceil(2);
        let second = Self {
            entry_ids: self.entry_ids.split_off(half),
            records: self.records.split_off(half),
            attempts: self.attempts.split_off(half),
        };
        [second, self]
    }

    /// How many bytes of memory its documents take.
    pub fn bytes(&self) -> usize {
        self.records.iter().map(|record| record.state.as_ref().map_or(0, String::len) + 256).sum()
    }
}

/// Entries of a stream as Redis answers with them: what each says, with its place.
///
/// An entry that somebody else has deleted comes without fields: it is left out. One that is no
/// record (nobody of ours wrote it) becomes one without a session, whose id is its place: that
/// PostgreSQL stores or refuses.
pub(crate) fn read_entries(value: Value) -> Vec<(String, Record)> {
    let Value::Array(entries) = value else { return Vec::new() };
    entries
        .into_iter()
        .filter_map(|entry| {
            let Value::Array(parts) = entry else { return None };
            let mut parts = parts.into_iter();
            let place = text(parts.next()?)?;
            let mut record = read_record(parts.next()?)?;
            if record.id.is_empty() {
                record.id.clone_from(&place);
            }
            Some((place, record))
        })
        .collect()
}

/// The record in the fields of an entry.
pub(crate) fn read_record(fields: Value) -> Option<Record> {
    let Value::Array(fields) = fields else { return None };
    let mut record = Record {
        id: String::new(),
        session_id: String::new(),
        event_type: String::new(),
        at_ms: 0,
        state: None,
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
