//! Which of two states of a session is newer.
//!
//! These are the rules of `postgres/statement.rs`, where SQL has to decide: there several workers
//! write at a time. In SQLite one transaction writes at a time, and can read a row first. Tests store the
//! same histories through both and compare the rows (`tests/sink_histories.rs`).

use std::cmp::Ordering;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;

use super::super::row::FINISHED;
use super::super::table::{SESSIONS, date_of};

/// The members of the column `metadata`.
type Metadata = BTreeMap<String, Box<RawValue>>;

/// A position in the stream.
pub(super) type Position = (u64, u64);

/// A state of a session, as far as it decides. Of a new record, or of a row in the table.
#[derive(Debug, Default)]
pub(super) struct SessionState {
    created_at: Option<DateTime<Utc>>,
    updated_at: Option<DateTime<Utc>>,
    /// The text of the column.
    started_at: Option<String>,
    /// The text of the column.
    final_status: Option<String>,
    metadata: Metadata,
    /// Where the record with this state was queued.
    position: Option<Position>,
    /// The position of the latest write that is known.
    write: Option<Position>,
    /// The position of the latest expiry that is known.
    expired: Option<Position>,
}

/// What a new state changes in the table.
#[derive(Debug)]
pub(super) enum Change {
    /// Nothing: the row is newer, and knows all that the state knows.
    Nothing,
    /// The whole row, with these values in two of its columns.
    Replace(Kept),
    /// Only these two columns.
    Amend(Kept),
}

/// What a row keeps of an older state.
#[derive(Debug)]
pub(super) struct Kept {
    pub started_at: Option<String>,
    pub metadata: String,
    /// In place of that of the state, which is older than the expiry of its session.
    pub final_status: Option<String>,
}

impl SessionState {
    /// Reads the columns of a row.
    pub fn of(
        created_at: Option<&str>,
        updated_at: Option<&str>,
        started_at: Option<&str>,
        metadata: Option<&str>,
        final_status: Option<&str>,
    ) -> Self {
        let metadata: Metadata =
            metadata.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let position = |key: &str| serde_json::from_str(metadata.get(key)?.get()).ok();
        Self {
            // `created_at` in the metadata marks a start that is a guess, which counts as the oldest.
            created_at: created_at.filter(|_| !metadata.contains_key("created_at")).and_then(date),
            updated_at: updated_at.and_then(date),
            started_at: started_at.map(str::to_owned),
            final_status: final_status.map(str::to_owned),
            position: position("stream_position"),
            write: position("stream_write"),
            expired: position("stream_expired"),
            metadata,
        }
    }

    /// Orders the states of a session by their dates: by the start of the session's life, then by
    /// version, then by date (for states without a version, from `queueWrite`); of equals, by
    /// position.
    fn compare_dates(&self, other: &Self) -> Ordering {
        (self.created_at.cmp(&other.created_at))
            .then_with(|| self.version().compare(&other.version()))
            .then_with(|| self.updated_at.cmp(&other.updated_at))
            .then_with(|| self.position.cmp(&other.position))
    }

    fn version(&self) -> Version {
        self.metadata.get("version").and_then(|raw| Version::of(raw.get())).unwrap_or(Version::NONE)
    }

    /// Whether this state was queued before a write.
    fn is_before(&self, write: Option<Position>) -> bool {
        matches!((self.position, write), (Some(position), Some(write)) if position < write)
    }

    /// Whether this state is newer than a row's.
    fn is_newer_than(&self, row: &Self) -> bool {
        if self.is_before(row.write) {
            return false;
        }
        row.is_before(self.write) || self.compare_dates(row) == Ordering::Greater
    }

    /// What this state changes in the row of its session.
    pub fn change(self, row: Option<Self>) -> Change {
        let Some(row) = row else {
            return Change::Replace(Self { final_status: None, ..self }.into_kept());
        };
        let is_newer = self.is_newer_than(&row);
        let knows_start = row.started_at.is_none() && self.started_at.is_some();
        if !is_newer && !knows_start && self.write <= row.write {
            return Change::Nothing;
        }
        let write = self.write.max(row.write);
        if !is_newer {
            let started_at = row.started_at.or(self.started_at);
            return Change::Amend(Self { started_at, write, ..row }.into_kept());
        }
        let keeps_status = self.is_before(row.expired) && !self.is_finished();
        let final_status = row.final_status.filter(|_| keeps_status);
        // Keeps the keys of other programs; drops those that the sink wrote for an older state.
        let mut metadata = row.metadata;
        metadata.retain(|key, _| !is_ours(key));
        metadata.extend(self.metadata);
        let started_at = self.started_at.or(row.started_at);
        Change::Replace(
            Self { started_at, final_status, write, metadata, ..Self::default() }.into_kept(),
        )
    }

    /// Whether it is that of a session whose work was done.
    fn is_finished(&self) -> bool {
        self.final_status.as_deref().is_some_and(|status| FINISHED.contains(&status))
    }

    /// What a row becomes when its session expires; `None`: nothing, as a later state is stored.
    pub fn expire(mut self, position: Position) -> Option<Kept> {
        if self.write.max(self.position) >= Some(position) {
            return None;
        }
        let (ms, number) = position;
        let raw = RawValue::from_string(format!("[{ms},{number}]")).ok()?;
        self.metadata.insert("stream_expired".to_owned(), raw);
        if !self.is_finished() {
            self.final_status = Some("expired".to_owned());
        }
        Some(self.into_kept())
    }

    fn into_kept(self) -> Kept {
        let Self { started_at, final_status, mut metadata, write, .. } = self;
        if let Some((ms, number)) = write
            && let Ok(raw) = RawValue::from_string(format!("[{ms},{number}]"))
        {
            metadata.insert("stream_write".to_owned(), raw);
        }
        let metadata = serde_json::to_string(&metadata).unwrap_or_default();
        Kept { started_at, metadata, final_status }
    }
}

/// The newest of the states of a session in a batch, with its row. It also takes over what an older
/// state knows: a start, and the latest write.
pub(super) fn newest<R>(mut states: Vec<(R, SessionState)>) -> Option<(R, SessionState)> {
    let write = states.iter().filter_map(|(_, state)| state.write).max();
    let started_at = (states.iter().filter_map(|(_, state)| state.started_at.as_deref()))
        .max_by_key(|text| date(text))
        .map(str::to_owned);
    // Of equals `max_by` takes the last.
    let newest = (0..states.len()).max_by(|a, b| {
        let (a, b) = (&states[*a].1, &states[*b].1);
        (b.is_before(write).cmp(&a.is_before(write))).then_with(|| a.compare_dates(b))
    })?;
    let (row, state) = states.swap_remove(newest);
    let started_at = state.started_at.clone().or(started_at);
    Some((row, SessionState { started_at, write, ..state }))
}

/// Whether the sink itself writes this key of the metadata.
fn is_ours(key: &str) -> bool {
    let is_column = key != "session_id" && SESSIONS.columns.contains(&key);
    is_column || key == "version" || key == "stream_position"
}

/// The date in a column. Other programs may have left out the `T` and the `Z`.
fn date(text: &str) -> Option<DateTime<Utc>> {
    let json = |text: &str| date_of(&format!("\"{text}\""));
    json(text).or_else(|| json(&format!("{text}Z")))
}

/// A version, which may be any number: its value rounded, then the integer that is exact.
struct Version(f64, i128);

impl Version {
    /// Older than any version.
    const NONE: Self = Self(-1.0, -1);

    fn of(json: &str) -> Option<Self> {
        if let Ok(integer) = json.parse::<i128>() {
            return Some(Self(integer as f64, integer));
        }
        let number: f64 = json.parse().ok()?;
        Some(Self(number, number as i128))
    }

    fn compare(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0).then(self.1.cmp(&other.1))
    }
}
