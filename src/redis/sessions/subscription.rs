//! What is published about sessions, with a connection of its own.

use std::collections::BTreeSet;

use redis::Value;

use super::message::{read_broadcast, read_update};
use crate::engine::status::{Status, StatusSink};
use crate::engine::subscription::{Event, Interest, Listening, Stored, Subscription};
use crate::keys::Keys;
use crate::redis::options::Options;
use crate::redis::subscriber::{self, Subscriber, Topics};

/// A subscription to what is published under some names.
pub struct SessionSubscription {
    options: Options,
    keys: Keys,
    status: StatusSink,
    subscriber: Subscriber,
}

impl SessionSubscription {
    pub(crate) fn new(options: Options, keys: Keys, status: StatusSink) -> Self {
        let subscriber = Subscriber::new(options.clone(), status.clone());
        Self { options, keys, status, subscriber }
    }

    fn topics(&self, interest: Interest) -> Topics {
        let one = |wanted: bool, name: String| BTreeSet::from_iter(wanted.then_some(name));
        Topics {
            channels: one(interest.updates, self.keys.updates_channel.clone()),
            patterns: one(interest.web_socket, self.keys.ws_pattern()),
        }
    }

    fn message(&self, channel: String, payload: Result<String, Vec<u8>>) -> Event {
        let understood = payload.ok().and_then(|payload| {
            if channel == self.keys.updates_channel {
                return read_update(&payload).map(Event::Update);
            }
            let session_id = self.keys.session_of_ws_channel(&channel)?.to_owned();
            let message = read_broadcast(&payload)?.to_owned();
            Some(Event::WebSocket { session_id, message })
        });
        understood.unwrap_or(Event::Malformed { channel })
    }

    fn event(&self, event: subscriber::Event) -> Event {
        match event {
            subscriber::Event::Confirmed { gap } => Event::Confirmed { gap },
            subscriber::Event::Message { channel, payload, .. } => self.message(channel, payload),
            subscriber::Event::Marker(marker) => Event::Marker(marker),
            subscriber::Event::Lost { reason, .. } => Event::Lost { reason },
        }
    }

    /// Asks about the keys of sessions. `None` where Redis refuses.
    async fn ask(
        &mut self,
        command: &str,
        session_ids: &[impl AsRef<str>],
        marker: u64,
    ) -> Result<Option<Value>, Event> {
        let keys: Vec<String> =
            session_ids.iter().map(|id| self.keys.session(id.as_ref())).collect();
        let answer = self.subscriber.ask(command, &keys, marker).await;
        answer.map_err(|lost| self.event(lost))
    }

    /// Whether any of the keys exists.
    async fn exists(
        &mut self,
        session_ids: &[impl AsRef<str>],
        marker: u64,
    ) -> Result<bool, Event> {
        let answer = self.ask("EXISTS", session_ids, marker).await?;
        Ok(matches!(answer, Some(Value::Int(count)) if count > 0))
    }

    /// Tells the keys of another type among those that `MGET` has found nothing for from the keys that
    /// are missing.
    async fn tell_foreign(
        &mut self,
        session_ids: &[String],
        stored: &mut [Stored],
        marker: u64,
    ) -> Result<(), Event> {
        let missing: Vec<(usize, &String)> = session_ids
            .iter()
            .enumerate()
            .filter(|(place, _)| stored.get(*place) == Some(&Stored::Nothing))
            .collect();
        let ids: Vec<&String> = missing.iter().map(|(_, id)| *id).collect();
        if ids.is_empty() || !self.exists(&ids, marker).await? {
            return Ok(());
        }
        for (place, id) in missing {
            if self.exists(&[id], marker).await?
                && let Some(stored) = stored.get_mut(place)
            {
                *stored = Stored::Foreign;
            }
        }
        Ok(())
    }
}

impl Subscription for SessionSubscription {
    async fn next(&mut self) -> Event {
        let event = self.subscriber.next().await;
        self.event(event)
    }

    async fn listen_to(&mut self, interest: Interest) -> Result<Listening, Event> {
        let topics = self.topics(interest);
        match self.subscriber.listen_to(topics.clone()).await {
            Ok(subscriber::Listening::Confirmed) => Ok(Listening::Confirmed),
            Ok(subscriber::Listening::Later) => Ok(Listening::Later),
            // It is of no use without its topics: the next connection asks again.
            Ok(subscriber::Listening::Refused(line)) => {
                let lost = self.subscriber.give_up(format!("{}: {line}", self.options));
                let _later = self.subscriber.listen_to(topics).await;
                lost.map_or(Ok(Listening::Later), |lost| Err(self.event(lost)))
            }
            Err(lost) => Err(self.event(lost)),
        }
    }

    async fn reread(
        &mut self,
        session_ids: &[String],
        marker: u64,
    ) -> Result<Option<Vec<Stored>>, Event> {
        // Refused (a user that may not read): what changed shows with the next update.
        let Some(Value::Array(values)) = self.ask("MGET", session_ids, marker).await? else {
            return Ok(None);
        };
        let mut stored: Vec<Stored> = values.into_iter().map(stored_as).collect();
        self.tell_foreign(session_ids, &mut stored, marker).await?;
        Ok(Some(stored))
    }

    fn caught_up(&mut self) {
        self.subscriber.caught_up();
    }

    fn give_up(&mut self, reason: String) -> Option<Event> {
        let lost = self.subscriber.give_up(reason)?;
        Some(self.event(lost))
    }

    fn closed(&self) {
        (self.status)(Status::Closed);
    }
}

fn stored_as(value: Value) -> Stored {
    match value {
        Value::Nil => Stored::Nothing,
        value => redis::from_redis_value(value).map_or(Stored::Foreign, Stored::Document),
    }
}
