//! What is published about sessions, in the form that the running instances write and read. The
//! scripts make the messages of updates and deletions (`scripts/announce.lua`):
//! an update sent from here would go over the wire twice, as a document and inside its message.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::document::escape;
use crate::engine::subscription::Update;

/// The envelope of a WebSocket message; `message` is JSON text already.
pub(crate) fn broadcast(session_id: &str, message: &str, now_ms: i64) -> String {
    let id = escape(session_id);
    format!(r#"{{"sessionId":"{id}","message":{message},"timestamp":{now_ms}}}"#)
}

/// Reads a message of the updates channel.
pub(crate) fn read_update(payload: &str) -> Option<Update> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(borrow, rename = "sessionId")]
        session_id: Cow<'a, str>,
        #[serde(borrow, default)]
        state: Option<Cow<'a, str>>,
        #[serde(default)]
        deleted: bool,
        #[serde(borrow, default, rename = "keyPrefix")]
        key_prefix: Option<Cow<'a, str>>,
    }
    let wire: Wire<'_> = serde_json::from_str(payload).ok()?;
    let document = wire.state.map(Cow::into_owned);
    // One of the two it must say.
    (wire.deleted || document.is_some()).then(|| Update {
        session_id: wire.session_id.into_owned(),
        key_prefix: wire.key_prefix.map(Cow::into_owned),
        document: document.filter(|_| !wire.deleted),
    })
}

/// The session and the `message` of a WebSocket envelope, where its channel does not tell the session.
pub(crate) fn read_addressed_broadcast(payload: &str) -> Option<(String, &str)> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(borrow, rename = "sessionId")]
        session_id: Cow<'a, str>,
        #[serde(borrow)]
        message: &'a RawValue,
    }
    let wire: Wire<'_> = serde_json::from_str(payload).ok()?;
    Some((wire.session_id.into_owned(), wire.message.get()))
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
        let text = r#"{"timestamp":5,"state":"{\"version\":12}","sessionId":"a\"b"}"#;
        assert_eq!(
            read_update(text),
            Some(Update {
                session_id: "a\"b".into(),
                key_prefix: None,
                document: Some(r#"{"version":12}"#.into())
            })
        );
    }

    #[test]
    fn a_deletion_has_no_document() {
        let key_prefix = Some(String::from("p"));
        let gone = Update { session_id: "s".into(), key_prefix, document: None };
        let text = r#"{"deleted":true,"keyPrefix":"p","timestamp":1,"sessionId":"s"}"#;
        assert_eq!(read_update(text), Some(gone));
    }

    #[test]
    fn a_broadcast_keeps_the_senders_text() {
        let text = broadcast("s", r#"{"a":[],"b":1e400}"#, 1);
        assert_eq!(read_broadcast(&text), Some(r#"{"a":[],"b":1e400}"#));
        let addressed = read_addressed_broadcast(&text);
        assert_eq!(addressed, Some(("s".into(), r#"{"a":[],"b":1e400}"#)));
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
            assert_eq!(read_update(text), None, "{text}");
        }
        assert_eq!(read_broadcast("{}"), None);
        assert_eq!(read_broadcast("no"), None);
    }
}
