//! What goes to which node of a cluster.

use std::sync::{Arc, Mutex};

use redis::Value;

use super::*;
use crate::error::Result;
use crate::operation::Effect;
use crate::redis::request::Attempt;
use crate::redis::topology::endpoint::Endpoint;
use crate::redis::topology::seeds::Seeds;
use crate::redis::topology::slot::Slot;
use crate::redis::topology::view::{Master, View};

const STALL: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(60);

type Outcomes = Arc<Mutex<Vec<(&'static str, Result<Value>)>>>;

/// A command, whose words are its replies, too.
struct Asked {
    name: &'static str,
    effect: Effect,
    slot: Option<Slot>,
    replies: usize,
    deadline: Instant,
    outcomes: Outcomes,
}

impl Request for Asked {
    fn encode(&self, _attempt: &Attempt, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{};", self.name).as_bytes());
    }

    fn effect(&self) -> Effect {
        self.effect
    }

    fn place(&self) -> Place<'_> {
        self.slot.map_or(Place::Any, |slot| Place::Partition { slot, tag: "t" })
    }

    fn notes(&self) -> bool {
        self.effect == Effect::Recognised
    }

    fn replies(&self) -> usize {
        self.replies
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn settle(self: Box<Self>, outcome: Result<Value>) {
        self.outcomes.lock().expect("outcomes").push((self.name, outcome));
    }
}

/// Two masters, of which the first has all slots. The map's seed is the first.
struct Client {
    dispatcher: Dispatcher,
    outcomes: Outcomes,
    now: Instant,
}

fn endpoint(node: NodeNumber) -> Endpoint {
    Endpoint { host: "h".into(), port: u16::try_from(node).expect("a port") }
}

fn view(epoch: u64, slots: &[(NodeNumber, std::ops::RangeInclusive<u16>)]) -> View {
    let masters = slots.iter().map(|(node, slots)| Master {
        id: node.to_string(),
        endpoint: endpoint(*node),
        epoch,
        slots: vec![slots.clone()],
        replicas: Vec::new(),
    });
    View { masters: masters.collect() }
}

impl Client {
    fn new(slots: &[(NodeNumber, std::ops::RangeInclusive<u16>)]) -> Self {
        let now = Instant::now();
        let mut dispatcher = Dispatcher::new("c".into(), STALL, fastrand::Rng::with_seed(1));
        dispatcher.is_part_of_cluster(Seeds::one(endpoint(0)), now);
        let mut client = Self { dispatcher, outcomes: Outcomes::default(), now };
        client.learns(1, slots);
        client
    }

    fn learns(&mut self, epoch: u64, slots: &[(NodeNumber, std::ops::RangeInclusive<u16>)]) {
        self.now += Duration::from_secs(20);
        assert!(self.dispatcher.ask_for_map(self.now).is_some());
        self.dispatcher.map_answered(&view(epoch, slots), self.now);
    }

    fn asks(&mut self, name: &'static str, effect: Effect, slot: Option<u16>) {
        let slot = slot.map(|slot| Slot::new(slot).expect("a slot"));
        let replies = if name == "transaction" { 3 } else { 1 };
        let (deadline, outcomes) = (self.now + PATIENCE, self.outcomes.clone());
        let asked = Asked { name, effect, slot, replies, deadline, outcomes };
        self.dispatcher.submit(Box::new(asked));
    }

    fn connects(&mut self, node: NodeNumber, fenced: bool) {
        let role = Role::greeted(self.now, Some(Question::Hello));
        let identity = Some(Identity { id: 1, name: "n".into() });
        self.dispatcher.connected(node, identity, fenced, role, self.now);
    }

    fn loses(&mut self, node: NodeNumber) {
        self.dispatcher.lost(node, "gone".into(), self.now);
    }

    /// What goes to a node now.
    fn sent(&mut self, node: NodeNumber) -> String {
        self.dispatcher.pump(self.now);
        let mut buffer = Vec::new();
        self.dispatcher.take_unsent(node, &mut buffer);
        let text = String::from_utf8(buffer).expect("text");
        text.replace("*1\r\n$6\r\nASKING\r\n", "ASKING;")
    }

    fn hears(&mut self, node: NodeNumber, replies: &[&str]) {
        for reply in replies {
            let value = answer(&format!("{reply}\r\n"));
            self.dispatcher.replied(node, value, 9, self.now).expect("it was owed");
        }
    }

    fn told(&mut self) -> Vec<(&'static str, Result<Value>)> {
        self.dispatcher.take_settled().into_iter().for_each(Settled::tell);
        std::mem::take(&mut *self.outcomes.lock().expect("outcomes"))
    }
}

#[test]
fn all_that_are_redirected_for_once_go_to_the_other_node() {
    let mut client = Client::new(&[(0, 0..=16_383)]);
    client.connects(0, true);
    for name in ["a", "b", "c"] {
        client.asks(name, Effect::Read, Some(1));
    }
    assert_eq!(client.sent(0), "a;b;c;");
    client.hears(0, &["-ASK 1 h:1"; 3]);
    client.connects(1, true);
    assert_eq!(client.sent(1), "ASKING;a;ASKING;b;ASKING;c;");
    assert_eq!(client.sent(0), "");
}

#[test]
fn what_any_master_may_do_does_not_wait_for_one_that_is_away() {
    let mut client = Client::new(&[(0, 0..=99), (1, 100..=16_383)]);
    client.asks("any", Effect::Read, None);
    client.asks("of a slot", Effect::Read, Some(1));
    assert!(client.dispatcher.has_work(0) && !client.dispatcher.has_work(1));
    client.loses(0);
    assert!(client.dispatcher.has_work(1));
    client.loses(1);
    client.connects(0, true);
    assert_eq!(client.sent(0), "of a slot;any;");
}

#[test]
fn a_redirection_to_a_node_of_unknown_address_is_no_answer() {
    let mut client = Client::new(&[(0, 0..=16_383)]);
    client.connects(0, true);
    client.asks("call", Effect::Opaque, Some(1));
    assert_eq!(client.sent(0), "call;");
    client.hears(0, &["-MOVED 1 ?:7"]);
    assert!(client.told().is_empty());
    assert!(client.dispatcher.map_timeout() <= Some(client.now + Duration::from_secs(1)));
    client.learns(2, &[(1, 0..=16_383)]);
    client.connects(1, true);
    assert_eq!(client.sent(1), "call;");
}

/// A write whose answer was lost at the second node, which was asked for once, is sent there once more.
fn asked_twice(client: &mut Client, fenced: bool) {
    client.connects(0, true);
    client.asks("write", Effect::Recognised, Some(1));
    assert_eq!(client.sent(0), "write;");
    client.hears(0, &["-ASK 1 h:1"]);
    client.connects(1, true);
    assert_eq!(client.sent(1), "ASKING;write;");
    client.loses(1);
    assert_eq!(client.sent(0), "write;");
    client.connects(1, fenced);
    client.hears(0, &["-ASK 1 h:1"]);
    client.now += Duration::from_secs(1);
    client.dispatcher.expire_waiting(client.now);
}

#[test]
fn what_may_be_executed_late_is_repeated_behind_a_fence_wherever_it_has_been_meanwhile() {
    let mut client = Client::new(&[(0, 0..=16_383)]);
    asked_twice(&mut client, true);
    assert_eq!(client.sent(1), "ASKING;write;");
}

#[test]
fn without_a_fence_it_is_not_repeated() {
    let mut client = Client::new(&[(0, 0..=16_383)]);
    asked_twice(&mut client, false);
    assert_eq!(client.sent(1), "");
    let told = client.told();
    assert!(matches!(&told[..], [("write", Err(Error::OutcomeUnknown { .. }))]), "{told:?}");
}

#[test]
fn a_node_that_is_dismissed_is_fenced_when_it_is_needed_again() {
    let mut client = Client::new(&[(0, 0..=16_383)]);
    client.connects(0, true);
    client.asks("write", Effect::Recognised, Some(1));
    assert_eq!(client.sent(0), "write;");
    client.loses(0);
    client.learns(2, &[(1, 0..=16_383)]);
    assert!(client.dispatcher.dismiss(0));
    assert!(matches!(client.dispatcher.fence(0), Fence::Needed(Some(_))));
}

#[test]
fn a_transaction_that_a_node_has_refused_goes_to_the_right_one() {
    let mut client = Client::new(&[(0, 0..=99), (1, 100..=16_383)]);
    client.connects(0, true);
    client.connects(1, true);
    client.asks("transaction", Effect::Opaque, Some(1));
    assert_eq!(client.sent(0), "transaction;");
    client.hears(0, &["+OK", "-MOVED 1 h:1", "-EXECABORT Discarded."]);
    assert_eq!(client.sent(1), "transaction;");
    client.hears(1, &["+OK", "-ASK 1 h:0", "-EXECABORT Discarded."]);
    client.now += Duration::from_secs(1);
    client.dispatcher.expire_waiting(client.now);
    assert_eq!(client.sent(0), "ASKING;transaction;");
    client.hears(0, &["+OK", "+OK", "-ERR wrong number", "-EXECABORT Discarded."]);
    assert!(matches!(&client.told()[..], [(_, Err(Error::Reply { .. }))]));
}
