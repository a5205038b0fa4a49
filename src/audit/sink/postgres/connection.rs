//! A connection of sqlx to PostgreSQL.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use futures_util::FutureExt;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::time::{Duration, timeout};

use super::super::fault::Fault;
use super::bridge::Bridge;
use super::database::Server;
use super::dial::dial;

/// The connection. Dropping it closes it at once.
pub(in super::super) struct Connection {
    sqlx: PgConnection,
    bridge: Bridge,
    server: Arc<Server>,
}

impl Connection {
    /// Connects, encrypts and logs in. A failure is never a record's fault.
    pub async fn open(server: &Arc<Server>) -> Result<Self, Fault> {
        let connecting = async { Bridge::open(dial(server).await?).await };
        let opened = within(server.connect_timeout, connecting).await;
        let (sqlx, bridge) = opened.map_err(|fault| fault.of_database().at(&server.name()))?;
        Ok(Self { sqlx, bridge, server: Arc::clone(server) })
    }

    /// Says more about a fault: why the connection ended, and where the server is.
    pub fn explain(&self, fault: Fault) -> Fault {
        match self.bridge.reason() {
            Some(reason) if fault.sqlstate.is_none() => reason.at(&self.server.name()),
            _ => fault.at(&self.server.name()),
        }
    }

    /// Closes the connection, after what was sent is with the server.
    pub async fn close(self) {
        let _ = self.sqlx.close().await;
        self.bridge.close().await;
    }
}

impl Deref for Connection {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.sqlx
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.sqlx
    }
}

/// Runs SQL as a simple query, without parameters and without preparing it.
pub(super) async fn run(connection: &mut PgConnection, sql: &str) -> Result<(), Fault> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}

/// Awaits an answer of PostgreSQL, up to a time limit. sqlx panics at some answers that break the
/// protocol; the connection must then be dropped, as after every other fault without a SQLSTATE.
pub(in super::super) async fn within<T, E: Into<Fault>>(
    limit: Duration,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, Fault> {
    match timeout(limit, std::panic::AssertUnwindSafe(answer).catch_unwind()).await {
        Ok(Ok(answer)) => answer.map_err(Into::into),
        Ok(Err(_panic)) => {
            Err(Fault::unreachable("the server does not speak PostgreSQL's protocol"))
        }
        Err(_) => {
            let waited = limit.as_secs();
            Err(Fault::unreachable(format!("PostgreSQL did not answer within {waited} s")))
        }
    }
}
