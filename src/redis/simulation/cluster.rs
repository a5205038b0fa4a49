//! The dispatcher against a simulated cluster, by seed: masters die and others take over, slots move, by
//! whole or key by key, nodes learn of it late, connections end. What callers were told is compared with
//! what was executed.

mod call;
mod node;
mod servers;

use std::collections::{BTreeMap, HashMap, HashSet};

use tokio::time::{Duration, Instant};

use self::call::{Call, Outcomes, Told};
use self::node::{Connection, GROUPS, NODES, Node, endpoint, node_at};
use crate::redis::dispatcher::{Dispatcher, Fence};
use crate::redis::greeting::{Identity, Question};
use crate::redis::pending::Settled;
use crate::redis::resp::decoder::{Decoder, Frame};
use crate::redis::role::Role;
use crate::redis::topology::cluster::NodeNumber;
use crate::redis::topology::endpoint::{Endpoint, NatMap};
use crate::redis::topology::seeds::Seeds;

/// How long something happens, and how long callers wait.
const BUSY: Duration = Duration::from_secs(20);
const PATIENCE: [u64; 2] = [200, 15_000];

/// The calls that are made when all nodes know of everything, which are all to be done: by number, when,
/// and within how long.
const LATE_CALLS: u64 = 1000;
const CALM: Duration = Duration::from_secs(23);
const LATE_PATIENCE: Duration = Duration::from_secs(6);

enum Event {
    Call(Call),
    Chaos,
    ToNode(u64, Vec<u8>),
    ToClient(u64, Vec<u8>),
    Ended(u64),
    Connect(NodeNumber),
    Map(Endpoint),
    Tick,
}

struct World {
    random: fastrand::Rng,
    begun: Instant,
    now: Instant,
    events: BTreeMap<(Instant, u64), Event>,
    last: u64,
    dispatcher: Dispatcher,
    nodes: Vec<Node>,
    owners: Vec<usize>,
    epoch: u64,
    /// The group that moves key by key, and where to.
    moving: Option<(usize, usize)>,
    connections: BTreeMap<u64, Connection>,
    /// The connection of each node that has a supervisor; 0: it is being made.
    current: BTreeMap<NodeNumber, u64>,
    may_fence: bool,
    versions: HashMap<u64, i64>,
    ledger: HashMap<(u16, u64), i64>,
    /// The writes, in the order in which they were executed.
    executed: Vec<u64>,
    called: Vec<Call>,
    outcomes: Outcomes,
    redirections: u32,
    /// When it looks at the time next.
    tick: Instant,
}

impl World {
    fn new(seed: u64) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        let begun = Instant::now();
        let owners: Vec<usize> = (0..usize::from(GROUPS)).map(|group| group % 3).collect();
        let known: Vec<_> = owners.iter().map(|owner| (*owner, *owner as u64 + 1)).collect();
        let node = |_| Node { is_alive: true, known: known.clone(), to_learn: vec![], epoch: 3 };
        let stall = Duration::from_secs(2);
        let mut dispatcher =
            Dispatcher::new("cluster".into(), stall, fastrand::Rng::with_seed(seed));
        let nodes = (0..NODES).map(endpoint).collect();
        dispatcher.is_part_of_cluster(Seeds { nodes, nat_map: NatMap::default() }, begun);
        let mut world = Self {
            may_fence: seed.is_multiple_of(2),
            begun,
            now: begun,
            events: BTreeMap::new(),
            last: 0,
            dispatcher,
            nodes: (0..NODES).map(node).collect(),
            owners,
            epoch: 3,
            moving: None,
            connections: BTreeMap::new(),
            current: BTreeMap::new(),
            versions: HashMap::new(),
            ledger: HashMap::new(),
            executed: Vec::new(),
            called: Vec::new(),
            outcomes: Outcomes::default(),
            redirections: 0,
            tick: begun,
            random,
        };
        for id in 0..world.random.u64(20..150) {
            let at = begun + BUSY.mul_f64(world.random.f64());
            let [least, most] = PATIENCE;
            let call = Call {
                id,
                writes: world.random.bool(),
                session: world.random.u64(0..12),
                deadline: at + Duration::from_millis(world.random.u64(least..most)),
                outcomes: world.outcomes.clone(),
            };
            world.at(at, Event::Call(call));
        }
        for id in LATE_CALLS..LATE_CALLS + 12 {
            let (at, session) = (begun + CALM, id - LATE_CALLS);
            let (writes, outcomes) = (world.random.bool(), world.outcomes.clone());
            let deadline = at + LATE_PATIENCE;
            world.at(at, Event::Call(Call { id, writes, session, deadline, outcomes }));
        }
        for _ in 0..world.random.usize(0..14) {
            let at = begun + BUSY.mul_f64(world.random.f64());
            world.at(at, Event::Chaos);
        }
        world
    }

    fn at(&mut self, at: Instant, event: Event) {
        self.last += 1;
        self.events.insert((at, self.last), event);
    }

    fn soon(&mut self, least: u64, most: u64) -> Instant {
        self.now + Duration::from_millis(self.random.u64(least..most))
    }

    fn run(&mut self) {
        let end = self.begun + BUSY + Duration::from_millis(PATIENCE[1]) + Duration::from_secs(1);
        while self.now < end {
            let Some(((at, _), event)) = self.events.pop_first() else { break };
            self.now = self.now.max(at);
            for node in &mut self.nodes {
                node.learn(self.now);
            }
            self.happens(event);
            self.look();
        }
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Call(call) => {
                self.called.push(call.clone());
                self.dispatcher.submit(Box::new(call));
            }
            Event::Chaos => self.chaos(),
            Event::Tick => {}
            Event::Map(at) => {
                let node = &self.nodes[node_at(&at)];
                if node.is_alive {
                    let view = node.view();
                    self.dispatcher.map_answered(&view, self.now);
                } else {
                    self.dispatcher.map_unanswered("refused".into(), self.now);
                }
            }
            Event::Connect(number) => self.connect(number),
            Event::ToNode(id, bytes) => self.received(id, &bytes),
            Event::ToClient(id, bytes) => self.replied(id, &bytes),
            Event::Ended(id) => self.ended(id),
        }
        self.dispatcher.pump(self.now);
    }

    /// Everything that the shell does after something has happened.
    fn look(&mut self) {
        self.dispatcher.expire_waiting(self.now);
        for number in 0..self.dispatcher.nodes() {
            if let Some(id) = self.current.get(&number).copied().filter(|id| *id > 0) {
                let broken = self.dispatcher.expire(number, self.now).is_err();
                if broken || self.dispatcher.unfit(number).is_some() {
                    self.ended(id);
                    continue;
                }
                let mut bytes = Vec::new();
                self.dispatcher.take_unsent(number, &mut bytes);
                if !bytes.is_empty() {
                    let at = self.soon(1, 40);
                    let at = self.in_order(id, 0, at);
                    self.at(at, Event::ToNode(id, bytes));
                }
            } else if self.dispatcher.has_work(number) && !self.current.contains_key(&number) {
                self.current.insert(number, 0);
                let at = self.soon(1, 100);
                self.at(at, Event::Connect(number));
            }
            if self.dispatcher.dismiss(number) {
                self.current.retain(|served, id| *served != number || *id == 0);
            }
        }
        if let Some((at, _)) = self.dispatcher.ask_for_map(self.now) {
            let due = self.soon(1, 300);
            self.at(due, Event::Map(at));
        }
        self.dispatcher.take_settled().into_iter().for_each(Settled::tell);
        let nodes = (0..self.dispatcher.nodes()).filter_map(|one| self.dispatcher.timeout(one));
        if let Some(at) = nodes.chain(self.dispatcher.map_timeout()).min() {
            let at = at.max(self.now + Duration::from_millis(1));
            if self.tick <= self.now || at < self.tick {
                self.tick = at;
                self.at(at, Event::Tick);
            }
        }
    }

    fn in_order(&mut self, id: u64, way: usize, at: Instant) -> Instant {
        let Some(connection) = self.connections.get_mut(&id) else { return at };
        connection.arrives[way] = connection.arrives[way].max(at);
        connection.arrives[way]
    }

    fn connect(&mut self, number: NodeNumber) {
        let Some(at) = self.dispatcher.endpoint(number).cloned() else { return };
        let node = node_at(&at);
        if !self.nodes[node].is_alive {
            self.dispatcher.lost(number, "refused".into(), self.now);
            let at = self.soon(50, 500);
            return self.at(at, Event::Connect(number));
        }
        let fenced = match self.dispatcher.fence(number) {
            Fence::NotNeeded => true,
            Fence::Needed(old) if self.may_fence => {
                let old = old.and_then(|old| u64::try_from(old.id).ok());
                if let Some(old) = old.and_then(|old| self.connections.get_mut(&old)) {
                    old.is_killed = true;
                }
                true
            }
            Fence::Needed(_) => false,
        };
        self.last += 1;
        let id = self.last;
        let arrives = [self.now; 2];
        let (input, output) = (Decoder::default(), Decoder::default());
        let (is_killed, is_asking) = (false, false);
        self.connections
            .insert(id, Connection { node, input, output, is_killed, is_asking, arrives });
        self.current.insert(number, id);
        let identity = Identity { id: i64::try_from(id).expect("an id"), name: id.to_string() };
        let role = Role::greeted(self.now, Some(Question::Hello));
        self.dispatcher.connected(number, Some(identity), fenced, role, self.now);
    }

    fn number_of(&self, id: u64) -> Option<NodeNumber> {
        self.current.iter().find(|(_, current)| **current == id).map(|(number, _)| *number)
    }

    /// The client learns that a connection is over. What it has sent may yet be executed.
    fn ended(&mut self, id: u64) {
        let Some(number) = self.number_of(id) else { return };
        self.dispatcher.lost(number, "ended".into(), self.now);
        self.current.remove(&number);
    }

    fn replied(&mut self, id: u64, bytes: &[u8]) {
        let Some(number) = self.number_of(id) else { return };
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.output.buffer().extend_from_slice(bytes);
        self.dispatcher.received(number, self.now);
        while let Some(connection) = self.connections.get_mut(&id)
            && let Ok(Some(Frame::Reply(value, size))) = connection.output.next()
        {
            self.dispatcher.replied(number, value, size, self.now).expect("a reply that is owed");
        }
    }

    fn check(&self) {
        let outcomes = self.outcomes.lock().expect("outcomes");
        let told: HashMap<u64, Told> = outcomes.iter().copied().collect();
        assert_eq!((told.len(), outcomes.len()), (self.called.len(), self.called.len()));
        let executed: HashSet<u64> = self.executed.iter().copied().collect();
        assert_eq!(executed.len(), self.executed.len(), "something was executed twice");
        let place: HashMap<u64, usize> =
            self.executed.iter().enumerate().map(|(place, id)| (*id, place)).collect();
        let mut last: HashMap<u64, usize> = HashMap::new();
        for call in self.called.iter().filter(|call| call.writes) {
            match told[&call.id] {
                Told::Done(_) => assert!(executed.contains(&call.id), "{} is done", call.id),
                Told::Unavailable => assert!(!executed.contains(&call.id), "{} is not", call.id),
                Told::Unknown => {}
            }
            if call.id >= LATE_CALLS {
                // Where there can be no fence, what was sent to a node that died is not repeated there.
                let is_given_up = !self.may_fence && told[&call.id] == Told::Unknown;
                let is_done = matches!(told[&call.id], Told::Done(_));
                assert!(is_done || is_given_up, "{} was too late", call.id);
            }
            // Executed in the order of the calls, but for those that nobody waits for any more.
            if let (Some(place), Told::Done(_)) = (place.get(&call.id), told[&call.id]) {
                let before = last.insert(call.session, *place);
                assert!(before <= Some(*place), "{} was overtaken", call.id);
            }
        }
        for call in self.called.iter().filter(|call| !call.writes) {
            assert_ne!(told[&call.id], Told::Unknown, "a read is never unknown");
        }
    }
}

#[test]
fn what_callers_of_a_cluster_are_told_is_true() {
    let first = super::number("SYNCKAIROS_SEED").unwrap_or(0);
    let count = super::number("SYNCKAIROS_HISTORIES").unwrap_or(10_000);
    let (mut done, mut late, mut redirections) = (0, 0, 0);
    for seed in first..first + count {
        let run = || {
            let mut world = World::new(seed);
            world.run();
            world.check();
            world
        };
        let world = std::panic::catch_unwind(run).unwrap_or_else(|_| panic!("history {seed}"));
        let outcomes = world.outcomes.lock().expect("outcomes");
        done += outcomes.iter().filter(|(_, told)| matches!(told, Told::Done(_))).count();
        late += outcomes.iter().filter(|(_, told)| !matches!(told, Told::Done(_))).count();
        redirections += world.redirections;
    }
    if count >= 1000 {
        assert!(
            done > 10 * late && late > 0 && redirections > 1000,
            "{done} {late} {redirections}"
        );
    }
}
