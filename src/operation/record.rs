//! An audit record: one change of a session.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// The kinds of change that an engine records by itself.
pub const CREATED: &str = "session_created";
/// See [`CREATED`].
pub const UPDATED: &str = "session_updated";
/// See [`CREATED`].
pub const DELETED: &str = "session_deleted";
/// See [`CREATED`]. A record of this kind has no state.
pub const EXPIRED: &str = "session_expired";
/// See [`CREATED`].
pub const RESTORED: &str = "session_restored";

/// One change of a session, for the database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// A UUID v7, generated with the record. The primary key of `sync_events`.
    pub id: String,
    /// The session that changed.
    pub session_id: String,
    /// The kind of change: [`CREATED`], [`UPDATED`], [`DELETED`], or a name that the caller chose.
    pub event_type: String,
    /// When the record was queued, in milliseconds since the epoch.
    pub at_ms: i64,
    /// The session's document after the change, as JSON text. `None` for a deletion.
    pub state: Option<String>,
    /// Who made the change, and what else its caller tells of it: the text of a JSON object.
    pub metadata: Option<String>,
    /// Where the record was first queued. It stays the same when the record is queued again.
    pub position: Option<Position>,
    /// Whether the write of the session queued the record itself: positions of such records are in the
    /// order of the writes.
    pub is_write: bool,
}

/// Who made a change, and why, as its caller tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reason {
    /// The kind of change, in place of [`CREATED`] and its like.
    pub event_type: Option<String>,
    /// See [`Record::metadata`].
    pub metadata: Option<String>,
}

/// A position in the stream: the id of an entry. The engine assigns growing ids.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Milliseconds since the epoch, by the engine's clock.
    pub ms: u64,
    /// The number of the entry within this millisecond.
    pub number: u64,
}

impl Position {
    /// Parses an entry id: `<ms>-<number>`.
    pub fn parse(entry_id: &str) -> Option<Self> {
        let (ms, number) = entry_id.split_once('-')?;
        Some(Self { ms: ms.parse().ok()?, number: number.parse().ok()? })
    }
}

impl fmt::Display for Position {
    /// Writes a JSON array: databases compare it member by member.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{},{}]", self.ms, self.number)
    }
}

/// The timestamp (48 bits) and the counter (12 bits) of the latest id of this process.
static LAST: AtomicU64 = AtomicU64::new(0);

/// Generates a UUID v7 (RFC 9562) as text. 48 bits are a timestamp: ids sort by age, and a database
/// appends them to its index. 12 bits are a counter: the ids that a process generates in one
/// millisecond sort, too (the 4097th gets the timestamp of the next millisecond). The rest is random.
pub fn new_id(now_ms: i64) -> String {
    let now = (now_ms.max(0).unsigned_abs() & 0xffff_ffff_ffff) << 12;
    let next = |last: u64| now.max(last + 1);
    let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)));
    let moment = u128::from(next(last.unwrap_or_default()));
    let random = fastrand::u128(..) & 0x3fff_ffff_ffff_ffff;
    let (time, count) = (moment >> 12, moment & 0xfff);
    let id = time << 80 | 0x7 << 76 | count << 64 | 0b10 << 62 | random;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        id >> 96,
        (id >> 80) & 0xffff,
        (id >> 64) & 0xffff,
        (id >> 48) & 0xffff,
        id & 0xffff_ffff_ffff
    )
}

/// The id of a record that a change appends before its own: of the same moment, with half of the last 12
/// digits. It differs from any other id, and sorts before that of the change.
pub(crate) fn earlier_id(id: &str) -> String {
    let (head, last) = id.split_at_checked(id.len().saturating_sub(12)).unwrap_or(("", id));
    let number = u64::from_str_radix(last, 16).unwrap_or_default();
    format!("{head}{:012x}", number / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_before_another_one_is_of_the_same_moment() {
        let id = "0190163d-8694-739b-aea5-966c26f8ad91";
        assert_eq!(earlier_id(id), "0190163d-8694-739b-aea5-4b36137c56c8");
    }

    #[test]
    fn an_id_is_a_uuid_of_version_7_and_says_when() {
        let now = 0x0299_1234_5678; // Later than the other test's, whose ids this process has seen.
        let id = new_id(now);
        assert!(id.starts_with("02991234-5678-7"), "{id}");
        assert!("89ab".contains(&id[19..20]), "{id}");
        assert_eq!(id.len(), 36);
    }

    #[test]
    fn a_position_is_an_entry_id() {
        let position = Position::parse("1764259857123-4").expect("a position");
        assert_eq!(position.to_string(), "[1764259857123,4]");
        for text in ["", "5", "a-1", "1-", "-1-1", "99999999999999999999999-0"] {
            assert_eq!(Position::parse(text), None, "{text}");
        }
    }

    #[test]
    fn ids_of_one_process_sort_by_age_also_within_a_millisecond_and_when_the_clock_goes_back() {
        let ids: Vec<String> =
            (0..20_000).map(|n| new_id(if n < 10_000 { 1000 } else { -5 })).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
    }
}
