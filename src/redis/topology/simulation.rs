//! What a client knows of a cluster against a simulated cluster, by seed: masters fail and come back, slots
//! move, nodes learn of it late, or not for a while, and answer what they know.

use std::collections::BTreeMap;

use tokio::time::{Duration, Instant};

use super::cluster::{Cluster, NodeNumber};
use super::endpoint::Endpoint;
use super::seeds::Seeds;
use super::slot::Slot;
use super::view::{Master, View};

/// So many slots follow each other and move together.
const GROUPS: u16 = 16;

/// How long a node that is alive may take to learn of a change.
const LATE: Duration = Duration::from_secs(4);

/// When nothing happens any more.
const CALM: Duration = Duration::from_secs(60);

/// When all is to be known: the nodes know it, and one that lives was asked without a hint, perhaps after
/// several that do not.
const END: Duration = Duration::from_secs(60 + 4 + 60);

#[derive(Clone, Copy, PartialEq, Eq)]
struct Claim {
    owner: usize,
    epoch: u64,
}

struct Node {
    is_alive: bool,
    /// What it knows of the owner of each group.
    known: Vec<Claim>,
    /// What it is going to learn, and when.
    to_learn: Vec<(Instant, u16, Claim)>,
}

enum Event {
    Change,
    Call,
    Answer(NodeNumber),
}

struct World {
    random: fastrand::Rng,
    begun: Instant,
    now: Instant,
    nodes: Vec<Node>,
    truth: Vec<Claim>,
    epoch: u64,
    events: BTreeMap<(Instant, u64), Event>,
    last_event: u64,
    cluster: Cluster,
    asked: Vec<Instant>,
}

fn endpoint(node: usize) -> Endpoint {
    Endpoint { host: "h".into(), port: u16::try_from(node + 1).expect("a port") }
}

fn group_of(slot: Slot) -> usize {
    usize::from(slot.number() / (Slot::COUNT / GROUPS))
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let begun = Instant::now();
        let count = random.usize(2..9);
        let truth: Vec<Claim> = (0..usize::from(GROUPS))
            .map(|group| group % count.div_ceil(2))
            .map(|owner| Claim { owner, epoch: owner as u64 + 1 })
            .collect();
        let node = || Node { is_alive: true, known: truth.clone(), to_learn: Vec::new() };
        let nodes: Vec<Node> = (0..count).map(|_| node()).collect();
        let seeds = (0..count).filter(|_| random.bool()).map(endpoint).collect::<Vec<_>>();
        let seeds = if seeds.is_empty() { vec![endpoint(0)] } else { seeds };
        let cluster = Cluster::new(
            Seeds { nodes: seeds, ..Seeds::default() },
            begun,
            fastrand::Rng::with_seed(seed),
        );
        let mut world = Self {
            random,
            begun,
            now: begun,
            epoch: nodes.len() as u64 + 1,
            nodes,
            truth,
            events: BTreeMap::new(),
            last_event: 0,
            cluster,
            asked: Vec::new(),
        };
        for _ in 0..world.random.usize(0..12) {
            let at = CALM.mul_f64(world.random.f64());
            world.at(begun + at, Event::Change);
        }
        for _ in 0..300 {
            let at = END.mul_f64(world.random.f64());
            world.at(begun + at, Event::Call);
        }
        world
    }

    fn at(&mut self, at: Instant, event: Event) {
        self.last_event += 1;
        self.events.insert((at, self.last_event), event);
    }

    fn run(&mut self) {
        let end = self.begun + END;
        while self.now < end {
            let next = self.events.first_key_value().map(|((at, _), _)| *at);
            let due = self.cluster.timeout();
            let at = next.into_iter().chain(due).min().unwrap_or(end);
            self.now = self.now.max(at);
            for node in &mut self.nodes {
                node.learn(self.now);
            }
            if due.is_some_and(|due| due <= self.now) {
                self.ask();
            } else if let Some((_, event)) = self.events.pop_first() {
                self.happens(event);
            }
        }
    }

    fn ask(&mut self) {
        let node = self.cluster.ask(self.now).expect("somebody to ask");
        self.asked.push(self.now);
        let latency = Duration::from_millis(self.random.u64(1..300));
        self.at(self.now + latency, Event::Answer(node));
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Change => self.change(),
            Event::Call => self.call(),
            Event::Answer(number) => {
                let node = self.node_of(number);
                if self.nodes[node].is_alive {
                    let view = self.nodes[node].view(self.nodes.len());
                    self.cluster.answered(&view, self.now);
                } else {
                    self.cluster.unanswered(self.now);
                }
            }
        }
    }

    /// A group moves to another node; or a node dies, and another one has its groups; or one comes back.
    fn change(&mut self) {
        let (from, to) =
            (self.random.usize(..self.nodes.len()), self.random.usize(..self.nodes.len()));
        if !self.nodes[from].is_alive {
            self.nodes[from].is_alive = true; // It believes what it knew.
            return;
        }
        if from == to || !self.nodes[to].is_alive {
            return;
        }
        self.epoch += 1;
        let dies = self.random.bool() && self.nodes.iter().filter(|node| node.is_alive).count() > 1;
        self.nodes[from].is_alive &= !dies;
        let claim = Claim { owner: to, epoch: self.epoch };
        let groups: Vec<u16> = (0..GROUPS)
            .filter(|group| self.truth[usize::from(*group)].owner == from)
            .take(if dies { usize::from(GROUPS) } else { 1 })
            .collect();
        for group in groups {
            self.truth[usize::from(group)] = claim;
            for (number, node) in self.nodes.iter_mut().enumerate() {
                let late = LATE.mul_f64(self.random.f64());
                let at = if number == to { self.now } else { self.now + late };
                node.to_learn.push((at, group, claim));
            }
        }
        self.nodes[to].learn(self.now);
    }

    /// A caller's command, which goes to whoever the client believes to own its slot.
    fn call(&mut self) {
        let slot = Slot::new(self.random.u16(..Slot::COUNT)).expect("a slot");
        let Some(owner) = self.cluster.owner(slot) else { return };
        let node = self.node_of(owner);
        if !self.nodes[node].is_alive {
            self.cluster.hinted(Some(owner), self.now);
            return;
        }
        let believed = self.nodes[node].known[group_of(slot)].owner;
        if believed != node {
            self.cluster.redirected(slot, &endpoint(believed), self.now);
        }
    }

    fn node_of(&self, number: NodeNumber) -> usize {
        usize::from(self.cluster.endpoint(number).expect("a node").port) - 1
    }

    fn check(&self) {
        for number in (0..Slot::COUNT).step_by(97) {
            let slot = Slot::new(number).expect("a slot");
            let owner = self.cluster.owner(slot).map(|owner| self.node_of(owner));
            assert_eq!(owner, Some(self.truth[group_of(slot)].owner), "slot {number}");
        }
        let pauses = self.asked.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(pauses.min() >= Some(Duration::from_millis(50)), "{:?}", self.asked);
        assert!(self.asked.len() < 200, "{}", self.asked.len());
    }
}

impl Node {
    fn learn(&mut self, now: Instant) {
        let Self { is_alive, known, to_learn } = self;
        if *is_alive {
            for (_, group, claim) in to_learn.extract_if(.., |(at, ..)| *at <= now) {
                let known = &mut known[usize::from(group)];
                if known.epoch < claim.epoch {
                    *known = claim;
                }
            }
        }
    }

    /// What it answers. All others replicate each master.
    fn view(&self, nodes: usize) -> View {
        let mut masters: BTreeMap<usize, Master> = BTreeMap::new();
        for (group, claim) in (0..GROUPS).zip(&self.known) {
            let width = Slot::COUNT / GROUPS;
            let master = masters.entry(claim.owner).or_insert_with(|| Master {
                id: claim.owner.to_string(),
                endpoint: endpoint(claim.owner),
                epoch: 0,
                slots: Vec::new(),
                replicas: (0..nodes).map(endpoint).collect(),
            });
            master.epoch = master.epoch.max(claim.epoch);
            master.slots.push(group * width..=group * width + (width - 1));
        }
        View { masters: masters.into_values().collect() }
    }
}

#[test]
fn a_client_learns_who_owns_what_and_asks_seldom() {
    for seed in 0..2000 {
        let run = || {
            let mut world = World::new(seed);
            world.run();
            world.check();
        };
        std::panic::catch_unwind(run).unwrap_or_else(|_| panic!("history {seed}"));
    }
}
