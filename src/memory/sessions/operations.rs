//! The operations on sessions. `redis/sessions/scripts/` has the same rules for Redis.

use std::sync::Arc;

use super::change::{Change, announce, has_room, publish, ttl};
use super::expiry::{forget, note, tell_expiry_before};
use super::message::{Content, Message};
use crate::document::{Draft, MAX_VERSION};
use crate::error::{Error, Result};
use crate::memory::apply::Apply;
use crate::memory::contents::Contents;
use crate::memory::moment::Moment;
use crate::operation::names::Namespace;
use crate::operation::record::{DELETED, UPDATED, new_id};
use crate::operation::rule::{Over, Rule};
use crate::operation::session::{
    Broadcast, Delete, Deleted, Documents, Get, GetMany, Touch, Write, Written,
};

impl Apply for Get {
    type Context = Namespace;

    fn apply(
        self,
        namespace: &Namespace,
        contents: &mut Contents,
        at: Moment,
    ) -> Result<Option<String>> {
        Ok(document(namespace, contents, &self.session_id, at))
    }
}

impl Apply for GetMany {
    type Context = Namespace;

    fn apply(
        self,
        namespace: &Namespace,
        contents: &mut Contents,
        at: Moment,
    ) -> Result<Documents> {
        let read = |id: &String| Ok(document(namespace, contents, id, at));
        Ok(self.session_ids.iter().map(read).collect())
    }
}

impl Apply for Write {
    type Context = Namespace;

    fn apply(self, namespace: &Namespace, contents: &mut Contents, at: Moment) -> Result<Written> {
        let Self { session_id, draft, rule, record_id, reason, now_ms } = self;
        let key = namespace.keys.session(&session_id);
        let stored = contents.sessions.get(&key, at.now);
        let version = match (rule, stored) {
            (Rule::Create, _) | (Rule::CreateIfAbsent, None) => 1,
            (Rule::CreateIfAbsent, Some(_)) => return Err(Error::SessionExists { session_id }),
            (Rule::Locked { .. }, None) => return Err(Error::SessionNotFound { session_id }),
            (Rule::Locked { expected }, Some(stored)) if stored.version == expected => expected + 1,
            (Rule::Any, None) => draft.version.unwrap_or(0) + 1,
            (Rule::Restore { over: Over::Version(_), .. }, None) => {
                return Err(Error::SessionNotFound { session_id });
            }
            (Rule::Restore { least, .. }, None) => least,
            (Rule::Restore { over: Over::Nothing, .. }, Some(_)) => {
                return Err(Error::SessionExists { session_id });
            }
            (Rule::Restore { least, over: Over::Anything }, Some(stored)) => {
                // One that is no version counts as none.
                let next = (stored.version < MAX_VERSION).then_some(stored.version + 1);
                next.unwrap_or(0).max(least)
            }
            (_, Some(stored)) if stored.version >= MAX_VERSION => {
                return Err(Error::Deserialization { session_id, raw: (*stored.document).into() });
            }
            (Rule::Restore { least, over: Over::Version(seen) }, Some(stored))
                if stored.version == seen =>
            {
                least.max(seen + 1)
            }
            (
                Rule::Locked { expected } | Rule::Restore { over: Over::Version(expected), .. },
                Some(stored),
            ) => {
                let actual = stored.version;
                return Err(Error::ConcurrentModification { session_id, expected, actual });
            }
            (Rule::Any, Some(stored)) => stored.version + 1,
        };
        let document = Arc::<str>::from(draft.document(version));
        let state = Some(document.clone());
        let event_type = rule.event_type();
        let change = Change { session_id, state, event_type, record_id, reason, now_ms };
        // As on Redis: what is told before it does not take its place.
        let has_room = has_room(namespace, contents);
        tell_expiry_before(namespace, contents, &change, at);
        note(namespace, contents, &change.session_id, at);
        announce(namespace, contents, change, has_room, at);
        contents.sessions.put(&key, document, version, at.now + ttl(namespace));
        Ok(Written { version, unaudited: !has_room })
    }

    fn contested(&self) -> Option<&str> {
        matches!(self.rule, Rule::Locked { .. }).then_some(&*self.session_id)
    }

    fn lose_race(&self, namespace: &Namespace, contents: &mut Contents, at: Moment) {
        let key = namespace.keys.session(&self.session_id);
        let Some(stored) = contents.sessions.get(&key, at.now) else { return };
        let (before, version) = (Draft::head(stored.version), stored.version + 1);
        let Some(rest) = stored.document.strip_prefix(&*before) else { return };
        let document = Arc::<str>::from(Draft::head(version) + rest);
        let change = Change {
            session_id: self.session_id.clone(),
            state: Some(document.clone()),
            event_type: UPDATED,
            record_id: Some(new_id(self.now_ms)),
            reason: None,
            now_ms: self.now_ms,
        };
        let has_room = has_room(namespace, contents);
        announce(namespace, contents, change, has_room, at);
        contents.sessions.put(&key, document, version, at.now + ttl(namespace));
    }
}

impl Apply for Delete {
    type Context = Namespace;

    fn apply(self, namespace: &Namespace, contents: &mut Contents, at: Moment) -> Result<Deleted> {
        let Self { session_id, record_id, reason, now_ms } = self;
        let key = namespace.keys.session(&session_id);
        let event_type = DELETED;
        let change = Change { session_id, state: None, event_type, record_id, reason, now_ms };
        tell_expiry_before(namespace, contents, &change, at);
        forget(namespace, contents, &change.session_id);
        let existed = contents.sessions.remove(&key, at.now);
        if !existed {
            publish(namespace, contents, change.session_id, None, at);
            return Ok(Deleted { existed, unaudited: false });
        }
        let has_room = has_room(namespace, contents);
        announce(namespace, contents, change, has_room, at);
        Ok(Deleted { existed, unaudited: !has_room })
    }
}

impl Apply for Touch {
    type Context = Namespace;

    fn apply(self, namespace: &Namespace, contents: &mut Contents, at: Moment) -> Result<bool> {
        let key = namespace.keys.session(&self.session_id);
        Ok(contents.sessions.touch(&key, at.now + ttl(namespace), at.now))
    }
}

impl Apply for Broadcast {
    type Context = Namespace;

    fn apply(self, namespace: &Namespace, contents: &mut Contents, at: Moment) -> Result<()> {
        let channel = namespace.keys.ws_channel(&self.session_id);
        let message =
            || Message { channel: channel.clone(), content: Content::Broadcast(self.message) };
        contents.topics.publish(&channel, message, at.now, &mut contents.wakes);
        Ok(())
    }
}

fn document(
    namespace: &Namespace,
    contents: &Contents,
    session_id: &str,
    at: Moment,
) -> Option<String> {
    let session = contents.sessions.get(&namespace.keys.session(session_id), at.now)?;
    Some((*session.document).to_owned())
}
