//! The order of the calls about a session.
//!
//! Changes of a session (writes, messages) are executed in the order in which they were called,
//! and a read sees the changes that were called before it. So of the calls about one session
//!
//! - a write goes out when every write and message before it is settled;
//! - a message goes out when every write before it is settled, and every message that was sent:
//!   messages that are called together are sent together;
//! - a read goes out when no write before it is on its way.
//!
//! A write that Redis has refused for now is not on its way until it is sent again: reads pass it.
//! Of messages that were sent together, those that Redis has refused for now are deferred until
//! the last is answered, and sent again unless one behind them was executed.
//!
//! What cannot go out is held here. Calls about different sessions know nothing of each other.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

/// A session, by a hash of its key. Two that share one only wait for each other.
pub type SessionHash = u64;

/// What a call does with which sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access<'a> {
    /// It is about no session.
    None,
    /// It reads these.
    Read(&'a [SessionHash]),
    /// It tells others something about one.
    Message(SessionHash),
    /// It changes one.
    Write(SessionHash),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Message,
    Write,
}

/// The writes and messages of one session that go on, and the calls that wait for them. A session
/// that is only read has no lane.
#[derive(Default)]
struct Lane {
    /// Whether a write goes on.
    writing: bool,
    /// Whether Redis has refused that write for now.
    is_write_refused: bool,
    /// How many messages go on, but for those that are deferred.
    messages: u32,
    /// Whether they were sent: the next ones wait for them.
    are_messages_sent: bool,
    /// Whether one of them was given up that may be executed yet.
    is_message_lost: bool,
    held: VecDeque<(u64, Kind)>,
}

impl Lane {
    fn admits(&self, kind: Kind) -> bool {
        match kind {
            Kind::Read => !self.writing,
            Kind::Message => !self.writing && !self.are_messages_sent,
            Kind::Write => !self.writing && self.messages == 0,
        }
    }

    fn enter(&mut self, kind: Kind) {
        match kind {
            Kind::Read => {}
            Kind::Message => self.messages += 1,
            Kind::Write => self.writing = true,
        }
    }

    fn is_empty(&self) -> bool {
        !self.writing && self.messages == 0 && self.held.is_empty()
    }
}

/// A call that waits for others.
struct Held<P> {
    call: P,
    /// How many of its sessions do not admit it yet.
    missing: usize,
}

/// The lanes of all sessions about which something goes on, and the calls that wait in them.
pub(crate) struct Order<P> {
    lanes: HashMap<SessionHash, Lane, BuildHasherDefault<HashedAlready>>,
    held: HashMap<u64, Held<P>>,
    /// Messages that were refused while others that were sent with them have no answer.
    deferred: HashMap<SessionHash, Vec<P>, BuildHasherDefault<HashedAlready>>,
    last: u64,
}

impl<P> Order<P> {
    pub fn new() -> Self {
        let (lanes, held, deferred) = (HashMap::default(), HashMap::new(), HashMap::default());
        Self { lanes, held, deferred, last: 0 }
    }

    /// Takes a call in. Gives it back if it may go out now; else it is held.
    pub fn enter(&mut self, call: P, access: impl Fn(&P) -> Access<'_>) -> Option<P> {
        let number = self.last + 1;
        let missing = match access(&call) {
            Access::None => 0,
            Access::Read(_) if self.lanes.is_empty() => 0,
            Access::Read(sessions) => {
                sessions.iter().filter(|session| !self.enter_read(**session, number)).count()
            }
            Access::Message(session) => self.enter_change(session, number, Kind::Message),
            Access::Write(session) => self.enter_change(session, number, Kind::Write),
        };
        if missing == 0 {
            return Some(call);
        }
        self.last = number;
        self.held.insert(number, Held { call, missing });
        None
    }

    /// Whether it may go out; a read leaves no lane behind.
    fn enter_read(&mut self, session: SessionHash, number: u64) -> bool {
        let Some(lane) = self.lanes.get_mut(&session) else { return true };
        if lane.is_write_refused || (lane.held.is_empty() && lane.admits(Kind::Read)) {
            return true;
        }
        lane.held.push_back((number, Kind::Read));
        false
    }

    fn enter_change(&mut self, session: SessionHash, number: u64, kind: Kind) -> usize {
        let lane = self.lanes.entry(session).or_default();
        if lane.held.is_empty() && lane.admits(kind) {
            lane.enter(kind);
            return 0;
        }
        lane.held.push_back((number, kind));
        1
    }

    /// A call is sent.
    pub fn sent(&mut self, access: Access<'_>) {
        match access {
            Access::None | Access::Read(_) => {}
            Access::Message(session) => {
                if let Some(lane) = self.lanes.get_mut(&session) {
                    lane.are_messages_sent = true;
                }
            }
            Access::Write(session) => {
                if let Some(lane) = self.lanes.get_mut(&session) {
                    lane.is_write_refused = false;
                }
            }
        }
    }

    /// A call has gone to its end. Appends to `admitted` those that may go out now. Returns the
    /// messages that it has overtaken, which have come to their end, too.
    pub fn leave(&mut self, access: Access<'_>, admitted: &mut Vec<P>) -> Vec<P> {
        let session = match access {
            Access::None | Access::Read(_) => return Vec::new(),
            Access::Message(session) | Access::Write(session) => session,
        };
        let Some(lane) = self.lanes.get_mut(&session) else { return Vec::new() };
        let mut overtaken = Vec::new();
        if let Access::Write(_) = access {
            (lane.writing, lane.is_write_refused) = (false, false);
        } else {
            lane.messages = lane.messages.saturating_sub(1);
            lane.are_messages_sent &= lane.messages > 0;
            lane.is_message_lost &= lane.messages > 0;
            overtaken = self.deferred.remove(&session).unwrap_or_default();
        }
        self.admit(session, admitted);
        overtaken
    }

    /// Redis has refused a write for now, which will be sent again. Appends to `admitted` the reads
    /// that pass it.
    pub fn refused_write(&mut self, session: SessionHash, admitted: &mut Vec<P>) {
        if let Some(lane) = self.lanes.get_mut(&session) {
            lane.is_write_refused = true;
        }
        self.admit(session, admitted);
    }

    /// A message is given up that may be executed yet: none that was sent with it is sent again.
    pub fn lost_message(&mut self, session: SessionHash) {
        if let Some(lane) = self.lanes.get_mut(&session) {
            lane.is_message_lost = true;
        }
    }

    /// Redis has refused a message for now. Returns what is to be sent again, in this order: all
    /// that were refused of those that were sent together, once the last of them is answered.
    /// `Err`: it is not to be sent again, as another that was sent with it may be executed.
    pub fn refused_message(&mut self, session: SessionHash, message: P) -> Result<Vec<P>, P> {
        let Some(lane) = self.lanes.get_mut(&session).filter(|lane| !lane.is_message_lost) else {
            return Err(message);
        };
        let deferred = self.deferred.entry(session).or_default();
        deferred.push(message);
        lane.messages = lane.messages.saturating_sub(1);
        if lane.messages > 0 {
            return Ok(Vec::new());
        }
        lane.messages = u32::try_from(deferred.len()).unwrap_or(u32::MAX);
        Ok(self.deferred.remove(&session).unwrap_or_default())
    }

    /// Takes out calls that are held or deferred, and are to wait no longer.
    pub fn give_up(&mut self, mut is_over: impl FnMut(&P) -> bool) -> Vec<P> {
        let mut over = Vec::new();
        for deferred in self.deferred.values_mut() {
            over.extend(deferred.extract_if(.., |call| is_over(call)));
        }
        // Their numbers stay in the lanes until those come to them.
        let held = self.held.extract_if(|_, held| is_over(&held.call));
        over.extend(held.map(|(_, held)| held.call));
        over
    }

    /// Whether no call is held or deferred.
    pub fn holds_nothing(&self) -> bool {
        self.held.is_empty() && self.deferred.values().all(Vec::is_empty)
    }

    /// Takes out all calls that are held or deferred.
    pub fn drain(&mut self) -> Vec<P> {
        self.lanes.clear();
        let deferred = self.deferred.drain().flat_map(|(_, calls)| calls);
        deferred.chain(self.held.drain().map(|(_, held)| held.call)).collect()
    }

    /// Lets out of a lane what it admits now.
    fn admit(&mut self, session: SessionHash, admitted: &mut Vec<P>) {
        let Self { lanes, held, .. } = self;
        let Some(lane) = lanes.get_mut(&session) else { return };
        let mut kept = VecDeque::new();
        while let Some((number, kind)) = lane.held.pop_front() {
            let Some(entry) = held.get_mut(&number) else { continue }; // It was given up.
            let passes = lane.is_write_refused && kind == Kind::Read;
            let is_next = kept.is_empty() && lane.admits(kind);
            if !(passes || is_next) {
                kept.push_back((number, kind));
                if lane.is_write_refused {
                    continue; // Reads behind it pass.
                }
                break;
            }
            lane.enter(kind);
            entry.missing -= 1;
            if entry.missing == 0 {
                admitted.extend(held.remove(&number).map(|held| held.call));
            }
        }
        kept.append(&mut lane.held);
        lane.held = kept;
        if lane.is_empty() {
            lanes.remove(&session);
        }
    }
}

/// The keys are hashes already.
#[derive(Default)]
pub(crate) struct HashedAlready(u64);

impl Hasher for HashedAlready {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    enum Call {
        Read(&'static str, Vec<u64>),
        Message(&'static str, u64),
        Write(&'static str, u64),
    }

    impl Call {
        fn access(&self) -> Access<'_> {
            match self {
                Self::Read(_, sessions) => Access::Read(sessions),
                Self::Message(_, session) => Access::Message(*session),
                Self::Write(_, session) => Access::Write(*session),
            }
        }

        fn name(&self) -> &'static str {
            match self {
                Self::Read(name, _) | Self::Message(name, _) | Self::Write(name, _) => name,
            }
        }
    }

    use Call::{Message, Read, Write};

    fn names(calls: impl IntoIterator<Item = Call>) -> Vec<&'static str> {
        calls.into_iter().map(|call| call.name()).collect()
    }

    /// Enters these; which of them go out at once.
    fn enter(order: &mut Order<Call>, calls: impl IntoIterator<Item = Call>) -> Vec<&'static str> {
        names(calls.into_iter().filter_map(|call| order.enter(call, Call::access)))
    }

    fn leave(order: &mut Order<Call>, call: &Call) -> Vec<&'static str> {
        let mut admitted = Vec::new();
        order.leave(call.access(), &mut admitted);
        names(admitted)
    }

    #[test]
    fn writes_of_a_session_go_out_one_after_the_other_and_of_others_at_once() {
        let mut order = Order::new();
        assert_eq!(enter(&mut order, [Write("a", 1), Write("b", 1), Write("c", 2)]), ["a", "c"]);
        assert_eq!(leave(&mut order, &Write("a", 1)), ["b"]);
        assert_eq!(leave(&mut order, &Write("b", 1)), [""; 0]);
        assert_eq!(leave(&mut order, &Write("c", 2)), [""; 0]);
        assert!(order.lanes.is_empty());
    }

    #[test]
    fn a_read_waits_for_the_write_before_it_and_not_for_the_one_after_it() {
        let mut order = Order::new();
        let calls = [Read("r1", vec![1]), Write("a", 1), Read("r2", vec![1]), Write("b", 1)];
        assert_eq!(enter(&mut order, calls), ["r1", "a"]);
        assert_eq!(enter(&mut order, [Read("r3", vec![1])]), [""; 0]);
        assert_eq!(leave(&mut order, &Write("a", 1)), ["r2", "b"]);
        assert_eq!(leave(&mut order, &Write("b", 1)), ["r3"]);
    }

    #[test]
    fn a_read_of_several_sessions_waits_for_all_of_them() {
        let mut order = Order::new();
        let calls = [Write("a", 1), Write("b", 2), Read("r", vec![1, 2, 3])];
        assert_eq!(enter(&mut order, calls), ["a", "b"]);
        assert_eq!(leave(&mut order, &Write("b", 2)), [""; 0]);
        assert_eq!(leave(&mut order, &Write("a", 1)), ["r"]);
    }

    #[test]
    fn messages_that_are_called_together_go_out_together_and_never_pass_a_write() {
        let mut order = Order::new();
        let calls = [Message("m1", 1), Message("m2", 1), Write("a", 1), Message("m3", 1)];
        assert_eq!(enter(&mut order, calls), ["m1", "m2"]);
        assert_eq!(leave(&mut order, &Message("m1", 1)), [""; 0]);
        assert_eq!(leave(&mut order, &Message("m2", 1)), ["a"]);
        assert_eq!(leave(&mut order, &Write("a", 1)), ["m3"]);
    }

    #[test]
    fn a_message_waits_for_those_that_are_sent() {
        let mut order = Order::new();
        assert_eq!(enter(&mut order, [Message("m1", 1)]), ["m1"]);
        order.sent(Access::Message(1));
        assert_eq!(enter(&mut order, [Message("m2", 1), Message("m3", 1)]), [""; 0]);
        assert_eq!(leave(&mut order, &Message("m1", 1)), ["m2", "m3"]);
    }

    #[test]
    fn messages_that_are_refused_together_are_sent_again_in_their_order() {
        let mut order = Order::new();
        let calls = [Message("m1", 1), Message("m2", 1)];
        assert_eq!(enter(&mut order, calls.clone()), ["m1", "m2"]);
        order.sent(Access::Message(1));
        let [first, second] = calls;
        assert_eq!(order.refused_message(1, first.clone()), Ok(vec![]));
        let again = order.refused_message(1, second.clone()).expect("both");
        assert_eq!(names(again), ["m1", "m2"]);
        assert_eq!(enter(&mut order, [Message("m3", 1)]), [""; 0]);
        assert_eq!(leave(&mut order, &first), [""; 0]);
        assert_eq!(leave(&mut order, &second), ["m3"]);
    }

    #[test]
    fn a_refused_message_is_not_sent_again_behind_one_that_was_executed() {
        let mut order = Order::new();
        let calls = [Message("m1", 1), Message("m2", 1)];
        assert_eq!(enter(&mut order, calls.clone()), ["m1", "m2"]);
        order.sent(Access::Message(1));
        let [first, second] = calls;
        assert_eq!(order.refused_message(1, first), Ok(vec![]));
        assert_eq!(names(order.leave(second.access(), &mut Vec::new())), ["m1"]);
        assert!(order.lanes.is_empty() && order.holds_nothing());
    }

    #[test]
    fn a_refused_message_is_not_sent_again_where_one_behind_it_may_be_executed_yet() {
        let mut order = Order::new();
        let calls = [Message("m1", 1), Message("m2", 1)];
        assert_eq!(enter(&mut order, calls.clone()), ["m1", "m2"]);
        order.sent(Access::Message(1));
        let [first, second] = calls;
        order.lost_message(1);
        assert_eq!(leave(&mut order, &second), [""; 0]);
        assert_eq!(order.refused_message(1, first.clone()), Err(first.clone()));
        assert_eq!(leave(&mut order, &first), [""; 0]);
        assert!(order.lanes.is_empty() && order.holds_nothing());
    }

    #[test]
    fn a_read_does_not_pass_a_write_that_is_held() {
        let mut order = Order::new();
        let calls = [Message("m", 1), Write("a", 1), Read("r", vec![1])];
        assert_eq!(enter(&mut order, calls), ["m"]);
        assert_eq!(leave(&mut order, &Message("m", 1)), ["a"]);
        assert_eq!(leave(&mut order, &Write("a", 1)), ["r"]);
    }

    #[test]
    fn reads_pass_a_write_that_was_refused_and_changes_do_not() {
        let mut order = Order::new();
        let calls = [Write("a", 1), Read("r1", vec![1]), Write("b", 1), Read("r2", vec![1])];
        assert_eq!(enter(&mut order, calls), ["a"]);
        let mut admitted = Vec::new();
        order.refused_write(1, &mut admitted);
        assert_eq!(names(admitted), ["r1", "r2"]);
        assert_eq!(enter(&mut order, [Read("r3", vec![1]), Message("m", 1)]), ["r3"]);
        order.sent(Access::Write(1));
        assert_eq!(enter(&mut order, [Read("r4", vec![1])]), [""; 0]);
        assert_eq!(leave(&mut order, &Write("a", 1)), ["b"]);
        assert_eq!(leave(&mut order, &Write("b", 1)), ["m", "r4"]);
    }

    #[test]
    fn what_is_given_up_holds_nobody_up() {
        let mut order = Order::new();
        let calls = [Write("a", 1), Write("b", 1), Write("c", 1)];
        assert_eq!(enter(&mut order, calls), ["a"]);
        assert_eq!(names(order.give_up(|call| call.name() == "b")), ["b"]);
        assert_eq!(leave(&mut order, &Write("a", 1)), ["c"]);
        assert_eq!(leave(&mut order, &Write("c", 1)), [""; 0]);
        assert!(order.lanes.is_empty());
    }
}
