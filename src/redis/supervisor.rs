//! The task behind a client: connects, reads, keeps the deadlines, and replaces a connection that
//! has broken, for ever. What becomes of the requests is the dispatcher's to decide.

#[cfg(test)]
mod tests;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt;
use redis::PushKind;
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{Duration, Instant, sleep};

use crate::closing::{Closing, requested};
use crate::engine::status::{Status, StatusSink};
use crate::redis::dispatcher::Fence;
use crate::redis::greeting::Expected;
use crate::redis::limits::limits;
use crate::redis::link::{Link, Lost, within};
use crate::redis::options::Options;
use crate::redis::resp::decoder::{Decoder, Frame};
use crate::redis::role::Role;
use crate::redis::shared::{Port, Shared, Watch};
use crate::redis::timer::Timer;
use crate::redis::topology::cluster::NodeNumber;
use crate::redis::tracking::{InvalidationSink, pass_on};
use crate::redis::transport::{Received, describe};

/// How long a graceful end lets answers come in before it settles without them.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// How many pushes that nobody has asked for may come without a reply among them.
const UNASKED: u32 = 10_000;

/// Why a server is not used that was one of its own: what was written then has other keys.
const BECAME_CLUSTER: &str =
    "it is a part of a cluster, and was not when this client first connected: make another client";

/// Why a part of a cluster is not used that is reached by a Unix socket or by sentinels.
const UNNAMED_CLUSTER: &str =
    "it is a part of a cluster: name one of its nodes by host and port, as redis:// does";

/// How long to wait after a panic, which is a fault of this library.
const PANIC_PAUSE: Duration = Duration::from_millis(100);

pub(crate) struct Supervisor {
    options: Options,
    shared: Arc<Shared>,
    port: Arc<Port>,
    closing: watch::Receiver<Closing>,
    status: StatusSink,
    invalidated: InvalidationSink,
    /// Attempts to connect in vain, since a connection served for a while.
    failures: u32,
    /// When a graceful end settles what has no answer yet.
    grace: Option<Instant>,
    /// Pushes that nobody has asked for, since the last reply.
    unasked: u32,
}

/// Why a connection is no longer served.
enum End {
    Broken(Lost),
    Closed,
}

/// Why a supervisor has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// Its owner wants no more.
    Closed,
    /// What was taken for one server is a part of a cluster.
    IsCluster,
}

impl Supervisor {
    pub fn new(
        options: Options,
        shared: Arc<Shared>,
        node: NodeNumber,
        closing: watch::Receiver<Closing>,
        status: StatusSink,
        invalidated: InvalidationSink,
    ) -> Self {
        let port = shared.serve(node);
        let (failures, grace, unasked) = (0, None, 0);
        Self { options, shared, port, closing, status, invalidated, failures, grace, unasked }
    }

    pub async fn run(mut self) -> Over {
        (self.status)(Status::Connecting);
        loop {
            if let Ok(over) = AssertUnwindSafe(self.keep_connected()).catch_unwind().await {
                return over;
            }
            let reason = String::from("an internal error; please report it");
            self.shared.lost(&self.port, reason.clone());
            (self.status)(Status::Reconnecting { reason });
            sleep(PANIC_PAUSE).await;
        }
    }

    /// Until closed: connects, serves, and starts over when the connection is lost.
    async fn keep_connected(&mut self) -> Over {
        loop {
            let greeted = Instant::now();
            let server = self.options.present();
            let connected = self.connect().await;
            let was_connected = matches!(connected, Some(Ok(_)));
            let ended = match connected {
                None => return Over::Closed,
                Some(Err(Lost { is_cluster: true, .. })) => return Over::IsCluster,
                Some(Err(lost)) => End::Broken(lost),
                Some(Ok((link, fenced))) => {
                    let served = Instant::now();
                    let end = self.serve(link, fenced, greeted).await;
                    // A connection that served for a while was a good one: the next try is prompt.
                    // One that answers LOADING or READONLY every time is not.
                    if served.elapsed() > self.options.backoff.ceiling {
                        self.failures = 0;
                    }
                    end
                }
            };
            let End::Broken(lost) = ended else { return Over::Closed };
            let node = self.port.node;
            // What was called while the connection ended waits for another one: it counts.
            self.shared.update(node, |_, _| Ok(()));
            let is_replaced =
                was_connected && self.shared.look(|dispatcher| dispatcher.owes_nothing(node));
            let name = self.options.to_string();
            // Where sentinels name the server, its address is part of the reason.
            let reason = lost.reason_of(&name);
            self.shared.lost(&self.port, reason.clone());
            (self.status)(if is_replaced {
                Status::Replacing
            } else {
                let reason = Lost::new(name, reason).to_string();
                Status::Reconnecting { reason }
            });
            let delay = self.options.backoff.delay(self.failures, fastrand::f64());
            self.failures = self.failures.saturating_add(1);
            let options = self.options.clone();
            let pause = async {
                tokio::select! {
                    () = sleep(delay) => {}
                    () = options.moved_from(&server) => {}
                }
            };
            if self.meanwhile(pause).await.is_none() {
                return Over::Closed;
            }
        }
    }

    /// A connection, and whether the last one is known to be gone in Redis, too.
    async fn connect(&mut self) -> Option<Result<(Link, bool), Lost>> {
        let (options, fence) = (self.options.clone(), self.shared.fence(self.port.node));
        let layout = self.shared.layout().clone();
        self.meanwhile(async move {
            let mut link = match Link::open(&options).await {
                Err(lost) if lost.is_cluster && layout.get().is_some() => {
                    return Err(Lost::new(lost.server, BECAME_CLUSTER));
                }
                Err(lost) if lost.is_cluster && options.seeds().is_none() => {
                    return Err(Lost::new(lost.server, UNNAMED_CLUSTER));
                }
                opened => opened?,
            };
            if options.expected == Expected::Alone && !layout.is_one() {
                return Err(link.lost("it is not the cluster any more that it was"));
            }
            let fenced = match fence {
                Fence::NotNeeded => true,
                Fence::Needed(None) => false,
                Fence::Needed(Some(old)) => {
                    within(options.connect_timeout, &options, link.fence(&old)).await?
                }
            };
            Ok((link, fenced))
        })
        .await
    }

    /// Runs `work` while the deadlines are kept; `None` when it is time to end.
    async fn meanwhile<F: Future>(&mut self, work: F) -> Option<F::Output> {
        let mut work = pin!(work);
        let mut timer = Timer::new();
        loop {
            let watch = self.shared.expire(&self.port);
            if self.is_over(&watch) {
                return None;
            }
            timer.set(watch.timeout.into_iter().chain(self.grace).min());
            let known = self.known_end();
            tokio::select! {
                biased;
                how = requested(&mut self.closing, known) => self.close(how)?,
                done = &mut work => return Some(done),
                () = self.port.wake.notified() => {}
                () = timer.elapsed() => {}
            }
        }
    }

    /// Takes in what the server sends, until the connection breaks or all is closed.
    async fn serve(&mut self, link: Link, fenced: bool, greeted: Instant) -> End {
        let (server, identity) = (link.server.clone(), link.identity.clone());
        let limits = limits(fenced && identity.is_some(), link.question.is_some());
        let role = Role::greeted(greeted, link.question);
        let broken = |reason: String| End::Broken(Lost::new(server.clone(), reason));
        let options = self.options.clone();
        let mut moved = pin!(options.moved(&server));
        let (mut reader, writer, mut decoder) = link.into_parts();
        let writable = writer.writable();
        (self.status)(limits.map_or(Status::Ready, |limits| Status::Limited { limits }));
        let mut watch = self.shared.connected(&self.port, writer, identity, fenced, role);
        self.unasked = 0;
        let mut timer = Timer::new();
        loop {
            if let Some(reason) = watch.ended {
                return broken(reason);
            }
            if self.is_over(&watch) {
                return End::Closed;
            }
            timer.set(watch.timeout.into_iter().chain(self.grace).min());
            let known = self.known_end();
            watch = tokio::select! {
                biased;
                how = requested(&mut self.closing, known) => match self.close(how) {
                    Some(()) => self.shared.update(self.port.node, |_, _| Ok(())),
                    None => return End::Closed,
                },
                reason = &mut moved => return broken(reason),
                () = std::future::ready(()), if timer.is_long_overdue() => self.shared.expire(&self.port),
                read = reader.read(decoder.buffer()) => match read {
                    Ok(Received { is_open: false, .. }) => {
                        return broken(String::from("the connection was lost"));
                    }
                    Ok(Received { must_write, .. }) => {
                        let watch = self.received(&mut decoder);
                        if must_write { self.shared.writable(&self.port) } else { watch }
                    }
                    Err(error) => return broken(describe(&error)),
                },
                changed = writable.changed(), if watch.is_blocked => match changed {
                    Ok(()) => self.shared.writable(&self.port),
                    Err(error) => return broken(describe(&error)),
                },
                () = self.port.wake.notified() => self.shared.update(self.port.node, |_, _| Ok(())),
                () = timer.elapsed() => {
                    if timer.is_confirmed() {
                        self.shared.expire(&self.port)
                    } else {
                        // What has arrived is read first.
                        yield_now().await;
                        Watch { ended: None, ..watch }
                    }
                }
            };
        }
    }

    /// The end that the owner has asked for so far.
    fn known_end(&self) -> Closing {
        if self.grace.is_some() { Closing::Gracefully } else { Closing::No }
    }

    /// The owner wants an end. `None`, if at once; else once everything is settled, or soon.
    fn close(&mut self, how: Closing) -> Option<()> {
        if how == Closing::AtOnce {
            return None;
        }
        self.shared.flush();
        self.shared.refuse();
        self.grace = Some(Instant::now() + CLOSE_GRACE);
        Some(())
    }

    fn is_over(&self, watch: &Watch) -> bool {
        self.grace.is_some_and(|grace| watch.is_idle || grace <= Instant::now())
    }

    /// What was pushed before a reply is passed on before that reply is.
    fn received(&mut self, decoder: &mut Decoder) -> Watch {
        let mut replies = Vec::new();
        let fault = loop {
            match decoder.next() {
                Ok(Some(Frame::Reply(value, size))) => {
                    self.unasked = 0;
                    replies.push((value, size));
                }
                Ok(Some(Frame::Push(push))) => {
                    self.unasked += u32::from(push.kind != PushKind::Invalidate);
                    if !pass_on(push, self.shared.layout(), &self.invalidated)
                        || self.unasked > UNASKED
                    {
                        break Some(String::from("the server pushes more than anybody can hear"));
                    }
                }
                Ok(None) => break None,
                Err(malformed) => break Some(malformed.to_string()),
            }
        };
        let node = self.port.node;
        self.shared.update(node, |dispatcher, now| {
            dispatcher.received(node, now);
            for (value, size) in replies {
                dispatcher.replied(node, value, size, now)?;
            }
            fault.map_or(Ok(()), Err)
        })
    }
}
