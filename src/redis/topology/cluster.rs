//! Which master of a cluster owns which slot, and which node is asked for that, when. A state machine
//! without a socket, a task or a clock.
//!
//! A node tells what it sees, which may be old. Every change in a cluster has an epoch, and a node that has
//! not heard of the latest epoch is not believed. A redirection counts until the next answer.
//!
//! A node is asked in the beginning; soon after anything that says that the map may be old; and from
//! time to time. Many clients learn of a change in the same moment: each waits for a random time
//! before it asks.

use tokio::time::{Duration, Instant};

use super::endpoint::{Endpoint, NatMap};
use super::ranges::Ranges;
use super::seeds::Seeds;
use super::slot::Slot;
use super::view::View;
use crate::backoff::Backoff;

/// How long to wait after a hint that the map is old, at most.
const HASTE: Duration = Duration::from_millis(100);

/// How long to wait between two questions, at least; longer after answers that hints have hastened and that
/// brought nothing new.
const PAUSE: Duration = Duration::from_millis(100);
const DOUBLINGS: u32 = 2;

/// How long to wait where nothing hints at a change.
const IDLE: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(15)];

/// How long to wait where a node was lost and still has its slots, and for how long that goes on after it
/// was told last.
const SUCCESSION: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];
const PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait after all were asked in vain, or while slots have no owner.
const RETRY: Backoff = Backoff { floor: PAUSE, ceiling: Duration::from_secs(2) };

/// A node's number in this map. It stays while the map lives.
pub(crate) type NodeNumber = usize;

/// So many old answers, one after the other, are the truth: of a cluster that was made anew.
const OLD_ANSWERS: u32 = 5;

/// What a client knows of a cluster.
pub(crate) struct Cluster {
    /// All that were ever told of; the first are those that the client was told of by its owner.
    nodes: Vec<Endpoint>,
    /// Where they are really, by the addresses that they announce.
    nat_map: NatMap,
    owners: Ranges<NodeNumber>,
    /// The latest epoch that a node has told of, and how many have told of earlier ones since.
    epoch: u64,
    old_answers: u32,
    /// Those that the last answer that counts has told of; before the first, those of the owner.
    told: Vec<NodeNumber>,
    /// Who is asked now, and whether anything has hinted at a change since.
    asked: Option<NodeNumber>,
    is_hinted: bool,
    /// When somebody is asked next.
    due: Instant,
    asked_at: Option<Instant>,
    /// Who was asked in vain, or gave the hint that the map is old: the others are asked first.
    tried: Vec<NodeNumber>,
    /// How often all were asked in vain, one after the other.
    failures: u32,
    /// How many answers in a row brought nothing new, and how many left slots without an owner.
    fruitless: u32,
    incomplete: u32,
    /// The node whose loss was told last, and until when its successor is waited for.
    lost: Option<(NodeNumber, Instant)>,
    random: fastrand::Rng,
}

impl Cluster {
    /// A cluster of which these nodes are known.
    pub fn new(seeds: Seeds, now: Instant, random: fastrand::Rng) -> Self {
        let Seeds { nodes, nat_map } = seeds;
        Self {
            told: (0..nodes.len()).collect(),
            nodes,
            nat_map,
            owners: Ranges::new(),
            epoch: 0,
            old_answers: 0,
            asked: None,
            is_hinted: false,
            due: now,
            asked_at: None,
            tried: Vec::new(),
            failures: 0,
            fruitless: 0,
            incomplete: 0,
            lost: None,
            random,
        }
    }

    /// The owner of a slot. `None`: nobody has told of one.
    pub fn owner(&self, slot: Slot) -> Option<NodeNumber> {
        self.owners.get(slot)
    }

    /// Whether anybody has told of owners.
    pub fn has_owners(&self) -> bool {
        (0..self.nodes.len()).any(|node| self.is_owner(node))
    }

    /// Whether a node has slots.
    pub fn is_owner(&self, node: NodeNumber) -> bool {
        self.owners.has(node)
    }

    /// How many nodes were ever told of.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Where a node listens.
    pub fn endpoint(&self, node: NodeNumber) -> Option<&Endpoint> {
        self.nodes.get(node)
    }

    /// When `ask` has something to say, unless something else happens before that.
    pub fn timeout(&self) -> Option<Instant> {
        self.asked.is_none().then_some(self.due)
    }

    /// Who is to be asked now, with `answered` or `unanswered` to follow.
    pub fn ask(&mut self, now: Instant) -> Option<NodeNumber> {
        if self.asked.is_some() || self.due > now || self.nodes.is_empty() {
            return None;
        }
        let node = self.candidate();
        self.asked = Some(node);
        self.is_hinted = false;
        self.asked_at = Some(now);
        Some(node)
    }

    /// Whoever was asked has answered. Whether slots have other owners now.
    pub fn answered(&mut self, view: &View, now: Instant) -> bool {
        let asked = self.asked.take();
        self.failures = 0;
        if view.epoch() < self.epoch && self.old_answers < OLD_ANSWERS {
            self.old_answers += 1;
            self.tried.extend(asked);
            self.due = now + IDLE[0];
            self.hinted(None, now);
            return false;
        }
        self.epoch = view.epoch();
        self.old_answers = 0;
        self.tried.clear();
        let has_changed = self.believe(view);
        // The others may not have noticed yet that a node is gone.
        self.lost = self.lost.filter(|(node, until)| *until > now && self.is_owner(*node));
        let [least, most] = if self.lost.is_some() { SUCCESSION } else { IDLE };
        self.due = now + least + (most - least).mul_f64(self.random.f64());
        self.fruitless = if has_changed { 0 } else { self.fruitless.saturating_add(1) };
        if self.owners.is_full() {
            self.incomplete = 0;
        } else {
            // Slots are being given out.
            let wait = RETRY.delay(self.incomplete, self.random.f64());
            self.due = self.due.min(now + wait);
            self.incomplete = self.incomplete.saturating_add(1);
        }
        // Its answer may be older than what has hinted at a change meanwhile.
        if std::mem::take(&mut self.is_hinted) {
            self.hinted(None, now);
        }
        has_changed
    }

    /// Whether a node may take long to answer: none has answered quickly.
    pub fn is_patient(&self) -> bool {
        self.failures > 0
    }

    /// There is a connection to a node: it is not lost.
    pub fn reached(&mut self, node: NodeNumber) {
        self.lost = self.lost.filter(|(lost, _)| *lost != node);
    }

    fn believe(&mut self, view: &View) -> bool {
        let mut has_changed = false;
        self.told.clear();
        for master in &view.masters {
            let owner = self.number(&master.endpoint);
            self.told.push(owner);
            for replica in &master.replicas {
                let replica = self.number(replica);
                self.told.push(replica);
            }
            for slots in &master.slots {
                has_changed |= self.owners.set(slots, owner);
            }
        }
        has_changed
    }

    /// Whoever was asked has not answered, or not in a way that can be read.
    pub fn unanswered(&mut self, now: Instant) {
        self.tried.extend(self.asked.take());
        if self.tried.len() < self.nodes.len() {
            self.due = now + PAUSE;
        } else {
            self.tried.clear();
            self.due = now + RETRY.delay(self.failures, self.random.f64());
            self.failures = self.failures.saturating_add(1);
        }
    }

    /// A node says that another one has this slot (`MOVED`). Whether that is news.
    pub fn redirected(&mut self, slot: Slot, to: &Endpoint, now: Instant) -> bool {
        let owner = self.number(to);
        let is_news = self.owners.set(&(slot.number()..=slot.number()), owner);
        if is_news {
            self.fruitless = 0;
        }
        self.hinted(None, now);
        is_news
    }

    /// Something says that the map may be old: a connection to `by` has ended or cannot be made, or
    /// it has said that it is a replica, or that the cluster is down.
    pub fn hinted(&mut self, by: Option<NodeNumber>, now: Instant) {
        if let Some(by) = by {
            self.lost = Some((by, now + PATIENCE));
            if !self.tried.contains(&by) {
                self.tried.push(by);
            }
        }
        let soon = now + HASTE.mul_f64(self.random.f64());
        self.is_hinted = self.asked.is_some();
        if self.asked_at.is_none_or(|at| at + IDLE[0] <= now) {
            self.fruitless = 0;
        }
        let pause = PAUSE * (1 << self.fruitless.min(DOUBLINGS));
        let earliest = self.asked_at.map_or(soon, |at| soon.max(at + pause));
        // Where nobody answers, who asks more often only makes it worse.
        if self.failures == 0 {
            self.due = self.due.min(earliest);
        }
    }

    /// Anybody who was not tried, if there is one: a node that is a part of the cluster still, if possible.
    fn candidate(&mut self) -> NodeNumber {
        let mut others: Vec<_> =
            (0..self.nodes.len()).filter(|node| !self.tried.contains(node)).collect();
        if others.iter().any(|node| self.told.contains(node)) {
            others.retain(|node| self.told.contains(node));
        }
        self.random.choice(others).unwrap_or_else(|| {
            self.tried.clear();
            self.random.usize(..self.nodes.len())
        })
    }

    /// The number of the node that announces this address.
    pub fn number(&mut self, announced: &Endpoint) -> NodeNumber {
        let endpoint = self.nat_map.mapped(announced);
        self.nodes.iter().position(|known| *known == endpoint).unwrap_or_else(|| {
            self.nodes.push(endpoint);
            self.nodes.len() - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::view::Master;
    use super::*;

    fn endpoint(number: usize) -> Endpoint {
        Endpoint { host: "h".into(), port: u16::try_from(number).expect("a port") }
    }

    fn view(masters: &[(usize, u64, std::ops::RangeInclusive<u16>)]) -> View {
        let masters = masters.iter().map(|(number, epoch, slots)| Master {
            id: number.to_string(),
            endpoint: endpoint(*number),
            epoch: *epoch,
            slots: vec![slots.clone()],
            replicas: Vec::new(),
        });
        View { masters: masters.collect() }
    }

    struct Client {
        cluster: Cluster,
        now: Instant,
    }

    impl Client {
        fn new() -> Self {
            let now = Instant::now();
            let random = fastrand::Rng::with_seed(1);
            Self { cluster: Cluster::new(Seeds::one(endpoint(1)), now, random), now }
        }

        fn told(&mut self, view: &View) -> bool {
            self.now += Duration::from_secs(20);
            assert!(self.cluster.ask(self.now).is_some());
            self.cluster.answered(view, self.now)
        }

        fn owner(&self, slot: u16) -> Option<&Endpoint> {
            let owner = self.cluster.owner(Slot::new(slot).expect("a slot"))?;
            self.cluster.endpoint(owner)
        }
    }

    #[test]
    fn an_old_answer_takes_nothing_from_a_newer_owner() {
        let mut client = Client::new();
        assert!(client.told(&view(&[(1, 1, 0..=99), (2, 2, 100..=199)])));
        assert!(client.told(&view(&[(3, 3, 0..=99), (2, 2, 100..=199)])));
        assert!(!client.told(&view(&[(1, 1, 0..=99), (2, 2, 100..=199)])));
        assert_eq!(client.owner(99), Some(&endpoint(3)));
        assert_eq!(client.owner(200), None);
    }

    #[test]
    fn a_node_that_has_another_address_is_found_there() {
        let mut client = Client::new();
        client.told(&view(&[(1, 1, 0..=99)]));
        assert!(client.told(&view(&[(7, 1, 0..=99)])));
        assert_eq!(client.owner(0), Some(&endpoint(7)));
    }

    #[test]
    fn a_redirection_counts_until_the_next_answer_and_hastens_it() {
        let mut client = Client::new();
        client.told(&view(&[(1, 1, 0..=99), (2, 2, 100..=199)]));
        let slot = Slot::new(5).expect("a slot");
        client.cluster.redirected(slot, &endpoint(2), client.now);
        assert_eq!(client.owner(5), Some(&endpoint(2)));
        assert!(client.cluster.timeout() <= Some(client.now + PAUSE + HASTE));
        assert!(client.told(&view(&[(1, 1, 0..=99), (2, 2, 100..=199)])));
        assert_eq!(client.owner(5), Some(&endpoint(1)));
    }

    #[test]
    fn a_hint_while_a_node_is_asked_hastens_the_next_question() {
        let mut client = Client::new();
        client.told(&view(&[(1, 1, 0..=16_383)]));
        client.now += Duration::from_secs(20);
        assert!(client.cluster.ask(client.now).is_some());
        client.cluster.hinted(None, client.now);
        client.cluster.answered(&view(&[(1, 1, 0..=16_383)]), client.now);
        assert!(client.cluster.timeout() <= Some(client.now + Duration::from_secs(1)));
    }

    #[test]
    fn slots_without_an_owner_are_asked_for_again_soon() {
        let mut client = Client::new();
        client.told(&View::default());
        assert!(client.cluster.timeout() <= Some(client.now + RETRY.ceiling));
        client.told(&view(&[(1, 1, 0..=16_383)]));
        assert!(client.cluster.timeout() >= Some(client.now + IDLE[0]));
    }

    #[test]
    fn hints_without_end_that_bring_nothing_new_are_followed_more_slowly() {
        let mut client = Client::new();
        let whole = view(&[(1, 1, 0..=16_383)]);
        client.told(&whole);
        let mut asked = 0;
        for _ in 0..1000 {
            client.now += Duration::from_millis(10);
            client.cluster.hinted(Some(1), client.now);
            if client.cluster.ask(client.now).is_some() {
                asked += 1;
                client.cluster.answered(&whole, client.now);
            }
        }
        assert!((20..=30).contains(&asked), "{asked} questions in 10 s");
    }

    #[test]
    fn nodes_that_have_left_are_asked_last() {
        let mut client = Client::new();
        client.told(&view(&[(1, 1, 0..=16_383)]));
        for epoch in 2..20_u8 {
            client.told(&view(&[(usize::from(epoch), u64::from(epoch), 0..=16_383)]));
        }
        client.now += Duration::from_secs(20);
        let asked = client.cluster.ask(client.now).and_then(|node| client.cluster.endpoint(node));
        assert_eq!(asked, Some(&endpoint(19)));
    }

    #[test]
    fn hints_hasten_no_question_after_one_that_was_not_answered() {
        let mut client = Client::new();
        assert_eq!(client.cluster.ask(client.now), Some(0));
        client.cluster.unanswered(client.now);
        let due = client.cluster.timeout();
        client.cluster.hinted(Some(0), client.now);
        assert_eq!(client.cluster.timeout(), due);
        assert!(due > Some(client.now));
    }
}
