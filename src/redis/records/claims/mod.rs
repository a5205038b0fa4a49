//! What a worker asks: it claims records, and settles each of them.
//!
//! - `one`: on one server. `cluster`: in the partitions of a cluster, of which a worker has its share:
//!   `leases` decides which, `table` asks the queue's table of them, `turns` decides which of them are read
//!   next, `nodes` has the connections to all nodes.
//! - `entries`: the entries of several partitions.
//! - `commands`: the commands of both.

mod cluster;
mod commands;
mod entries;
mod leases;
mod nodes;
mod one;
mod table;
mod turns;

use std::sync::Arc;

use futures_util::future::Either;

use self::cluster::ClusterClaims;
pub(super) use self::leases::ALIVE;
use self::one::OneClaims;
use crate::engine::claims::{Answer, Lost};
use crate::operation::names::Stream;
use crate::redis::connection::Connection;
use crate::redis::layout::Spread;
use crate::redis::link;
use crate::redis::options::Options;

/// The claims of a worker in Redis: on one server, or in the partitions of a cluster.
pub type RedisClaims = Either<OneClaims, ClusterClaims>;

/// Connects. A server that says that it is a part of a cluster has the client's connection learn the cluster's
/// map.
pub(crate) async fn open(
    options: &Options,
    connection: &Connection,
    stream: Arc<Stream>,
    consumer: String,
) -> Answer<RedisClaims> {
    if !matches!(connection.layout().get(), Some(Spread::Partitions(_))) {
        match OneClaims::open(options, stream.clone(), consumer.clone()).await {
            Err(link::Lost { is_cluster: true, .. }) => {}
            opened => return Ok(Either::Left(opened?)),
        }
    }
    let opened = ClusterClaims::open(options, connection, stream, consumer).await?;
    Ok(Either::Right(opened))
}

impl From<link::Lost> for Lost {
    fn from(lost: link::Lost) -> Self {
        // UNBLOCKED: the stream was deleted while a read of it waited.
        let vanished = ["NOGROUP", "UNBLOCKED"].iter().any(|code| lost.reason.starts_with(code));
        Self { reason: lost.to_string(), vanished }
    }
}
