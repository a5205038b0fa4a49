//! A document that is to be written: validated one level deep, with the dates of the write, and put
//! together around its version, which the write script may fill in.
//!
//! The version comes first in what we write, so that a script finds it at the beginning.

use std::borrow::Cow;
use std::ops::Range;

use super::members::Members;
use crate::error::{Error, Result};

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

/// A validated document, whose version is open. It keeps the text that it was made of, and which
/// parts of that are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    text: String,
    /// Runs of members.
    kept: Vec<Range<usize>>,
    /// The members that the write sets, from a comma to the closing brace.
    stamped: String,
    /// The version that the caller's state carried, if it carried one.
    pub version: Option<u64>,
}

/// The members that a write looks at: of several with one name the last one counts, as it does for
/// `JSON.parse`.
#[derive(Default)]
struct Known<'a> {
    session_id: Option<&'a str>,
    sync_mode: Option<&'a str>,
    status: Option<&'a str>,
    participants: Option<&'a str>,
    version: Option<&'a str>,
}

impl Draft {
    /// Validates the JSON text of a state and stamps its dates with `now` (RFC 3339).
    pub fn new(text: String, session_id: &str, stamp: Stamp, now: &str) -> Result<Self> {
        let mut known = Known::default();
        let mut kept: Vec<Range<usize>> = Vec::with_capacity(4);
        let mut follows = false; // Whether this member comes right behind one that is kept.
        for (key, value) in Members::of(&text)?.iter() {
            let name = name_of(key);
            known.note(&name, value);
            let is_set = matches!(
                (&*name, stamp),
                ("version" | "updated_at", _) | ("created_at", Stamp::Created)
            );
            let is_kept = !is_set;
            if is_kept {
                let end = offset(&text, value) + value.len();
                match kept.last_mut().filter(|_| follows) {
                    Some(run) => run.end = end,
                    None => kept.push(offset(&text, key)..end),
                }
            }
            follows = is_kept;
        }
        let version = known.check(session_id)?;
        let stamped = match stamp {
            Stamp::Created => format!(r#","created_at":"{now}","updated_at":"{now}"}}"#),
            Stamp::Updated => [",\"updated_at\":\"", now, "\"}"].concat(),
        };
        Ok(Self { text, kept, stamped, version })
    }

    /// What follows the version in the document, in its parts: it begins with a comma.
    pub fn tail(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.runs().map(str::as_bytes)
    }

    fn runs(&self) -> impl Iterator<Item = &str> + Clone {
        let run = |range: &Range<usize>| self.text.get(range.clone()).unwrap_or_default();
        self.kept.iter().flat_map(move |range| [",", run(range)]).chain([&*self.stamped])
    }

    /// The whole document, with this version.
    pub fn document(&self, version: u64) -> String {
        let mut document = Self::head(version);
        document.reserve_exact(self.text.len() + self.stamped.len());
        for run in self.runs() {
            document.push_str(run);
        }
        document
    }

    /// How the document begins that has this version.
    pub fn head(version: u64) -> String {
        format!(r#"{{"version":{version}"#)
    }
}

impl<'a> Known<'a> {
    fn note(&mut self, name: &str, value: &'a str) {
        let known = match name {
            "session_id" => &mut self.session_id,
            "sync_mode" => &mut self.sync_mode,
            "status" => &mut self.status,
            "participants" => &mut self.participants,
            "version" => &mut self.version,
            _ => return,
        };
        *known = Some(value);
    }

    /// The version that the state carries, if all is as it must be.
    fn check(&self, session_id: &str) -> Result<Option<u64>> {
        match self.session_id.map(serde_json::from_str::<Cow<'_, str>>) {
            None => return Err(Error::invalid("session_id", "the state has none")),
            Some(Ok(id)) if id == session_id => {}
            Some(Ok(_)) => {
                return Err(Error::invalid("session_id", "the state's differs from the argument"));
            }
            Some(Err(_)) => return Err(Error::invalid("session_id", "it is not a string")),
        }
        if !self.participants.is_some_and(|raw| raw.starts_with('[')) {
            return Err(Error::invalid("participants", "it is not an array"));
        }
        check_one_of("sync_mode", self.sync_mode, &SYNC_MODES)?;
        check_one_of("status", self.status, &SYNC_STATUSES)?;
        match self.version {
            None | Some("null") => Ok(None),
            // The largest is left to be counted up to.
            Some(raw) => match raw.parse().ok().filter(|version| *version < MAX_VERSION) {
                Some(version) => Ok(Some(version)),
                None => {
                    let reason = "it is not a non-negative integer below 2^53 - 1";
                    Err(Error::invalid("version", reason))
                }
            },
        }
    }
}

fn check_one_of(field: &str, raw: Option<&str>, known: &[&str]) -> Result<()> {
    let value = raw.and_then(|raw| raw.strip_prefix('"')?.strip_suffix('"'));
    if value.is_some_and(|value| known.contains(&value)) {
        return Ok(());
    }
    Err(Error::invalid(field, format!("it is not one of {}", known.join(", "))))
}

/// A key without its quotes and escapes.
fn name_of(key: &str) -> Cow<'_, str> {
    if key.contains('\\') {
        return serde_json::from_str(key).map_or_else(|_| Cow::Borrowed(key), Cow::Owned);
    }
    Cow::Borrowed(key.get(1..key.len() - 1).unwrap_or_default())
}

/// Where in a text a part of it begins.
fn offset(text: &str, part: &str) -> usize {
    part.as_ptr().addr() - text.as_ptr().addr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: &str = "2026-01-02T03:04:05.006Z";
    const STATE: &str = r#"{"session_id":"s","version":7,"sync_mode":"global","status":"running","participants":[{"version":9}],"created_at":"a","updated_at":"b"}"#;

    fn draft(text: &str, stamp: Stamp) -> Result<Draft> {
        Draft::new(text.to_owned(), "s", stamp, NOW)
    }

    fn field_of(result: Result<Draft>) -> String {
        match result {
            Err(Error::InvalidState { field, .. }) => field,
            other => panic!("expected an invalid field, got {other:?}"),
        }
    }

    #[test]
    fn the_version_is_taken_out_and_only_at_the_top_level() {
        let draft = draft(STATE, Stamp::Updated).unwrap();
        assert_eq!(draft.version, Some(7));
        assert_eq!(
            draft.document(8),
            format!(
                r#"{{"version":8,"session_id":"s","sync_mode":"global","status":"running","participants":[{{"version":9}}],"created_at":"a","updated_at":"{NOW}"}}"#
            )
        );
    }

    #[test]
    fn a_creation_stamps_both_dates() {
        let text = draft(STATE, Stamp::Created).unwrap().document(1);
        assert!(text.ends_with(&format!(r#","created_at":"{NOW}","updated_at":"{NOW}"}}"#)));
        assert!(!text.contains(r#":"a""#));
    }

    #[test]
    fn keys_written_with_escapes_are_recognised() {
        let text = STATE.replace("\"version\":7", r#""v\u0065rsion":7"#);
        let draft = draft(&text, Stamp::Updated).unwrap();
        assert_eq!(draft.version, Some(7));
        assert!(!draft.document(8).contains("ersion\":7"));
    }

    #[test]
    fn of_members_with_one_name_the_last_counts() {
        let text = STATE.replacen(r#""session_id":"s""#, r#""session_id":"t","session_id":"s""#, 1);
        assert!(draft(&text, Stamp::Updated).is_ok());
        let text = STATE.replacen(r#""status":"running""#, r#""status":"running","status":"x""#, 1);
        assert_eq!(field_of(draft(&text, Stamp::Updated)), "status");
    }

    #[test]
    fn each_fault_names_its_field() {
        let fault = |from: &str, to: &str| {
            let text = STATE.replacen(from, to, 1);
            assert_ne!(text, STATE);
            field_of(draft(&text, Stamp::Updated))
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
        for text in ["[]", "null", "1", "\"x\"", "{"] {
            assert_eq!(field_of(draft(text, Stamp::Updated)), "state");
        }
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
        fn splicing_changes_nothing_but_the_version_and_the_stamp(
            extra in any_json(),
            version in 0..MAX_VERSION,
        ) {
            let mut state: serde_json::Value = serde_json::from_str(STATE).unwrap();
            state["extra"] = extra;
            for text in [state.to_string(), serde_json::to_string_pretty(&state).unwrap()] {
                let draft = draft(&text, Stamp::Updated).unwrap();
                let spliced: serde_json::Value =
                    serde_json::from_str(&draft.document(version)).unwrap();
                let mut expected = state.clone();
                expected["version"] = version.into();
                expected["updated_at"] = NOW.into();
                // Parsed from the text, as a float may not survive printing and parsing to the bit.
                let expected: serde_json::Value =
                    serde_json::from_str(&expected.to_string()).unwrap();
                prop_assert_eq!(spliced, expected);
            }
        }
    }
}
