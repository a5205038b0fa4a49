//! What tells of sessions that have expired. `redis/sessions/scripts/` has the same rules for Redis, in
//! `expiry.lua`, `life.lua` and `expire.lua`.

use super::change::{Change, announce, has_room, ttl};
use crate::error::Result;
use crate::memory::apply::Apply;
use crate::memory::contents::Contents;
use crate::memory::moment::Moment;
use crate::operation::expiry::{Due, Expire, Expired};
use crate::operation::names::Namespace;
use crate::operation::record::{EXPIRED, earlier_id};

impl Apply for Due {
    type Context = Namespace;

    fn apply(
        self,
        namespace: &Namespace,
        contents: &mut Contents,
        at: Moment,
    ) -> Result<Vec<String>> {
        let expiries = contents.expiries.get(&namespace.keys.session_prefix);
        Ok(expiries.map(|noted| noted.due(at.now, self.limit)).unwrap_or_default())
    }

    fn is_called(&self) -> bool {
        false
    }
}

impl Apply for Expire {
    type Context = Namespace;

    fn apply(self, namespace: &Namespace, contents: &mut Contents, at: Moment) -> Result<Expired> {
        let mut expired = Expired::default();
        let now_ms = i64::try_from(at.epoch_ms).unwrap_or(i64::MAX);
        for (session_id, record_id) in self.sessions {
            if !is_noted(namespace, contents, &session_id) {
                continue; // Another instance has told meanwhile.
            }
            let key = namespace.keys.session(&session_id);
            match contents.sessions.get(&key, at.now).map(|session| session.expires_at) {
                Some(expires_at) => {
                    let prefix = &namespace.keys.session_prefix;
                    let expiries = contents.expiries.get_mut(prefix);
                    expiries
                        .into_iter()
                        .for_each(|noted| noted.note(session_id.clone(), expires_at));
                }
                None => {
                    expired.told += 1;
                    let is_audited =
                        tell_expiry(namespace, contents, session_id, Some(record_id), now_ms, at);
                    expired.unaudited += u64::from(!is_audited);
                }
            }
        }
        Ok(expired)
    }

    fn is_called(&self) -> bool {
        false
    }
}

/// Where the session of a change has expired before it and nobody has told, tells that first.
pub(super) fn tell_expiry_before(
    namespace: &Namespace,
    contents: &mut Contents,
    change: &Change,
    at: Moment,
) {
    let Change { session_id, record_id, now_ms, .. } = change;
    let key = namespace.keys.session(session_id);
    if is_noted(namespace, contents, session_id) && contents.sessions.get(&key, at.now).is_none() {
        let record_id = record_id.as_deref().map(earlier_id);
        tell_expiry(namespace, contents, session_id.clone(), record_id, *now_ms, at);
    }
}

/// Notes a session that was written.
pub(super) fn note(namespace: &Namespace, contents: &mut Contents, session_id: &str, at: Moment) {
    if namespace.announce_expiry {
        let prefix = namespace.keys.session_prefix.clone();
        let expiries = contents.expiries.entry(prefix).or_default();
        expiries.note_at_latest(session_id.to_owned(), at.now + ttl(namespace));
    }
}

/// Forgets a session that is deleted.
pub(super) fn forget(namespace: &Namespace, contents: &mut Contents, session_id: &str) {
    if namespace.announce_expiry
        && let Some(expiries) = contents.expiries.get_mut(&namespace.keys.session_prefix)
    {
        expiries.forget(session_id);
    }
}

fn is_noted(namespace: &Namespace, contents: &Contents, session_id: &str) -> bool {
    let expiries = contents.expiries.get(&namespace.keys.session_prefix);
    namespace.announce_expiry && expiries.is_some_and(|noted| noted.has(session_id))
}

/// Ends the life of a session. Returns `false` if it was to be audited, and the backlog is full.
fn tell_expiry(
    namespace: &Namespace,
    contents: &mut Contents,
    session_id: String,
    record_id: Option<String>,
    now_ms: i64,
    at: Moment,
) -> bool {
    forget(namespace, contents, &session_id);
    let event_type = EXPIRED;
    let change = Change { session_id, state: None, event_type, record_id, reason: None, now_ms };
    let has_room = has_room(namespace, contents);
    announce(namespace, contents, change, has_room, at);
    has_room
}
