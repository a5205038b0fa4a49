//! The way of encoded commands to the sockets: each thread writes what it can, and leaves the rest to the thread
//! that is writing.

use std::sync::MutexGuard;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::fence;

use tokio::time::Instant;

use super::state::{Outlet, Port, State};
use super::{Shared, lock, try_lock};
use crate::redis::topology::cluster::NodeNumber;
use crate::redis::transport::describe;

/// A buffer that has grown beyond this is let go once it is written, bytes.
const KEPT: usize = 1 << 20;

impl Shared {
    /// Takes back what sockets have not taken: what is too late of it is not sent.
    pub(super) fn withdraw(&self) {
        for port in self.ports() {
            self.take_back(port.node, &mut lock(&port.outlet));
        }
    }

    /// Writes what is encoded, or leaves it to the threads that are writing.
    pub(super) fn write(&self, state: MutexGuard<'_, State>) {
        let mut locked = Some(state);
        let mut node = 0;
        loop {
            let state = locked.take().unwrap_or_else(|| lock(&self.state));
            let Some(port) = state.port_to_write(node) else { return };
            let is_last = port.node + 1 == state.servers.len();
            self.write_to(&port, state);
            if is_last {
                return;
            }
            node = port.node + 1;
        }
    }

    fn write_to(&self, port: &Port, state: MutexGuard<'_, State>) {
        let mut locked = Some(state);
        loop {
            // Either a thread that fails to lock is seen here to have work, or it does not fail.
            fence(SeqCst);
            if !port.must_write.load(SeqCst) {
                return;
            }
            let Some(mut outlet) = try_lock(&port.outlet) else { return };
            port.must_write.store(false, SeqCst);
            let state = locked.take().unwrap_or_else(|| lock(&self.state));
            let must_wake = self.write_once(port, state, &mut outlet);
            drop(outlet); // Before whoever is woken tries to lock it.
            if must_wake {
                port.wake.notify_one();
            }
        }
    }

    /// Writes as much as the socket takes at once. Whether the supervisor has to be woken.
    fn write_once(
        &self,
        port: &Port,
        mut state: MutexGuard<'_, State>,
        outlet: &mut Outlet,
    ) -> bool {
        let Outlet { writer: Some(writer), buffer } = outlet else { return false };
        let server = state.server(port.node);
        if server.is_blocked || server.broken.is_some() {
            return false;
        }
        if buffer.is_empty() {
            state.dispatcher.take_unsent(port.node, buffer);
            state.dispatcher.pump(Instant::now()); // There is room for more.
        }
        let has_more = state.dispatcher.has_unsent(port.node);
        drop(state);
        match writer.write(buffer) {
            Ok(write) => {
                buffer.drain(..write.taken);
                buffer.shrink_to(KEPT);
                if write.is_blocked {
                    lock(&self.state).server(port.node).is_blocked = true;
                } else if has_more || !buffer.is_empty() {
                    port.must_write.store(true, SeqCst);
                }
                write.is_blocked
            }
            Err(error) => {
                lock(&self.state).server(port.node).broken = Some(describe(&error));
                true
            }
        }
    }

    /// Takes back what the socket has not taken.
    pub(super) fn take_back(&self, node: NodeNumber, outlet: &mut Outlet) {
        lock(&self.state).dispatcher.return_unsent(node, &outlet.buffer);
        outlet.buffer.clear();
    }

    /// Whatever was wrong with the last connection is not with the next.
    pub(super) fn forget_connection(&self, node: NodeNumber) {
        let mut state = lock(&self.state);
        let server = state.server(node);
        (server.is_blocked, server.broken) = (false, None);
    }
}
