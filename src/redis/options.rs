//! Where a server is, and how long to wait for it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::ClientConfig;
use tokio::time::Duration;

use crate::backoff::Backoff;
use crate::redis::greeting::{Expected, Login, Protocol};
use crate::redis::topology::endpoint::Endpoint;
use crate::redis::topology::master::Master;
use crate::redis::topology::seeds::Seeds;

/// How a server is reached. Cheap to clone.
#[derive(Clone)]
pub struct Options {
    pub(crate) place: Place,
    pub(crate) login: Login,
    pub(crate) protocol: Protocol,
    pub(crate) expected: Expected,
    /// Whether there ever was a connection to it. `None`: its owner has said where it is, not the cluster.
    pub(crate) announced: Option<Arc<AtomicBool>>,
    /// Into how many partitions a cluster's sessions are divided. Default: as is written down in it, or
    /// else 64.
    pub(crate) partitions: Option<u16>,
    /// The longest wait for a connection to be made. Default 2 s.
    pub connect_timeout: Duration,
    /// How long a server may send nothing while it owes a reply, before its connection counts as
    /// dead and is replaced. Default 2 s.
    pub stall_timeout: Duration,
    /// The waits between attempts to connect. Default 50 ms to 2 s.
    pub backoff: Backoff,
}

/// Which server it is.
#[derive(Clone)]
pub(crate) enum Place {
    /// The one at this address.
    Fixed(Address),
    /// The one that sentinels name, with or without TLS.
    Named { master: Master, tls: Option<Arc<ClientConfig>> },
    /// The nodes of a cluster, with or without TLS.
    Cluster { seeds: Arc<Seeds>, tls: Option<Arc<ClientConfig>> },
}

/// Where a server listens.
#[derive(Clone)]
pub(crate) enum Address {
    /// A host and a port, with or without TLS.
    Tcp { endpoint: Endpoint, tls: Option<Arc<ClientConfig>> },
    /// A Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    /// As errors name it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { endpoint, .. } => endpoint.fmt(f),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

impl fmt::Display for Options {
    /// The server's name in errors.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Fixed(address) => address.fmt(f),
            Place::Named { master, .. } => master.group.fmt(f),
            Place::Cluster { seeds, .. } => seeds.fmt(f),
        }
    }
}

impl Options {
    pub(super) fn new(place: Place, login: Login) -> Self {
        Self {
            place,
            login,
            protocol: Protocol::Resp3,
            expected: Expected::Alone,
            announced: None,
            partitions: None,
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
    pub(crate) fn of_node(&self, endpoint: Endpoint, expected: Expected) -> Self {
        let tls = match &self.place {
            Place::Fixed(Address::Tcp { tls, .. })
            | Place::Named { tls, .. }
            | Place::Cluster { tls, .. } => tls.clone(),
            Place::Fixed(Address::Unix(_)) => None,
        };
        let is_seed = self.seeds().is_some_and(|seeds| seeds.nodes.contains(&endpoint));
        let announced = (!is_seed).then(Arc::default);
        let place = Place::Fixed(Address::Tcp { endpoint, tls });
        Self { place, expected, announced, ..self.clone() }
    }

    /// Whether it is known to be a cluster before a server has told.
    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.place, Place::Cluster { .. })
    }

    /// The nodes to ask about the cluster, if it is one. `None`, where nothing but one server can be meant.
    pub(crate) fn seeds(&self) -> Option<Seeds> {
        match &self.place {
            Place::Fixed(Address::Tcp { endpoint, .. }) => Some(Seeds::one(endpoint.clone())),
            Place::Cluster { seeds, .. } => Some(Seeds::clone(seeds)),
            Place::Fixed(Address::Unix(_)) | Place::Named { .. } => None,
        }
    }

    /// Whether another's connections reach the same data, with the same rights.
    pub fn is_same_server(&self, other: &Self) -> bool {
        let is_same_place = match (&self.place, &other.place) {
            (Place::Fixed(address), Place::Fixed(other)) => {
                address.to_string() == other.to_string()
            }
            (Place::Named { master, .. }, Place::Named { master: other, .. }) => {
                master.group.is_same(&other.group)
            }
            (Place::Cluster { seeds, .. }, Place::Cluster { seeds: other, .. }) => {
                seeds.is_same(other)
            }
            _ => false,
        };
        let login = |options: &Self| (options.login.db, options.login.username.clone());
        is_same_place && login(self) == login(other)
    }

    /// Where to connect now. Sentinels are waited for; `Err` says why none of them tells.
    pub(crate) async fn address(&self) -> Result<Address, String> {
        match &self.place {
            Place::Fixed(address) => Ok(address.clone()),
            Place::Named { master, tls } => {
                Ok(Address::Tcp { endpoint: master.endpoint().await?, tls: tls.clone() })
            }
            Place::Cluster { seeds, tls } => {
                let endpoint = fastrand::choice(&seeds.nodes).cloned();
                let endpoint = endpoint.ok_or_else(|| String::from("no node is named"))?;
                Ok(Address::Tcp { endpoint, tls: tls.clone() })
            }
        }
    }

    /// The name in errors of the server that is connected to at present: the master's address, once
    /// that is known.
    pub(crate) fn present(&self) -> String {
        match &self.place {
            Place::Named { master, .. } => {
                master.named().map_or_else(|| self.to_string(), |master| master.to_string())
            }
            Place::Fixed(_) | Place::Cluster { .. } => self.to_string(),
        }
    }

    /// Resolves when connections are to be made to another server than the one of this name.
    pub(crate) async fn moved_from(&self, server: &str) {
        match &self.place {
            Place::Named { master, .. } => master.moved_from(server).await,
            Place::Fixed(_) | Place::Cluster { .. } => std::future::pending().await,
        }
    }

    /// The same as an error's reason.
    pub(crate) async fn moved(&self, from: &str) -> String {
        self.moved_from(from).await;
        format!("the sentinels name another master: {}", self.present())
    }

    /// There is a connection.
    pub(crate) fn reached(&self) {
        if let Place::Named { master, .. } = &self.place {
            master.reached();
        }
        if let Some(was_reached) = &self.announced {
            was_reached.store(true, Ordering::Relaxed);
        }
    }

    /// Adds to the reason why there is no connection what may be the cause.
    pub(crate) fn explained(&self, reason: String) -> String {
        if let Place::Named { master, .. } = &self.place {
            return master.explained(reason);
        }
        match &self.announced {
            Some(was_reached) if !was_reached.load(Ordering::Relaxed) => format!(
                "{reason}; the cluster announces this address: if it cannot be reached from here, set \
                 natMap"
            ),
            _ => reason,
        }
    }
}
