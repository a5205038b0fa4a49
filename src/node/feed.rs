//! `NativeFeed`: what all instances publish, on its way to a manager's callbacks.

use std::sync::Arc;

use napi::bindgen_prelude::Result;
use napi_derive::napi;
use tokio::sync::watch;

use super::client::NativeClient;
use super::completions::{Backlog, Completion, Completions, Kind, Queue};
use super::runtime::IO;
use crate::document::count_iso_strings;
use crate::engine::Engine;
use crate::engine::subscription::Interest;
use crate::keys::Keys;
use crate::session::feed::{Audience, Feed, FeedEvent};

/// The updates and WebSocket messages of one manager.
#[napi]
pub struct NativeFeed {
    feed: Feed,
    backlog: Arc<Backlog>,
}

#[napi]
impl NativeFeed {
    /// News for `slot`, as `Kind` lists it.
    #[napi(constructor)]
    #[allow(clippy::too_many_arguments)] // Objects do not cross the boundary.
    pub fn new(
        completions: &Completions,
        client: &NativeClient,
        slot: u32,
        session_prefix: String,
        updates_channel: String,
        ws_channel_prefix: String,
        all_prefixes: bool,
        max_feed_bytes: u32,
    ) -> Result<Self> {
        let keys = Keys { session_prefix, updates_channel, ws_channel_prefix };
        let (queue, backlog) = (completions.lane.queue.clone(), Arc::<Backlog>::default());
        let callbacks = Callbacks { queue, slot, all_prefixes, backlog: backlog.clone() };
        let status = client.status.of_another();
        let closed: watch::Receiver<bool> = client.closed.subscribe();
        let subscription = client.engine.subscription(keys.clone(), status);
        let most = max_feed_bytes as usize;
        let (feed, task) = Feed::new(subscription, keys, all_prefixes, closed, callbacks, most);
        IO.spawn(task)?;
        Ok(Self { feed, backlog })
    }

    /// Listens to this and nothing else. `number` comes back when that is confirmed.
    #[napi]
    pub fn listen_to(&self, updates: bool, web_socket: bool, number: u32) {
        self.feed.listen_to(Interest { updates, web_socket }, number);
    }

    /// How many messages wait for the callbacks.
    #[napi(getter)]
    pub fn behind(&self) -> f64 {
        self.backlog.messages() as f64
    }

    /// How many bytes they have.
    #[napi(getter)]
    pub fn behind_bytes(&self) -> f64 {
        self.backlog.bytes() as f64
    }
}

/// JavaScript's, by way of the completions.
struct Callbacks {
    queue: Arc<Queue>,
    slot: u32,
    all_prefixes: bool,
    backlog: Arc<Backlog>,
}

impl Audience for Callbacks {
    fn tell(&self, event: FeedEvent) {
        let told = to_completion(self.slot, event, self.all_prefixes);
        self.queue.push(told.noted_in(&self.backlog));
    }

    fn backlog(&self) -> usize {
        self.backlog.messages()
    }

    fn backlog_bytes(&self) -> usize {
        self.backlog.bytes()
    }
}

fn to_completion(slot: u32, event: FeedEvent, all_prefixes: bool) -> Completion {
    let (kind, number, text, more) = match event {
        FeedEvent::Update { session_id, key_prefix, document } => {
            let dates = document.as_deref().map_or(0, count_iso_strings);
            let about = if all_prefixes {
                serde_json::json!([session_id, key_prefix]).to_string()
            } else {
                session_id
            };
            (Kind::Update, f64::from(dates), Some(about), document)
        }
        FeedEvent::WebSocket { session_id, message } => {
            (Kind::WebSocket, 0.0, Some(session_id), Some(message))
        }
        FeedEvent::Confirmed { interest } => (Kind::Confirmed, f64::from(interest), None, None),
        FeedEvent::Gap { lasted, known, reread, changed } => {
            let lasted_ms = u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX);
            let gap = serde_json::json!({
                "lastedMs": lasted_ms, "known": known, "reread": reread, "changed": changed,
            });
            (Kind::Gap, 0.0, Some(gap.to_string()), None)
        }
        FeedEvent::Malformed { channel } => (Kind::Malformed, 0.0, Some(channel), None),
        FeedEvent::Lost { reason } => (Kind::Lost, 0.0, Some(reason), None),
    };
    Completion { slot, kind, number, text: text.map(Into::into), more, waits: None }
}
