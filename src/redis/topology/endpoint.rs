//! A host and a port.

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
