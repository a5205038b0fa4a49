//! What a client listens to by its own wish: topics that change, and their messages, which go to one
//! audience. What is published while there is no connection is lost, as always with Redis.

use std::future::Future;

use tokio::sync::watch;
use tokio::time::{Duration, sleep};

use crate::redis::options::Options;
use crate::redis::status::{Status, StatusSink};
use crate::redis::subscriber::{Event, Listening, Subscriber, Topics};

/// How many bytes of messages may wait for the audience. With more the connection is given up until
/// half of them are heard.
const BACKLOG: usize = 64 << 20;

/// How often to look whether the audience has heard enough.
const LOOK: Duration = Duration::from_millis(20);

/// What the audience is told.
#[derive(Debug)]
pub enum Heard {
    /// Redis has confirmed the topics of this number.
    Confirmed(u32),
    /// Redis does not let this user listen to what these topics have more than those that it has
    /// confirmed last, for this reason.
    Refused(u32, String),
    /// A message.
    Message {
        /// The pattern that it was heard by; `None` where that was the channel's own name.
        pattern: Option<String>,
        /// The channel that it was published to.
        channel: String,
        /// Its bytes.
        payload: Vec<u8>,
    },
}

/// Who hears.
pub trait Audience: Send + 'static {
    /// Takes news, in order.
    fn tell(&self, heard: Heard);

    /// How many bytes of messages it was told and has not looked at.
    fn backlog(&self) -> usize;
}

/// The topics that are listened to. Dropping it ends the subscription.
pub struct Subscription {
    wanted: watch::Sender<(Topics, u32)>,
}

impl Subscription {
    /// One without topics, and its task, to be spawned on a runtime. It ends when `closed` becomes
    /// true.
    pub fn new(
        options: Options,
        status: StatusSink,
        closed: watch::Receiver<bool>,
        audience: impl Audience,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (wanted, changes) = watch::channel((Topics::default(), 0));
        let task = Task { options, status, audience, subscriber: None, number: 0 };
        (Self { wanted }, task.run(changes, closed))
    }

    /// Listens to these and nothing else from now on. The audience is told `number` when Redis has
    /// confirmed them, unless they are replaced before that.
    pub fn listen_to(&self, topics: Topics, number: u32) {
        self.wanted.send_replace((topics, number));
    }
}

struct Task<A> {
    options: Options,
    status: StatusSink,
    audience: A,
    subscriber: Option<Subscriber>,
    /// The number of the topics that are listened to.
    number: u32,
}

impl<A: Audience> Task<A> {
    async fn run(
        mut self,
        mut changes: watch::Receiver<(Topics, u32)>,
        mut closed: watch::Receiver<bool>,
    ) {
        let work = async {
            loop {
                tokio::select! {
                    biased;
                    changed = changes.changed() => {
                        if changed.is_err() {
                            break;
                        }
                        let (topics, number) = changes.borrow_and_update().clone();
                        self.listen_to(topics, number).await;
                    }
                    event = next(&mut self.subscriber) => {
                        self.handle(event);
                        self.keep_pace().await;
                    }
                }
            }
        };
        tokio::select! {
            _ = closed.wait_for(|closed| *closed) => {}
            () = work => {}
        }
        (self.status)(Status::Closed);
    }

    async fn listen_to(&mut self, topics: Topics, number: u32) {
        self.number = number;
        if topics.is_empty() {
            self.subscriber = None;
            (self.status)(Status::Idle);
            self.audience.tell(Heard::Confirmed(number));
            return;
        }
        match &mut self.subscriber {
            // The next connection confirms them, where this one was lost.
            Some(subscriber) => match subscriber.listen_to(topics).await {
                Ok(Listening::Confirmed) => self.audience.tell(Heard::Confirmed(number)),
                Ok(Listening::Refused(line)) => {
                    self.audience.tell(Heard::Refused(number, line));
                }
                Ok(Listening::Later) | Err(_) => {}
            },
            None => {
                (self.status)(Status::Connecting);
                let (options, status) = (self.options.clone(), self.status.clone());
                self.subscriber = Some(Subscriber::new(options, topics, status));
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Confirmed { .. } => {
                if let Some(subscriber) = &mut self.subscriber {
                    subscriber.caught_up();
                }
                self.audience.tell(Heard::Confirmed(self.number));
            }
            Event::Message { pattern, channel, payload } => {
                let payload = payload.map_or_else(|bytes| bytes, String::into_bytes);
                self.audience.tell(Heard::Message { pattern, channel, payload });
            }
            Event::Lost { refused: Some(line), .. } => {
                self.audience.tell(Heard::Refused(self.number, line));
            }
            Event::Marker(_) | Event::Lost { .. } => {} // The status tells of a loss.
        }
    }

    async fn keep_pace(&mut self) {
        if self.audience.backlog() <= BACKLOG {
            return;
        }
        if let Some(subscriber) = &mut self.subscriber {
            let _ = subscriber.lost(format!("{BACKLOG} bytes of messages wait for the listeners"));
        }
        while self.audience.backlog() > BACKLOG / 2 {
            sleep(LOOK).await;
        }
    }
}

async fn next(subscriber: &mut Option<Subscriber>) -> Event {
    match subscriber {
        Some(subscriber) => subscriber.next().await,
        None => std::future::pending().await,
    }
}
