//! A host and a port.

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a server listens for TCP.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Endpoint {
    /// A name or an address.
    pub host: String,
    pub port: u16,
}

impl fmt::Display for Endpoint {
    /// As errors name it: an IPv6 address is in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// Where servers are really, by the `host:port` that they or their sentinels announce.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct NatMap(HashMap<String, Endpoint>);

impl NatMap {
    /// Where to connect for an address that is announced.
    pub fn mapped(&self, announced: &Endpoint) -> Endpoint {
        let Endpoint { host, port } = announced;
        self.0.get(&format!("{host}:{port}")).unwrap_or(announced).clone()
    }
}
