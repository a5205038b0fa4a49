//! Where records end: PostgreSQL takes a batch as a whole or not at all, and each record once.

use std::sync::{Arc, Mutex, PoisonError};

use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgBindIterExt, PgConnection};
use tokio::time::{Duration, Instant};

use super::database::DatabaseOptions;
use super::fault::Fault;
use super::migrate::MIGRATION;
use super::pool::{Pool, within};
use super::record::Record;
use super::row::{Row, Rows};
use super::schema::Schema;
use super::statement::statement;
use crate::error::Result as Settled;

/// How long PostgreSQL may take for a batch. [`BEGIN`] tells it to give up a little earlier.
const DEADLINE: Duration = Duration::from_secs(15);

/// An explicit transaction, so that PgBouncer does not give the steps of a statement to different
/// servers. Its limits are the transaction's own: PostgreSQL ends a statement that nobody waits
/// for any more, and a transaction whose owner has stopped, which would hold up the others.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; \
                     SET LOCAL statement_timeout = 14000; \
                     SET LOCAL idle_in_transaction_session_timeout = 15000";

/// How long the tables are taken to be what they were when last looked at. One that can hold more
/// by now refuses nothing: what it could not hold went to `metadata`.
const FRESH: Duration = Duration::from_secs(60);

/// How many records are read between two breaths of the thread, which others use, too.
const BREATH: usize = 64;

/// The way into PostgreSQL.
pub struct Sink {
    pool: Arc<Pool>,
    known: Mutex<Option<Arc<Known>>>,
}

/// The tables as they were when they were last looked at.
struct Known {
    since: Instant,
    schema: Schema,
    statement: Arc<str>,
}

impl Sink {
    /// Connects to nothing yet.
    pub fn new(options: &DatabaseOptions) -> Settled<Self> {
        let max = options.pool_max.max(1) as usize;
        let min = (options.pool_min as usize).min(max);
        Ok(Self { pool: Pool::new(options.connect_options()?, min, max), known: Mutex::default() })
    }

    /// How many batches it can take at a time.
    pub fn connections(&self) -> usize {
        self.pool.max()
    }

    /// Stores all records or none. Those that are stored already are passed over, so it may be
    /// called again with what it failed with, or was not seen to succeed with.
    pub async fn store(&self, records: &[Record]) -> Result<(), Fault> {
        if records.is_empty() {
            return Ok(());
        }
        let mut lease = self.pool.acquire().await?;
        let outcome = within(DEADLINE, self.write(&mut lease, records)).await;
        if outcome.as_ref().err().is_none_or(Fault::is_refusal) {
            lease.give_back();
        }
        outcome
    }

    /// Creates the tables that are missing, with their indexes.
    pub async fn migrate(&self) -> Result<(), Fault> {
        let mut lease = self.pool.acquire().await?;
        let outcome = within(DEADLINE, async {
            run(&mut lease, BEGIN).await?;
            run(&mut lease, MIGRATION).await?;
            run(&mut lease, "COMMIT").await
        })
        .await;
        if outcome.is_ok() {
            lease.give_back();
        }
        outcome
    }

    /// Closes what is idle, and accepts nothing more. Bounded in time.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn write(&self, connection: &mut PgConnection, records: &[Record]) -> Result<(), Fault> {
        let known = self.known().clone().filter(|known| known.since.elapsed() < FRESH);
        let mut refused = None;
        if let Some(known) = &known {
            match insert(connection, known, records).await {
                Err(fault) if fault.is_refusal() => refused = Some(fault),
                outcome => return outcome,
            }
        }
        // Perhaps the tables are not any more what they were.
        let schema = Schema::read(connection).await?;
        if let (Some(known), Some(fault)) = (known, refused)
            && known.schema == schema
        {
            return Err(fault);
        }
        let known =
            Arc::new(Known { since: Instant::now(), statement: statement(&schema).into(), schema });
        *self.known() = Some(Arc::clone(&known));
        insert(connection, &known, records).await
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Option<Arc<Known>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One transaction. After a refusal the connection is as before.
async fn insert(
    connection: &mut PgConnection,
    known: &Known,
    records: &[Record],
) -> Result<(), Fault> {
    let mut rows = Rows::default();
    for (index, record) in records.iter().enumerate() {
        if index % BREATH == BREATH - 1 {
            tokio::task::yield_now().await;
        }
        rows.add(record, &known.schema);
    }
    let sessions = rows.take_sessions();

    let mut query = sqlx::query(AssertSqlSafe(Arc::clone(&known.statement))).persistent(false);
    for (table, rows) in [(&known.schema.sessions, &sessions), (&known.schema.events, &rows.events)]
    {
        for column in 0..table.columns.len() {
            query = query.bind(rows.iter().map(|row: &Row<'_>| row.value(column)).bind_iter());
        }
    }
    run(connection, BEGIN).await?;
    match query.execute(&mut *connection).await {
        Ok(_) => run(connection, "COMMIT").await,
        Err(error) => {
            let fault = Fault::from(error);
            if fault.is_refusal() {
                run(connection, "ROLLBACK").await?;
            }
            Err(fault)
        }
    }
}

/// Sent as it is, without parameters and without being prepared.
async fn run(connection: &mut PgConnection, sql: &'static str) -> Result<(), Fault> {
    sqlx::raw_sql(sql).execute(connection).await?;
    Ok(())
}
