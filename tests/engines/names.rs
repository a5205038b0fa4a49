//! The names of a history: three namespaces that get in each other's way, and one queue.
//!
//! They are the same for every history, and each lane has a Redis of its own: that keeps each script for
//! ever, so names of their own for each history would fill its memory.

use std::collections::BTreeSet;
use std::sync::Arc;

use synckairos_state::keys::{AuditKeys, Keys};
use synckairos_state::operation::names::{Namespace, Stream};

use crate::history::Setup;

/// Session ids. The first four collide over the prefixes: `a` of the second namespace is `aa` of the
/// first.
pub const IDS: [&str; 6] = ["a", "b", "aa", "ab", "q\"'\\\n\0]]é😀", "*?[x]"];

/// The namespace whose sessions may be told of when they expire: the only one whose keys are no other's.
pub const ANNOUNCED: usize = 2;

/// What a prefix may hold that a Lua literal, a glob pattern or JSON could stumble over.
const ODD: &str = "'\"\\]]--\n\0*?[é";

pub struct Names {
    pub keys: [Keys; 3],
    pub queue: AuditKeys,
}

impl Names {
    pub fn new() -> Self {
        let names = |session: &str, updates: &str, ws: &str| Keys {
            session_prefix: format!("s:{session}"),
            updates_channel: updates.to_owned(),
            ws_channel_prefix: format!("w:{ws}"),
        };
        // Whoever listens to WebSocket messages of the first or the third hears of updates of the third.
        let keys = [names("", "u", ""), names("a", "u", "a"), names(ODD, "w:*u", "*")];
        Self { keys, queue: AuditKeys::of("q") }
    }

    /// The queue's stream, with the limit of a history.
    pub fn stream(&self, setup: &Setup) -> Arc<Stream> {
        Arc::new(Stream {
            keys: self.queue.clone(),
            max_backlog: setup.max_backlog,
            replicas: None,
        })
    }

    /// One of the namespaces, as a history sets it up.
    pub fn namespace(&self, number: usize, setup: &Setup) -> Namespace {
        Namespace {
            keys: self.keys[number].clone(),
            ttl_seconds: setup.ttl_seconds[number],
            replicas: None,
            announce_expiry: setup.announces && number == ANNOUNCED,
            audit: setup.audited[number].then(|| self.stream(setup)),
        }
    }

    /// Where Redis notes the sessions that are to be told of when they expire.
    pub fn expiries(&self) -> String {
        format!("synckairos:expiries:{}", self.keys[ANNOUNCED].session_prefix)
    }

    /// The key of every session, each once.
    pub fn sessions(&self) -> BTreeSet<String> {
        self.keys.iter().flat_map(|keys| IDS.map(|id| keys.session(id))).collect()
    }
}
