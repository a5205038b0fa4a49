//! The two tables, and what their columns can hold.

use std::borrow::Cow;

use chrono::{DateTime, Datelike, TimeDelta, Timelike, Utc};

/// The columns of `sync_sessions` that the sink writes.
pub(super) const SESSIONS: TableNames = TableNames {
    table: "sync_sessions",
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

/// The columns of `sync_events` that the sink writes.
pub(super) const EVENTS: TableNames = TableNames {
    table: "sync_events",
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

/// The names of a table and of its columns.
pub(super) struct TableNames {
    pub table: &'static str,
    pub columns: &'static [&'static str],
}

/// Both tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tables {
    pub sessions: Table,
    pub events: Table,
}

/// A table as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub name: &'static str,
    pub columns: Vec<Column>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub name: &'static str,
    pub kind: Kind,
}

/// The values that a column can hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer { min: i64, max: i64 },
    Uuid,
    Date,
    Enum(Vec<String>),
    Other,
}

impl Table {
    /// What a column can hold.
    pub fn kind(&self, column: &str) -> Option<&Kind> {
        self.columns.iter().find(|known| known.name == column).map(|known| &known.kind)
    }

    /// The names of the columns.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().map(|column| column.name)
    }
}

impl Kind {
    /// Whether a column of this kind can hold a text that is looked for.
    pub fn can_hold(&self, text: &str) -> bool {
        *self != Self::Uuid || is_uuid(text)
    }

    /// The text form of a JSON value for the database, if a column of this kind can hold the value.
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
pub(super) fn string_of(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return serde_json::from_str(json).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

/// The date in a JSON string (RFC 3339), in UTC. `None` for a year that
/// PostgreSQL would refuse.
pub(super) fn date_of(json: &str) -> Option<DateTime<Utc>> {
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

/// Formats a date as ISO 8601 in UTC: to the millisecond, or to the microsecond where it has any.
pub(super) fn timestamp(date: DateTime<Utc>) -> String {
    let micros = date.timestamp_subsec_micros();
    let fraction = match micros % 1000 {
        0 => format!("{:03}", micros / 1000),
        _ => format!("{micros:06}"),
    };
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{fraction}Z",
        date.year(),
        date.month(),
        date.day(),
        date.hour(),
        date.minute(),
        date.second(),
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
            Some("2026-01-02T03:04:05.006Z")
        );
        // PostgreSQL accepts no offset of more than 16 hours, and no year 0.
        assert_eq!(
            written("\"2026-01-02T03:04:05-20:00\"").as_deref(),
            Some("2026-01-02T23:04:05.000Z")
        );
        // Any separator, any case, and more digits than are kept.
        assert_eq!(
            written("\"2026-01-02_03:04:05.0061239999z\"").as_deref(),
            Some("2026-01-02T03:04:05.006123Z")
        );
        // A leap second, in UTC and elsewhere.
        for json in ["\"2016-12-31T23:59:60Z\"", "\"2017-01-01T00:59:60.5+01:00\""] {
            assert_eq!(written(json).as_deref(), Some("2016-12-31T23:59:59.999999Z"), "{json}");
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
