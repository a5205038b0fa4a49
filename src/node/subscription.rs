//! `NativeSubscription`: the channels that a client's owner listens to.

use std::sync::Arc;

use napi::bindgen_prelude::{Error, Result};
use napi_derive::napi;
use serde::Deserialize;

use super::client::NativeClient;
use super::completions::{Backlog, Completion, Completions, Kind, Queue};
use super::runtime::IO;
use crate::redis::subscriber::Topics;
use crate::redis::subscription::{Audience, Heard, Subscription};

/// The subscriptions of a client, on a connection of their own.
#[napi]
pub struct NativeSubscription {
    subscription: Subscription,
}

#[derive(Deserialize)]
struct Wanted {
    channels: Vec<String>,
    patterns: Vec<String>,
}

#[napi]
impl NativeSubscription {
    /// News for `slot`: `Message`, `Confirmed` and `Refused`.
    #[napi(constructor)]
    pub fn new(completions: &Completions, client: &NativeClient, slot: u32) -> Result<Self> {
        let (queue, backlog) = (completions.lane.queue.clone(), Arc::default());
        let listeners = Listeners { queue, slot, backlog };
        let (status, closed) = (client.status.of_another(), client.closed.subscribe());
        let (options, connection) = client.redis()?;
        let (subscription, task) =
            Subscription::new(options.clone(), connection.clone(), status, closed, listeners);
        IO.spawn(task)?;
        Ok(Self { subscription })
    }

    /// Listens to these and nothing else. `topics`: JSON, `channels` and `patterns`. `number` comes
    /// back when Redis has confirmed them, or others since.
    #[napi]
    pub fn listen_to(&self, topics: String, number: u32) -> Result<()> {
        let Wanted { channels, patterns } = serde_json::from_str(&topics)
            .map_err(|_| Error::from_reason("the topics cannot be read"))?;
        let topics = Topics {
            channels: channels.into_iter().collect(),
            patterns: patterns.into_iter().collect(),
            ..Topics::default()
        };
        self.subscription.listen_to(topics, number);
        Ok(())
    }
}

/// JavaScript's, by way of the completions.
struct Listeners {
    queue: Arc<Queue>,
    slot: u32,
    backlog: Arc<Backlog>,
}

impl Audience for Listeners {
    fn tell(&self, heard: Heard) {
        let (kind, number, text, more) = match heard {
            Heard::Confirmed(number) => (Kind::Confirmed, f64::from(number), None, None),
            Heard::Refused(number, line) => (Kind::Refused, f64::from(number), None, Some(line)),
            Heard::Message { pattern, channel, payload } => {
                let about = serde_json::json!([pattern, channel]).to_string();
                (Kind::Message, 0.0, Some(payload.into()), Some(about))
            }
        };
        let slot = self.slot;
        let told = Completion { slot, kind, number, text, more, waits: None };
        self.queue.push(told.noted_in(&self.backlog));
    }

    fn backlog(&self) -> usize {
        self.backlog.bytes()
    }
}
