//! A JSON object read one level deep: its bytes are looked at, and never decoded and encoded again.

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::{Error, Result};

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

    /// The keys and values, as they are written, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().map(|(key, value)| (key.get(), value.get()))
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

/// `text` as a JSON string without its quotes, to be spliced into a message.
pub(crate) fn escape(text: &str) -> String {
    let mut quoted = serde_json::to_string(text).unwrap_or_default();
    quoted.pop();
    if !quoted.is_empty() {
        quoted.remove(0);
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaping_is_that_of_json() {
        assert_eq!(escape("a\"b\\c\n\u{1}é"), r#"a\"b\\c\n\u0001é"#);
        assert_eq!(escape(""), "");
    }
}
