//! What a client listens to by its own wish: topics that change, and their messages, which go to one
//! audience. What is published while there is no connection is lost, as always with Redis.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::time::{Duration, sleep};

use crate::engine::status::{Status, StatusSink};
use crate::engine::subscription::PANICKED;
use crate::redis::connection::Connection;
use crate::redis::greeting::Expected;
use crate::redis::options::Options;
use crate::redis::ping::connect;
use crate::redis::subscriber::{Event, Listening, Subscriber, Topics};
use crate::redis::topology::endpoint::Endpoint;

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
        connection: Connection,
        status: StatusSink,
        closed: watch::Receiver<bool>,
        audience: impl Audience,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (wanted, changes) = watch::channel((Topics::default(), 0));
        let subscriber = Subscriber::new(options.clone(), status.clone());
        let (number, master) = (0, None);
        let task = Task { options, connection, master, status, audience, subscriber, number };
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
    /// Knows the cluster, if it is one.
    connection: Connection,
    /// In a cluster, the master that is listened to.
    master: Option<Endpoint>,
    status: StatusSink,
    audience: A,
    subscriber: Subscriber,
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
                match AssertUnwindSafe(self.step(&mut changes)).catch_unwind().await {
                    Ok(true) => {}
                    Ok(false) => break,
                    // A panic costs the connection, and what was published until there is another.
                    Err(_panic) => drop(self.subscriber.give_up(PANICKED.to_owned())),
                }
            }
        };
        tokio::select! {
            _ = closed.wait_for(|closed| *closed) => {}
            () = work => {}
        }
        (self.status)(Status::Closed);
    }

    /// Handles the next thing that happens. Returns `false` when the subscription's handle is gone.
    async fn step(&mut self, changes: &mut watch::Receiver<(Topics, u32)>) -> bool {
        tokio::select! {
            biased;
            changed = changes.changed() => {
                if changed.is_err() {
                    return false;
                }
                let (topics, number) = changes.borrow_and_update().clone();
                self.listen_to(topics, number).await;
            }
            event = self.subscriber.next() => {
                match event {
                    Event::IsCluster => self.turn_to_master().await,
                    event => self.handle(event),
                }
                self.keep_pace().await;
            }
        }
        true
    }

    async fn listen_to(&mut self, topics: Topics, number: u32) {
        self.number = number;
        if self.master.is_none() && self.options.is_cluster() {
            self.turn_to_master().await;
        }
        match self.subscriber.listen_to(topics).await {
            Ok(Listening::Confirmed) => self.audience.tell(Heard::Confirmed(number)),
            Ok(Listening::Refused(line)) => self.audience.tell(Heard::Refused(number, line)),
            // The next connection confirms them, where this one was lost.
            Ok(Listening::Later) | Err(_) => {}
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Confirmed { .. } => {
                self.subscriber.caught_up();
                self.audience.tell(Heard::Confirmed(self.number));
            }
            Event::Message { pattern, channel, payload } => {
                let payload = payload.map_or_else(|bytes| bytes, String::into_bytes);
                self.audience.tell(Heard::Message { pattern, channel, payload });
            }
            Event::Lost { refused: Some(line), .. } => {
                self.audience.tell(Heard::Refused(self.number, line));
            }
            // The status tells of a loss.
            Event::Lost { .. } => self.turn_to_another(),
            Event::Marker(_) | Event::Moved(_) | Event::IsCluster => {}
        }
    }

    /// The server is a part of a cluster: listens to a node, to which all others pass on what is published.
    async fn turn_to_master(&mut self) {
        let mut changes = self.connection.map_changes();
        drop(connect(&self.connection, self.options.stall_timeout));
        loop {
            if let Some(master) = self.any_master() {
                return self.turn_to(master);
            }
            // Its sender lives as long as the connection.
            let _ = changes.changed().await;
        }
    }

    /// In a cluster: the next connection is one to another master, if there is one.
    fn turn_to_another(&mut self) {
        if self.master.is_some()
            && let Some(master) = self.any_master()
        {
            self.connection.map_is_old();
            self.turn_to(master);
        }
    }

    fn turn_to(&mut self, master: Endpoint) {
        self.subscriber.turn_to(self.options.of_node(master.clone(), Expected::Publisher));
        self.master = Some(master);
    }

    /// A master, another than the present one if there are several.
    fn any_master(&self) -> Option<Endpoint> {
        let mut masters: Vec<Endpoint> =
            self.connection.partition_owners().into_iter().flatten().collect();
        if masters.iter().any(|master| Some(master) != self.master.as_ref()) {
            masters.retain(|master| Some(master) != self.master.as_ref());
        }
        fastrand::choice(masters)
    }

    async fn keep_pace(&mut self) {
        if self.audience.backlog() <= BACKLOG {
            return;
        }
        let reason = format!("{BACKLOG} bytes of messages wait for the listeners");
        drop(self.subscriber.give_up(reason)); // The status tells of it.
        while self.audience.backlog() > BACKLOG / 2 {
            sleep(LOOK).await;
        }
    }
}
