//! Proves that messages arrive, by messages: a subscription publishes to a channel of its own. A server that
//! answers commands may still have lost the subscriptions, or have no say in the cluster any more.

use tokio::time::{Duration, Instant};

/// How long after the last proof the next message of its own is published.
const INTERVAL: Duration = Duration::from_secs(30);

/// The same where nothing was heard meanwhile.
const SILENCE: Duration = Duration::from_secs(10);

/// How long a message may be on its way.
const LIMIT: Duration = Duration::from_secs(5);

/// What a subscription publishes to itself, and when.
#[derive(Debug)]
pub(crate) struct Probe {
    pub channel: String,
    /// When the last one came back.
    proven_at: Instant,
    /// When anything was heard last.
    heard_at: Instant,
    /// When the one that is on its way was published.
    sent_at: Option<Instant>,
}

impl Probe {
    pub fn new(channel: String, now: Instant) -> Self {
        Self { channel, proven_at: now, heard_at: now, sent_at: None }
    }

    /// When a message is to be published, or is overdue.
    pub fn timeout(&self) -> Instant {
        match self.sent_at {
            Some(sent) => sent + LIMIT,
            None => (self.proven_at + INTERVAL).min(self.heard_at.max(self.proven_at) + SILENCE),
        }
    }

    /// Whether a message is to be published now, which then counts as published.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.sent_at.is_none() && self.timeout() <= now;
        if is_due {
            self.sent_at = Some(now);
        }
        is_due
    }

    /// Whether a message has not come back in time.
    pub fn is_overdue(&self, now: Instant) -> bool {
        self.sent_at.is_some_and(|sent| sent + LIMIT <= now)
    }

    /// A message was heard on a channel. Whether it is the one that was published to prove that.
    pub fn heard(&mut self, channel: &[u8], now: Instant) -> bool {
        self.heard_at = now;
        let is_ours = channel == self.channel.as_bytes();
        if is_ours {
            (self.proven_at, self.sent_at) = (now, None);
        }
        is_ours
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun() -> (Probe, Instant) {
        let now = Instant::now();
        (Probe::new("probe".into(), now), now)
    }

    #[test]
    fn where_nothing_is_heard_a_message_is_published_soon() {
        let (mut probe, begin) = begun();
        assert_eq!(probe.timeout(), begin + SILENCE);
        assert!(!probe.is_due(begin + SILENCE / 2));
        assert!(probe.is_due(begin + SILENCE));
        assert!(!probe.is_due(begin + SILENCE), "one at a time");
    }

    #[test]
    fn messages_of_others_put_it_off_but_not_for_ever() {
        let (mut probe, begin) = begun();
        for second in 0..30 {
            let now = begin + Duration::from_secs(second);
            assert!(!probe.is_due(now));
            assert!(!probe.heard(b"other", now));
        }
        assert!(probe.is_due(begin + INTERVAL));
    }

    #[test]
    fn one_that_does_not_come_back_is_overdue() {
        let (mut probe, begin) = begun();
        let sent = begin + SILENCE;
        assert!(probe.is_due(sent));
        assert!(!probe.heard(b"other", sent + LIMIT));
        assert!(!probe.is_overdue(sent + LIMIT - Duration::from_millis(1)));
        assert!(probe.is_overdue(sent + LIMIT));
    }

    #[test]
    fn one_that_comes_back_is_a_proof() {
        let (mut probe, begin) = begun();
        let sent = begin + SILENCE;
        assert!(probe.is_due(sent));
        assert!(probe.heard(b"probe", sent + LIMIT / 2));
        assert!(!probe.is_overdue(sent + LIMIT));
        assert_eq!(probe.timeout(), sent + LIMIT / 2 + SILENCE);
    }
}
