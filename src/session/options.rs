//! What a store is made with.

use std::time::Duration;

use crate::keys::Keys;
use crate::operation::replicas::Replicas;

/// What holds for all calls of a store.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The names of the sessions and of the channels that tell of them.
    pub keys: Keys,
    /// How long a session lives after its last write or touch, seconds. Default 3600.
    pub ttl_seconds: u32,
    /// Whether a session that expires is audited and told, as one that is deleted. Default `false`.
    pub announce_expiry: bool,
    /// How many replicas are to have a write before it is acknowledged. Default: none has to.
    pub replicas: Option<Replicas>,
    /// The time from a call to its deadline. Default 5 s.
    pub command_timeout: Duration,
    /// The largest state, bytes of its JSON. Default 1 MiB.
    pub max_state_bytes: usize,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            keys: Keys::default(),
            ttl_seconds: 3600,
            announce_expiry: false,
            replicas: None,
            command_timeout: Duration::from_millis(5000),
            max_state_bytes: 1 << 20,
        }
    }
}
