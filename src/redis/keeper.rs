//! The task behind a connection: it owns the supervisors, one for each server. Where the server is a part
//! of a cluster, it also has somebody asked for the cluster's map, when the dispatcher says so.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use redis::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::closing::{Closing, requested};
use crate::engine::status::{Status, StatusSink};
use crate::redis::greeting::Expected;
use crate::redis::link::{Link, Lost, within};
use crate::redis::options::{Address, Options};
use crate::redis::shared::Shared;
use crate::redis::supervisor::{Over, Supervisor};
use crate::redis::topology::cluster::NodeNumber;
use crate::redis::topology::view::{Endpoint, View};
use crate::redis::tracking::InvalidationSink;

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
        if self.supervisor(0, self.options.clone()).run().await == Over::Closed {
            return;
        }
        let Address::Tcp { host, port, .. } = &self.options.address else { return };
        let seed = Endpoint { host: host.clone(), port: *port };
        self.shared.update_map(|dispatcher, now| dispatcher.is_part_of_cluster(vec![seed], now));
        self.keep_map().await;
    }

    fn supervisor(&self, node: NodeNumber, options: Options) -> Supervisor {
        let (closing, status) = (self.closing.clone(), self.status.clone());
        let invalidated = self.invalidated.clone();
        Supervisor::new(options, self.shared.clone(), node, closing, status, invalidated)
    }

    /// Until closed.
    async fn keep_map(&self) {
        let mut supervisors = JoinSet::new();
        let mut closing = self.closing.clone();
        loop {
            for node in self.shared.unserved() {
                let endpoint =
                    self.shared.update_map(|dispatcher, _| dispatcher.endpoint(node).cloned());
                let Some(endpoint) = endpoint else { continue };
                supervisors.spawn(
                    self.supervisor(node, self.options.of_node(endpoint, Expected::Master)).run(),
                );
            }
            let asked = self.shared.update_map(|dispatcher, now| dispatcher.ask_for_map(now));
            if let Some((_, endpoint)) = asked {
                match self.unless_closed(self.ask(endpoint)).await {
                    None => break,
                    Some(Ok(view)) => {
                        self.shared
                            .update_map(|dispatcher, now| dispatcher.map_answered(&view, now));
                    }
                    Some(Err(lost)) => self.shared.update_map(|dispatcher, now| {
                        dispatcher.map_unanswered(lost.to_string(), now);
                    }),
                }
                continue;
            }
            let due = self.shared.update_map(|dispatcher, _| dispatcher.map_timeout());
            tokio::select! {
                biased;
                _ = requested(&mut closing, Closing::No) => break,
                () = self.shared.map_wake.notified() => {}
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
        }
        // Each has what was asked for, and ends by itself.
        while supervisors.join_next().await.is_some() {}
    }

    async fn unless_closed<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let mut closing = self.closing.clone();
        tokio::select! {
            biased;
            _ = requested(&mut closing, Closing::No) => None,
            done = &mut work => Some(done),
        }
    }

    /// Asks a node for the map.
    async fn ask(&self, endpoint: Endpoint) -> Result<View, Lost> {
        let options = self.options.of_node(endpoint.clone(), Expected::Node);
        within(options.connect_timeout, &options, async {
            let mut link = Link::open(&options).await?;
            let nodes = link.ask(redis::cmd("CLUSTER").arg("NODES")).await?;
            let slots = link.ask(redis::cmd("CLUSTER").arg("SLOTS")).await?;
            let nodes: String = match nodes {
                Value::ServerError(error) => return Err(link.lost(error.to_string())),
                nodes => redis::from_redis_value(nodes).unwrap_or_default(),
            };
            View::read(&nodes, slots, &endpoint)
                .ok_or_else(|| link.lost("it does not tell who has which slots"))
        })
        .await
    }
}
