//! An entry of a stream: a record, as the store keeps it.

use std::borrow::Cow;
use std::sync::Arc;

use crate::operation::record::{Position, Record};

/// A record, as the store keeps it: its state is shared with the session and the messages.
#[derive(Debug, Clone)]
pub(in crate::memory) struct Entry {
    /// The record's id.
    pub record_id: String,
    /// The session that changed.
    pub session_id: String,
    /// The kind of change.
    pub event_type: Cow<'static, str>,
    /// When the record was queued, in milliseconds since the epoch.
    pub at_ms: i64,
    /// The session's document after the change.
    pub state: Option<Arc<str>>,
    /// Who made the change, and what else its caller tells of it.
    pub metadata: Option<String>,
    /// Where the record was first queued, if it was queued again.
    pub position: Option<Position>,
    /// Whether a write of the session queued it.
    pub is_write: bool,
    /// Its place in the log, if there is one.
    pub logged: Option<usize>,
}

impl Entry {
    /// The record.
    pub fn record(&self) -> Record {
        Record {
            id: self.record_id.clone(),
            session_id: self.session_id.clone(),
            event_type: self.event_type.clone().into_owned(),
            at_ms: self.at_ms,
            state: self.state.as_deref().map(str::to_owned),
            metadata: self.metadata.clone(),
            position: self.position,
            is_write: self.is_write,
        }
    }

    /// The approximate size of the record.
    pub fn bytes(&self) -> usize {
        let state = self.state.as_ref().map_or(0, |state| state.len());
        let metadata = self.metadata.as_ref().map_or(0, String::len);
        state + metadata + self.record_id.len() + self.session_id.len() + self.event_type.len()
    }
}

impl From<Record> for Entry {
    /// A record that is queued for the first time. An empty state is none.
    fn from(record: Record) -> Self {
        let Record { id, session_id, event_type, at_ms, state, metadata, .. } = record;
        Self {
            record_id: id,
            session_id,
            event_type: event_type.into(),
            at_ms,
            state: state.filter(|state| !state.is_empty()).map(Into::into),
            metadata,
            position: None,
            is_write: false,
            logged: None,
        }
    }
}

/// The id of an entry, as workers and readers name it.
pub(super) fn entry_id(Position { ms, number }: Position) -> String {
    format!("{ms}-{number}")
}

/// The position after the last one of a stream. Positions grow even if the clock goes back.
pub(super) fn position_after(last: Position, epoch_ms: u64) -> Position {
    if epoch_ms > last.ms {
        return Position { ms: epoch_ms, number: 0 };
    }
    Position { number: last.number + 1, ..last }
}
