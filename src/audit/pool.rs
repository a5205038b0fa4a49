//! The connections to PostgreSQL: a few, kept for a while, each used by one at a time.
//!
//! sqlx has a pool, which does not fit here: it hides why no connection can be had, tests a
//! connection that comes back with no limit of time, and starts tasks that nobody ends. In this
//! one a connection comes back only where its user says that it is good ([`Lease::give_back`]).
//! Dropped in any other way, as with a future that nobody waits for any more, it is closed.

use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::{Duration, Instant, timeout};

use super::fault::Fault;

/// The longest wait for a free connection, and again for a new one to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long those that were idle may take to prove that one of them is still there.
const PING_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a connection stays open with nothing to do.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest polite end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) struct Pool {
    options: PgConnectOptions,
    /// So many connections are not closed for being idle.
    min: usize,
    max: usize,
    permits: Arc<Semaphore>,
    shelf: Mutex<Shelf>,
}

/// What is not in use.
#[derive(Default)]
struct Shelf {
    /// The longest idle first.
    idle: Vec<Idle>,
    /// The task that closes them in time. It ends when there is nothing left to close.
    reaper: Option<AbortHandle>,
}

struct Idle {
    connection: PgConnection,
    since: Instant,
}

impl Pool {
    pub fn new(options: PgConnectOptions, min: usize, max: usize) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(max));
        Arc::new(Self { options, min, max, permits, shelf: Mutex::default() })
    }

    /// How many connections there may be.
    pub fn max(&self) -> usize {
        self.max
    }

    pub async fn acquire(self: &Arc<Self>) -> Result<Lease, Fault> {
        let permit = timeout(CONNECT_TIMEOUT, Arc::clone(&self.permits).acquire_owned())
            .await
            .map_err(|_| Fault::unreachable(format!("all {} connections are in use", self.max)))?
            .map_err(|_| Fault::unreachable("the connections to PostgreSQL are closed"))?;
        let connection = match timeout(PING_TIMEOUT, self.idle_connection()).await {
            Ok(Some(connection)) => connection,
            _ => within(CONNECT_TIMEOUT, self.options.connect())
                .await
                .map_err(|fault| fault.at(self.options.get_host(), self.options.get_port()))?,
        };
        Ok(Lease { connection, pool: Arc::clone(self), _permit: permit })
    }

    /// One that is idle and still there.
    async fn idle_connection(&self) -> Option<PgConnection> {
        loop {
            let mut idle = self.shelf().idle.pop()?;
            if idle.connection.ping().await.is_ok() {
                return Some(idle.connection);
            }
        }
    }

    /// Accepts no more callers and closes what is idle; what is in use is closed after its use.
    pub async fn close(&self) {
        self.permits.close();
        let Shelf { idle, reaper } = std::mem::take(&mut *self.shelf());
        if let Some(reaper) = reaper {
            reaper.abort();
        }
        let ends = idle.into_iter().map(|idle| idle.connection.close());
        // Without an answer the sockets are closed all the same, when they are dropped.
        let _ = timeout(CLOSE_TIMEOUT, futures_util::future::join_all(ends)).await;
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has been idle for too long, and when to look again.
    fn overdue(&self) -> (Vec<Idle>, Option<Instant>) {
        let mut shelf = self.shelf();
        let surplus = shelf.idle.len().saturating_sub(self.min);
        let now = Instant::now();
        let count = shelf.idle[..surplus]
            .iter()
            .take_while(|idle| idle.since + IDLE_TIMEOUT <= now)
            .count();
        let overdue = shelf.idle.drain(..count).collect();
        let next = (count < surplus).then(|| shelf.idle[0].since + IDLE_TIMEOUT);
        if next.is_none() {
            shelf.reaper = None; // It ends; the next connection to be idle starts another.
        }
        (overdue, next)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(reaper) = self.shelf().reaper.take() {
            reaper.abort();
        }
    }
}

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
    connection: PgConnection,
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
}

impl Lease {
    /// The connection is as good as before: the next one may use it.
    pub fn give_back(self) {
        let Self { connection, pool, _permit } = self;
        if pool.permits.is_closed() {
            return;
        }
        let mut shelf = pool.shelf();
        shelf.idle.push(Idle { connection, since: Instant::now() });
        if shelf.reaper.is_none() && shelf.idle.len() > pool.min {
            let reaper = tokio::spawn(reap(Arc::downgrade(&pool)));
            shelf.reaper = Some(reaper.abort_handle());
        }
    }
}

impl Deref for Lease {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

/// An answer of PostgreSQL, or the fault that there is none in time.
pub(super) async fn within<T, E: Into<Fault>>(
    limit: Duration,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, Fault> {
    match timeout(limit, answer).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => {
            let waited = limit.as_secs();
            Err(Fault::unreachable(format!("PostgreSQL did not answer within {waited} s")))
        }
    }
}
