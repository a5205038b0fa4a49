//! What a worker asks: it claims records, and settles each of them.
//!
//! - `one`: on one server. `cluster`: in the partitions of a cluster, with its connections to the `nodes`
//!   and its share of the partitions, `leases`.
//! - `commands`: the commands of both.

mod cluster;
mod commands;
mod leases;
mod nodes;
mod one;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::Either;

use self::cluster::ClusterClaims;
pub(super) use self::leases::ALIVE;
use self::one::OneClaims;
use crate::engine::claims::{Answer, Burial, Claims, Lost};
use crate::operation::batch::Batch;
use crate::operation::names::Stream;
use crate::redis::connection::Connection;
use crate::redis::layout::Spread;
use crate::redis::link;
use crate::redis::options::Options;

/// The claims of a worker in Redis.
pub enum RedisClaims {
    /// On one server.
    One(Box<OneClaims>),
    /// In the partitions of a cluster.
    Cluster(Box<ClusterClaims>),
}

impl RedisClaims {
    /// Connects. A server that says that it is a part of a cluster has the client's connection learn the
    /// cluster's map.
    pub(crate) async fn open(
        options: &Options,
        connection: &Connection,
        stream: Arc<Stream>,
        consumer: String,
    ) -> Answer<Self> {
        if !matches!(connection.layout().get(), Some(Spread::Partitions(_))) {
            match OneClaims::open(options, stream.clone(), consumer.clone()).await {
                Err(link::Lost { is_cluster: true, .. }) => {}
                opened => return Ok(Self::One(Box::new(opened?))),
            }
        }
        let opened = ClusterClaims::open(options, connection, stream, consumer).await?;
        Ok(Self::Cluster(Box::new(opened)))
    }
}

/// The same call of whichever there is.
macro_rules! either {
    ($one:expr, $it:ident => $call:expr) => {
        match $one {
            RedisClaims::One($it) => $call,
            RedisClaims::Cluster($it) => $call,
        }
    };
}

impl Claims for RedisClaims {
    fn is_first(&self) -> bool {
        either!(self, it => it.is_first())
    }

    async fn fresh(&mut self, count: usize, wait: Option<Duration>) -> Answer<Batch> {
        either!(self, it => it.fresh(count, wait).await)
    }

    fn waking(&self) -> impl Future<Output = ()> + Send + use<> {
        match self {
            Self::One(one) => Either::Left(one.waking()),
            Self::Cluster(cluster) => Either::Right(cluster.waking()),
        }
    }

    async fn own(&mut self, count: usize, after: &str) -> Answer<Batch> {
        either!(self, it => it.own(count, after).await)
    }

    async fn abandoned(&mut self, count: usize) -> Answer<(Batch, usize)> {
        either!(self, it => it.abandoned(count).await)
    }

    async fn settle(&mut self, entry_ids: &[String]) -> Answer<u64> {
        either!(self, it => it.settle(entry_ids).await)
    }

    async fn delay(
        &mut self,
        entry_ids: &[String],
        delay: Duration,
        counted: bool,
    ) -> Answer<Vec<u32>> {
        either!(self, it => it.delay(entry_ids, delay, counted).await)
    }

    async fn bury(&mut self, burial: Burial<'_>) -> Answer<bool> {
        either!(self, it => it.bury(burial).await)
    }

    async fn keep(&mut self, entry_ids: &[&str]) -> Answer<()> {
        either!(self, it => it.keep(entry_ids).await)
    }

    async fn release(&mut self, entry_ids: &[&str]) -> Answer<()> {
        either!(self, it => it.release(entry_ids).await)
    }

    async fn note_database(&mut self, name: &str) -> Answer<Option<String>> {
        either!(self, it => it.note_database(name).await)
    }

    async fn tidy(&mut self) -> Answer<()> {
        either!(self, it => it.tidy().await)
    }

    async fn warnings(&mut self) -> Vec<String> {
        either!(self, it => it.warnings().await)
    }
}

impl From<link::Lost> for Lost {
    fn from(lost: link::Lost) -> Self {
        // UNBLOCKED: the stream was deleted while a read of it waited.
        let vanished = ["NOGROUP", "UNBLOCKED"].iter().any(|code| lost.reason.starts_with(code));
        Self { reason: lost.to_string(), vanished }
    }
}
