//! What the feed needs to know of a document that it passes on.

use super::draft::MAX_VERSION;
use super::members::Members;

/// What the feed needs to know of a document that it passes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Which state of this life it is.
    pub version: u64,
    /// Which life of the session it is: `created_at` as the document writes it.
    pub life: u64,
    /// Which write it is of: `updated_at` as the document writes it. A failover may lose a version,
    /// which another write then gets.
    pub write: u64,
}

impl Identity {
    /// Reads a stored document's version and life; `None` where it is no session document.
    pub fn of(text: &str) -> Option<Self> {
        let members = Members::of(text).ok()?;
        Some(Self {
            version: version_of(members.raw("version")?)?,
            // They are only ever compared for equality, so a hash of the date's text is enough.
            life: members.raw("created_at").map_or(0, |raw| fnv1a(raw.as_bytes())),
            write: members.raw("updated_at").map_or(0, |raw| fnv1a(raw.as_bytes())),
        })
    }
}

/// Any notation of an integer that `JSON.parse` reads without a loss: `1e1` is 10.
fn version_of(raw: &str) -> Option<u64> {
    raw.parse().ok().or_else(|| {
        let number: f64 = raw.parse().ok()?;
        let is_version = number.fract() == 0.0 && (0.0..=MAX_VERSION as f64).contains(&number);
        is_version.then_some(number as u64)
    })
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_reads_any_order_and_refuses_what_is_no_session() {
        let ours = Identity::of(r#"{"version":3,"created_at":"x"}"#).unwrap();
        let theirs = Identity::of(r#"{ "created_at" : "x", "a": [1], "version" : 3 }"#).unwrap();
        assert_eq!(ours, theirs);
        assert_ne!(ours.life, Identity::of(r#"{"version":3,"created_at":"y"}"#).unwrap().life);
        let other = r#"{"version":3,"created_at":"x","updated_at":"y"}"#;
        assert_ne!(ours, Identity::of(other).unwrap());
        let escaped =
            Identity::of(r#"{"version":1,"\ud83d":1,"\u0076ersion":3e0,"created_at":"x"}"#);
        assert_eq!(escaped, Some(ours));
        for text in ["", "[]", "{}", r#"{"version":"3"}"#, r#"{"version":1.5}"#] {
            assert_eq!(Identity::of(text), None, "{text}");
        }
    }
}
