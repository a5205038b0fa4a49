//! What every change of a session does besides: appends its record, and tells all instances.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::message::{Content, Message};
use crate::memory::contents::Contents;
use crate::memory::moment::Moment;
use crate::memory::records::entry::Entry;
use crate::operation::names::Namespace;
use crate::operation::record::Reason;

/// A change of a session.
pub(super) struct Change {
    pub session_id: String,
    /// The document after it.
    pub state: Option<Arc<str>>,
    pub event_type: &'static str,
    pub record_id: Option<String>,
    pub reason: Option<Box<Reason>>,
    pub now_ms: i64,
}

/// Whether a change gets its record: `false` where the sessions are audited and the backlog is full.
pub(super) fn has_room(namespace: &Namespace, contents: &mut Contents) -> bool {
    namespace.audit.as_deref().is_none_or(|stream| contents.has_room(stream))
}

/// Appends the record of a change, where the sessions are audited and there is room, and publishes it.
pub(super) fn announce(
    namespace: &Namespace,
    contents: &mut Contents,
    change: Change,
    has_room: bool,
    at: Moment,
) {
    let Change { session_id, state, event_type, record_id, reason, now_ms } = change;
    if let (Some(stream), true) = (namespace.audit.as_deref(), has_room) {
        let Reason { event_type: told, metadata } =
            reason.map(|reason| *reason).unwrap_or_default();
        let entry = Entry {
            record_id: record_id.unwrap_or_default(),
            session_id: session_id.clone(),
            event_type: told.map_or(Cow::Borrowed(event_type), Cow::Owned),
            at_ms: now_ms,
            is_write: state.is_some(),
            state: state.clone(),
            metadata,
            position: None,
            logged: None,
        };
        contents.append(stream, entry, at);
    }
    publish(namespace, contents, session_id, state, at);
}

/// Publishes a session's document after a change; `None`: the session is gone.
pub(super) fn publish(
    namespace: &Namespace,
    contents: &mut Contents,
    session_id: String,
    document: Option<Arc<str>>,
    at: Moment,
) {
    let channel = &namespace.keys.updates_channel;
    let message = || {
        let key_prefix = namespace.keys.session_prefix.clone();
        let content = Content::Update { session_id, key_prefix, document };
        Message { channel: channel.clone(), content }
    };
    contents.topics.publish(channel, message, at.now, &mut contents.wakes);
}

/// How long a session lives after a write.
pub(super) fn ttl(namespace: &Namespace) -> Duration {
    Duration::from_secs(namespace.ttl_seconds.into())
}
