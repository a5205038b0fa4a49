//! The types of the columns in PostgreSQL.
//!
//! The tables that `migrate()` creates and those of services in production differ only in types
//! (ids as `text` or `uuid`, milliseconds as `bigint` or `int`, modes as `text` or enums). The sink
//! reads the types, and serves both.

use std::borrow::Cow;

use chrono::{DateTime, Datelike, TimeDelta, Timelike, Utc};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row as _};

use super::super::fault::Fault;

/// The columns of `sync_sessions` that the sink writes, and those that identify a row.
const SESSIONS: Wanted = Wanted {
    table: "sync_sessions",
    identity: &["session_id"],
    columns: &[
        "session_id",
        "sync_mode",
        "time_per_cycle_ms",
        "increment_ms",
        "max_time_ms",
        "created_at",
        "started_at",
        "completed_at",
        "final_status",
        "total_cycles",
        "total_participants",
        "metadata",
        "last_updated_at",
    ],
};

/// The columns of `sync_events` that the sink writes, and those that are the same whenever it stores
/// a record. A partitioned table has the partition's column in each unique index.
const EVENTS: Wanted = Wanted {
    table: "sync_events",
    identity: &["id", "session_id", "event_type", "timestamp"],
    columns: &[
        "id",
        "session_id",
        "event_type",
        "participant_id",
        "time_remaining_ms",
        "timestamp",
        "state_snapshot",
        "metadata",
    ],
};

struct Wanted {
    table: &'static str,
    /// The first column identifies a row; a unique index may have the others, too.
    identity: &'static [&'static str],
    columns: &'static [&'static str],
}

/// The columns of both tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::audit::sink) struct Schema {
    pub sessions: Table,
    pub events: Table,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::audit::sink) struct Table {
    pub name: &'static str,
    pub columns: Vec<Column>,
    /// The columns of the unique index that keeps a row from being stored twice. Empty without one.
    pub key: Vec<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::audit::sink) struct Column {
    pub name: &'static str,
    /// The type's name in SQL, quoted where necessary, without a length.
    pub type_name: String,
    pub kind: Kind,
}

/// The values that a column can hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::audit::sink) enum Kind {
    Text,
    Integer { min: i64, max: i64 },
    Uuid,
    Date,
    Enum(Vec<String>),
    Other,
}

/// A unique index counts if `ON CONFLICT` can use it: without an expression or a predicate, and not
/// deferrable.
const QUERY: &str = "
    SELECT t.name AS table_name, a.attname::text AS column_name,
           format_type(a.atttypid, NULL) AS type_name, y.typname::text AS type_key,
           (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder)::text
              FROM pg_catalog.pg_enum e WHERE e.enumtypid = a.atttypid) AS labels,
           k.keys
      FROM (VALUES ('sync_sessions'), ('sync_events')) AS t (name)
     CROSS JOIN LATERAL (
           SELECT json_agg((
                    SELECT json_agg(c.attname) FROM pg_catalog.pg_attribute c
                     WHERE c.attrelid = i.indrelid
                       AND c.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])))::text AS keys
             FROM pg_catalog.pg_index i
            WHERE i.indrelid = to_regclass(t.name) AND i.indisunique AND i.indimmediate
              AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL) AS k
      JOIN pg_catalog.pg_attribute a ON a.attrelid = to_regclass(t.name)
      JOIN pg_catalog.pg_type y ON y.oid = a.atttypid
     WHERE a.attnum > 0 AND NOT a.attisdropped";

impl Schema {
    /// Reads the schema from PostgreSQL's catalog, in one round trip. `begin` begins a transaction.
    pub async fn read(connection: &mut PgConnection, begin: &str) -> Result<Self, Fault> {
        let query = AssertSqlSafe(format!("{begin}; {QUERY}; COMMIT"));
        let rows = sqlx::raw_sql(query).fetch_all(connection).await?;
        let found = rows.iter().map(CatalogColumn::of).collect::<sqlx::Result<Vec<_>>>()?;
        let schema =
            Self { sessions: Table::of(&SESSIONS, &found)?, events: Table::of(&EVENTS, &found)? };
        if schema.sessions.key.is_empty() {
            return Err(Fault::unsuitable_table(
                "42P10",
                format!(
                    "table \"{0}\" has no unique index on {1}: CREATE UNIQUE INDEX ON {0} ({1})",
                    SESSIONS.table, "session_id"
                ),
            ));
        }
        Ok(schema)
    }
}

/// A column as the catalog describes it.
struct CatalogColumn {
    table: String,
    column: String,
    type_name: String,
    type_key: String,
    labels: Option<String>,
    /// The columns of each unique index of the table, as JSON.
    keys: Option<String>,
}

impl CatalogColumn {
    fn of(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            table: row.try_get(0)?,
            column: row.try_get(1)?,
            type_name: row.try_get(2)?,
            type_key: row.try_get(3)?,
            labels: row.try_get(4)?,
            keys: row.try_get(5)?,
        })
    }

    fn kind(&self) -> Kind {
        if let Some(labels) = &self.labels {
            return Kind::Enum(serde_json::from_str(labels).unwrap_or_default());
        }
        match self.type_key.as_str() {
            "text" | "varchar" | "bpchar" => Kind::Text,
            "int2" => Kind::Integer { min: i16::MIN.into(), max: i16::MAX.into() },
            "int4" => Kind::Integer { min: i32::MIN.into(), max: i32::MAX.into() },
            "int8" => Kind::Integer { min: i64::MIN, max: i64::MAX },
            "uuid" => Kind::Uuid,
            "timestamptz" | "timestamp" => Kind::Date,
            _ => Kind::Other,
        }
    }
}

impl Table {
    fn of(wanted: &Wanted, found: &[CatalogColumn]) -> Result<Self, Fault> {
        let name = wanted.table;
        let of_table: Vec<&CatalogColumn> =
            found.iter().filter(|found| found.table == name).collect();
        let Some(first) = of_table.first() else { return Err(Fault::missing_table(name)) };
        let column = |column: &&'static str| {
            let found = of_table.iter().find(|found| found.column == **column);
            let found = found.ok_or_else(|| {
                let message = format!("table \"{name}\" has no column \"{column}\"");
                Fault::unsuitable_table("42703", message)
            })?;
            Ok(Column { name: column, type_name: found.type_name.clone(), kind: found.kind() })
        };
        let columns = wanted.columns.iter().map(column).collect::<Result<_, Fault>>()?;
        let key = key(wanted.identity, first.keys.as_deref());
        Ok(Self { name, columns, key })
    }

    /// What a column can hold.
    pub fn kind(&self, column: &str) -> Option<&Kind> {
        self.columns.iter().find(|known| known.name == column).map(|known| &known.kind)
    }
}

/// The shortest unique index that identifies a row by these columns.
fn key(identity: &[&'static str], keys: Option<&str>) -> Vec<&'static str> {
    let keys: Vec<Vec<String>> = serde_json::from_str(keys.unwrap_or("[]")).unwrap_or_default();
    let known = |name: &String| identity.iter().copied().find(|column| column == name);
    let keys = keys.iter().filter_map(|key| key.iter().map(known).collect::<Option<Vec<_>>>());
    let identifying = keys.filter(|key| identity.first().is_some_and(|first| key.contains(first)));
    identifying.min_by_key(Vec::len).unwrap_or_default()
}

impl Kind {
    /// The text form of a JSON value for PostgreSQL, if a column of this kind can hold the value.
    pub fn text_of<'a>(&self, json: &'a str) -> Option<Cow<'a, str>> {
        match self {
            Self::Text => string_of(json),
            Self::Integer { min, max } => {
                let number = json.parse::<i64>().ok()?;
                (*min..=*max).contains(&number).then_some(Cow::Borrowed(json))
            }
            Self::Uuid => string_of(json).filter(|text| is_uuid(text)),
            Self::Date => date_of(json).map(|date| Cow::Owned(timestamp(date))),
            Self::Enum(labels) => string_of(json).filter(|text| labels.iter().any(|l| l == text)),
            Self::Other => string_of(json).or(Some(Cow::Borrowed(json))),
        }
    }
}

/// The text of a JSON string; `None` for any other value.
pub(in crate::audit::sink) fn string_of(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return serde_json::from_str(json).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

/// The date in a JSON string (RFC 3339), in UTC. `None` for a year that PostgreSQL would refuse.
pub(in crate::audit::sink) fn date_of(json: &str) -> Option<DateTime<Utc>> {
    let text = string_of(json)?;
    // RFC 3339 allows any character between the date and the time; chrono only `T` and a space.
    let (day, time) = (text.get(..10)?, text.get(11..)?);
    let date = DateTime::parse_from_rfc3339(&format!("{day}T{time}")).ok()?;
    without_leap_second(date.to_utc()).filter(|date| (1..=9999).contains(&date.year()))
}

/// Moves a leap second to the last nanosecond before it. `None` where no leap second can be: only
/// the last minute of a month has one.
fn without_leap_second(date: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if date.nanosecond() < 1_000_000_000 {
        return Some(date);
    }
    let date = date.with_nanosecond(999_999_999)?;
    let next = date.checked_add_signed(TimeDelta::nanoseconds(1))?;
    (next.day() == 1 && next.num_seconds_from_midnight() == 0).then_some(date)
}

/// Formats a date for PostgreSQL, to the microsecond.
pub(in crate::audit::sink) fn timestamp(date: DateTime<Utc>) -> String {
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}+00",
        date.year(),
        date.month(),
        date.day(),
        date.hour(),
        date.minute(),
        date.second(),
        date.timestamp_subsec_micros()
    )
}

fn is_uuid(text: &str) -> bool {
    let is_digit_or_hyphen = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    text.len() == 36 && text.bytes().enumerate().all(is_digit_or_hyphen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_identified_by_the_shortest_index_of_columns_that_never_change() {
        let events = |keys| key(EVENTS.identity, keys);
        assert_eq!(events(Some(r#"[["id"]]"#)), ["id"]);
        assert_eq!(events(Some(r#"[["timestamp","id"],["id"]]"#)), ["id"]);
        assert_eq!(events(Some(r#"[["id","timestamp"]]"#)), ["id", "timestamp"]);
        for keys in [None, Some("[]"), Some(r#"[["id","participant_id"],["timestamp"]]"#)] {
            assert!(events(keys).is_empty(), "{keys:?}");
        }
    }

    fn fits(kind: &Kind, json: &str) -> bool {
        kind.text_of(json).is_some()
    }

    #[test]
    fn a_value_fits_a_column_or_does_not() {
        let int4 = Kind::Integer { min: i32::MIN.into(), max: i32::MAX.into() };
        assert!(fits(&int4, "-5") && fits(&int4, "2147483647"));
        for json in ["2147483648", "1.5", "1e3", "\"5\"", "[]", "true", "99999999999999999999"] {
            assert!(!fits(&int4, json), "{json}");
        }
        assert!(fits(&Kind::Uuid, "\"0190163D-8694-739b-aea5-966c26f8ad91\""));
        for json in ["\"p1\"", "5", "\"0190163d8694-739b-aea5-966c26f8ad91-\"", "\"\\u0030\""] {
            assert!(!fits(&Kind::Uuid, json), "{json}");
        }
        let status = Kind::Enum(vec!["running".into()]);
        assert!(fits(&status, "\"running\"") && fits(&status, "\"r\\u0075nning\""));
        assert!(!fits(&status, "\"Running\"") && !fits(&status, "5"));
        assert!(fits(&Kind::Text, "\"\"") && !fits(&Kind::Text, "{}"));
    }

    #[test]
    fn a_date_is_written_in_utc() {
        let written = |json| Kind::Date.text_of(json).map(Cow::into_owned);
        assert_eq!(
            written("\"2026-01-02T03:04:05.006Z\"").as_deref(),
            Some("2026-01-02 03:04:05.006000+00")
        );
        // PostgreSQL accepts no offset of more than 16 hours, and no year 0.
        assert_eq!(
            written("\"2026-01-02T03:04:05-20:00\"").as_deref(),
            Some("2026-01-02 23:04:05.000000+00")
        );
        // Any separator, any case, and more digits than are kept.
        assert_eq!(
            written("\"2026-01-02_03:04:05.0061239999z\"").as_deref(),
            Some("2026-01-02 03:04:05.006123+00")
        );
        // A leap second, in UTC and elsewhere.
        for json in ["\"2016-12-31T23:59:60Z\"", "\"2017-01-01T00:59:60.5+01:00\""] {
            assert_eq!(written(json).as_deref(), Some("2016-12-31 23:59:59.999999+00"), "{json}");
        }
        for json in [
            "\"2016-12-30T23:59:60Z\"",
            "\"2026-01-02T03:04:05\"",
            "\"2026-01-02T03:04:05+24:00\"",
            "\"9999-12-31T23:59:59-01:00\"",
            "\"0000-01-01T00:00:00Z\"",
            "\"yesterday\"",
            "1767323045006",
            "\"+012026-01-01T00:00:00Z\"",
        ] {
            assert_eq!(written(json), None, "{json}");
        }
    }
}
