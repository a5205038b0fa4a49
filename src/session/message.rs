//! What is published about sessions, in the form that the running instances write and read.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::document::{Draft, HEAD, escape};

/// An update's message without its version: `before`, any version, then `after` is the whole.
///
/// Its `state` is a string that holds the document's JSON (JSON inside JSON). It is escaped here
/// and spliced in the script, which costs Redis nothing.
pub(crate) struct UpdateParts {
    pub before: String,
    pub after: String,
}

pub(crate) fn update(session_id: &str, draft: &Draft, now_ms: i64) -> UpdateParts {
    UpdateParts {
        before: format!(r#"{{"sessionId":"{}","state":"{}"#, escape(session_id), escape(HEAD)),
        after: format!(r#"{}","timestamp":{now_ms}}}"#, escape(&draft.tail)),
    }
}

pub(crate) fn deletion(session_id: &str, now_ms: i64) -> String {
    format!(r#"{{"sessionId":"{}","deleted":true,"timestamp":{now_ms}}}"#, escape(session_id))
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
        }
        let wire: Wire<'_> = serde_json::from_str(payload).ok()?;
        let document = wire.state.map(Cow::into_owned);
        // One of the two it must say.
        (wire.deleted || document.is_some()).then(|| Self {
            session_id: wire.session_id.into_owned(),
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
        let parts = update("a\"b", &draft, 5);
        let text = format!("{}12{}", parts.before, parts.after);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["sessionId"], "a\"b");
        assert_eq!(json["timestamp"], 5);
        assert_eq!(json["state"], r#"{"version":12,"session_id":"a\"b"}"#);
        assert_eq!(
            Update::read(&text),
            Some(Update {
                session_id: "a\"b".into(),
                document: Some(r#"{"version":12,"session_id":"a\"b"}"#.into())
            })
        );
    }

    #[test]
    fn a_deletion_has_no_document() {
        let gone = Update { session_id: "s".into(), document: None };
        assert_eq!(Update::read(&deletion("s", 1)), Some(gone));
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
