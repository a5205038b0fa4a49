//! Which sessions of a prefix are to be told of when they expire, and when to look at each.

use std::collections::{BTreeSet, HashMap};

use tokio::time::Instant;

/// The sessions of a prefix that are to be told of when they expire.
#[derive(Default)]
pub(in crate::memory) struct Expiries {
    due: HashMap<String, Instant>,
    by_time: BTreeSet<(Instant, String)>,
}

impl Expiries {
    /// Whether a session is to be told of.
    pub fn has(&self, session_id: &str) -> bool {
        self.due.contains_key(session_id)
    }

    /// Notes when to look at a session.
    pub fn note(&mut self, session_id: String, due: Instant) {
        self.forget(&session_id);
        self.by_time.insert((due, session_id.clone()));
        self.due.insert(session_id, due);
    }

    /// Notes when to look at a session, unless that is to be earlier.
    pub fn note_at_latest(&mut self, session_id: String, due: Instant) {
        if self.due.get(&session_id).is_none_or(|noted| *noted > due) {
            self.note(session_id, due);
        }
    }

    /// Nothing is told of this session any more.
    pub fn forget(&mut self, session_id: &str) {
        if let Some((session_id, due)) = self.due.remove_entry(session_id) {
            self.by_time.remove(&(due, session_id));
        }
    }

    /// The sessions that it is time to look at, the earliest first.
    pub fn due(&self, now: Instant, limit: usize) -> Vec<String> {
        let due = self.by_time.iter().take_while(|(due, _)| *due <= now);
        due.take(limit).map(|(_, session_id)| session_id.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_session_has_one_time_and_the_earlier_one_stays() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut expiries = Expiries::default();
        expiries.note_at_latest("a".into(), start + 5 * second);
        expiries.note_at_latest("b".into(), start + 2 * second);
        expiries.note_at_latest("a".into(), start + 9 * second);
        assert_eq!(expiries.due(start + 5 * second, 9), ["b", "a"]);
        expiries.note_at_latest("a".into(), start + second);
        assert_eq!(expiries.due(start + 5 * second, 1), ["a"]);
        expiries.note("a".into(), start + 9 * second);
        assert_eq!(expiries.due(start + 5 * second, 9), ["b"]);
        expiries.forget("b");
        assert!(expiries.has("a") && !expiries.has("b"));
        assert_eq!(expiries.by_time.len(), 1);
    }
}
