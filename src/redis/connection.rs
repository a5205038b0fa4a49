//! The supervised connection for commands. Made when the first request comes, it is replaced for
//! ever when it breaks, and it owns every request from the moment it is submitted until it is
//! settled.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, watch};

use crate::redis::closing::{Closing, raise};
use crate::redis::options::Options;
use crate::redis::request::{Pending, Request};
use crate::redis::status::StatusSink;
use crate::redis::supervisor::Supervisor;
use crate::redis::tracking::InvalidationSink;

type Requests = Vec<Pending>;

/// How many requests a collecting connection holds back at most: from so many on, it pays to send
/// what there is while the next are made.
const HELD_BACK: usize = 8;

/// A handle to a supervised connection. Clones share it.
#[derive(Clone)]
pub struct Connection {
    inbox: mpsc::UnboundedSender<Pending>,
    closing: watch::Sender<Closing>,
    /// Submitted and not handed over yet, where it collects.
    collected: Option<Arc<Mutex<Requests>>>,
}

impl Connection {
    /// A connection that is made when the first request comes, and its supervisor, to be spawned
    /// on a runtime. The supervisor ends when it is told to close or its last handle is dropped.
    pub fn new(
        options: Options,
        status: StatusSink,
        invalidated: InvalidationSink,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (inbox, requests) = mpsc::unbounded_channel();
        let (closing, closing_seen) = watch::channel(Closing::No);
        let supervisor = Supervisor::new(options, requests, closing_seen, status, invalidated);
        (Self { inbox, closing, collected: None }, supervisor.run())
    }

    /// The same, collecting: whoever submits several requests in a row calls `flush` after the
    /// last. To wake the supervisor for each would cost more than the request itself.
    pub fn collecting(mut self) -> Self {
        self.collected = Some(Arc::default());
        self
    }

    /// A handle to the same that does not collect: for whoever nobody flushes after.
    pub fn direct(&self) -> Self {
        Self { collected: None, ..self.clone() }
    }

    /// Hands over a request, which is settled by its deadline whatever happens.
    pub fn submit(&self, request: Box<dyn Request>) {
        let pending = Pending::new(request);
        let Some(collected) = &self.collected else { return self.hand_over(pending) };
        let mut held = collected.lock().unwrap_or_else(PoisonError::into_inner);
        held.push(pending);
        if held.len() >= HELD_BACK {
            drop(held);
            self.flush();
        }
    }

    /// Hands over what was collected.
    pub fn flush(&self) {
        let Some(collected) = &self.collected else { return };
        let held = std::mem::take(&mut *collected.lock().unwrap_or_else(PoisonError::into_inner));
        for pending in held {
            self.hand_over(pending);
        }
    }

    fn hand_over(&self, pending: Pending) {
        if let Err(mpsc::error::SendError(pending)) = self.inbox.send(pending) {
            pending.close(false);
        }
    }

    /// Accepts no more, waits a moment for what is in flight, and ends. May be called again.
    pub fn close(&self) {
        self.flush();
        raise(&self.closing, Closing::Gracefully);
    }

    /// Ends at once; what is in flight is settled without its answer.
    pub fn abort(&self) {
        self.flush();
        raise(&self.closing, Closing::AtOnce);
    }
}
