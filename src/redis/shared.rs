//! What the threads of a client share: its requests, and the way to write them to the server.
//!
//! The thread that submits a request encodes and writes it: no other thread has to be woken for that.
//! There are three kinds of locks: of the list of submitted requests, of the state, and of the outlet to
//! each server. Only the lock of the outlet is held during a system call. A thread that wants to send and
//! finds the state or the outlet locked leaves its work there; the thread that holds the lock looks
//! for such work after it has released the lock.

mod state;
#[cfg(test)]
mod tests;
mod writing;

use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

pub(crate) use self::state::Port;
use self::state::{Changes, Outlet, Server, State};
use crate::error::Error;
use crate::redis::dispatcher::{Dispatcher, Fence};
use crate::redis::greeting::Identity;
use crate::redis::layout::Layout;
use crate::redis::pending::Settled;
use crate::redis::request::Request;
use crate::redis::role::Role;
use crate::redis::topology::cluster::NodeNumber;
use crate::redis::topology::endpoint::Endpoint;
use crate::redis::tracking::InvalidationSink;
use crate::redis::transport::Writer;

/// What the supervisor of a server has to see to.
pub(crate) struct Watch {
    /// When the deadlines are to be looked at.
    pub timeout: Option<Instant>,
    /// Whether the socket takes no more for now.
    pub is_blocked: bool,
    /// Why the connection is to be ended.
    pub ended: Option<String>,
    /// Whether every request is settled.
    pub is_idle: bool,
}

pub(crate) struct Shared {
    /// Requests that were not taken in yet.
    submitted: Mutex<Vec<Box<dyn Request>>>,
    state: Mutex<State>,
    /// How keys are spread.
    layout: Arc<Layout>,
    /// Wakes whoever keeps the map of a cluster.
    pub map_wake: Notify,
    /// Tells that the map has changed.
    map_changed: watch::Sender<()>,
    /// Who hears of changed keys.
    invalidated: InvalidationSink,
}

impl Shared {
    pub fn new(dispatcher: Dispatcher, invalidated: InvalidationSink) -> Self {
        let state = State {
            dispatcher,
            servers: vec![Server::new(0)],
            keeper_armed: None,
            is_closed: false,
            told_moves: 0,
            told_gaps: 0,
        };
        Self {
            submitted: Mutex::default(),
            state: Mutex::new(state),
            layout: Arc::default(),
            map_wake: Notify::new(),
            map_changed: watch::Sender::new(()),
            invalidated,
        }
    }

    /// Changes when the map of a cluster does.
    pub fn map_changes(&self) -> watch::Receiver<()> {
        self.map_changed.subscribe()
    }

    /// Looks at the map of a cluster.
    pub fn look<T>(&self, look: impl FnOnce(&Dispatcher) -> T) -> T {
        self.with(|state| look(&state.dispatcher))
    }

    /// Does something with the state for a moment, and takes in what other threads have left meanwhile.
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let done = work(&mut lock(&self.state));
        self.flush();
        done
    }

    /// How keys are spread.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// The way to a server, for its supervisor.
    pub fn serve(&self, node: NodeNumber) -> Arc<Port> {
        self.with(|state| {
            let server = state.server(node);
            server.is_served = true;
            server.port.clone()
        })
    }

    /// A server has no supervisor any more.
    pub fn leave(&self, node: NodeNumber) {
        self.with(|state| state.server(node).is_served = false);
    }

    /// A node of a cluster needs no supervisor any more, if that is so: its connection is forgotten.
    pub fn dismiss(&self, node: NodeNumber) -> bool {
        let port = self.with(|state| {
            let is_dismissed = state.dispatcher.dismiss(node);
            let server = state.server(node);
            server.is_served &= !is_dismissed;
            is_dismissed.then(|| server.port.clone())
        });
        let Some(port) = port else { return false };
        drop(std::mem::take(&mut *lock(&port.outlet)));
        self.forget_connection(node);
        true
    }

    /// The nodes that something waits for and that have no supervisor, and where they listen.
    pub fn unserved(&self) -> Vec<(NodeNumber, Endpoint)> {
        self.with(|state| {
            let of = |node| Some((node, state.dispatcher.endpoint(node)?.clone()));
            state.unserved().filter_map(of).collect()
        })
    }

    /// When the keeper of the map has to do something, unless it is woken before that.
    pub fn arm_keeper(&self) -> Option<Instant> {
        self.with(|state| {
            state.keeper_armed = state.dispatcher.map_timeout();
            state.keeper_armed
        })
    }

    /// Takes a request, to be sent by the next `flush`. How many there are now.
    pub fn submit(&self, request: Box<dyn Request>) -> usize {
        let mut submitted = lock(&self.submitted);
        submitted.push(request);
        submitted.len()
    }

    /// Sends what was submitted, or leaves it to the thread that is taking requests in.
    pub fn flush(&self) {
        while !lock(&self.submitted).is_empty() {
            let Some(mut state) = try_lock(&self.state) else { return };
            let settled = self.take_in(&mut state, Instant::now());
            self.wake_late(&state);
            self.write(state);
            settled.into_iter().for_each(Settled::tell);
        }
    }

    /// Does something with the requests, sends what can be sent, and tells what has settled.
    /// `Err`: why the connection is to be ended. For the supervisor of this server alone.
    pub fn update(
        &self,
        node: NodeNumber,
        work: impl FnOnce(&mut Dispatcher, Instant) -> Result<(), String>,
    ) -> Watch {
        let now = Instant::now();
        let mut state = lock(&self.state);
        if let Err(reason) = work(&mut state.dispatcher, now) {
            // Nothing more is sent by this connection.
            state.server(node).broken.get_or_insert(reason);
        }
        let settled = self.take_in(&mut state, now);
        let timeout = state.dispatcher.timeout(node);
        let ended = state.dispatcher.unfit(node).map(str::to_owned);
        let is_idle = state.dispatcher.is_idle();
        let server = state.server(node);
        server.armed = server.armed.filter(|armed| *armed > now);
        if is_earlier(timeout, server.armed) {
            server.armed = timeout;
        }
        let watch = Watch {
            timeout: server.armed,
            is_blocked: server.is_blocked,
            ended: server.broken.clone().or(ended),
            is_idle,
        };
        self.wake_late(&state);
        let changes = state.changes();
        self.write(state);
        self.tell(&changes);
        settled.into_iter().for_each(Settled::tell);
        self.flush(); // What was submitted meanwhile.
        watch
    }

    /// Whether every request that was taken in is settled.
    pub fn is_idle(&self) -> bool {
        self.look(Dispatcher::is_idle)
    }

    /// Does something with the map of a cluster, and sends what can be sent.
    pub fn update_map<T>(&self, work: impl FnOnce(&mut Dispatcher, Instant) -> T) -> T {
        let now = Instant::now();
        let mut state = lock(&self.state);
        let done = work(&mut state.dispatcher, now);
        let settled = self.take_in(&mut state, now);
        self.wake_late(&state);
        let changes = state.changes();
        self.write(state);
        self.tell(&changes);
        settled.into_iter().for_each(Settled::tell);
        self.flush();
        done
    }

    /// Tells of the map, before the answers of whoever has what now. Not to be called under a lock.
    fn tell(&self, changes: &Changes) {
        if changes.has_moved {
            self.map_changed.send_replace(());
        }
        if changes.has_gap {
            // However much of it waits to be heard: no node can be given up for that.
            let _ = (self.invalidated)(None);
        }
    }

    /// There is a connection.
    pub fn connected(
        &self,
        port: &Port,
        writer: Writer,
        identity: Option<Identity>,
        fenced: bool,
        role: Role,
    ) -> Watch {
        self.forget_connection(port.node);
        *lock(&port.outlet) = Outlet { writer: Some(writer), buffer: Vec::new() };
        self.update(port.node, |dispatcher, now| {
            dispatcher.connected(port.node, identity, fenced, role, now);
            Ok(())
        })
    }

    /// The connection has ended, or could not be made.
    pub fn lost(&self, port: &Port, reason: String) -> Watch {
        self.take_back(port.node, &mut std::mem::take(&mut *lock(&port.outlet)));
        self.forget_connection(port.node);
        self.update(port.node, |dispatcher, now| {
            dispatcher.lost(port.node, reason, now);
            Ok(())
        })
    }

    /// The socket takes bytes again, or TLS has something to send by itself.
    pub fn writable(&self, port: &Port) -> Watch {
        lock(&self.state).server(port.node).is_blocked = false;
        port.must_write.store(true, SeqCst);
        self.update(port.node, |_, _| Ok(()))
    }

    /// Settles what is past its deadline.
    pub fn expire(&self, port: &Port) -> Watch {
        self.withdraw();
        self.update(port.node, |dispatcher, now| dispatcher.expire(port.node, now))
    }

    /// The same for the keeper, who has no connection.
    pub fn expire_waiting(&self) {
        self.withdraw();
        self.update_map(Dispatcher::expire_waiting);
    }

    /// What has to be done about the last connection before the next one is used.
    pub fn fence(&self, node: NodeNumber) -> Fence {
        self.look(|dispatcher| dispatcher.fence(node))
    }

    /// Accepts no more requests.
    pub fn refuse(&self) {
        self.with(|state| state.is_closed = true);
    }

    /// Settles everything, and accepts no more.
    pub fn close(&self) {
        self.refuse();
        for port in self.ports() {
            self.take_back(port.node, &mut std::mem::take(&mut *lock(&port.outlet)));
        }
        self.update_map(|dispatcher, _| dispatcher.close());
    }

    fn ports(&self) -> Vec<Arc<Port>> {
        lock(&self.state).servers.iter().map(|server| server.port.clone()).collect()
    }

    /// Takes in what was submitted, and encodes what can be sent. Returns what has settled, which is
    /// to be told when no lock is held.
    fn take_in(&self, state: &mut State, now: Instant) -> Vec<Settled> {
        let submitted = std::mem::take(&mut *lock(&self.submitted));
        let mut refused = Vec::new();
        for request in submitted {
            if state.is_closed {
                refused.push(Settled::new(request, Err(Error::Closed)));
            } else {
                state.dispatcher.submit(request);
            }
        }
        state.dispatcher.pump(now);
        while state.servers.len() < state.dispatcher.nodes() {
            state.servers.push(Server::new(state.servers.len()));
        }
        for server in &state.servers {
            if state.dispatcher.has_unsent(server.port.node) {
                server.port.must_write.store(true, SeqCst);
            }
        }
        refused.append(&mut state.dispatcher.take_settled());
        refused
    }

    /// Wakes the supervisors that would look at the deadlines too late, and whoever keeps the map, where
    /// something waits for it; and all of them for the end.
    fn wake_late(&self, state: &State) {
        let is_over = state.is_closed && state.dispatcher.is_idle();
        for server in &state.servers {
            if is_over || is_earlier(state.dispatcher.timeout(server.port.node), server.armed) {
                server.port.wake.notify_one();
            }
        }
        let is_late = is_earlier(state.dispatcher.map_timeout(), state.keeper_armed);
        if is_late || state.unserved().next().is_some() {
            self.map_wake.notify_one();
        }
    }
}

/// Whether something is to happen before a time that a supervisor has armed its timer for.
fn is_earlier(timeout: Option<Instant>, armed: Option<Instant>) -> bool {
    timeout.is_some_and(|at| armed.is_none_or(|armed| at < armed))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
