//! Histories of a group of servers and its sentinels, made from a seed, and what a client follows
//! meanwhile. The client's machine runs as it is; sentinels, network and time are simulated.
//!
//! In a history there are failovers; sentinels that learn of a failover late, cannot be reached for a
//! while, or are cut off from the other sentinels and go on naming the old master; sentinels whose
//! answers are late; and connections to the master that are lost at any time, in bursts as well.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use tokio::time::{Duration, Instant};

use super::{Order, Sentinels};
use crate::redis::topology::endpoint::Endpoint;
use crate::redis::topology::report::Report;

/// How long after the last event the client has to follow the latest master: all sentinels are asked
/// again within 15 s, which takes a second at most here, and sooner once one is known to answer.
const SETTLED: Duration = Duration::from_secs(17);

/// How often a sentinel is asked at most: a tenth of a second lies between two questions.
const INTERVAL: Duration = Duration::from_millis(100);

/// How long a history has events.
const HISTORY: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// The next epoch has another master, of which this sentinel is the first to know.
    Failover(usize),
    /// A sentinel learns of the latest epoch.
    Learns(usize),
    /// A sentinel is cut off from clients, or is there again.
    Reachable(usize, bool),
    /// A sentinel is cut off from the others, and learns nothing, or is among them again.
    Connected(usize, bool),
    /// Connections to the master are lost, so many times.
    Wanted(u32),
    /// A question gets its answer.
    Answer(usize),
    /// The subscription of that number is confirmed, or cannot be made.
    Listening(usize, u32),
}

struct Peer {
    endpoint: Endpoint,
    is_reachable: bool,
    is_connected: bool,
    epoch: u64,
    asked: Vec<Instant>,
}

struct World {
    now: Instant,
    random: fastrand::Rng,
    /// The earliest first.
    events: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    scheduled: u64,
    peers: Vec<Peer>,
    /// The master of each epoch.
    masters: Vec<Endpoint>,
    client: Sentinels,
    /// The sentinel that is listened to, and the number of that subscription.
    listened: Option<(usize, u32)>,
    subscriptions: u32,
    /// The epoch that the client follows.
    followed: Option<u64>,
    /// How often it followed a new one.
    moves: u32,
    /// How many reports had an epoch before that.
    stale: u32,
}

fn at(port: u16) -> Endpoint {
    Endpoint { host: "h".into(), port }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let count = random.usize(1..=5);
        let now = Instant::now();
        let peers: Vec<_> = (0..count)
            .map(|number| Peer {
                endpoint: at(26_000 + number as u16),
                is_reachable: true,
                is_connected: true,
                epoch: 0,
                asked: Vec::new(),
            })
            .collect();
        let configured: Vec<_> =
            peers[..random.usize(1..=count)].iter().map(|peer| peer.endpoint.clone()).collect();
        let client = Sentinels::new(&configured, now, fastrand::Rng::with_seed(random.u64(..)));
        let mut world = Self {
            now,
            random,
            events: BinaryHeap::new(),
            scheduled: 0,
            peers,
            masters: vec![at(6000)],
            client,
            listened: None,
            subscriptions: 0,
            followed: None,
            moves: 0,
            stale: 0,
        };
        world.invent(count);
        world
    }

    fn invent(&mut self, count: usize) {
        self.schedule(Duration::ZERO, Event::Wanted(1));
        for _ in 0..self.random.u32(0..12) {
            let sentinel = self.random.usize(0..count);
            let event = match self.random.u32(0..8) {
                0..3 => Event::Failover(sentinel),
                3 => Event::Reachable(sentinel, self.random.bool()),
                4 => Event::Connected(sentinel, self.random.bool()),
                _ => Event::Wanted(self.random.u32(1..20)),
            };
            let after = HISTORY.mul_f64(self.random.f64());
            self.schedule(after, event);
        }
    }

    fn schedule(&mut self, after: Duration, event: Event) {
        self.scheduled += 1;
        self.events.push(Reverse((self.now + after, self.scheduled, event)));
    }

    /// Some time, mostly short.
    fn soon(&mut self, most: u64) -> Duration {
        let bound = if self.random.u32(0..10) == 0 { most } else { (most / 50).max(1) };
        Duration::from_millis(self.random.u64(0..=bound))
    }

    fn run(&mut self) {
        let end = self.now + HISTORY + SETTLED;
        self.poll();
        loop {
            let event = self.events.peek().map(|next| next.0.0);
            let next = event.into_iter().chain(self.client.timeout()).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            if event.is_some_and(|at| at <= self.now)
                && let Some(Reverse((_, _, event))) = self.events.pop()
            {
                self.happen(event);
            }
            self.poll();
            self.check_followed();
        }
        self.check_settled();
    }

    fn happen(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Failover(by) => {
                // Without the other sentinels none is elected.
                if self.peers[by].is_connected {
                    // A server may become the master a second time.
                    self.masters.push(at(6000 + self.random.u16(0..4)));
                    self.learn(by);
                    for peer in 0..self.peers.len() {
                        let after = self.soon(4000);
                        self.schedule(after, Event::Learns(peer));
                    }
                }
            }
            Event::Learns(by) if self.peers[by].is_connected => self.learn(by),
            Event::Learns(_) => {}
            Event::Reachable(by, is_reachable) => {
                self.peers[by].is_reachable = is_reachable;
                if !is_reachable && self.listened.is_some_and(|(listened, _)| listened == by) {
                    self.listened = None;
                    self.client.silent(now);
                }
            }
            Event::Connected(by, is_connected) => {
                self.peers[by].is_connected = is_connected;
                let after = self.soon(4000);
                self.schedule(after, Event::Learns(by));
            }
            Event::Wanted(times) => {
                self.client.wanted(now);
                if times > 1 {
                    let after = self.soon(500);
                    self.schedule(after, Event::Wanted(times - 1));
                }
            }
            Event::Answer(by) => self.answer(by),
            Event::Listening(by, number) => {
                if self.listened == Some((by, number)) {
                    self.client.told(&self.peers[by].endpoint, now);
                }
            }
        }
    }

    fn learn(&mut self, by: usize) {
        let latest = self.masters.len() as u64 - 1;
        if self.peers[by].epoch < latest {
            self.peers[by].epoch = latest;
            if self.listened.is_some_and(|(listened, _)| listened == by) {
                self.client.told(&self.peers[by].endpoint, self.now);
            }
        }
    }

    fn answer(&mut self, by: usize) {
        let Peer { endpoint, is_reachable, epoch, .. } = &self.peers[by];
        if *is_reachable {
            let others = self.peers.iter().map(|peer| peer.endpoint.clone());
            let report = Report {
                master: self.masters[*epoch as usize].clone(),
                epoch: *epoch,
                sentinels: others.filter(|other| other != endpoint).collect(),
            };
            self.stale += u32::from(Some(*epoch) < self.followed);
            self.client.answered(endpoint, report, self.now);
        } else {
            self.client.failed(endpoint, "connection refused".into(), self.now);
        }
    }

    fn poll(&mut self) {
        while let Some(order) = self.client.poll(self.now) {
            match order {
                Order::Ask(endpoint) => {
                    let by = self.number_of(&endpoint);
                    let now = self.now;
                    if let Some(last) = self.peers[by].asked.last() {
                        assert!(now - *last >= INTERVAL, "asked again after {:?}", now - *last);
                    }
                    self.peers[by].asked.push(now);
                    let after = self.soon(1000);
                    self.schedule(after, Event::Answer(by));
                }
                Order::Listen(endpoint) => {
                    assert!(self.listened.is_none(), "listens twice");
                    let by = self.number_of(&endpoint);
                    if self.peers[by].is_reachable {
                        self.subscriptions += 1;
                        let after = self.soon(1000);
                        self.listened = Some((by, self.subscriptions));
                        self.schedule(after, Event::Listening(by, self.subscriptions));
                    } else {
                        self.client.silent(self.now);
                    }
                }
            }
        }
    }

    fn number_of(&self, endpoint: &Endpoint) -> usize {
        self.peers.iter().position(|peer| peer.endpoint == *endpoint).expect("a sentinel")
    }

    /// The client never goes back to the master of an epoch before.
    fn check_followed(&mut self) {
        let followed = self.client.master.as_ref().map(|named| named.epoch);
        assert!(followed >= self.followed, "went back from {:?} to {followed:?}", self.followed);
        self.moves += u32::from(followed > self.followed);
        self.followed = followed;
        let master = followed.map(|epoch| &self.masters[epoch as usize]);
        assert_eq!(self.client.master(), master);
    }

    /// The client follows the master of the highest epoch that a sentinel tells.
    fn check_settled(&self) {
        let told = self.client.known.iter().filter_map(|one| {
            let peer = &self.peers[self.number_of(&one.endpoint)];
            peer.is_reachable.then_some(peer.epoch)
        });
        let highest = told.max();
        assert!(self.followed >= highest, "{:?} is followed, {highest:?} told", self.followed);
        let busiest = self.peers.iter().map(|peer| peer.asked.len()).max().unwrap_or_default();
        assert!(busiest < 300, "one sentinel was asked {busiest} times");
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn the_master_of_the_highest_epoch_is_followed_and_none_before_it() {
    let first = number("SYNCKAIROS_SEED").unwrap_or(0);
    let count = number("SYNCKAIROS_HISTORIES").unwrap_or(2000);
    let (mut moves, mut stale) = (0, 0);
    for seed in first..first + count {
        let run = || {
            let mut world = World::new(seed);
            world.run();
            world
        };
        let panicked = |_| panic!("history {seed} ended in a panic");
        let world = std::panic::catch_unwind(run).unwrap_or_else(panicked);
        moves += world.moves;
        stale += world.stale;
    }
    if count >= 1000 {
        assert!(moves > 1000 && stale > 1000, "{moves} moves, {stale} stale reports");
    }
}
