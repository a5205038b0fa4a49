//! What the commands about sessions share.

use super::scripts::Scripts;
use crate::operation::names::Namespace;
use crate::redis::order::SessionHash;

/// What the commands about sessions share.
pub(crate) struct Context {
    pub namespace: Namespace,
    pub scripts: Scripts,
}

impl Context {
    pub fn new(namespace: Namespace) -> Self {
        Self { scripts: Scripts::new(&namespace), namespace }
    }

    /// Before each session id in a session's key.
    pub fn prefix(&self) -> &str {
        &self.namespace.keys.session_prefix
    }

    /// Tells the sessions of this process apart.
    pub fn hash(&self, session_id: &str) -> SessionHash {
        self.namespace.keys.hash(session_id)
    }
}
