//! The conversation on one connection: what was sent, what is owed, and when the server counts as
//! dead. A state machine without a socket, a task or a clock: whoever owns it moves the bytes and
//! says what time it is.
//!
//! Names: `send`, `replied` and `received` take in what has happened; `take_unsent` and `timeout` tell what
//! to do next; `check` says whether the connection is finished.

use std::collections::VecDeque;

use tokio::time::{Duration, Instant};

/// How many bytes of replies may be owed: a call that is behind more than that would wait for them.
const EXPECTED_BYTES: usize = 4 << 20;

/// How many encoded bytes may wait for the socket.
const UNSENT_BYTES: usize = 256 << 10;

/// How many replies may be owed.
const OWED: usize = 1024;

/// How slowly what was sent may go out before its silence counts, bytes a second: 4 Mbit/s.
const SLOWEST: u64 = 512 << 10;

/// How a command is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sending {
    /// Whether it may change something in Redis.
    pub changes: bool,
    /// How many documents its reply holds, for an estimate of its length.
    pub documents: usize,
    /// How many replies it draws, one or more.
    pub replies: usize,
    /// How long the server may block on it, and send nothing meanwhile.
    pub blocks: Duration,
}

/// A command that has no reply yet.
struct Owed<T> {
    /// `None`, once nobody waits for the reply any more.
    token: Option<T>,
    /// Where in the stream of sent bytes the command begins.
    begin: u64,
    sending: Sending,
    /// How many of its replies are owed.
    missing: usize,
    expected: usize,
    /// When nobody waited for it any more.
    given_up: Option<Instant>,
}

/// A command that will have no reply, as the connection has ended.
pub(crate) struct Unanswered<T> {
    /// Who waits for the reply.
    pub token: T,
    /// Whether the socket has taken a byte of it: the server may have executed it.
    pub sent: bool,
}

/// The commands of one connection and their replies. `T` is who waits for a reply.
pub(crate) struct Conversation<T> {
    stall_timeout: Duration,
    owed: VecDeque<Owed<T>>,
    /// How long all the replies that are owed are, by estimate.
    expected: usize,
    /// The length of a reply that holds a document, averaged.
    average: usize,
    /// What is encoded, and not given to a writer.
    outgoing: Vec<u8>,
    /// How many bytes were given before that.
    given: u64,
    /// When the server has last sent anything, and how much it had been sent by then.
    received_at: Instant,
    given_by_then: u64,
    /// Since when something is owed without interruption.
    owed_since: Instant,
}

impl<T> Conversation<T> {
    /// A conversation that begins now. The server is dead if it owes a reply and sends no byte for
    /// `stall_timeout`.
    pub fn new(stall_timeout: Duration, now: Instant) -> Self {
        Self {
            stall_timeout,
            owed: VecDeque::new(),
            expected: 0,
            average: 1024,
            outgoing: Vec::new(),
            given: 0,
            received_at: now,
            given_by_then: 0,
            owed_since: now,
        }
    }

    /// Whether one more command may be sent now.
    pub fn has_room(&self, sending: Sending) -> bool {
        self.owed.is_empty()
            || (self.owed.len() < OWED
                && self.unsent().len() < UNSENT_BYTES
                && self.expected + self.estimate(sending) <= EXPECTED_BYTES)
    }

    /// Sends a command: `encode` appends it to the bytes that go to the server.
    pub fn send(
        &mut self,
        token: T,
        sending: Sending,
        now: Instant,
        encode: impl FnOnce(&T, &mut Vec<u8>),
    ) {
        if self.owed.is_empty() {
            self.owed_since = now;
        }
        let begin = self.given + self.outgoing.len() as u64;
        encode(&token, &mut self.outgoing);
        let expected = self.estimate(sending);
        self.expected += expected;
        let (token, missing, given_up) = (Some(token), sending.replies, None);
        self.owed.push_back(Owed { token, begin, sending, missing, expected, given_up });
    }

    /// What is to be written next.
    pub fn unsent(&self) -> &[u8] {
        &self.outgoing
    }

    /// Gives all that is unsent to a writer, in exchange for an empty buffer.
    pub fn take_unsent(&mut self, buffer: &mut Vec<u8>) {
        std::mem::swap(&mut self.outgoing, buffer);
        self.given += buffer.len() as u64;
    }

    /// The writer gives back what the socket has not taken.
    pub fn return_unsent(&mut self, rest: &[u8]) {
        self.outgoing.splice(0..0, rest.iter().copied());
        self.given -= rest.len() as u64;
    }

    /// The server has sent something.
    pub fn received(&mut self, now: Instant) {
        self.received_at = now;
        self.given_by_then = self.given;
    }

    /// Counts a reply, if it is not the last one that its command draws. `false`: it is, and
    /// `replied` is to be told.
    pub fn takes_part(&mut self) -> bool {
        let Some(owed) = self.owed.front_mut().filter(|owed| owed.missing > 1) else {
            return false;
        };
        owed.missing -= 1;
        true
    }

    /// The server has sent the last reply to a command, of so many bytes. Who has waited for it; `None`, where nobody
    /// does any more. `Err` where no reply was owed.
    pub fn replied(&mut self, bytes: usize) -> Result<Option<T>, String> {
        let Some(owed) = self.owed.pop_front() else {
            return Err(String::from("the server has sent a reply that nothing had asked for"));
        };
        self.expected -= owed.expected;
        if let Some(each) = bytes.checked_div(owed.sending.documents) {
            self.average = (self.average * 7 + each) / 8;
        }
        Ok(owed.token)
    }

    /// Who waits for the next reply.
    pub fn next_mut(&mut self) -> Option<&mut T> {
        self.owed.front_mut()?.token.as_mut()
    }

    /// Takes out those who are to wait no longer. A command of which the socket has taken nothing
    /// is not sent any more; the reply to another, should it come, is for nobody.
    pub fn give_up(
        &mut self,
        now: Instant,
        mut is_over: impl FnMut(&T) -> bool,
    ) -> Vec<Unanswered<T>> {
        let given = self.given;
        let (mut over, mut withdrawn) = (Vec::new(), 0);
        let mut all = std::mem::take(&mut self.owed).into_iter().peekable();
        while let Some(mut owed) = all.next() {
            let end = all.peek().map(|next| next.begin - withdrawn);
            owed.begin -= withdrawn;
            let Some(token) = owed.token.take_if(|token| is_over(token)) else {
                self.owed.push_back(owed);
                continue;
            };
            let is_sent = owed.begin < given;
            over.push(Unanswered { token, sent: is_sent });
            if is_sent {
                owed.given_up = Some(now);
                self.owed.push_back(owed);
            } else {
                let place = |at: u64| usize::try_from(at - given).unwrap_or(usize::MAX);
                let end = end.map_or(self.outgoing.len(), place);
                withdrawn += self.outgoing.drain(place(owed.begin)..end).len() as u64;
                self.expected -= owed.expected;
            }
        }
        over
    }

    /// When `check` has something to find, unless the server sends something before that.
    pub fn timeout(&self) -> Option<Instant> {
        let unfinished = self.owed.front()?.given_up.map(|at| at + self.stall_timeout);
        Some(unfinished.map_or(self.silent_until(), |at| at.min(self.silent_until())))
    }

    /// Why the connection is not to be used any longer, if so.
    pub fn check(&self, now: Instant) -> Result<(), String> {
        let Some(oldest) = self.owed.front() else { return Ok(()) };
        if self.silent_until() <= now {
            return Err(String::from("the server has stopped answering"));
        }
        // It sends something, but not what it owes.
        if oldest.given_up.is_some_and(|at| at + self.stall_timeout <= now) {
            return Err(String::from("the server does not finish a reply"));
        }
        Ok(())
    }

    /// How long the server may be silent: longer, if it was sent so much that a slow network is busy
    /// with that, or if it blocks on the oldest command.
    fn silent_until(&self) -> Instant {
        let under_way = self.given.saturating_sub(self.given_by_then);
        let slow = Duration::from_millis(under_way.saturating_mul(1000) / SLOWEST);
        let blocks = self.owed.front().map_or(Duration::ZERO, |owed| owed.sending.blocks);
        self.received_at.max(self.owed_since) + self.stall_timeout + slow + blocks
    }

    /// Whether nothing is owed.
    pub fn is_idle(&self) -> bool {
        self.owed.is_empty()
    }

    /// Whether the server may still execute something that changes what is stored.
    pub fn may_change(&self) -> bool {
        self.owed.iter().any(|owed| owed.sending.changes && owed.begin < self.given)
    }

    /// Ends it. What has no reply, in the order in which it was sent.
    pub fn end(self) -> impl Iterator<Item = Unanswered<T>> {
        let given = self.given;
        self.owed.into_iter().filter_map(move |Owed { token, begin, .. }| {
            token.map(|token| Unanswered { token, sent: begin < given })
        })
    }

    fn estimate(&self, sending: Sending) -> usize {
        self.average.saturating_mul(sending.documents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Duration = Duration::from_secs(2);
    const GET: Sending =
        Sending { changes: false, documents: 1, replies: 1, blocks: Duration::ZERO };
    const SET: Sending = Sending { changes: true, documents: 0, ..GET };
    const TRANSACTION: Sending = Sending { replies: 3, ..SET };

    fn begun() -> (Conversation<u32>, Instant) {
        let now = Instant::now();
        (Conversation::new(STALL, now), now)
    }

    fn encode(token: &u32, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{token};").as_bytes());
    }

    /// The socket takes so many bytes.
    fn write(conversation: &mut Conversation<u32>, taken: usize) {
        let mut buffer = Vec::new();
        conversation.take_unsent(&mut buffer);
        conversation.return_unsent(&buffer[taken..]);
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn replies_belong_to_the_commands_in_the_order_in_which_they_were_sent() {
        let (mut conversation, now) = begun();
        conversation.send(1, GET, now, encode);
        conversation.send(2, SET, now, encode);
        assert_eq!(conversation.unsent(), b"1;2;");
        assert_eq!(conversation.replied(5), Ok(Some(1)));
        assert_eq!(conversation.replied(5), Ok(Some(2)));
        assert!(conversation.replied(5).is_err());
    }

    #[test]
    fn a_command_of_several_replies_is_answered_by_the_last() {
        let (mut conversation, now) = begun();
        conversation.send(1, TRANSACTION, now, encode);
        conversation.send(2, SET, now, encode);
        assert!(conversation.takes_part());
        assert_eq!(conversation.next_mut(), Some(&mut 1));
        assert!(conversation.takes_part());
        assert!(!conversation.takes_part());
        assert_eq!(conversation.replied(1), Ok(Some(1)));
        assert!(!conversation.takes_part());
        assert_eq!(conversation.replied(1), Ok(Some(2)));
        assert!(!conversation.takes_part());
    }

    #[test]
    fn all_replies_of_a_command_that_is_given_up_are_for_nobody() {
        let (mut conversation, now) = begun();
        conversation.send(1, TRANSACTION, now, encode);
        conversation.send(2, SET, now, encode);
        write(&mut conversation, 4);
        assert!(conversation.takes_part());
        conversation.give_up(now, |token| *token == 1);
        assert!(conversation.takes_part());
        assert_eq!(conversation.next_mut(), None);
        assert_eq!(conversation.replied(1), Ok(None));
        assert_eq!(conversation.replied(1), Ok(Some(2)));
    }

    #[test]
    fn what_the_socket_has_not_taken_is_known_not_to_be_executed() {
        let (mut conversation, now) = begun();
        for token in [1, 2, 3] {
            conversation.send(token, SET, now, encode);
        }
        write(&mut conversation, 3); // The first, and the first byte of the second.
        let ended: Vec<_> = conversation.end().map(|one| (one.token, one.sent)).collect();
        assert_eq!(ended, [(1, true), (2, true), (3, false)]);
    }

    #[test]
    fn a_server_is_dead_that_owes_something_and_sends_no_byte() {
        let (mut conversation, now) = begun();
        assert_eq!(conversation.timeout(), None);
        let later = now + seconds(60);
        assert_eq!(conversation.check(later), Ok(()));
        conversation.send(1, GET, later, encode);
        assert_eq!(conversation.timeout(), Some(later + STALL));
        conversation.received(later + seconds(1)); // A part of a reply.
        assert_eq!(conversation.check(later + seconds(2)), Ok(()));
        assert!(conversation.check(later + seconds(3)).is_err());
    }

    #[test]
    fn a_server_may_be_silent_while_a_slow_network_carries_what_it_is_sent() {
        let (mut conversation, now) = begun();
        conversation.send(1, SET, now, |_, out| out.resize(1 << 20, b'x'));
        write(&mut conversation, 1 << 20);
        assert_eq!(conversation.timeout(), Some(now + STALL + seconds(2)));
        conversation.received(now + seconds(3));
        assert_eq!(conversation.timeout(), Some(now + seconds(3) + STALL));
    }

    #[test]
    fn a_server_may_be_silent_while_it_blocks_on_the_oldest_command() {
        let (mut conversation, now) = begun();
        conversation.send(1, Sending { blocks: seconds(10), ..SET }, now, encode);
        conversation.send(2, GET, now, encode);
        assert_eq!(conversation.check(now + seconds(11)), Ok(()));
        assert!(conversation.check(now + seconds(12)).is_err());
        conversation.received(now + seconds(9));
        assert_eq!(conversation.replied(1), Ok(Some(1)));
        assert_eq!(conversation.timeout(), Some(now + seconds(9) + STALL));
    }

    #[test]
    fn a_server_that_sends_bytes_for_ever_and_finishes_no_reply_is_given_up() {
        let (mut conversation, now) = begun();
        conversation.send(1, SET, now, encode);
        write(&mut conversation, 2);
        let over = conversation.give_up(now + seconds(5), |_| true);
        assert!(over[0].sent);
        conversation.received(now + seconds(7));
        assert_eq!(conversation.timeout(), Some(now + seconds(7)));
        assert!(conversation.check(now + seconds(7)).is_err());
        assert!(conversation.may_change(), "it may still be executed");
    }

    #[test]
    fn a_command_that_is_given_up_before_the_socket_has_taken_any_of_it_is_not_sent() {
        let (mut conversation, now) = begun();
        for token in [10, 20, 30, 40, 50] {
            conversation.send(token, SET, now, encode);
        }
        write(&mut conversation, 4); // The first, and the first byte of the second.
        let over = conversation.give_up(now, |token| *token != 30);
        let over: Vec<_> = over.iter().map(|one| (one.token, one.sent)).collect();
        assert_eq!(over, [(10, true), (20, true), (40, false), (50, false)]);
        assert_eq!(conversation.unsent(), b"0;30;");
        conversation.send(60, SET, now, encode);
        write(&mut conversation, 3);
        let ended: Vec<_> = conversation.end().map(|one| (one.token, one.sent)).collect();
        assert_eq!(ended, [(30, true), (60, false)]);
    }

    #[test]
    fn a_reply_that_nobody_waits_for_any_more_is_for_nobody() {
        let (mut conversation, now) = begun();
        conversation.send(1, GET, now, encode);
        conversation.send(2, GET, now, encode);
        write(&mut conversation, 4);
        conversation.give_up(now, |token| *token == 1);
        assert_eq!(conversation.replied(1), Ok(None));
        assert_eq!(conversation.replied(1), Ok(Some(2)));
    }

    #[test]
    fn what_is_asked_for_at_once_is_bounded_by_what_replies_have_been_like() {
        let (mut conversation, now) = begun();
        for _ in 0..50 {
            conversation.send(0, GET, now, encode);
            write(&mut conversation, 2);
            conversation.replied(250_000).expect("owed");
        }
        let mut sent = 0;
        while conversation.has_room(GET) {
            conversation.send(sent, GET, now, encode);
            sent += 1;
        }
        assert!((10..30).contains(&sent), "{sent}");
    }
}
