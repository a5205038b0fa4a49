//! What the threads of a client know of its servers.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::redis::dispatcher::Dispatcher;
use crate::redis::topology::cluster::NodeNumber;
use crate::redis::transport::Writer;

pub(super) struct State {
    pub dispatcher: Dispatcher,
    /// The ways to the servers, by the numbers of the nodes, with what is known of each.
    pub servers: Vec<Server>,
    /// When the keeper of a cluster's map will do something by itself.
    pub keeper_armed: Option<Instant>,
    /// No more requests are accepted.
    pub is_closed: bool,
    /// The changes of the map that were told.
    pub told_moves: u64,
    /// The gaps in the news of changed keys that were told.
    pub told_gaps: u64,
}

/// What is to be told of the map of a cluster.
pub(super) struct Changes {
    pub has_moved: bool,
    pub has_gap: bool,
}

/// A server, as the thread that holds the state sees it.
pub(super) struct Server {
    pub port: Arc<Port>,
    /// Whether there is a supervisor.
    pub is_served: bool,
    /// The socket takes no more for now.
    pub is_blocked: bool,
    /// Why nothing can be written any more.
    pub broken: Option<String>,
    /// When the supervisor will look at the deadlines by itself.
    pub armed: Option<Instant>,
}

/// The way to a server.
pub(crate) struct Port {
    /// The server's number.
    pub node: NodeNumber,
    pub(super) outlet: Mutex<Outlet>,
    /// Whether there may be something to write that nobody is writing.
    pub(super) must_write: AtomicBool,
    /// Wakes the supervisor.
    pub wake: Notify,
}

/// The connection to a server, while there is one.
#[derive(Default)]
pub(super) struct Outlet {
    pub writer: Option<Writer>,
    /// What is being written.
    pub buffer: Vec<u8>,
}

impl State {
    pub fn server(&mut self, node: NodeNumber) -> &mut Server {
        while self.servers.len() <= node {
            self.servers.push(Server::new(self.servers.len()));
        }
        &mut self.servers[node]
    }

    /// What has changed since the last time.
    pub fn changes(&mut self) -> Changes {
        let (moves, gaps) = (self.dispatcher.moves(), self.dispatcher.gaps_in_news());
        let changes =
            Changes { has_moved: moves != self.told_moves, has_gap: gaps != self.told_gaps };
        (self.told_moves, self.told_gaps) = (moves, gaps);
        changes
    }

    pub fn unserved(&self) -> impl Iterator<Item = NodeNumber> {
        let unserved = self.servers.iter().filter(|server| !server.is_served);
        unserved.map(|server| server.port.node).filter(|node| self.dispatcher.has_work(*node))
    }

    /// The first way, from this number on, on which something is to be written.
    pub fn port_to_write(&self, from: NodeNumber) -> Option<Arc<Port>> {
        let ports = self.servers.iter().skip(from).map(|server| &server.port);
        ports.filter(|port| port.must_write.load(SeqCst)).map(Arc::clone).next()
    }
}

impl Server {
    pub fn new(node: NodeNumber) -> Self {
        let port = Port {
            node,
            outlet: Mutex::default(),
            must_write: AtomicBool::new(false),
            wake: Notify::new(),
        };
        let (is_served, is_blocked) = (false, false);
        Self { port: Arc::new(port), is_served, is_blocked, broken: None, armed: None }
    }
}
