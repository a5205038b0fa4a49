//! The supervised connection for commands. Made when the first request comes, it is replaced for
//! ever when it breaks, and it owns every request from the moment it is submitted until it is
//! settled.

use std::future::Future;

use tokio::sync::{mpsc, watch};

use crate::error::Error;
use crate::redis::closing::{Closing, raise};
use crate::redis::options::Options;
use crate::redis::request::Request;
use crate::redis::status::StatusSink;
use crate::redis::supervisor::Supervisor;

/// A handle to a supervised connection. Clones share it.
#[derive(Clone)]
pub struct Connection {
    inbox: mpsc::UnboundedSender<Box<dyn Request>>,
    closing: watch::Sender<Closing>,
}

impl Connection {
    /// A connection that is made when the first request comes, and its supervisor, to be spawned
    /// on a runtime. The supervisor ends when it is told to close or its last handle is dropped.
    pub fn new(options: Options, status: StatusSink) -> (Self, impl Future<Output = ()> + Send) {
        let (inbox, requests) = mpsc::unbounded_channel();
        let (closing, closing_seen) = watch::channel(Closing::No);
        let supervisor = Supervisor::new(options, requests, closing_seen, status);
        (Self { inbox, closing }, supervisor.run())
    }

    /// Hands over a request, which is settled by its deadline whatever happens.
    pub fn submit(&self, request: Box<dyn Request>) {
        if let Err(mpsc::error::SendError(request)) = self.inbox.send(request) {
            request.settle(Err(Error::Closed));
        }
    }

    /// Accepts no more, waits a moment for what is in flight, and ends. May be called again.
    pub fn close(&self) {
        raise(&self.closing, Closing::Gracefully);
    }

    /// Ends at once; what is in flight is settled without its answer.
    pub fn abort(&self) {
        raise(&self.closing, Closing::AtOnce);
    }
}
