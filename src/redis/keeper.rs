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
use crate::redis::agreement::agree;
use crate::redis::dispatcher::Dispatcher;
use crate::redis::greeting::Expected;
use crate::redis::link::{Link, Lost, within};
use crate::redis::nodes_status::NodesStatus;
use crate::redis::options::{Options, Place as At};
use crate::redis::refusal::error_line;
use crate::redis::shared::Shared;
use crate::redis::supervisor::{Over, Supervisor};
use crate::redis::topology::cluster::NodeNumber;
use crate::redis::topology::endpoint::Endpoint;
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
        if self.first_request().await.is_none() {
            return;
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
                if let Some((endpoint, is_patient)) = ask {
                    let options = self.options.of_node(endpoint.clone(), Expected::Node);
                    asked.spawn(ask_for_map(options, endpoint, is_patient));
                }
            }
            let due = self.shared.arm_keeper();
            tokio::select! {
                biased;
                _ = requested(&mut closing, Closing::No) => break,
                Some(answer) = asked.join_next() => self.answered(answer),
                () = self.shared.map_wake.notified() => {}
                Some(ended) = supervisors.join_next_with_id() => {
                    let id = ended.map_or_else(|error| error.id(), |(id, _)| id);
                    for (node, _) in served.extract_if(|_, supervisor| supervisor.id() == id) {
                        self.shared.leave(node); // It has panicked: another one is made.
                    }
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.shared.expire_waiting();
                }
            }
        }
        // Each has what was asked for, and ends by itself.
        while !supervisors.is_empty() {
            let due = self.shared.look(Dispatcher::waiting_timeout);
            tokio::select! {
                _ = supervisors.join_next() => {}
                () = self.shared.map_wake.notified() => {}
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.shared.expire_waiting();
                }
            }
        }
    }

    fn answered(&self, answer: std::result::Result<std::result::Result<View, Lost>, JoinError>) {
        let unanswered = |reason: String| {
            self.shared.update_map(|dispatcher, now| dispatcher.map_unanswered(reason, now));
        };
        match answer {
            Ok(Ok(view)) => {
                self.shared.update_map(|dispatcher, now| dispatcher.map_answered(&view, now));
                if self.shared.layout().get().is_none() {
                    agree(&self.shared, &self.options);
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
}

/// Asks a node for the map. Another one is asked if it takes long, unless all do.
async fn ask_for_map(
    options: Options,
    endpoint: Endpoint,
    is_patient: bool,
) -> std::result::Result<View, Lost> {
    let limit = options.connect_timeout;
    let limit = if is_patient { limit } else { limit.min(ANSWER) };
    // A host's addresses share the time.
    let options = Options { connect_timeout: limit, ..options };
    within(limit, &options, async {
        let mut link = Link::open(&options).await?;
        let commands = ["NODES", "SLOTS"].map(|what| redis::cmd("CLUSTER").arg(what).to_owned());
        let answers = link.ask_all(commands.iter()).await?;
        let refusal = answers.iter().find_map(|answer| match answer {
            Value::ServerError(error) => Some(error_line(error)),
            _ => None,
        });
        if let Some(refusal) = refusal {
            return Err(link.lost(refusal));
        }
        let mut answers = answers.into_iter();
        let (Some(nodes), Some(slots)) = (answers.next(), answers.next()) else {
            return Err(link.lost("it gave no answer"));
        };
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
