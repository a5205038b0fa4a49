//! What one master of a cluster publishes about the sessions of its partitions: a task with a connection of its
//! own, which takes orders and tells of what happens. What it tells waits in a short queue; while that is
//! full it reads nothing more, and takes orders.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot};

use super::message::{read_addressed_broadcast, read_update};
use super::stored::reread;
use crate::engine::subscription::{Event, Interest, PANICKED, Stored};
use crate::keys::Keys;
use crate::redis::options::Options;
use crate::redis::subscriber::{self, Listening, Subscriber, Topics, Unanswered};
use crate::redis::topology::partition::Partitions;

/// Tells the masters of one subscription apart.
pub(super) type MasterId = u64;

/// The names of all partitions.
pub(super) struct Names {
    parts: Vec<Keys>,
    /// Which partition a channel is of, and whether it is that of updates.
    channels: HashMap<String, (usize, bool)>,
}

impl Names {
    pub fn new(keys: &Keys, partitions: &Partitions) -> Self {
        let parts: Vec<Keys> =
            partitions.iter().map(|partition| keys.of_partition(&partition.tag)).collect();
        let channels = parts.iter().enumerate().flat_map(|(part, keys)| {
            [(&keys.updates_channel, true), (&keys.ws_channel_prefix, false)]
                .map(|(channel, is_update)| (channel.clone(), (part, is_update)))
        });
        let channels = channels.collect();
        Self { parts, channels }
    }

    /// The key of a session in a partition.
    pub fn key(&self, part: usize, session_id: &str) -> Option<String> {
        Some(self.parts.get(part)?.session(session_id))
    }

    fn topics(&self, parts: &BTreeSet<usize>, interest: Interest) -> Topics {
        let mut sharded = BTreeSet::new();
        for keys in parts.iter().filter_map(|part| self.parts.get(*part)) {
            sharded.extend(interest.updates.then(|| keys.updates_channel.clone()));
            sharded.extend(interest.web_socket.then(|| keys.ws_channel_prefix.clone()));
        }
        Topics { sharded, ..Topics::default() }
    }
}

/// What a master is to do.
pub(super) enum Order {
    /// To listen to this and nothing else. `number` comes back when that is confirmed.
    Listen { parts: BTreeSet<usize>, interest: Interest, number: u64 },
    /// To read what is stored at keys of one partition. The error says why it cannot.
    Reread { keys: Vec<String>, marker: u64, answer: Answer },
}

pub(super) type Answer = oneshot::Sender<Result<Option<Vec<Stored>>, Failed>>;

/// Why nothing was read.
pub(super) struct Failed(pub String);

/// What a master tells.
pub(super) enum Told {
    /// It confirms what was ordered by this number, for these partitions. Others have the rest.
    Confirmed { number: u64, parts: BTreeSet<usize> },
    /// A partition has moved to another master.
    Moved { part: usize },
    /// Something was published to a partition.
    Published { part: usize, event: Event },
    /// The moment of a re-read.
    Marker(u64),
    /// The connection was lost or could not be made; the next is on its way.
    Lost { reason: String },
}

/// Where a master tells.
pub(super) type Ears = mpsc::Sender<(MasterId, Told)>;

/// The task of a master.
pub(super) struct Master {
    id: MasterId,
    options: Options,
    names: Arc<Names>,
    subscriber: Subscriber,
    parts: BTreeSet<usize>,
    interest: Interest,
    number: u64,
    orders: mpsc::UnboundedReceiver<Order>,
    /// What orders have led to, at most one for each, which goes before what comes next.
    outbox: VecDeque<Told>,
}

impl Master {
    pub fn new(
        id: MasterId,
        options: Options,
        names: Arc<Names>,
        orders: mpsc::UnboundedReceiver<Order>,
    ) -> Self {
        // The subscription as a whole tells of its status.
        let subscriber = Subscriber::new(options.clone(), Arc::new(|_| {}));
        let (parts, interest, number) = (BTreeSet::new(), Interest::default(), 0);
        let outbox = VecDeque::new();
        Self { id, options, names, subscriber, parts, interest, number, orders, outbox }
    }

    /// Until there is nobody who gives orders, or nobody who hears.
    pub async fn run(mut self, ears: Ears) {
        loop {
            match AssertUnwindSafe(self.step(&ears)).catch_unwind().await {
                Ok(Some(())) => {}
                Ok(None) => return,
                // A panic costs the connection, and what was published until there is another.
                Err(_panic) => self.give_up(PANICKED.to_owned()),
            }
        }
    }

    async fn step(&mut self, ears: &Ears) -> Option<()> {
        let Self { subscriber, orders, outbox, .. } = self;
        tokio::select! {
            biased;
            order = orders.recv() => self.follow(order?).await,
            permit = ears.reserve(), if !outbox.is_empty() => {
                permit.ok()?.send((self.id, self.outbox.pop_front()?));
            }
            next = async { (ears.reserve().await, subscriber.next().await) }, if outbox.is_empty() => {
                let (permit, event) = next;
                if let Some(told) = self.told(event) {
                    permit.ok()?.send((self.id, told));
                }
            }
        }
        Some(())
    }

    async fn follow(&mut self, order: Order) {
        match order {
            Order::Listen { parts, interest, number } => {
                (self.parts, self.interest, self.number) = (parts, interest, number);
                self.listen().await;
            }
            Order::Reread { keys, marker, answer } => {
                let stored = reread(&mut self.subscriber, &keys, marker).await;
                let stored = stored.map_err(|unanswered| match unanswered {
                    Unanswered::Moved(reason) => Failed(reason),
                    Unanswered::Lost(lost) => {
                        self.outbox.extend(self.told(lost));
                        Failed(format!("{}: the connection was lost", self.options))
                    }
                });
                // Whoever has given up waiting asks again.
                let _ = answer.send(stored);
            }
        }
    }

    async fn listen(&mut self) {
        let topics = self.names.topics(&self.parts, self.interest);
        match self.subscriber.listen_to(topics).await {
            Ok(Listening::Confirmed) => self.outbox.push_back(self.confirmed()),
            Ok(Listening::Later) => {} // The next connection confirms it.
            // It is of no use without its topics: the next connection asks again.
            Ok(Listening::Refused(line)) => {
                self.give_up(format!("{}: {line}", self.options));
                let topics = self.names.topics(&self.parts, self.interest);
                let _later = self.subscriber.listen_to(topics).await;
            }
            Err(lost) => self.outbox.extend(self.told(lost)),
        }
    }

    fn give_up(&mut self, reason: String) {
        let lost = self.subscriber.give_up(reason);
        self.outbox.extend(lost.and_then(|lost| self.told(lost)));
    }

    /// `None` where nobody has to know.
    fn told(&self, event: subscriber::Event) -> Option<Told> {
        Some(match event {
            subscriber::Event::Confirmed { .. } => self.confirmed(),
            subscriber::Event::Message { channel, payload, .. } => {
                let (part, is_update) = *self.names.channels.get(&channel)?;
                let event = payload.ok().and_then(|payload| {
                    if is_update {
                        return read_update(&payload).map(Event::Update);
                    }
                    let (session_id, message) = read_addressed_broadcast(&payload)?;
                    Some(Event::WebSocket { session_id, message: message.to_owned() })
                });
                Told::Published { part, event: event.unwrap_or(Event::Malformed { channel }) }
            }
            subscriber::Event::Marker(marker) => Told::Marker(marker),
            subscriber::Event::Moved(channel) => {
                Told::Moved { part: self.names.channels.get(&channel)?.0 }
            }
            subscriber::Event::Lost { reason, .. } => Told::Lost { reason },
            subscriber::Event::IsCluster => return None, // It is expected to be.
        })
    }

    /// Of its partitions, those that it has.
    fn confirmed(&self) -> Told {
        let heard = &self.subscriber.topics().sharded;
        let is_heard = |part: &usize| {
            let topics = self.names.topics(&BTreeSet::from([*part]), self.interest);
            topics.sharded.is_subset(heard)
        };
        let parts = self.parts.iter().copied().filter(is_heard).collect();
        Told::Confirmed { number: self.number, parts }
    }
}
