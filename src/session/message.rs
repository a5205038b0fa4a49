//! What is published about sessions, in the form that the running instances write and read.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::document::{Draft, HEAD, escape};
use crate::keys::DEFAULT_SESSION_PREFIX;

/// An update's message without its version: `before`, any version, then `after` is the whole.
///
/// Its `state` is a string that holds the document's JSON (JSON inside JSON). It is escaped here
/// and spliced in the script, which costs Redis nothing.
pub(crate) struct UpdateParts {
    pub before: String,
    pub after: String,
}

pub(crate) fn update(
    session_id: &str,
    key_prefix: &str,
    draft: &Draft,
    now_ms: i64,
) -> UpdateParts {
    let (id, head, tail) = (escape(session_id), escape(HEAD), escape(&draft.tail));
    let prefix = prefix_member(key_prefix);
    UpdateParts {
        before: format!(r#"{{"sessionId":"{id}","state":"{head}"#),
        after: format!(r#"{tail}","timestamp":{now_ms}{prefix}}}"#),
    }
}

pub(crate) fn deletion(session_id: &str, key_prefix: &str, now_ms: i64) -> String {
    let (id, prefix) = (escape(session_id), prefix_member(key_prefix));
    format!(r#"{{"sessionId":"{id}","deleted":true,"timestamp":{now_ms}{prefix}}}"#)
}

/// Which of the sessions of that id it is, for those who share the channel and not the prefix.
/// Old instances ignore it, and do not write it.
fn prefix_member(key_prefix: &str) -> String {
    if key_prefix == DEFAULT_SESSION_PREFIX {
        return String::new();
    }
    format!(r#","keyPrefix":"{}""#, escape(key_prefix))
}

/// `message` is JSON text already.
pub(crate) fn broadcast(session_id: &str, message: &str, now_ms: i64) -> String {
    let id = escape(session_id);
    format!(r#"{{"sessionId":"{id}","message":{message},"timestamp":{now_ms}}}"#)
}

/// A message of the updates channel, read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Update {
    pub session_id: String,
    /// Before the id in the session's key, as far as the message says.
    pub key_prefix: String,
    /// The document; `None` where the session was deleted.
    pub document: Option<String>,
}

impl Update {
    pub fn read(payload: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Wire<'a> {
            #[serde(borrow, rename = "sessionId")]
            session_id: Cow<'a, str>,
            #[serde(borrow, default)]
            state: Option<Cow<'a, str>>,
            #[serde(default)]
            deleted: bool,
            #[serde(borrow, default = "default_prefix", rename = "keyPrefix")]
            key_prefix: Cow<'a, str>,
        }
        fn default_prefix() -> Cow<'static, str> {
            Cow::Borrowed(DEFAULT_SESSION_PREFIX)
        }
        let wire: Wire<'_> = serde_json::from_str(payload).ok()?;
        let document = wire.state.map(Cow::into_owned);
        // One of the two it must say.
        (wire.deleted || document.is_some()).then(|| Self {
            session_id: wire.session_id.into_owned(),
            key_prefix: wire.key_prefix.into_owned(),
            document: document.filter(|_| !wire.deleted),
        })
    }
}

/// The `message` of a WebSocket envelope, as the JSON text that its sender wrote.
pub(crate) fn read_broadcast(payload: &str) -> Option<&str> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(borrow)]
        message: &'a RawValue,
    }
    serde_json::from_str::<Wire<'_>>(payload).ok().map(|wire| wire.message.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_is_json_inside_json() {
        let draft = Draft { tail: r#","session_id":"a\"b"}"#.into(), version: None };
        let parts = update("a\"b", "session:", &draft, 5);
        let text = format!("{}12{}", parts.before, parts.after);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["sessionId"], "a\"b");
        assert_eq!(json["timestamp"], 5);
        assert_eq!(json["state"], r#"{"version":12,"session_id":"a\"b"}"#);
        assert_eq!(
            Update::read(&text),
            Some(Update {
                session_id: "a\"b".into(),
                key_prefix: "session:".into(),
                document: Some(r#"{"version":12,"session_id":"a\"b"}"#.into())
            })
        );
    }

    #[test]
    fn a_deletion_has_no_document() {
        let key_prefix = String::from("p");
        let gone = Update { session_id: "s".into(), key_prefix, document: None };
        assert_eq!(Update::read(&deletion("s", "p", 1)), Some(gone));
    }

    #[test]
    fn a_broadcast_keeps_the_senders_text() {
        let text = broadcast("s", r#"{"a":[],"b":1e400}"#, 1);
        assert_eq!(read_broadcast(&text), Some(r#"{"a":[],"b":1e400}"#));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for text in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"sessionId":"s"}"#,
            r#"{"sessionId":5,"deleted":true}"#,
            r#"{"sessionId":"s","state":{}}"#,
        ] {
            assert_eq!(Update::read(text), None, "{text}");
        }
        assert_eq!(read_broadcast("{}"), None);
        assert_eq!(read_broadcast("no"), None);
    }
}
