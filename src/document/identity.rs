//! What the feed needs to know of a document that it passes on.

use serde::Deserialize;
use serde_json::value::RawValue;

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
