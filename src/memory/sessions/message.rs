//! What is published about sessions, and how a listener reads it.

use std::sync::Arc;

use serde_json::value::RawValue;

use crate::engine::subscription::{Event, Update};
use crate::keys::Keys;

/// What was published.
#[derive(Debug)]
pub(in crate::memory) struct Message {
    /// Where.
    pub channel: String,
    /// What.
    pub content: Content,
}

/// What a message says.
#[derive(Debug)]
pub(in crate::memory) enum Content {
    /// A session was changed; deleted, where there is no document.
    Update {
        /// Which.
        session_id: String,
        /// What comes before the id in its key.
        key_prefix: String,
        /// Its document now.
        document: Option<Arc<str>>,
    },
    /// A message to the WebSocket clients of the channel's session: JSON text.
    Broadcast(String),
}

impl Message {
    /// The approximate size in memory.
    pub fn bytes(&self) -> usize {
        let content = match &self.content {
            Content::Update { session_id, document, .. } => {
                session_id.len() + document.as_ref().map_or(0, |document| document.len())
            }
            Content::Broadcast(message) => message.len(),
        };
        content + self.channel.len() + 256
    }

    /// What a listener with these names reads in it. The channel says what a message is.
    pub fn read(&self, keys: &Keys) -> Event {
        let read = if self.channel == keys.updates_channel {
            self.read_update()
        } else {
            self.read_broadcast(keys)
        };
        read.unwrap_or_else(|| Event::Malformed { channel: self.channel.clone() })
    }

    fn read_update(&self) -> Option<Event> {
        let Content::Update { session_id, key_prefix, document } = &self.content else {
            return None;
        };
        Some(Event::Update(Update {
            session_id: session_id.clone(),
            key_prefix: Some(key_prefix.clone()),
            document: document.as_deref().map(str::to_owned),
        }))
    }

    fn read_broadcast(&self, keys: &Keys) -> Option<Event> {
        let Content::Broadcast(message) = &self.content else { return None };
        let session_id = keys.session_of_ws_channel(&self.channel)?.to_owned();
        let message = serde_json::from_str::<&RawValue>(message).ok()?.get().to_owned();
        Some(Event::WebSocket { session_id, message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broadcast(channel: &str, message: &str) -> Message {
        Message { channel: channel.into(), content: Content::Broadcast(message.into()) }
    }

    #[test]
    fn the_channel_says_which_session_a_broadcast_is_about() {
        let (session_id, message) = ("a:b".into(), "[1]".into());
        let event = Event::WebSocket { session_id, message };
        assert_eq!(broadcast("ws:a:b", " [1] ").read(&Keys::default()), event);
    }

    #[test]
    fn what_is_no_message_of_its_channel_is_malformed() {
        let keys = Keys::default();
        for (channel, message) in [("ws:", "1"), ("ws:s", "no"), ("session-updates", "1")] {
            let event = broadcast(channel, message).read(&keys);
            assert_eq!(event, Event::Malformed { channel: channel.into() });
        }
    }
}
