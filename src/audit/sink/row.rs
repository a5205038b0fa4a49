//! Converts a record to rows: one for `sync_events`, and one for `sync_sessions` if it has a state.
//!
//! Any field of a state may be missing or have an unexpected type. A value that does not fit an
//! optional column goes to the row's `metadata`, under the column's name. A required column gets its
//! value unchanged, for the database to refuse.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{DateTime, Datelike};
use serde_json::value::RawValue;

use super::table::{Table, Tables, date_of, string_of, timestamp};
use crate::document::Members;
use crate::operation::record::{EXPIRED, Position, Record};

/// The states of a session whose work is done: it does not become an expired one when its TTL runs out.
pub(super) const FINISHED: [&str; 2] = ["completed", "cancelled"];

/// How many records are parsed before the task yields to others on its thread.
const RECORDS_PER_YIELD: usize = 64;

/// The values of a row, in the order of its table's columns.
#[derive(Debug)]
pub(super) struct Row<'a> {
    table: &'a Table,
    values: Vec<Option<Cow<'a, str>>>,
    /// The members of the column `metadata`: keys and JSON values.
    metadata: Vec<(&'static str, Cow<'a, str>)>,
    /// The members that the caller of the change gave, as JSON text without the braces.
    given: &'a str,
}

impl<'a> Row<'a> {
    fn new(table: &'a Table) -> Self {
        Self { table, values: vec![None; table.columns.len()], metadata: Vec::new(), given: "" }
    }

    /// The value of a column, as text.
    pub fn value(&self, column: usize) -> Option<&str> {
        self.values[column].as_deref()
    }

    /// The values of all columns.
    pub fn values(&self) -> impl Iterator<Item = Option<&str>> {
        self.values.iter().map(Option::as_deref)
    }

    /// The names and values of all columns.
    pub fn columns(&self) -> impl Iterator<Item = (&'static str, Option<&str>)> {
        self.table.names().zip(self.values())
    }

    /// The value of the column with this name.
    pub fn value_of(&self, column: &str) -> Option<&str> {
        self.value(self.position(column)?)
    }

    fn position(&self, column: &str) -> Option<usize> {
        self.table.columns.iter().position(|known| known.name == column)
    }

    /// Sets a column, whether it can hold the value or not.
    fn set(&mut self, column: &str, text: impl Into<Cow<'a, str>>) {
        if let Some(position) = self.position(column) {
            self.values[position] = Some(text.into());
        }
    }

    /// Sets a column to a JSON value if it can hold it; otherwise adds the value to the metadata.
    /// Ignores null.
    fn set_json(&mut self, column: &'static str, json: Option<&'a str>) {
        let Some(json) = json.filter(|json| *json != "null") else { return };
        let Some(position) = self.position(column) else { return };
        match self.table.columns[position].kind.text_of(json) {
            Some(text) => self.values[position] = Some(text),
            None => self.add_metadata(column, json),
        }
    }

    fn set_number(&mut self, column: &'static str, number: i128) {
        let text = number.to_string();
        match self.position(column).map(|position| &self.table.columns[position].kind) {
            Some(kind) if kind.text_of(&text).is_none() => self.add_metadata(column, text),
            _ => self.set(column, text),
        }
    }

    fn add_metadata(&mut self, key: &'static str, json: impl Into<Cow<'a, str>>) {
        self.metadata.push((key, json.into()));
    }

    fn with_metadata(mut self) -> Self {
        let own = self.metadata.iter().map(|(key, json)| format!("\"{key}\":{json}"));
        let given = Some(self.given.to_owned()).filter(|given| !given.trim().is_empty());
        let members: Vec<String> = own.chain(given).collect();
        self.set("metadata", format!("{{{}}}", members.join(",")));
        self
    }
}

/// The state of a record, parsed one level deep.
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
            // A participant that is no object counts, with no members.
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

/// The rows of a batch, in its order.
#[derive(Default)]
pub(super) struct Rows<'a> {
    /// The rows of `sync_events`.
    pub events: Vec<Row<'a>>,
    /// The rows of `sync_sessions`: one for each state, so a session may have several.
    pub sessions: Vec<Row<'a>>,
    /// By session the position of the record that says that it has expired.
    pub expiries: BTreeMap<&'a str, Position>,
}

impl<'a> Rows<'a> {
    /// Converts a batch. Yields to other tasks on the thread now and then.
    pub async fn of(records: &'a [Record], tables: &'a Tables) -> Self {
        let mut rows = Self::default();
        for (index, record) in records.iter().enumerate() {
            if index % RECORDS_PER_YIELD == RECORDS_PER_YIELD - 1 {
                tokio::task::yield_now().await;
            }
            rows.add(record, tables);
        }
        rows
    }

    /// Adds the rows of a record.
    fn add(&mut self, record: &'a Record, tables: &'a Tables) {
        let state = State::of(record);
        if let Some(position) = expiry(record) {
            let latest = self.expiries.entry(&record.session_id).or_default();
            *latest = position.max(*latest);
        }
        self.events.push(event(record, state.as_ref(), &tables.events));
        self.sessions.extend(state.and_then(|state| session(record, &state, &tables.sessions)));
    }
}

/// The position of a record that says that its session has expired.
pub(super) fn expiry(record: &Record) -> Option<Position> {
    let is_expiry = record.event_type == EXPIRED && record.state.is_none();
    record.position.filter(|_| is_expiry)
}

fn event<'a>(record: &'a Record, state: Option<&State<'a>>, table: &'a Table) -> Row<'a> {
    let mut row = Row::new(table);
    row.set("id", &*record.id);
    row.set("session_id", &*record.session_id);
    row.set("event_type", &*record.event_type);
    row.set("timestamp", queued_at(record));
    if let Some(text) = &record.state {
        row.set("state_snapshot", text.as_str());
    }
    let given = record.metadata.as_deref().unwrap_or_default().trim();
    row.given = given.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default();
    if let Some(state) = state {
        row.set_json("participant_id", state.raw("active_participant_id"));
        let remaining = state.active_participant().and_then(|p| p.raw("time_remaining_ms"));
        row.set_json("time_remaining_ms", remaining);
    }
    row.with_metadata()
}

fn queued_at(record: &Record) -> String {
    let date = DateTime::from_timestamp_millis(record.at_ms)
        .filter(|date| (-9999..=9999).contains(&date.year()));
    timestamp(date.unwrap_or(DateTime::UNIX_EPOCH))
}

/// The row of a session. Returns `None` for a state without `sync_mode`, which the table requires: a
/// caller of `queueWrite` passed a part of a state. The event has that part.
fn session<'a>(record: &'a Record, state: &State<'a>, table: &'a Table) -> Option<Row<'a>> {
    let mut row = Row::new(table);
    let mode = state.raw("sync_mode")?;
    row.set("sync_mode", string_of(mode).unwrap_or(Cow::Borrowed(mode)));
    row.set("session_id", &*record.session_id);
    row.set_json("time_per_cycle_ms", state.raw("time_per_cycle_ms"));
    row.set_json("increment_ms", state.raw("increment_ms"));
    row.set_json("max_time_ms", state.raw("max_time_ms"));
    row.set_json("started_at", state.raw("session_started_at"));
    row.set_json("completed_at", state.raw("session_completed_at"));
    row.set_json("final_status", state.raw("status"));
    row.set_number("total_cycles", state.total_cycles());
    row.set_number("total_participants", state.participants.len() as i128);
    if let Some(version) = state.raw("version") {
        row.add_metadata("version", version);
    }
    if let Some(position) = record.position {
        row.add_metadata("stream_position", position.to_string());
        if record.is_write {
            row.add_metadata("stream_write", position.to_string());
        }
    }

    let created_at = state.raw("created_at").and_then(date_of);
    if created_at.is_none() {
        // Added even if it is missing: it marks the date of the row as a guess.
        row.add_metadata("created_at", state.raw("created_at").unwrap_or("null"));
    }
    row.set("created_at", created_at.map_or_else(|| queued_at(record), timestamp));

    let updated_at = state.raw("updated_at").and_then(date_of);
    if let (None, Some(unreadable)) = (updated_at, state.raw("updated_at")) {
        row.add_metadata("last_updated_at", unreadable);
    }
    row.set("last_updated_at", updated_at.map_or_else(|| queued_at(record), timestamp));
    Some(row.with_metadata())
}
