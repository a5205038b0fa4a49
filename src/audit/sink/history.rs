//! What is read of the audit: questions, and the SQL that answers them in either database.
//!
//! Each answer is a list of rows, whose values are texts. The names of the columns are those that
//! `lib/audit/History.js` reads. An answer has a limited size: where there is more to be told, it says
//! so, and the asker goes on after its last row.
//!
//! An event is *of a state* if its snapshot has a version. Callers of `queueWrite` may have queued
//! events of their own with other snapshots. The *newest life* of a session is that of its newest
//! event of a state; its newest state is the one with the highest version, as the clocks of several
//! instances may disagree about which was written last.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How large an answer may be, bytes. One larger row is an answer of its own.
pub(super) const MAX_BYTES: usize = 4 << 20;

/// What is asked, as `lib/audit/History.js` writes it. Dates are texts in ISO 8601, in UTC.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Question {
    /// The events of a session, the newest first: those older than an event, or than a date.
    Events {
        /// Which session.
        session_id: String,
        /// The id of an event.
        before_event: Option<String>,
        /// A date.
        before_date: Option<String>,
        /// How many at most.
        limit: u32,
    },
    /// The newest event of a session before a date. Events with other snapshots do not count.
    StateBefore {
        /// Which session.
        session_id: String,
        /// A date.
        date: String,
    },
    /// The newest event with this version, in the newest life of a session.
    StateOfVersion {
        /// Which session.
        session_id: String,
        /// The version.
        version: u64,
    },
    /// The ids of the sessions with an event since a date, in their order.
    Sessions {
        /// A date.
        since: String,
        /// Only ids after this one.
        after: Option<String>,
        /// How many at most.
        limit: u32,
    },
    /// What is known of each of these sessions, without its state.
    Newest {
        /// Which sessions.
        session_ids: Vec<String>,
    },
    /// The states in these events, in their order.
    States {
        /// The ids of events.
        event_ids: Vec<String>,
        /// The sessions of these events.
        session_ids: Vec<String>,
    },
}

/// Rows of an answer, each an object of texts and nulls.
#[derive(Debug, Default, Serialize)]
pub struct Answer {
    /// The rows.
    pub rows: Vec<Value>,
    /// Whether the answer was cut off, as it became too large.
    pub more: bool,
}

/// A query. Its parameters are texts.
#[derive(Debug)]
pub(super) struct Query {
    pub sql: String,
    pub parameters: Vec<String>,
}

/// How a database says what the two do not say in the same way.
pub(super) struct Dialect {
    /// The types of the columns `session_id`, `id` and `timestamp` of `sync_events`.
    pub session_id: String,
    pub id: String,
    pub timestamp: String,
    /// A column as the type that has the operator `->>`.
    pub json: fn(column: &str) -> String,
    /// Whether a member of a column with JSON is a number.
    pub is_number: fn(column: &str, member: &str) -> String,
    /// A date as milliseconds since the epoch.
    pub milliseconds: fn(column: &str) -> String,
    /// The strings of a parameter that is a JSON array, as `value`, with their places as `n`.
    pub list: fn(parameter: &str) -> String,
    /// That a value is among those of a query.
    pub among: fn(query: &str) -> String,
}

/// The latest first.
const NEWEST: &str = "\"timestamp\" DESC, id DESC";

impl Dialect {
    /// The query that answers a question.
    pub fn query(&self, question: &Question) -> Query {
        match question {
            Question::Events { session_id, before_event, before_date, limit } => {
                self.events(session_id, before_event.as_deref(), before_date.as_deref(), *limit)
            }
            Question::StateBefore { session_id, date } => self.state_before(session_id, date),
            Question::StateOfVersion { session_id, version } => {
                self.state_of_version(session_id, *version)
            }
            Question::Sessions { since, after, limit } => {
                self.sessions(since, after.as_deref(), *limit)
            }
            Question::Newest { session_ids } => self.newest(session_ids),
            Question::States { event_ids, session_ids } => self.states(event_ids, session_ids),
        }
    }

    fn events(
        &self,
        session_id: &str,
        before_event: Option<&str>,
        before_date: Option<&str>,
        limit: u32,
    ) -> Query {
        let Self { session_id: session_type, id: id_type, timestamp, milliseconds, .. } = self;
        let mut conditions = format!("session_id = CAST($1 AS {session_type})");
        let mut parameters = vec![session_id.to_owned()];
        if let Some(id) = before_event {
            // The first comparison is for the index.
            let event = format!(
                "FROM sync_events WHERE session_id = CAST($1 AS {session_type}) \
                 AND id = CAST($2 AS {id_type})"
            );
            conditions.push_str(&format!(
                " AND \"timestamp\" <= (SELECT \"timestamp\" {event}) \
                 AND (\"timestamp\", id) < (SELECT \"timestamp\", id {event})"
            ));
            parameters.push(id.to_owned());
        }
        if let Some(date) = before_date {
            parameters.push(date.to_owned());
            let number = parameters.len();
            conditions.push_str(&format!(" AND \"timestamp\" < CAST(${number} AS {timestamp})"));
        }
        let sql = format!(
            "SELECT CAST(id AS text) AS \"id\", CAST(event_type AS text) AS \"eventType\", \
             CAST({at} AS text) AS \"atMs\", CAST(metadata AS text) AS \"metadata\", \
             CAST(participant_id AS text) AS \"participantId\", \
             CAST(time_remaining_ms AS text) AS \"timeRemainingMs\", \
             CAST(state_snapshot AS text) AS \"state\" \
             FROM sync_events WHERE {conditions} ORDER BY {NEWEST} LIMIT {limit}",
            at = milliseconds("\"timestamp\""),
        );
        Query { sql, parameters }
    }

    fn state_before(&self, session_id: &str, date: &str) -> Query {
        let Self { session_id: session_type, timestamp, .. } = self;
        let sql = format!(
            "SELECT CAST(state_snapshot AS text) AS \"state\" FROM sync_events \
             WHERE session_id = CAST($1 AS {session_type}) \
             AND \"timestamp\" < CAST($2 AS {timestamp}) \
             AND (state_snapshot IS NULL OR {version} IS NOT NULL) ORDER BY {NEWEST} LIMIT 1",
            version = self.version("state_snapshot"),
        );
        Query { sql, parameters: vec![session_id.to_owned(), date.to_owned()] }
    }

    fn state_of_version(&self, session_id: &str, version: u64) -> Query {
        let of_state = format!(
            "FROM sync_events WHERE session_id = CAST($1 AS {session_type}) \
             AND {own_version}",
            session_type = self.session_id,
            own_version = self.version("state_snapshot"),
        );
        let life = self.member("state_snapshot", "created_at");
        let sql = format!(
            "SELECT CAST(state_snapshot AS text) AS \"state\" {of_state} = CAST($2 AS numeric) \
             AND {life} IS NOT DISTINCT FROM \
               (SELECT {life} {of_state} IS NOT NULL ORDER BY {NEWEST} LIMIT 1) \
             ORDER BY {NEWEST} LIMIT 1",
        );
        Query { sql, parameters: vec![session_id.to_owned(), version.to_string()] }
    }

    fn sessions(&self, since: &str, after: Option<&str>, limit: u32) -> Query {
        let Self { session_id: session_type, timestamp, .. } = self;
        let mut parameters = vec![since.to_owned()];
        let mut condition = String::new();
        if let Some(after) = after {
            condition = format!(" AND session_id > CAST($2 AS {session_type})");
            parameters.push(after.to_owned());
        }
        let sql = format!(
            "SELECT CAST(session_id AS text) AS \"sessionId\" FROM sync_events \
             WHERE \"timestamp\" >= CAST($1 AS {timestamp}){condition} \
             GROUP BY session_id ORDER BY session_id LIMIT {limit}",
        );
        Query { sql, parameters }
    }

    fn newest(&self, session_ids: &[String]) -> Query {
        let snapshot = |member: &str| self.member("state_snapshot", member);
        let sql = format!(
            "WITH of_state AS (\
               SELECT session_id, id, \"timestamp\", state_snapshot IS NULL AS is_end, \
                 {version} AS version, {created_at} AS life, {updated_at} AS updated_at, \
                 {status} AS status \
               FROM sync_events WHERE session_id {among}), \
             ranked AS (\
               SELECT *, \
                 first_value(is_end) OVER (PARTITION BY session_id ORDER BY {NEWEST}) AS has_ended, \
                 max(version) OVER (PARTITION BY session_id) AS highest, \
                 first_value(life) OVER (PARTITION BY session_id \
                   ORDER BY version IS NULL, {NEWEST}) AS newest_life \
               FROM of_state), \
             numbered AS (\
               SELECT *, row_number() OVER (PARTITION BY session_id \
                 ORDER BY version IS NULL, life IS DISTINCT FROM newest_life, version DESC, {NEWEST}) \
                 AS number \
               FROM ranked) \
             SELECT CAST(n.session_id AS text) AS \"sessionId\", \
               CASE WHEN n.has_ended THEN 'true' END AS \"hasEnded\", \
               CASE WHEN n.version IS NOT NULL THEN CAST(n.id AS text) END AS \"eventId\", \
               CAST(n.version AS text) AS \"version\", n.life AS \"createdAt\", \
               n.updated_at AS \"updatedAt\", n.status AS \"status\", \
               CAST(n.highest AS text) AS \"highest\", \
               CAST({known} AS text) AS \"known\" \
             FROM numbered AS n LEFT JOIN sync_sessions AS s ON s.session_id = n.session_id \
             WHERE n.number = 1",
            version = self.version("state_snapshot"),
            created_at = snapshot("created_at"),
            updated_at = snapshot("updated_at"),
            status = snapshot("status"),
            among = (self.among)(&format!(
                "SELECT CAST(w.value AS {}) FROM {} AS w",
                self.session_id,
                (self.list)("$1")
            )),
            known = self.version("s.metadata"),
        );
        Query { sql, parameters: vec![list(session_ids)] }
    }

    fn states(&self, event_ids: &[String], session_ids: &[String]) -> Query {
        let Self { session_id: session_type, id: id_type, .. } = self;
        let sql = format!(
            "SELECT CAST(e.id AS text) AS \"id\", CAST(e.state_snapshot AS text) AS \"state\" \
             FROM {events} AS i JOIN {sessions} AS w ON w.n = i.n \
             JOIN sync_events AS e ON e.id = CAST(i.value AS {id_type}) \
               AND e.session_id = CAST(w.value AS {session_type}) ORDER BY i.n",
            events = (self.list)("$1"),
            sessions = (self.list)("$2"),
        );
        Query { sql, parameters: vec![list(event_ids), list(session_ids)] }
    }

    /// The version in a column with JSON; null where it has none.
    fn version(&self, column: &str) -> String {
        let is_number = (self.is_number)(column, "version");
        let version = self.member(column, "version");
        format!("CASE WHEN {is_number} THEN CAST({version} AS numeric) END")
    }

    /// The text of a member of a column with JSON.
    fn member(&self, column: &str, member: &str) -> String {
        format!("CAST({} ->> '{member}' AS text)", (self.json)(column))
    }
}

impl Question {
    /// Removes the ids of sessions and events that a database cannot have, as they do not fit its columns. `None`
    /// where nothing is left to be asked.
    pub(super) fn possible(
        mut self,
        is_session: impl Fn(&str) -> bool,
        is_event: impl Fn(&str) -> bool,
    ) -> Option<Self> {
        let is_possible = match &mut self {
            Self::Events { session_id, before_event, .. } => {
                is_session(session_id) && before_event.as_deref().is_none_or(is_event)
            }
            Self::StateBefore { session_id, .. } | Self::StateOfVersion { session_id, .. } => {
                is_session(session_id)
            }
            Self::Sessions { .. } => true,
            Self::Newest { session_ids } => {
                session_ids.retain(|id| is_session(id));
                true
            }
            Self::States { event_ids, session_ids } => {
                event_ids.iter().all(|id| is_event(id))
                    && session_ids.iter().all(|id| is_session(id))
            }
        };
        is_possible.then_some(self)
    }
}

fn list(texts: &[String]) -> String {
    Value::from(texts).to_string()
}
