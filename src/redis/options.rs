//! Where a server is, and how long to wait for it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;
use tokio::time::Duration;

use crate::backoff::Backoff;
use crate::redis::greeting::{Expected, Login, Protocol};
use crate::redis::topology::view::Endpoint;

/// How a server is reached. Cheap to clone.
#[derive(Clone)]
pub struct Options {
    pub(crate) address: Address,
    pub(crate) login: Login,
    pub(crate) protocol: Protocol,
    pub(crate) expected: Expected,
    /// The longest wait for a connection to be made. Default 2 s.
    pub connect_timeout: Duration,
    /// How long a server may send nothing while it owes a reply, before its connection counts as
    /// dead and is replaced. Default 2 s.
    pub stall_timeout: Duration,
    /// The waits between attempts to connect. Default 50 ms to 2 s.
    pub backoff: Backoff,
}

/// Where a server listens.
#[derive(Clone)]
pub(crate) enum Address {
    /// A host and a port, with or without TLS.
    Tcp { host: String, port: u16, tls: Option<Arc<ClientConfig>> },
    /// A Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    /// As errors name it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port, .. } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port, .. } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

impl fmt::Display for Options {
    /// The server's name in errors.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

impl Options {
    pub(super) fn new(address: Address, login: Login) -> Self {
        Self {
            address,
            login,
            protocol: Protocol::Resp3,
            expected: Expected::Alone,
            connect_timeout: Duration::from_secs(2),
            stall_timeout: Duration::from_secs(2),
            backoff: Backoff { floor: Duration::from_millis(50), ceiling: Duration::from_secs(2) },
        }
    }

    /// The same, and replies come in the shapes of RESP2.
    pub fn in_resp2(mut self) -> Self {
        self.protocol = Protocol::Resp2;
        self
    }

    /// The same for a node of the cluster that the server is a part of.
    pub(crate) fn of_node(&self, Endpoint { host, port }: Endpoint, expected: Expected) -> Self {
        let tls = match &self.address {
            Address::Tcp { tls, .. } => tls.clone(),
            Address::Unix(_) => None,
        };
        let address = Address::Tcp { host, port, tls };
        Self { address, expected, ..self.clone() }
    }

    /// Whether another's connections reach the same data, with the same rights.
    pub fn is_same_server(&self, other: &Self) -> bool {
        let of = |options: &Self| {
            (options.address.to_string(), options.login.db, options.login.username.clone())
        };
        of(self) == of(other)
    }
}
