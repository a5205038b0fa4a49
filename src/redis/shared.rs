//! What the threads of a client share: its requests, and the way to write them to the server.
//!
//! The thread that submits a request encodes and writes it: no other thread has to be woken for that.
//! There are three locks: of the list of submitted requests, of the state, and of the outlet to the
//! server. Only the lock of the outlet is held during a system call. A thread that wants to send and
//! finds the state or the outlet locked leaves its work there; the thread that holds the lock looks
//! for such work after it has released the lock.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, fence};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::error::Error;
use crate::redis::dispatcher::{Dispatcher, Fence};
use crate::redis::greeting::Identity;
use crate::redis::pending::Settled;
use crate::redis::request::Request;
use crate::redis::role::Role;
use crate::redis::transport::{Writer, describe};

/// A buffer that has grown beyond this is let go once it is written, bytes.
const KEPT: usize = 1 << 20;

/// What the supervisor has to see to.
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
    outlet: Mutex<Outlet>,
    /// Whether there may be something to write that nobody is writing.
    must_write: AtomicBool,
    /// Wakes the supervisor.
    pub wake: Notify,
}

struct State {
    dispatcher: Dispatcher,
    /// The socket takes no more for now.
    is_blocked: bool,
    /// Why nothing can be written any more.
    broken: Option<String>,
    /// When the supervisor will look at the deadlines by itself.
    armed: Option<Instant>,
    /// No more requests are accepted.
    is_closed: bool,
}

/// The way to the server, while there is one.
#[derive(Default)]
struct Outlet {
    writer: Option<Writer>,
    /// What is being written.
    buffer: Vec<u8>,
}

impl Shared {
    pub fn new(dispatcher: Dispatcher) -> Self {
        let (is_blocked, is_closed) = (false, false);
        let state = State { dispatcher, is_blocked, broken: None, armed: None, is_closed };
        Self {
            submitted: Mutex::default(),
            state: Mutex::new(state),
            outlet: Mutex::default(),
            must_write: AtomicBool::new(false),
            wake: Notify::new(),
        }
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
            let must_wake = state.must_wake();
            self.write(state);
            if must_wake {
                self.wake.notify_one();
            }
            settled.into_iter().for_each(Settled::tell);
        }
    }

    /// Does something with the requests, sends what can be sent, and tells what has settled.
    /// `Err`: why the connection is to be ended. For the supervisor alone.
    pub fn update(
        &self,
        work: impl FnOnce(&mut Dispatcher, Instant) -> Result<(), String>,
    ) -> Watch {
        let now = Instant::now();
        let mut state = lock(&self.state);
        if let Err(reason) = work(&mut state.dispatcher, now) {
            state.broken.get_or_insert(reason); // Nothing more is sent by this connection.
        }
        let settled = self.take_in(&mut state, now);
        state.armed = state.armed.filter(|armed| *armed > now);
        if state.must_wake() {
            state.armed = state.dispatcher.timeout();
        }
        let unfit = || state.dispatcher.unfit().map(str::to_owned);
        let watch = Watch {
            timeout: state.armed,
            is_blocked: state.is_blocked,
            ended: state.broken.clone().or_else(unfit),
            is_idle: state.dispatcher.is_idle(),
        };
        self.write(state);
        settled.into_iter().for_each(Settled::tell);
        self.flush(); // What was submitted meanwhile.
        watch
    }

    /// There is a connection.
    pub fn connected(
        &self,
        writer: Writer,
        identity: Option<Identity>,
        fenced: bool,
        role: Role,
    ) -> Watch {
        self.forget_connection();
        *lock(&self.outlet) = Outlet { writer: Some(writer), buffer: Vec::new() };
        self.update(|dispatcher, now| {
            dispatcher.connected(identity, fenced, role, now);
            Ok(())
        })
    }

    /// The connection has ended, or could not be made.
    pub fn lost(&self, reason: String) -> Watch {
        self.take_back(&mut std::mem::take(&mut *lock(&self.outlet)));
        self.forget_connection();
        self.update(|dispatcher, _| {
            dispatcher.lost(reason);
            Ok(())
        })
    }

    /// The socket takes bytes again, or TLS has something to send by itself.
    pub fn writable(&self) -> Watch {
        lock(&self.state).is_blocked = false;
        self.must_write.store(true, SeqCst);
        self.update(|_, _| Ok(()))
    }

    /// Settles what is past its deadline.
    pub fn expire(&self) -> Watch {
        self.take_back(&mut lock(&self.outlet));
        self.update(|dispatcher, now| dispatcher.expire(now))
    }

    /// What has to be done about the last connection before the next one is used.
    pub fn fence(&self) -> Fence {
        lock(&self.state).dispatcher.fence().clone()
    }

    /// Accepts no more requests.
    pub fn refuse(&self) {
        lock(&self.state).is_closed = true;
    }

    /// Settles everything, and accepts no more.
    pub fn close(&self) {
        self.refuse();
        self.take_back(&mut std::mem::take(&mut *lock(&self.outlet)));
        self.update(|dispatcher, _| {
            dispatcher.close();
            Ok(())
        });
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
        if state.dispatcher.has_unsent() {
            self.must_write.store(true, SeqCst);
        }
        refused.append(&mut state.dispatcher.take_settled());
        refused
    }

    /// Writes what is encoded, or leaves it to the thread that is writing.
    fn write(&self, state: MutexGuard<'_, State>) {
        let mut locked = Some(state);
        loop {
            // Either a thread that fails to lock is seen here to have work, or it does not fail.
            fence(SeqCst);
            if !self.must_write.load(SeqCst) {
                return;
            }
            let Some(mut outlet) = try_lock(&self.outlet) else { return };
            self.must_write.store(false, SeqCst);
            let state = locked.take().unwrap_or_else(|| lock(&self.state));
            let must_wake = self.write_once(state, &mut outlet);
            drop(outlet); // Before whoever is woken tries to lock it.
            if must_wake {
                self.wake.notify_one();
            }
        }
    }

    /// Writes as much as the socket takes at once. Whether the supervisor has to be woken.
    fn write_once(&self, mut state: MutexGuard<'_, State>, outlet: &mut Outlet) -> bool {
        let Outlet { writer: Some(writer), buffer } = outlet else { return false };
        if state.is_blocked || state.broken.is_some() {
            return false;
        }
        if buffer.is_empty() {
            state.dispatcher.take_unsent(buffer);
            state.dispatcher.pump(Instant::now()); // There is room for more.
        }
        let has_more = state.dispatcher.has_unsent();
        drop(state);
        match writer.write(buffer) {
            Ok(write) => {
                buffer.drain(..write.taken);
                buffer.shrink_to(KEPT);
                if write.is_blocked {
                    lock(&self.state).is_blocked = true;
                } else if has_more || !buffer.is_empty() {
                    self.must_write.store(true, SeqCst);
                }
                write.is_blocked
            }
            Err(error) => {
                lock(&self.state).broken = Some(describe(&error));
                true
            }
        }
    }

    /// Takes back what the socket has not taken.
    fn take_back(&self, outlet: &mut Outlet) {
        lock(&self.state).dispatcher.return_unsent(&outlet.buffer);
        outlet.buffer.clear();
    }

    /// Whatever was wrong with the last connection is not with the next.
    fn forget_connection(&self) {
        let mut state = lock(&self.state);
        (state.is_blocked, state.broken) = (false, None);
    }
}

impl State {
    /// Whether the supervisor has to be woken: it would look at the deadlines too late.
    fn must_wake(&self) -> bool {
        let timeout = self.dispatcher.timeout();
        timeout.is_some_and(|at| self.armed.is_none_or(|armed| at < armed))
    }
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
