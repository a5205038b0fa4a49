//! Every name that this library uses in an engine, and the rules for the part a caller chooses.

use std::hash::{DefaultHasher, Hasher};

use crate::error::{Error, Result};

/// The longest session id, in bytes of UTF-8.
pub const MAX_SESSION_ID_BYTES: usize = 512;

/// The names of one manager: where its sessions live and where it tells others about them.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Before each session id in a session's key. Default `session:`.
    pub session_prefix: String,
    /// The channel of updates and deletions, not prefixed. Default `session-updates`.
    pub updates_channel: String,
    /// Before each session id in a WebSocket channel. Default `ws:`.
    pub ws_channel_prefix: String,
}

/// The prefix that is meant where a message names none.
pub(crate) const DEFAULT_SESSION_PREFIX: &str = "session:";

impl Default for Keys {
    fn default() -> Self {
        Self {
            session_prefix: DEFAULT_SESSION_PREFIX.into(),
            updates_channel: "session-updates".into(),
            ws_channel_prefix: "ws:".into(),
        }
    }
}

impl Keys {
    /// The same in a partition of a cluster. All channels there share its hash tag, and WebSocket messages
    /// have one channel for all sessions, whose whole name `ws_channel_prefix` is.
    ///
    /// Redis reads the first braces of a name: where a name has some, the tag comes before it.
    pub(crate) fn of_partition(&self, tag: &str) -> Self {
        let Self { session_prefix, updates_channel, ws_channel_prefix } = self;
        let tagged = |name: &str, between: &str, after: &str| match name.contains('{') {
            true => format!("{{{tag}}}:{name}"),
            false => format!("{name}{between}{{{tag}}}{after}"),
        };
        Self {
            session_prefix: tagged(session_prefix, "", ":"),
            updates_channel: tagged(updates_channel, ":", ""),
            ws_channel_prefix: tagged(ws_channel_prefix, "", ""),
        }
    }

    /// The key of a session's document.
    pub fn session(&self, session_id: &str) -> String {
        [&self.session_prefix, session_id].concat()
    }

    /// A hash of the session's key, which tells sessions apart within this process.
    pub(crate) fn hash(&self, session_id: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        hasher.write(self.session_prefix.as_bytes());
        hasher.write(session_id.as_bytes());
        hasher.finish()
    }

    /// The channel of a session's WebSocket messages.
    pub fn ws_channel(&self, session_id: &str) -> String {
        [&self.ws_channel_prefix, session_id].concat()
    }

    /// The pattern that matches every WebSocket channel of this prefix and no other.
    pub fn ws_pattern(&self) -> String {
        let mut pattern = String::with_capacity(self.ws_channel_prefix.len() + 1);
        for c in self.ws_channel_prefix.chars() {
            if matches!(c, '*' | '?' | '[' | ']' | '\\') {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        pattern.push('*');
        pattern
    }

    /// The session that a WebSocket channel is about.
    pub fn session_of_ws_channel<'a>(&self, channel: &'a str) -> Option<&'a str> {
        channel.strip_prefix(&self.ws_channel_prefix).filter(|id| !id.is_empty())
    }
}

/// The key that says how many partitions a cluster's sessions have.
pub(crate) const PARTITIONS: &str = "synckairos:partitions";

/// The key of a connection's ledger, where its writes note that they were applied. `tag`: the hash tag of
/// its partition, in a cluster.
pub(crate) fn ledger(tag: Option<&str>, connection: u128) -> String {
    match tag {
        None => format!("synckairos:ledger:{connection:032x}"),
        Some(tag) => format!("synckairos:ledger:{{{tag}}}:{connection:032x}"),
    }
}

/// The key of the expiries: which sessions of a prefix are to be told of when they expire, and when to look
/// at each. `tag`: the hash tag of their partition, in a cluster.
pub(crate) fn expiries(tag: Option<&str>, session_prefix: &str) -> String {
    match tag {
        None => format!("synckairos:expiries:{session_prefix}"),
        Some(tag) => format!("synckairos:expiries:{{{tag}}}:{session_prefix}"),
    }
}

/// What a connection is called in `CLIENT LIST`.
pub(crate) fn link_name(link: u64) -> String {
    format!("synckairos-state:{link:016x}")
}

/// The channel whose confirmation marks a moment in a subscription's stream.
pub(crate) fn marker_channel(marker: u64) -> String {
    format!("synckairos:marker:{marker}")
}

/// The channel by which a subscription to the channels of a hash tag proves that messages arrive.
pub(crate) fn probe_channel(tag: &str, subscription: u64) -> String {
    format!("synckairos:probe:{{{tag}}}:{subscription:016x}")
}

/// Which moment the confirmation of a channel marks.
pub(crate) fn marker_of_channel(channel: &str) -> Option<u64> {
    channel.strip_prefix("synckairos:marker:")?.parse().ok()
}

/// The consumer group in which the workers of an audit queue share its records.
pub(crate) const AUDIT_GROUP: &str = "workers";

/// The names of one audit queue. They share a hash tag, as its scripts touch several of them.
#[derive(Debug, Clone)]
pub struct AuditKeys {
    /// The queue's name.
    queue_name: String,
    /// The stream of records that are not in the database yet.
    pub stream: String,
    /// A sorted set: the entries that wait for another try, by when it is due (milliseconds).
    pub delayed: String,
    /// A hash: how often an entry was tried in vain, where that counts.
    pub tries: String,
    /// The stream of dead letters.
    pub dead: String,
    /// A hash: where in the stream of dead letters a record is.
    pub index: String,
    /// How many records have reached the database.
    pub completed: String,
    /// When records have reached the database last (milliseconds).
    pub stored: String,
    /// The name of the database in which the latest worker stores the records.
    pub database: String,
    /// A sorted set: the workers that share the partitions of a cluster, by until when each is alive
    /// (milliseconds).
    pub workers: String,
    /// A hash: which of them reads a partition.
    pub leases: String,
}

impl AuditKeys {
    /// The names of the queue of this name.
    pub fn of(queue_name: &str) -> Self {
        Self::with_base(queue_name.to_owned(), format!("synckairos:audit:{{{queue_name}}}:"))
    }

    /// The same in a partition of a cluster.
    pub(crate) fn of_partition(&self, tag: &str) -> Self {
        let queue_name = self.queue_name.clone();
        let base = format!("synckairos:audit:{{{tag}}}:{queue_name}:");
        Self::with_base(queue_name, base)
    }

    fn with_base(queue_name: String, base: String) -> Self {
        let key = |what: &str| format!("{base}{what}");
        Self {
            queue_name,
            stream: key("stream"),
            delayed: key("delayed"),
            tries: key("tries"),
            dead: key("dead"),
            index: key("index"),
            completed: key("completed"),
            stored: key("stored"),
            database: key("database"),
            workers: key("workers"),
            leases: key("leases"),
        }
    }
}

/// The names of a queue of BullMQ, which older instances use.
#[derive(Debug, Clone)]
pub struct BullKeys {
    /// What all of them begin with; a job's id after it is the job's key.
    pub(crate) base: String,
}

impl BullKeys {
    /// The names of the queue of this name; BullMQ's own prefix is `bull`.
    pub fn of(prefix: &str, queue_name: &str) -> Self {
        Self { base: format!("{prefix}:{queue_name}:") }
    }

    /// Where jobs are that are being moved to the partitions of a cluster, as [`place`](Self::place) knows
    /// it.
    pub(crate) const MOVING: &str = "synckairos";

    /// Whether all keys of the queue share a hash tag, as in a cluster they have to.
    pub(crate) fn has_tag(&self) -> bool {
        let tag = self.base.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
        tag.is_some_and(|(tag, _)| !tag.is_empty())
    }

    /// Where the jobs of one state are.
    pub(crate) fn place(&self, state: &str) -> String {
        format!("{}{state}", self.base)
    }
}

/// Refuses ids that cannot be a part of a key.
pub(crate) fn check_session_id(session_id: &str) -> Result<()> {
    if session_id.is_empty() {
        return Err(Error::invalid("session_id", "it is empty"));
    }
    if session_id.len() > MAX_SESSION_ID_BYTES {
        return Err(Error::invalid(
            "session_id",
            format!(
                "it has {} bytes, at most {MAX_SESSION_ID_BYTES} are allowed",
                session_id.len()
            ),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_running_instances() {
        let keys = Keys::default();
        assert_eq!(keys.session("a"), "session:a");
        assert_eq!(keys.ws_channel("a"), "ws:a");
        assert_eq!(keys.ws_pattern(), "ws:*");
        assert_eq!(keys.updates_channel, "session-updates");
    }

    #[test]
    fn a_prefix_with_glob_characters_matches_itself_only() {
        let keys = Keys { ws_channel_prefix: r"w*s?[x]\".into(), ..Keys::default() };
        assert_eq!(keys.ws_pattern(), r"w\*s\?\[x\]\\*");
    }

    #[test]
    fn the_session_id_is_what_follows_the_prefix() {
        let keys = Keys::default();
        assert_eq!(keys.session_of_ws_channel("ws:a:b"), Some("a:b"));
        assert_eq!(keys.session_of_ws_channel("ws:"), None);
        assert_eq!(keys.session_of_ws_channel("other"), None);
    }

    #[test]
    fn the_hash_tag_of_a_partition_is_the_first_of_a_name() {
        let names = |prefix: &str, updates: &str, messages: &str| {
            let keys = Keys {
                session_prefix: prefix.into(),
                updates_channel: updates.into(),
                ws_channel_prefix: messages.into(),
            };
            let keys = keys.of_partition("7");
            [keys.session("a{b}"), keys.updates_channel, keys.ws_channel_prefix]
        };
        let plain = names("app:session:", "updates", "ws:");
        assert_eq!(plain, ["app:session:{7}:a{b}", "updates:{7}", "ws:{7}"]);
        let tagged = names("{app}:session:", "u{", "{}");
        assert_eq!(tagged, ["{7}:{app}:session:a{b}", "{7}:u{", "{7}:{}"]);
    }

    #[test]
    fn ids_are_bounded_in_bytes_not_characters() {
        assert!(check_session_id(&"x".repeat(512)).is_ok());
        assert!(check_session_id(&"x".repeat(513)).is_err());
        assert!(check_session_id(&"é".repeat(257)).is_err());
        assert!(check_session_id("").is_err());
    }
}
