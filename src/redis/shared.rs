//! What the threads of a client share: its requests, and the way to write them to the server.
//!
//! The thread that submits encodes and writes, so that no other thread has to be woken for that.
//! Nobody waits for the lock on the way in: who finds it taken leaves his requests, and who has it
//! takes them along.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::error::Error;
use crate::redis::dispatcher::{Dispatcher, Fence, Settled};
use crate::redis::greeting::Identity;
use crate::redis::request::Request;
use crate::redis::transport::{Writer, describe};

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
    submitted: Mutex<Vec<Box<dyn Request>>>,
    state: Mutex<State>,
    /// Wakes the supervisor.
    pub wake: Notify,
}

struct State {
    dispatcher: Dispatcher,
    writer: Option<Writer>,
    /// The socket takes no more for now.
    is_blocked: bool,
    /// It did not take what TLS has encrypted.
    must_flush: bool,
    /// Why nothing can be written any more.
    broken: Option<String>,
    /// When the supervisor will look at the deadlines by itself.
    armed: Option<Instant>,
    /// No more requests are accepted.
    is_closed: bool,
}

impl Shared {
    pub fn new(dispatcher: Dispatcher) -> Self {
        let state = State {
            dispatcher,
            writer: None,
            is_blocked: false,
            must_flush: false,
            broken: None,
            armed: None,
            is_closed: false,
        };
        Self { submitted: Mutex::default(), state: Mutex::new(state), wake: Notify::new() }
    }

    /// Takes a request, to be sent by the next `flush`. How many there are now.
    pub fn submit(&self, request: Box<dyn Request>) -> usize {
        let mut submitted = lock(&self.submitted);
        submitted.push(request);
        submitted.len()
    }

    /// Sends what was submitted, or leaves it to the thread that is sending.
    pub fn flush(&self) {
        while !lock(&self.submitted).is_empty() {
            let mut state = match self.state.try_lock() {
                Ok(state) => state,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            let settled = self.send(&mut state, Instant::now());
            let must_wake = state.must_wake();
            drop(state);
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
        let worked = work(&mut state.dispatcher, now);
        let settled = self.send(&mut state, now);
        state.armed = state.armed.filter(|armed| *armed > now);
        if state.must_wake() {
            state.armed = state.dispatcher.timeout();
        }
        let unfit = || state.dispatcher.unfit().map(str::to_owned);
        let watch = Watch {
            timeout: state.armed,
            is_blocked: state.is_blocked,
            ended: worked.err().or_else(|| state.broken.clone()).or_else(unfit),
            is_idle: state.dispatcher.is_idle(),
        };
        drop(state);
        settled.into_iter().for_each(Settled::tell);
        self.flush(); // What was submitted meanwhile.
        watch
    }

    /// There is a connection.
    pub fn connected(&self, writer: Writer, identity: Option<Identity>, fenced: bool) -> Watch {
        lock(&self.state).write_to(Some(writer));
        self.update(|dispatcher, now| {
            dispatcher.connected(identity, fenced, now);
            Ok(())
        })
    }

    /// The connection has ended.
    pub fn lost(&self, reason: String) -> Watch {
        lock(&self.state).write_to(None);
        self.update(|dispatcher, _| {
            dispatcher.lost(reason);
            Ok(())
        })
    }

    /// The socket takes bytes again.
    pub fn writable(&self) -> Watch {
        lock(&self.state).is_blocked = false;
        self.update(|_, _| Ok(()))
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
        {
            let mut state = lock(&self.state);
            state.is_closed = true;
            state.write_to(None);
        }
        self.update(|dispatcher, _| {
            dispatcher.close();
            Ok(())
        });
    }

    /// Takes in what was submitted, and writes what can be written. What has settled is to be told
    /// without the lock.
    fn send(&self, state: &mut State, now: Instant) -> Vec<Settled> {
        let submitted = std::mem::take(&mut *lock(&self.submitted));
        let mut refused = Vec::new();
        for request in submitted {
            if state.is_closed {
                refused.push(Settled::new(request, Err(Error::Closed)));
            } else {
                state.dispatcher.submit(request);
            }
        }
        state.write(now);
        refused.append(&mut state.dispatcher.take_settled());
        refused
    }
}

impl State {
    fn write_to(&mut self, writer: Option<Writer>) {
        self.writer = writer;
        self.is_blocked = false;
        self.must_flush = false;
        self.broken = None;
    }

    fn write(&mut self, now: Instant) {
        let Self { dispatcher, writer, is_blocked, must_flush, broken, .. } = self;
        dispatcher.pump(now);
        let is_open = broken.is_none() && !*is_blocked;
        let Some(writer) = writer.as_ref().filter(|_| is_open) else { return };
        while *must_flush || !dispatcher.unsent().is_empty() {
            match writer.write(dispatcher.unsent()) {
                Ok(write) => {
                    dispatcher.taken(write.taken);
                    (*is_blocked, *must_flush) = (write.is_blocked, write.is_blocked);
                    if write.is_blocked {
                        return;
                    }
                    dispatcher.pump(now); // There may be room for more.
                }
                Err(error) => {
                    *broken = Some(describe(&error));
                    return;
                }
            }
        }
    }

    /// Whether the supervisor has to be woken: it would look too late, or has a socket to wait for.
    fn must_wake(&self) -> bool {
        let timeout = self.dispatcher.timeout();
        let is_late = timeout.is_some_and(|at| self.armed.is_none_or(|armed| at < armed));
        is_late || self.is_blocked || self.broken.is_some()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
