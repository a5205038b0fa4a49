//! A session document: the JSON text of a state, as it is stored.
//!
//! A document is never decoded into values and encoded again, neither here nor in Redis: `[]`,
//! 2^53 and fields of the caller's own survive because their bytes are copied (law 4). It is read
//! one level deep, to validate it, to stamp its dates and to split it around its version, which
//! the write script fills in. The version comes first in what we write, so that the script finds
//! it with an anchored match.

use std::borrow::Cow;

use chrono::{DateTime, Datelike, Timelike};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::{Error, Result};

/// What stands before the version number in every document that we write.
pub const HEAD: &str = r#"{"version":"#;

/// The largest version: 2^53 − 1, the largest integer that every reader of JSON agrees on.
pub const MAX_VERSION: u64 = (1 << 53) - 1;

const SYNC_MODES: [&str; 5] = ["per_participant", "per_cycle", "per_group", "global", "count_up"];
const SYNC_STATUSES: [&str; 6] =
    ["pending", "running", "paused", "expired", "completed", "cancelled"];

/// The dates that a write sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamp {
    /// A new life of the session: `created_at` and `updated_at`.
    Created,
    /// A change: `updated_at` alone.
    Updated,
}

/// A validated document without its version: `HEAD`, any version, then `tail` is the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Everything after the version number, from the comma to the closing brace.
    pub tail: String,
    /// The version that the caller's state carried, if it carried one.
    pub version: Option<u64>,
}

impl Draft {
    /// Validates the JSON text of a state and stamps its dates with `now` (RFC 3339).
    pub fn new(text: &str, session_id: &str, stamp: Stamp, now: &str) -> Result<Self> {
        let members = Members::of(text)?;
        members.check(session_id)?;
        let version = match members.raw("version") {
            None | Some("null") => None,
            Some(raw) => Some(parse_version(raw).ok_or_else(|| {
                Error::invalid("version", "it is not a non-negative integer below 2^53 - 1")
            })?),
        };
        let stamped: &[&str] = match stamp {
            Stamp::Created => &["created_at", "updated_at"],
            Stamp::Updated => &["updated_at"],
        };
        Ok(Self { tail: members.tail(text.len(), stamped, now), version })
    }
}

impl Draft {
    /// The document with this version.
    pub fn document(&self, version: u64) -> String {
        format!("{HEAD}{version}{}", self.tail)
    }
}

/// What the feed needs to know of a document that it passes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Which state of this life it is.
    pub version: u64,
    /// Which life of the session it is: `created_at` as the document writes it.
    pub life: u64,
}

impl Identity {
    /// Reads a stored document's version and life; `None` where it is no session document.
    pub fn of(text: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Head<'a> {
            version: u64,
            #[serde(borrow, default)]
            created_at: Option<&'a RawValue>,
        }
        // Lives are only ever compared for equality, so a hash of the date's text is enough.
        let head: Head<'_> = serde_json::from_str(text).ok()?;
        Some(Self {
            version: head.version,
            life: head.created_at.map_or(0, |raw| fnv1a(raw.get().as_bytes())),
        })
    }
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Milliseconds since the epoch as `Date.prototype.toISOString()` writes them.
///
/// A date whose year does not fit four digits becomes the epoch. Each write needs a timestamp, and
/// `format!` takes three times as long as placing the digits.
pub fn iso_timestamp(epoch_ms: i64) -> String {
    let date = DateTime::from_timestamp_millis(epoch_ms)
        .filter(|date| (0..=9999).contains(&date.year()))
        .unwrap_or(DateTime::UNIX_EPOCH);
    let mut text = String::with_capacity("0000-00-00T00:00:00.000Z".len());
    push_digits::<4>(&mut text, date.year().unsigned_abs());
    text.push('-');
    push_digits::<2>(&mut text, date.month());
    text.push('-');
    push_digits::<2>(&mut text, date.day());
    text.push('T');
    push_digits::<2>(&mut text, date.hour());
    text.push(':');
    push_digits::<2>(&mut text, date.minute());
    text.push(':');
    push_digits::<2>(&mut text, date.second());
    text.push('.');
    push_digits::<3>(&mut text, date.timestamp_subsec_millis());
    text.push('Z');
    text
}

/// Appends the last `N` decimal digits of a number.
fn push_digits<const N: usize>(text: &mut String, mut number: u32) {
    let mut digits = ['0'; N];
    for digit in digits.iter_mut().rev() {
        *digit = char::from(b'0' + (number % 10) as u8);
        number /= 10;
    }
    text.extend(digits);
}

/// How many strings in a JSON text look exactly like what `toISOString()` writes.
///
/// The reader turns such strings into dates wherever they stand. Counting them here, off the
/// JavaScript thread, lets it skip the walk through a document that has none besides the five
/// known fields.
pub fn count_iso_strings(text: &str) -> u32 {
    const PATTERN: &[u8; 26] = b"\"0000-00-00T00:00:00.000Z\"";
    let bytes = text.as_bytes();
    let mut count = 0;
    for z in memchr::memchr_iter(b'Z', bytes) {
        let Some(start) = z.checked_sub(24) else { continue };
        let Some(found) = bytes.get(start..z + 2) else { continue };
        if found.iter().zip(PATTERN).all(|(byte, pattern)| match pattern {
            b'0' => byte.is_ascii_digit(),
            _ => byte == pattern,
        }) {
            count += 1;
        }
    }
    count
}

/// `text` as a JSON string without its quotes, to be spliced into a message.
pub(crate) fn escape(text: &str) -> String {
    let mut quoted = serde_json::to_string(text).unwrap_or_default();
    quoted.pop();
    if !quoted.is_empty() {
        quoted.remove(0);
    }
    quoted
}

fn parse_version(raw: &str) -> Option<u64> {
    // The largest is left to be counted up to.
    raw.parse().ok().filter(|version| *version < MAX_VERSION)
}

/// The top level of an object: keys and values as they are written.
#[derive(Default)]
pub(crate) struct Members<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'a> Members<'a> {
    pub(crate) fn of(text: &'a str) -> Result<Self> {
        serde_json::from_str(text).map_err(|error| {
            let reason =
                if error.is_data() { "it is not an object" } else { "it is not valid JSON" };
            Error::invalid("state", reason)
        })
    }

    /// The value of a key. The last one counts, as it does for `JSON.parse`.
    pub(crate) fn raw(&self, name: &str) -> Option<&'a str> {
        self.0.iter().rev().find(|(key, _)| is_key(key, name)).map(|(_, value)| value.get())
    }

    fn check(&self, session_id: &str) -> Result<()> {
        match self.raw("session_id").map(serde_json::from_str::<Cow<'_, str>>) {
            None => return Err(Error::invalid("session_id", "the state has none")),
            Some(Ok(id)) if id == session_id => {}
            Some(Ok(_)) => {
                return Err(Error::invalid("session_id", "the state's differs from the argument"));
            }
            Some(Err(_)) => return Err(Error::invalid("session_id", "it is not a string")),
        }
        if !self.raw("participants").is_some_and(|raw| raw.starts_with('[')) {
            return Err(Error::invalid("participants", "it is not an array"));
        }
        self.check_one_of("sync_mode", &SYNC_MODES)?;
        self.check_one_of("status", &SYNC_STATUSES)
    }

    fn check_one_of(&self, field: &str, known: &[&str]) -> Result<()> {
        let value = self.raw(field).and_then(|raw| raw.strip_prefix('"')?.strip_suffix('"'));
        if value.is_some_and(|value| known.contains(&value)) {
            return Ok(());
        }
        Err(Error::invalid(field, format!("it is not one of {}", known.join(", "))))
    }

    /// All members but the version, in their order, with `stamped` set to `now`.
    fn tail(&self, size: usize, stamped: &[&str], now: &str) -> String {
        let mut tail = String::with_capacity(size + stamped.len() * (now.len() + 16));
        for (key, value) in &self.0 {
            if is_key(key, "version") || stamped.iter().any(|name| is_key(key, name)) {
                continue;
            }
            tail.push(',');
            tail.push_str(key.get());
            tail.push(':');
            tail.push_str(value.get());
        }
        for name in stamped {
            tail.push_str(",\"");
            tail.push_str(name);
            tail.push_str("\":\"");
            tail.push_str(now);
            tail.push('"');
        }
        tail.push('}');
        tail
    }
}

/// Whether a key, as it is written with quotes and escapes, is `name`.
fn is_key(raw: &RawValue, name: &str) -> bool {
    let raw = raw.get();
    let longer = raw.len().checked_sub(name.len() + 2);
    match longer {
        Some(0) => &raw[1..raw.len() - 1] == name,
        // No escape is as short as what it says.
        Some(_) if raw.contains('\\') => {
            serde_json::from_str::<String>(raw).is_ok_and(|key| key == name)
        }
        _ => false,
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TopLevel;
        impl<'de> Visitor<'de> for TopLevel {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(24);
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(TopLevel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: &str = "2026-01-02T03:04:05.006Z";
    const STATE: &str = r#"{"session_id":"s","version":7,"sync_mode":"global","status":"running","participants":[{"version":9}],"created_at":"a","updated_at":"b"}"#;

    fn field_of(result: Result<Draft>) -> String {
        match result {
            Err(Error::InvalidState { field, .. }) => field,
            other => panic!("expected an invalid field, got {other:?}"),
        }
    }

    #[test]
    fn the_version_is_taken_out_and_only_at_the_top_level() {
        let draft = Draft::new(STATE, "s", Stamp::Updated, NOW).unwrap();
        assert_eq!(draft.version, Some(7));
        assert_eq!(
            draft.tail,
            format!(
                r#","session_id":"s","sync_mode":"global","status":"running","participants":[{{"version":9}}],"created_at":"a","updated_at":"{NOW}"}}"#
            )
        );
    }

    #[test]
    fn a_creation_stamps_both_dates() {
        let draft = Draft::new(STATE, "s", Stamp::Created, NOW).unwrap();
        assert!(draft.tail.ends_with(&format!(r#","created_at":"{NOW}","updated_at":"{NOW}"}}"#)));
        assert!(!draft.tail.contains(r#":"a""#));
    }

    #[test]
    fn keys_written_with_escapes_are_recognised() {
        let text = STATE.replace("\"version\":7", r#""v\u0065rsion":7"#);
        let draft = Draft::new(&text, "s", Stamp::Updated, NOW).unwrap();
        assert_eq!(draft.version, Some(7));
        assert!(!draft.tail.contains("ersion\":7"));
    }

    #[test]
    fn each_fault_names_its_field() {
        let fault = |from: &str, to: &str| {
            let text = STATE.replacen(from, to, 1);
            assert_ne!(text, STATE);
            field_of(Draft::new(&text, "s", Stamp::Updated, NOW))
        };
        assert_eq!(fault(r#""session_id":"s","#, ""), "session_id");
        assert_eq!(fault(r#""session_id":"s""#, r#""session_id":5"#), "session_id");
        assert_eq!(fault(r#""session_id":"s""#, r#""session_id":"t""#), "session_id");
        assert_eq!(fault(r#"[{"version":9}]"#, "{}"), "participants");
        assert_eq!(fault("global", "sideways"), "sync_mode");
        assert_eq!(fault(r#""global""#, "3"), "sync_mode");
        assert_eq!(fault("running", "asleep"), "status");
        assert_eq!(fault(":7", ":-7"), "version");
        assert_eq!(fault(":7", ":7.5"), "version");
        assert_eq!(fault(":7", ":9007199254740991"), "version");
        for text in ["[]", "null", "1", "\"x\""] {
            assert_eq!(field_of(Draft::new(text, "s", Stamp::Updated, NOW)), "state");
        }
        assert_eq!(field_of(Draft::new("{", "s", Stamp::Updated, NOW)), "state");
    }

    #[test]
    fn timestamps_are_those_of_javascript() {
        assert_eq!(iso_timestamp(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso_timestamp(1_767_323_045_006), NOW);
        assert_eq!(iso_timestamp(951_827_696_789), "2000-02-29T12:34:56.789Z");
        assert_eq!(iso_timestamp(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(iso_timestamp(-62_167_219_200_000), "0000-01-01T00:00:00.000Z");
        assert_eq!(iso_timestamp(253_402_300_799_999), "9999-12-31T23:59:59.999Z");
        for beyond in [253_402_300_800_000, -62_167_219_200_001, i64::MAX, i64::MIN] {
            assert_eq!(iso_timestamp(beyond), "1970-01-01T00:00:00.000Z");
        }
    }

    #[test]
    fn only_exact_iso_strings_are_counted() {
        assert_eq!(count_iso_strings(&format!(r#"{{"a":"{NOW}","b":["{NOW}"]}}"#)), 2);
        for text in [
            "",
            "Z",
            r#""Z""#,
            "2026-01-02T03:04:05.006Z",
            r#"{"a":"2026-01-02T03:04:05Z"}"#,
            r#"{"a":"x2026-01-02T03:04:05.006Z"}"#,
            r#"{"a":"2026-01-02T03:04:05.006Zx"}"#,
            r#"{"a":"2026-01-02 03:04:05.006Z"}"#,
        ] {
            assert_eq!(count_iso_strings(text), 0, "{text}");
        }
    }

    #[test]
    fn identity_reads_any_order_and_refuses_what_is_no_session() {
        let ours = Identity::of(r#"{"version":3,"created_at":"x"}"#).unwrap();
        let theirs = Identity::of(r#"{ "created_at" : "x", "a": [1], "version" : 3 }"#).unwrap();
        assert_eq!(ours, theirs);
        assert_ne!(ours.life, Identity::of(r#"{"version":3,"created_at":"y"}"#).unwrap().life);
        for text in ["", "[]", "{}", r#"{"version":"3"}"#, r#"{"version":1.5}"#] {
            assert_eq!(Identity::of(text), None, "{text}");
        }
    }

    #[test]
    fn escaping_is_that_of_json() {
        assert_eq!(escape("a\"b\\c\n\u{1}é"), r#"a\"b\\c\n\u0001é"#);
        assert_eq!(escape(""), "");
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 64, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn splicing_changes_nothing_but_the_version_and_the_stamp(extra in any_json(), version in 0..MAX_VERSION) {
            let mut state: serde_json::Value = serde_json::from_str(STATE).unwrap();
            state["extra"] = extra;
            let text = state.to_string();
            let draft = Draft::new(&text, "s", Stamp::Updated, NOW).unwrap();
            let spliced: serde_json::Value =
                serde_json::from_str(&format!("{HEAD}{version}{}", draft.tail)).unwrap();
            state["version"] = version.into();
            state["updated_at"] = NOW.into();
            // Parsed from the text, as a float may not survive printing and parsing to the bit.
            let expected: serde_json::Value = serde_json::from_str(&state.to_string()).unwrap();
            prop_assert_eq!(spliced, expected);
        }
    }
}
