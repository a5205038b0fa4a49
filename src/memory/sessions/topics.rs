//! Who listens to what is published, and what each listener has not heard yet.
//!
//! A listener is *up* while it listens, and *down* otherwise. When it is lost, it is first told what
//! was published before, then of the loss; it comes up again once the store can be reached.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::message::Message;
use crate::engine::subscription::Interest;
use crate::keys::Keys;
use crate::memory::wakes::Wakes;

/// How many bytes of messages may wait for a listener; past that it is lost.
const MAX_WAITING_BYTES: usize = 64 << 20;

/// How many messages a listener takes at a time.
const PORTION: usize = 64;

/// The number of a listener.
pub(in crate::memory) type ListenerId = u64;

/// What a listener hears.
#[derive(Debug, Clone)]
pub(in crate::memory) enum Heard {
    /// What was published.
    Message(Arc<Message>),
    /// The moment with this number.
    Marker(u64),
}

/// What is next for a listener.
#[derive(Debug)]
pub(in crate::memory) enum Next {
    /// It hears this.
    Heard(VecDeque<Heard>),
    /// It is lost.
    Lost(String),
    /// It is up.
    Up {
        /// How long ago it was lost, if it has not caught up since.
        gap: Option<Duration>,
    },
    /// Nothing: its `wake` tells when to ask again.
    Nothing,
}

enum Line {
    Down,
    Up,
    /// Lost, and not told of it yet.
    Breaking(String),
}

struct Listener {
    keys: Keys,
    interest: Interest,
    line: Line,
    /// When it was lost after which it has not caught up.
    lost_at: Option<Instant>,
    waiting: VecDeque<Heard>,
    waiting_bytes: usize,
    /// Whether its owner was told that nothing is next, and nothing has come since.
    is_idle: bool,
    wake: Arc<Notify>,
}

/// All listeners.
#[derive(Default)]
pub(in crate::memory) struct Topics {
    listeners: BTreeMap<ListenerId, Listener>,
    last_id: ListenerId,
    /// Whether no listener can come up.
    is_cut: bool,
}

impl Topics {
    /// Adds a listener, to nothing yet, and returns its number and what wakes it.
    pub fn add(&mut self, keys: Keys) -> (ListenerId, Arc<Notify>) {
        self.last_id += 1;
        let wake = Arc::new(Notify::new());
        let listener = Listener {
            keys,
            interest: Interest::default(),
            line: Line::Down,
            lost_at: None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            is_idle: false,
            wake: wake.clone(),
        };
        self.listeners.insert(self.last_id, listener);
        (self.last_id, wake)
    }

    /// Removes a listener.
    pub fn remove(&mut self, id: ListenerId) {
        self.listeners.remove(&id);
    }

    /// Sets what a listener listens to. Returns whether that holds already: else it has to come up
    /// first.
    pub fn listen_to(&mut self, id: ListenerId, interest: Interest) -> bool {
        let Some(listener) = self.listeners.get_mut(&id) else { return false };
        listener.interest = interest;
        if interest == Interest::default() {
            // What is missed from now on is no gap.
            listener.forget();
            (listener.line, listener.lost_at) = (Line::Down, None);
            return true;
        }
        matches!(listener.line, Line::Up)
    }

    /// What is next for a listener.
    pub fn next(&mut self, id: ListenerId, now: Instant) -> Next {
        let Some(listener) = self.listeners.get_mut(&id) else { return Next::Nothing };
        let next = listener.next(self.is_cut, now);
        listener.is_idle = matches!(next, Next::Nothing);
        next
    }

    /// Whether every listener has heard what it can hear, and has handled it.
    pub fn is_heard(&self) -> bool {
        self.listeners.values().filter(|listener| listener.listens()).all(|listener| {
            let is_caught_up = listener.lost_at.is_none() && matches!(listener.line, Line::Up);
            listener.is_idle && (is_caught_up || self.is_cut)
        })
    }

    /// Marks the moment for a listener. `false` where it is not up.
    pub fn mark(&mut self, id: ListenerId, marker: u64) -> bool {
        let listener = self.listeners.get_mut(&id);
        let listener = listener.filter(|listener| matches!(listener.line, Line::Up));
        listener.is_some_and(|listener| {
            listener.waiting.push_back(Heard::Marker(marker));
            listener.is_idle = false;
            true
        })
    }

    /// Notes that a listener has caught up.
    pub fn caught_up(&mut self, id: ListenerId) {
        if let Some(listener) = self.listeners.get_mut(&id) {
            listener.lost_at = None;
        }
    }

    /// Takes a listener down, which forgets what it has not heard. `false` where it listens to nothing.
    pub fn give_up(&mut self, id: ListenerId, now: Instant) -> bool {
        let listener = self.listeners.get_mut(&id).filter(|listener| listener.listens());
        listener.is_some_and(|listener| {
            listener.forget();
            if !matches!(listener.line, Line::Down) {
                listener.lost_at.get_or_insert(now);
            }
            listener.line = Line::Down;
            true
        })
    }

    /// Hands a message to all who listen to its channel. It is made only if somebody does.
    pub fn publish(
        &mut self,
        channel: &str,
        message: impl FnOnce() -> Message,
        now: Instant,
        wakes: &mut Wakes,
    ) {
        let mut listening = self
            .listeners
            .values_mut()
            .filter_map(|listener| Some((listener.copies(channel)?, listener)))
            .peekable();
        if listening.peek().is_none() {
            return;
        }
        let message = Arc::new(message());
        for (copies, listener) in listening {
            for _ in 0..copies {
                listener.hear(&message, now, wakes);
            }
        }
    }

    /// Takes all listeners down until [`reach`](Self::reach).
    pub fn cut(&mut self, reason: &str, now: Instant, wakes: &mut Wakes) {
        self.is_cut = true;
        for listener in self.listeners.values_mut() {
            listener.lose(reason, now, wakes);
        }
    }

    /// Lets listeners come up again.
    pub fn reach(&mut self, wakes: &mut Wakes) {
        self.is_cut = false;
        wakes.extend(self.listeners.values().map(|listener| listener.wake.clone()));
    }
}

impl Listener {
    fn listens(&self) -> bool {
        self.interest != Interest::default()
    }

    fn next(&mut self, is_cut: bool, now: Instant) -> Next {
        if !self.waiting.is_empty() {
            return Next::Heard(self.portion());
        }
        match std::mem::replace(&mut self.line, Line::Down) {
            Line::Up => {
                self.line = Line::Up;
                Next::Nothing
            }
            Line::Breaking(reason) => Next::Lost(reason),
            Line::Down if is_cut || !self.listens() => Next::Nothing,
            Line::Down => {
                self.line = Line::Up;
                let gap = self.lost_at.map(|at| now.saturating_duration_since(at));
                Next::Up { gap }
            }
        }
    }

    /// How often it hears what is published on a channel: by the channel's name, and as a channel of
    /// WebSocket messages. `None`: not at all.
    fn copies(&self, channel: &str) -> Option<usize> {
        let Keys { updates_channel, ws_channel_prefix, .. } = &self.keys;
        let by_name = self.interest.updates && channel == updates_channel;
        let by_prefix = self.interest.web_socket && channel.starts_with(ws_channel_prefix);
        let copies = usize::from(by_name) + usize::from(by_prefix);
        (copies > 0 && matches!(self.line, Line::Up)).then_some(copies)
    }

    fn hear(&mut self, message: &Arc<Message>, now: Instant, wakes: &mut Wakes) {
        if self.waiting.is_empty() {
            wakes.push(self.wake.clone());
        }
        self.is_idle = false;
        self.waiting_bytes += message.bytes();
        self.waiting.push_back(Heard::Message(message.clone()));
        if self.waiting_bytes > MAX_WAITING_BYTES {
            let reason = format!("{} bytes of messages wait for the listener", self.waiting_bytes);
            self.forget();
            self.lose(&reason, now, wakes);
        }
    }

    fn lose(&mut self, reason: &str, now: Instant, wakes: &mut Wakes) {
        if matches!(self.line, Line::Up) {
            self.line = Line::Breaking(reason.to_owned());
            self.is_idle = false;
            self.lost_at.get_or_insert(now);
            wakes.push(self.wake.clone());
        }
    }

    fn portion(&mut self) -> VecDeque<Heard> {
        let rest = self.waiting.split_off(self.waiting.len().min(PORTION));
        let portion = std::mem::replace(&mut self.waiting, rest);
        for heard in &portion {
            if let Heard::Message(message) = heard {
                self.waiting_bytes -= message.bytes();
            }
        }
        portion
    }

    fn forget(&mut self) {
        self.waiting.clear();
        self.waiting_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::sessions::message::Content;

    const ALL: Interest = Interest { updates: true, web_socket: true };
    const SECOND: Duration = Duration::from_secs(1);

    fn publish(topics: &mut Topics, channel: &str, text: &str, now: Instant) -> Wakes {
        let mut wakes = Wakes::new();
        let content = Content::Broadcast(text.into());
        let message = || Message { channel: channel.into(), content };
        topics.publish(channel, message, now, &mut wakes);
        wakes
    }

    fn texts(next: Next) -> Vec<String> {
        let Next::Heard(heard) = next else { panic!("{next:?}") };
        let text = |heard: &Heard| match heard {
            Heard::Message(message) => match &message.content {
                Content::Broadcast(text) => text.clone(),
                Content::Update { .. } => "update".into(),
            },
            Heard::Marker(marker) => marker.to_string(),
        };
        heard.iter().map(text).collect()
    }

    fn up(topics: &mut Topics, now: Instant) -> ListenerId {
        let (id, _) = topics.add(Keys::default());
        assert!(!topics.listen_to(id, ALL));
        assert!(matches!(topics.next(id, now), Next::Up { gap: None }));
        id
    }

    #[test]
    fn what_was_published_before_a_loss_is_heard_before_it() {
        let (now, mut topics) = (Instant::now(), Topics::default());
        let id = up(&mut topics, now);
        assert_eq!(publish(&mut topics, "ws:s", "a", now).len(), 1);
        assert_eq!(publish(&mut topics, "ws:s", "b", now).len(), 0);
        topics.cut("cut", now, &mut Wakes::new());
        publish(&mut topics, "ws:s", "missed", now);
        assert!(!topics.mark(id, 1));
        assert_eq!(texts(topics.next(id, now)), ["a", "b"]);
        assert!(matches!(topics.next(id, now), Next::Lost(reason) if reason == "cut"));
        assert!(matches!(topics.next(id, now), Next::Nothing));
        topics.reach(&mut Wakes::new());
        let gap = Some(3 * SECOND);
        let next = topics.next(id, now + 3 * SECOND);
        assert!(matches!(next, Next::Up { gap: known } if known == gap), "{next:?}");
        topics.caught_up(id);
        publish(&mut topics, "ws:s", "c", now);
        assert!(topics.mark(id, 7));
        assert_eq!(texts(topics.next(id, now)), ["c", "7"]);
    }

    #[test]
    fn a_gap_lasts_until_it_is_caught_up_on() {
        let (now, mut topics) = (Instant::now(), Topics::default());
        let id = up(&mut topics, now);
        assert!(topics.give_up(id, now));
        assert!(matches!(topics.next(id, now + SECOND), Next::Up { gap: Some(SECOND) }));
        assert!(topics.give_up(id, now + SECOND));
        let next = topics.next(id, now + 2 * SECOND);
        assert!(matches!(next, Next::Up { gap: Some(gap) } if gap == 2 * SECOND), "{next:?}");
    }

    #[test]
    fn a_listener_hears_its_own_names_only() {
        let (now, mut topics) = (Instant::now(), Topics::default());
        let id = up(&mut topics, now);
        for channel in ["ws:s", "other", "session-updates", "w"] {
            publish(&mut topics, channel, channel, now);
        }
        assert_eq!(texts(topics.next(id, now)), ["ws:s", "session-updates"]);
        topics.listen_to(id, Interest { updates: true, web_socket: false });
        publish(&mut topics, "ws:s", "a", now);
        assert!(matches!(topics.next(id, now), Next::Nothing));
    }

    #[test]
    fn who_listens_to_nothing_misses_nothing() {
        let (now, mut topics) = (Instant::now(), Topics::default());
        let id = up(&mut topics, now);
        topics.cut("cut", now, &mut Wakes::new());
        topics.reach(&mut Wakes::new());
        assert!(topics.listen_to(id, Interest::default()));
        assert!(!topics.give_up(id, now));
        assert!(matches!(topics.next(id, now), Next::Nothing));
        topics.listen_to(id, ALL);
        assert!(matches!(topics.next(id, now + SECOND), Next::Up { gap: None }));
    }

    #[test]
    fn a_listener_that_is_too_far_behind_is_lost() {
        let (now, mut topics) = (Instant::now(), Topics::default());
        let id = up(&mut topics, now);
        let text = "x".repeat(1 << 20);
        for _ in 0..63 {
            publish(&mut topics, "ws:s", &text, now);
        }
        assert_eq!(topics.listeners[&id].waiting.len(), 63);
        publish(&mut topics, "ws:s", &text, now);
        publish(&mut topics, "ws:s", &text, now);
        assert!(matches!(topics.next(id, now), Next::Lost(_)));
        assert!(matches!(topics.next(id, now), Next::Up { gap: Some(_) }));
    }
}
