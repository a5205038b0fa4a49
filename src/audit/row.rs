//! A record as rows: one for `sync_events`, and one for `sync_sessions` where it has a state.
//!
//! A state is the caller's: any field may be missing or be something else. What an optional
//! column cannot hold goes to the row's `metadata` under the column's name. What a column must
//! hold goes there as it is, for PostgreSQL to refuse.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use chrono::{DateTime, Datelike, Utc};
use serde_json::value::RawValue;

use super::record::Record;
use super::schema::{Kind, Schema, Table, date_of, string_of, timestamp};
use crate::document::Members;

/// The values of a row, in the order of its table's columns.
#[derive(Debug)]
pub(super) struct Row<'a> {
    table: &'a Table,
    values: Vec<Option<Cow<'a, str>>>,
    /// Keys and JSON values.
    metadata: Vec<(&'static str, Cow<'a, str>)>,
}

impl<'a> Row<'a> {
    fn new(table: &'a Table) -> Self {
        Self { table, values: vec![None; table.columns.len()], metadata: Vec::new() }
    }

    /// The value of the column in this place, as text.
    pub fn value(&self, column: usize) -> Option<&str> {
        self.values[column].as_deref()
    }

    fn position(&self, column: &str) -> Option<usize> {
        self.table.columns.iter().position(|known| known.name == column)
    }

    /// Whether the column can hold it or not.
    fn put(&mut self, column: &str, text: impl Into<Cow<'a, str>>) {
        if let Some(position) = self.position(column) {
            self.values[position] = Some(text.into());
        }
    }

    /// A JSON value, in the column if that can hold it. Null is as good as none.
    fn fit(&mut self, column: &'static str, json: Option<&'a str>) {
        let Some(json) = json.filter(|json| *json != "null") else { return };
        let Some(position) = self.position(column) else { return };
        match self.table.columns[position].kind.text_of(json) {
            Some(text) => self.values[position] = Some(text),
            None => self.note(column, json),
        }
    }

    fn fit_number(&mut self, column: &'static str, number: i128) {
        let text = number.to_string();
        match self.position(column).map(|position| &self.table.columns[position].kind) {
            Some(kind) if kind.text_of(&text).is_none() => self.note(column, text),
            _ => self.put(column, text),
        }
    }

    fn note(&mut self, key: &'static str, json: impl Into<Cow<'a, str>>) {
        self.metadata.push((key, json.into()));
    }

    fn with_metadata(mut self) -> Self {
        let members: Vec<String> =
            self.metadata.iter().map(|(key, json)| format!("\"{key}\":{json}")).collect();
        self.put("metadata", format!("{{{}}}", members.join(",")));
        self
    }
}

/// What a record's state says, read one level deep.
struct State<'a> {
    members: Members<'a>,
    participants: Vec<Members<'a>>,
}

impl<'a> State<'a> {
    fn of(record: &'a Record) -> Option<Self> {
        let members = Members::of(record.state.as_deref()?).ok()?;
        let participants = members
            .raw("participants")
            .and_then(|raw| serde_json::from_str::<Vec<&RawValue>>(raw).ok())
            .unwrap_or_default()
            .into_iter()
            // One that is no object counts, though nothing is known of it.
            .map(|raw| Members::of(raw.get()).unwrap_or_default())
            .collect();
        Some(Self { members, participants })
    }

    fn raw(&self, name: &str) -> Option<&'a str> {
        self.members.raw(name).filter(|json| *json != "null")
    }

    fn active_participant(&self) -> Option<&Members<'a>> {
        let active = string_of(self.raw("active_participant_id")?)?;
        self.participants.iter().find(|participant| {
            participant.raw("participant_id").and_then(string_of).as_ref() == Some(&active)
        })
    }

    fn total_cycles(&self) -> i128 {
        let count = |participant: &Members<'a>| participant.raw("cycle_count")?.parse::<i64>().ok();
        self.participants.iter().filter_map(count).map(i128::from).sum()
    }
}

/// The rows of a batch.
#[derive(Default)]
pub(super) struct Rows<'a> {
    /// In the order of the batch.
    pub events: Vec<Row<'a>>,
    sessions: HashMap<String, SessionRow<'a>>,
}

impl<'a> Rows<'a> {
    /// Adds the rows of one record.
    pub fn add(&mut self, record: &'a Record, schema: &'a Schema) {
        let state = State::of(record);
        self.events.push(event(record, state.as_ref(), &schema.events));
        let Some(row) = state.and_then(|state| SessionRow::new(record, &state, &schema.sessions))
        else {
            return;
        };
        // One statement may not change a row twice.
        match self.sessions.entry(session_key(record, &schema.sessions)) {
            Entry::Vacant(entry) => drop(entry.insert(row)),
            Entry::Occupied(mut entry) => entry.get_mut().merge(row),
        }
    }

    /// The newest state of each session, in one order for all workers: they would deadlock
    /// otherwise, each waiting for a row that the other has changed.
    pub fn take_sessions(&mut self) -> Vec<Row<'a>> {
        let mut sessions: Vec<_> = std::mem::take(&mut self.sessions).into_iter().collect();
        sessions.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        sessions.into_iter().map(|(_, session)| session.row.with_metadata()).collect()
    }
}

/// The same for all ways to write one id: PostgreSQL reads a UUID with capitals, braces or
/// without hyphens as the same.
fn session_key(record: &Record, table: &Table) -> String {
    let is_uuid = table.columns.iter().any(|c| c.name == "session_id" && c.kind == Kind::Uuid);
    if !is_uuid {
        return record.session_id.clone();
    }
    let digits = record.session_id.chars().filter(char::is_ascii_hexdigit);
    digits.map(|digit| digit.to_ascii_lowercase()).collect()
}

fn event<'a>(record: &'a Record, state: Option<&State<'a>>, table: &'a Table) -> Row<'a> {
    let mut row = Row::new(table);
    row.put("id", &*record.id);
    row.put("session_id", &*record.session_id);
    row.put("event_type", &*record.event_type);
    row.put("timestamp", queued_at(record));
    if let Some(text) = &record.state {
        row.put("state_snapshot", text.as_str());
    }
    if let Some(state) = state {
        row.fit("participant_id", state.raw("active_participant_id"));
        let remaining = state.active_participant().and_then(|p| p.raw("time_remaining_ms"));
        row.fit("time_remaining_ms", remaining);
    }
    row.with_metadata()
}

fn queued_at(record: &Record) -> String {
    let date = DateTime::from_timestamp_millis(record.at_ms)
        .filter(|date| (-9999..=9999).contains(&date.year()));
    timestamp(date.unwrap_or(DateTime::UNIX_EPOCH))
}

/// Which of two states of a session is newer. `statement.rs` says the same in SQL.
#[derive(Debug, PartialEq, PartialOrd)]
struct Age {
    /// When this life of the session began. A state that does not say is older than any that
    /// does, as nothing tells which life it belongs to.
    created_at: Option<DateTime<Utc>>,
    version: f64,
    updated_at: String,
}

#[derive(Debug)]
struct SessionRow<'a> {
    row: Row<'a>,
    age: Age,
    started_at: Option<Cow<'a, str>>,
}

impl<'a> SessionRow<'a> {
    /// None for a state without a mode, which no row can do without: a part of a state, told by
    /// a caller of `queueWrite`. It is in the event.
    fn new(record: &'a Record, state: &State<'a>, table: &'a Table) -> Option<Self> {
        let mut row = Row::new(table);
        let mode = state.raw("sync_mode")?;
        row.put("sync_mode", string_of(mode).unwrap_or(Cow::Borrowed(mode)));
        row.put("session_id", &*record.session_id);
        row.fit("time_per_cycle_ms", state.raw("time_per_cycle_ms"));
        row.fit("increment_ms", state.raw("increment_ms"));
        row.fit("max_time_ms", state.raw("max_time_ms"));
        row.fit("started_at", state.raw("session_started_at"));
        row.fit("completed_at", state.raw("session_completed_at"));
        row.fit("final_status", state.raw("status"));
        row.fit_number("total_cycles", state.total_cycles());
        row.fit_number("total_participants", state.participants.len() as i128);
        if let Some(version) = state.raw("version") {
            row.note("version", version);
        }

        let created_at = state.raw("created_at").and_then(date_of);
        if created_at.is_none() {
            // Also where it is missing: the row must tell that its date is a guess.
            row.note("created_at", state.raw("created_at").unwrap_or("null"));
        }
        row.put("created_at", created_at.map_or_else(|| queued_at(record), timestamp));

        let updated_at = state.raw("updated_at").and_then(date_of);
        if let (None, Some(unreadable)) = (updated_at, state.raw("updated_at")) {
            row.note("last_updated_at", unreadable);
        }
        let updated_at = updated_at.map_or_else(|| queued_at(record), timestamp);
        row.put("last_updated_at", updated_at.clone());

        let version = state.raw("version").and_then(|raw| raw.parse::<f64>().ok()).unwrap_or(-1.0);
        let started_at = row.position("started_at").and_then(|at| row.values[at].clone());
        Some(Self { row, age: Age { created_at, version, updated_at }, started_at })
    }

    /// The newer of the two stays, as it would in the table.
    fn merge(&mut self, mut other: Self) {
        if self.age.partial_cmp(&other.age) == Some(Ordering::Less) {
            std::mem::swap(self, &mut other);
        }
        if self.started_at.is_none()
            && let Some(started_at) = other.started_at
        {
            self.row.put("started_at", started_at.clone());
            self.started_at = Some(started_at);
        }
    }
}
