//! A pool of connections to PostgreSQL.
//!
//! sqlx's own pool does not fit: it hides why it cannot connect, tests a returned connection
//! without a time limit, and starts tasks that nobody ends. This pool takes a connection back only
//! if its user declares it good ([`Lease::give_back`]); a lease that is dropped, as with a cancelled
//! future, closes its connection.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use sqlx::Connection as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::{Duration, Instant, timeout};

use super::super::fault::Fault;
use super::connection::{Connection, within};
use super::database::Server;

/// The time limit for a permit.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(5);
/// The time limit for finding an idle connection that still works.
const PING_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a surplus connection may be idle before it is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// The time limit for closing a connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The pool.
pub(super) struct Pool {
    server: Arc<Server>,
    /// How many idle connections stay open.
    min: usize,
    max: usize,
    /// `host:port/database`.
    database: String,
    permits: Arc<Semaphore>,
    idle: Mutex<IdleConnections>,
}

/// The idle connections.
#[derive(Default)]
struct IdleConnections {
    /// The longest idle first.
    connections: Vec<Idle>,
    /// The task that closes surplus connections. It ends when none is left.
    reaper: Option<AbortHandle>,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

impl Pool {
    pub fn new(server: Server, min: usize, max: usize) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(max));
        let database = format!("{}/{}", server.name(), server.login.database);
        let server = Arc::new(server);
        Arc::new(Self { server, min, max, database, permits, idle: Mutex::default() })
    }

    /// The name of the database: `host:port/database`.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The most connections at a time.
    pub fn max(&self) -> usize {
        self.max
    }

    /// Leases an idle connection that still works, or a new one.
    pub async fn acquire(self: &Arc<Self>) -> Result<Lease, Fault> {
        let permit = timeout(PERMIT_TIMEOUT, Arc::clone(&self.permits).acquire_owned())
            .await
            .map_err(|_| Fault::unreachable(format!("all {} connections are in use", self.max)))?
            .map_err(|_| Fault::unreachable("the connections to PostgreSQL are closed"))?;
        let connection = match timeout(PING_TIMEOUT, self.idle_connection()).await {
            Ok(Some(connection)) => connection,
            _ => Connection::open(&self.server).await?,
        };
        Ok(Lease { connection, pool: Arc::clone(self), _permit: permit })
    }

    /// Takes the first idle connection that still works.
    async fn idle_connection(&self) -> Option<Connection> {
        loop {
            let mut idle = self.idle().connections.pop()?;
            if within(PING_TIMEOUT, idle.connection.ping()).await.is_ok() {
                return Some(idle.connection);
            }
        }
    }

    /// Refuses new leases and closes the idle connections. A leased connection is closed after its use.
    pub async fn close(&self) {
        self.permits.close();
        let IdleConnections { connections, reaper } = std::mem::take(&mut *self.idle());
        if let Some(reaper) = reaper {
            reaper.abort();
        }
        let closing = connections.into_iter().map(|idle| idle.connection.close());
        // After a time-out the sockets are closed when they are dropped.
        let _ = timeout(CLOSE_TIMEOUT, futures_util::future::join_all(closing)).await;
    }

    fn idle(&self) -> MutexGuard<'_, IdleConnections> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the connections that were idle for too long. Also returns when the next one will be.
    fn overdue(&self) -> (Vec<Idle>, Option<Instant>) {
        let mut idle = self.idle();
        let surplus = idle.connections.len().saturating_sub(self.min);
        let now = Instant::now();
        let count = idle.connections[..surplus]
            .iter()
            .take_while(|idle| idle.since + IDLE_TIMEOUT <= now)
            .count();
        let overdue = idle.connections.drain(..count).collect();
        let next = (count < surplus).then(|| idle.connections[0].since + IDLE_TIMEOUT);
        if next.is_none() {
            idle.reaper = None; // The task ends; the next surplus connection starts another.
        }
        (overdue, next)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(reaper) = self.idle().reaper.take() {
            reaper.abort();
        }
    }
}

/// Closes surplus connections until none is left.
async fn reap(pool: Weak<Pool>) {
    while let Some((overdue, next)) = pool.upgrade().map(|pool| pool.overdue()) {
        for idle in overdue {
            let _ = timeout(CLOSE_TIMEOUT, idle.connection.close()).await;
        }
        let Some(next) = next else { return };
        tokio::time::sleep_until(next).await;
    }
}

/// A connection in use.
pub(super) struct Lease {
    connection: Connection,
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
}

impl Lease {
    /// Returns a connection that still works to the pool.
    pub fn give_back(self) {
        let Self { connection, pool, _permit } = self;
        if pool.permits.is_closed() {
            return;
        }
        let mut idle = pool.idle();
        idle.connections.push(Idle { connection, since: Instant::now() });
        if idle.reaper.is_none() && idle.connections.len() > pool.min {
            let reaper = tokio::spawn(reap(Arc::downgrade(&pool)));
            idle.reaper = Some(reaper.abort_handle());
        }
    }
}

impl Deref for Lease {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}
