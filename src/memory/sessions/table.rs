//! Sessions by their keys, and when each expires. An expired session is never found. It is removed
//! later, in portions ([`Sessions::sweep`]), so that thousands that expire together hold nobody up.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::time::Instant;

/// A stored session.
pub(in crate::memory) struct Session {
    /// Its JSON text.
    pub document: Arc<str>,
    /// The version in its document.
    pub version: u64,
    /// When it expires.
    pub expires_at: Instant,
    /// Where it is in `Sessions::by_time`: not later than it expires.
    place: Place,
}

/// A time, and a number that tells sessions of the same time apart.
type Place = (Instant, u64);

/// All sessions.
#[derive(Default)]
pub(in crate::memory) struct Sessions {
    by_key: HashMap<Arc<str>, Session>,
    /// When to look at each session. A write does not move a session here: `sweep` does, if it finds
    /// the session alive.
    by_time: BTreeMap<Place, Arc<str>>,
    /// How many places were given.
    places: u64,
}

impl Sessions {
    /// The session of a key.
    pub fn get(&self, key: &str, now: Instant) -> Option<&Session> {
        self.by_key.get(key).filter(|session| session.expires_at > now)
    }

    /// Stores a session, in place of the one that is there.
    pub fn put(&mut self, key: &str, document: Arc<str>, version: u64, expires_at: Instant) {
        if let Some(session) = self.by_key.get_mut(key) {
            (session.document, session.version) = (document, version);
            return self.set_expiry(key, expires_at);
        }
        let (key, place) = (Arc::<str>::from(key), self.new_place(expires_at));
        self.by_time.insert(place, key.clone());
        self.by_key.insert(key, Session { document, version, expires_at, place });
    }

    /// Puts the expiry of a session off; `false` where there is no such session.
    pub fn touch(&mut self, key: &str, expires_at: Instant, now: Instant) -> bool {
        let exists = self.get(key, now).is_some();
        if exists {
            self.set_expiry(key, expires_at);
        }
        exists
    }

    /// Removes a session; `false` where there is no such session.
    pub fn remove(&mut self, key: &str, now: Instant) -> bool {
        let Some(session) = self.by_key.remove(key) else { return false };
        self.by_time.remove(&session.place);
        session.expires_at > now
    }

    /// Looks at up to `count` sessions that may have expired, and returns those that have.
    pub fn sweep(&mut self, count: usize, now: Instant) -> Vec<Session> {
        let mut expired = Vec::new();
        for _ in 0..count {
            let Some(first) = self.by_time.first_entry().filter(|first| first.key().0 <= now)
            else {
                break;
            };
            let key = first.remove();
            let Some(session) = self.by_key.get_mut(&key) else { continue };
            if session.expires_at <= now {
                expired.extend(self.by_key.remove(&key));
            } else {
                self.places += 1;
                session.place = (session.expires_at, self.places);
                self.by_time.insert(session.place, key);
            }
        }
        expired
    }

    /// When there is something to sweep.
    pub fn next_sweep(&self) -> Option<Instant> {
        self.by_time.first_key_value().map(|((time, _), _)| *time)
    }

    /// The keys and documents, in the order of the keys.
    pub fn all(&self, now: Instant) -> Vec<(Arc<str>, Arc<str>)> {
        let alive = self.by_key.iter().filter(|(_, session)| session.expires_at > now);
        let mut all: Vec<_> =
            alive.map(|(key, session)| (key.clone(), session.document.clone())).collect();
        all.sort_unstable();
        all
    }

    fn set_expiry(&mut self, key: &str, expires_at: Instant) {
        let place = self.new_place(expires_at);
        let Some(session) = self.by_key.get_mut(key) else { return };
        session.expires_at = expires_at;
        if expires_at < session.place.0
            && let Some(key) = self.by_time.remove(&session.place)
        {
            session.place = place;
            self.by_time.insert(place, key);
        }
    }

    fn new_place(&mut self, time: Instant) -> Place {
        self.places += 1;
        (time, self.places)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn put(sessions: &mut Sessions, key: &str, expires_at: Instant) {
        sessions.put(key, Arc::from("{}"), 1, expires_at);
    }

    #[test]
    fn an_expired_session_is_not_found_before_it_is_removed() {
        let (start, mut sessions) = (Instant::now(), Sessions::default());
        put(&mut sessions, "a", start + SECOND);
        assert!(sessions.get("a", start).is_some());
        let later = start + SECOND;
        assert!(sessions.get("a", later).is_none());
        assert!(!sessions.touch("a", later + SECOND, later));
        assert!(sessions.all(later).is_empty());
        assert_eq!(sessions.by_key.len(), 1);
        assert!(!sessions.remove("a", later));
        assert_eq!((sessions.by_key.len(), sessions.by_time.len()), (0, 0));
    }

    #[test]
    fn a_sweep_removes_what_has_expired_and_keeps_what_was_renewed() {
        let (start, mut sessions) = (Instant::now(), Sessions::default());
        for key in ["a", "b", "c"] {
            put(&mut sessions, key, start + SECOND);
        }
        put(&mut sessions, "b", start + 3 * SECOND);
        assert_eq!(sessions.sweep(2, start + SECOND).len(), 1);
        assert_eq!(sessions.sweep(2, start + SECOND).len(), 1);
        assert_eq!(sessions.next_sweep(), Some(start + 3 * SECOND));
        assert!(sessions.get("b", start + 2 * SECOND).is_some());
        assert_eq!(sessions.sweep(2, start + 3 * SECOND).len(), 1);
        assert_eq!((sessions.by_key.len(), sessions.by_time.len()), (0, 0));
    }

    #[test]
    fn a_session_whose_ttl_became_shorter_is_removed_in_time() {
        let (start, mut sessions) = (Instant::now(), Sessions::default());
        put(&mut sessions, "a", start + 9 * SECOND);
        put(&mut sessions, "a", start + SECOND);
        assert_eq!(sessions.next_sweep(), Some(start + SECOND));
        assert_eq!(sessions.sweep(9, start + SECOND).len(), 1);
        assert_eq!(sessions.next_sweep(), None);
    }

    #[test]
    fn a_session_has_one_place_however_often_it_is_written_and_deleted() {
        let (start, mut sessions) = (Instant::now(), Sessions::default());
        for n in 0..100 {
            put(&mut sessions, "a", start + n * SECOND);
            if n % 3 == 0 {
                sessions.remove("a", start);
            }
        }
        assert!(sessions.by_time.len() <= 1);
    }
}
