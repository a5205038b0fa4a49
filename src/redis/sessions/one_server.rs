//! What one server publishes about sessions, with a connection of its own.

use std::collections::BTreeSet;

use super::message::{read_broadcast, read_update};
use super::stored::reread;
use crate::engine::status::StatusSink;
use crate::engine::subscription::{Event, Gap, Interest, Listening, Stored};
use crate::keys::Keys;
use crate::redis::options::Options;
use crate::redis::subscriber::{self, Subscriber, Topics, Unanswered};

/// The subscription to one server.
pub(super) struct OneServer {
    options: Options,
    keys: Keys,
    subscriber: Subscriber,
}

impl OneServer {
    pub fn new(options: Options, keys: Keys, status: StatusSink) -> Self {
        let subscriber = Subscriber::new(options.clone(), status);
        Self { options, keys, subscriber }
    }

    /// The next event. `None`: the server is a part of a cluster, which is to be listened to in another way.
    pub async fn next(&mut self) -> Option<Event> {
        match self.subscriber.next().await {
            subscriber::Event::IsCluster => None,
            event => Some(self.event(event)),
        }
    }

    fn topics(&self, interest: Interest) -> Topics {
        let one = |wanted: bool, name: String| BTreeSet::from_iter(wanted.then_some(name));
        Topics {
            channels: one(interest.updates, self.keys.updates_channel.clone()),
            patterns: one(interest.web_socket, self.keys.ws_pattern()),
            ..Topics::default()
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
            subscriber::Event::Confirmed { gap } => {
                Event::Confirmed { gap: gap.map(Gap::of_all), is_all: true }
            }
            subscriber::Event::Message { channel, payload, .. } => self.message(channel, payload),
            subscriber::Event::Marker(marker) => Event::Marker(marker),
            subscriber::Event::Lost { reason, .. } => Event::Lost { reason },
            subscriber::Event::Moved(channel) => Event::Malformed { channel },
            subscriber::Event::IsCluster => {
                Event::Lost { reason: format!("{}: it is a part of a cluster", self.options) }
            }
        }
    }

    pub async fn listen_to(&mut self, interest: Interest) -> Result<Listening, Event> {
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

    pub async fn reread(
        &mut self,
        session_ids: &[String],
        marker: u64,
    ) -> Result<Option<Vec<Stored>>, Event> {
        let keys: Vec<String> = session_ids.iter().map(|id| self.keys.session(id)).collect();
        let stored = reread(&mut self.subscriber, &keys, marker).await;
        stored.map_err(|unanswered| match unanswered {
            Unanswered::Moved(reason) => Event::Lost { reason },
            Unanswered::Lost(lost) => self.event(lost),
        })
    }

    pub fn caught_up(&mut self) {
        self.subscriber.caught_up();
    }

    pub fn give_up(&mut self, reason: String) -> Option<Event> {
        let lost = self.subscriber.give_up(reason)?;
        Some(self.event(lost))
    }
}
