//! The task behind a connection: it owns the supervisors, one for each server. Where the server is a part
//! of a cluster, it also has somebody asked for the cluster's map, when the dispatcher says so.

use std::collections::HashMap;
use std::sync::Arc;

use redis::Value;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::{Duration, Instant, sleep_until};

use crate::closing::{Closing, requested};
use crate::engine::status::{Status, StatusSink};
use crate::engine::subscription::PANICKED;
use crate::error::{Error, Result};
use crate::keys::PARTITIONS;
use crate::operation::Effect;
use crate::redis::greeting::Expected;
use crate::redis::link::{Link, Lost, within};
use crate::redis::nodes_status::NodesStatus;
use crate::redis::options::{Options, Place as At};
use crate::redis::place::Place;
use crate::redis::refusal::error_line;
use crate::redis::request::{Attempt, Request};
use crate::redis::resp::encode::Command;
use crate::redis::shared::Shared;
use crate::redis::supervisor::{Over, Supervisor};
use crate::redis::topology::cluster::NodeNumber;
use crate::redis::topology::endpoint::Endpoint;
use crate::redis::topology::partition::{DEFAULT, MOST};
use crate::redis::topology::slot::Slot;
use crate::redis::topology::view::View;
use crate::redis::tracking::InvalidationSink;

/// How long a node may take to tell the map.
const ANSWER: Duration = Duration::from_secs(1);

pub(crate) struct Keeper {
    options: Options,
    shared: Arc<Shared>,
    closing: watch::Receiver<Closing>,
    status: StatusSink,
    invalidated: InvalidationSink,
}

impl Drop for Keeper {
    /// Also where the runtime drops the task: everything is settled, and the end is told.
    fn drop(&mut self) {
        self.shared.close();
        (self.status)(Status::Closed);
    }
}

impl Keeper {
    pub fn new(
        options: Options,
        shared: Arc<Shared>,
        closing: watch::Receiver<Closing>,
        status: StatusSink,
        invalidated: InvalidationSink,
    ) -> Self {
        Self { options, shared, closing, status, invalidated }
    }

    pub async fn run(self) {
        if let At::Cluster { .. } = &self.options.place {
            return self.keep_cluster().await;
        }
        let supervisor = self.supervisor(0, self.options.clone(), self.status.clone());
        if supervisor.run().await == Over::Closed {
            return;
        }
        self.shared.leave(0);
        self.keep_cluster().await;
    }

    /// Until closed.
    async fn keep_cluster(&self) {
        let Some(seeds) = self.options.seeds() else { return };
        self.shared.update_map(|dispatcher, now| dispatcher.is_part_of_cluster(seeds, now));
        if self.first_request().await.is_some() {
            (self.status)(Status::Connecting);
            self.keep_map().await;
        }
    }

    /// `None`, if none comes until all is closed.
    async fn first_request(&self) -> Option<()> {
        let mut closing = self.closing.clone();
        while self.shared.is_idle() {
            tokio::select! {
                biased;
                // A call may have come right before that.
                _ = requested(&mut closing, Closing::No) => {
                    return (!self.shared.is_idle()).then_some(());
                }
                () = self.shared.map_wake.notified() => {}
            }
        }
        Some(())
    }

    fn supervisor(&self, node: NodeNumber, options: Options, status: StatusSink) -> Supervisor {
        let (closing, invalidated) = (self.closing.clone(), self.invalidated.clone());
        Supervisor::new(options, self.shared.clone(), node, closing, status, invalidated)
    }

    /// Until closed.
    async fn keep_map(&self) {
        let (mut supervisors, mut asked) = (JoinSet::new(), JoinSet::new());
        let mut served: HashMap<NodeNumber, AbortHandle> = HashMap::new();
        let status = NodesStatus::new(self.status.clone());
        let mut closing = self.closing.clone();
        loop {
            for (node, endpoint) in self.shared.unserved() {
                let options = self.options.of_node(endpoint, Expected::Master);
                let supervisor = self.supervisor(node, options, status.of(node));
                served.insert(node, supervisors.spawn(supervisor.run()));
            }
            for (node, supervisor) in served.extract_if(|node, _| self.shared.dismiss(*node)) {
                supervisor.abort();
                status.without(node);
            }
            if asked.is_empty() {
                let ask = self.shared.update_map(|dispatcher, now| dispatcher.ask_for_map(now));
                if let Some(endpoint) = ask {
                    asked.spawn(ask_for_map(
                        self.options.of_node(endpoint.clone(), Expected::Node),
                        endpoint,
                    ));
                }
            }
            let due = self.shared.arm_keeper();
            tokio::select! {
                biased;
                _ = requested(&mut closing, Closing::No) => break,
                Some(answer) = asked.join_next() => self.answered(answer),
                () = self.shared.map_wake.notified() => {}
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.shared.update_map(|dispatcher, now| dispatcher.expire_waiting(now));
                }
            }
        }
        // Each has what was asked for, and ends by itself.
        while supervisors.join_next().await.is_some() {}
    }

    fn answered(&self, answer: std::result::Result<std::result::Result<View, Lost>, JoinError>) {
        let unanswered = |reason: String| {
            self.shared.update_map(|dispatcher, now| dispatcher.map_unanswered(reason, now));
        };
        match answer {
            Ok(Ok(view)) => {
                self.shared.update_map(|dispatcher, now| dispatcher.map_answered(&view, now));
                if self.shared.layout().get().is_none() {
                    self.agree();
                }
            }
            Ok(Err(lost)) => {
                if self.shared.layout().get().is_none() {
                    (self.status)(Status::Reconnecting { reason: lost.to_string() });
                }
                unanswered(lost.reason_of(&self.options.to_string()));
            }
            Err(_panic) => unanswered(PANICKED.to_owned()),
        }
    }

    /// Has the number of partitions noted, unless it is, and takes what is noted.
    fn agree(&self) {
        let shared = self.shared.clone();
        let deadline = Instant::now() + self.options.stall_timeout;
        let (wanted, server) = (self.options.partitions, self.options.to_string());
        let agree = Agree {
            count: wanted.unwrap_or(DEFAULT),
            deadline,
            done: move |noted: Result<u16>| {
                // Both under one lock: what is called meanwhile must not pass what has waited.
                shared.update_map(|dispatcher, now| {
                    match noted {
                        Ok(count) if wanted.is_none_or(|wanted| wanted == count) => {
                            shared.layout().is_partitioned(count);
                        }
                        Ok(count) => {
                            let reason = format!(
                                "{server}: this cluster has {count} (its key {PARTITIONS}): set \
                                 partitions to {count}, or leave it out"
                            );
                            shared.layout().is_refused(Error::invalid("partitions", reason));
                        }
                        Err(Error::Reply { message }) => {
                            let message = format!("{message} ({server}: its key {PARTITIONS})");
                            shared.layout().is_refused(Error::Reply { message });
                        }
                        // Whoever answers next is asked again.
                        Err(Error::Unavailable { reason } | Error::OutcomeUnknown { reason }) => {
                            return dispatcher.spread_unanswered(reason, now);
                        }
                        Err(_) => return dispatcher.map_is_old(now),
                    }
                    dispatcher.reroute();
                });
            },
        };
        self.shared.submit(Box::new(agree));
        self.shared.flush();
    }
}

/// Asks a node for the map. Another one is asked if it takes long.
async fn ask_for_map(options: Options, endpoint: Endpoint) -> std::result::Result<View, Lost> {
    // A host's addresses share the time.
    let connect_timeout = options.connect_timeout.min(ANSWER);
    let options = Options { connect_timeout, ..options };
    within(connect_timeout, &options, async {
        let mut link = Link::open(&options).await?;
        let nodes = ask_cluster(&mut link, "NODES").await?;
        let slots = ask_cluster(&mut link, "SLOTS").await?;
        let nodes: String = redis::from_redis_value(nodes).unwrap_or_default();
        let view = View::read(&nodes, slots, &endpoint);
        let view = view.ok_or_else(|| link.lost("it does not tell who has which slots"))?;
        if view.masters.is_empty() {
            Err(link.lost("it knows no master that has slots"))
        } else {
            Ok(view)
        }
    })
    .await
}

async fn ask_cluster(link: &mut Link, what: &str) -> std::result::Result<Value, Lost> {
    match link.ask(redis::cmd("CLUSTER").arg(what)).await? {
        Value::ServerError(error) => Err(link.lost(error_line(&error))),
        answer => Ok(answer),
    }
}

/// Has the number of partitions noted, unless one is.
struct Agree<D> {
    count: u16,
    deadline: Instant,
    done: D,
}

impl<D: FnOnce(Result<u16>) + Send> Request for Agree<D> {
    fn encode(&self, _attempt: &Attempt, out: &mut Vec<u8>) {
        let mut set = Command::new(out, 5);
        set.word("SET").word(PARTITIONS).number(self.count.into()).word("NX").word("GET");
    }

    fn effect(&self) -> Effect {
        Effect::Idempotent
    }

    fn place(&self) -> Place<'_> {
        Place::Slot(Slot::of(PARTITIONS.as_bytes()))
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn settle(self: Box<Self>, outcome: Result<Value>) {
        (self.done)(outcome.and_then(|noted| {
            match noted {
                Value::Nil => Ok(self.count),
                noted => redis::from_redis_value(noted)
                    .ok()
                    .filter(|count| (1..=MOST).contains(count))
                    .ok_or_else(|| {
                        let message = format!("ERR it holds no number from 1 to {MOST}");
                        Error::Reply { message }
                    }),
            }
        }));
    }
}
