//! Stores records in PostgreSQL: a batch as a whole or not at all, and each record once.

use std::sync::{Arc, Mutex, PoisonError};

use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgBindIterExt, PgConnection};
use tokio::time::{Duration, Instant};

use super::database::DatabaseOptions;
use super::fault::Fault;
use super::migrate::MIGRATION;
use super::pool::Pool;
use super::postgres::connection::within;
use super::record::Record;
use super::row::{Row, Rows};
use super::schema::Schema;
use super::statement::statement;
use crate::error::Result as CoreResult;

/// The time limit for a batch. `statement_timeout` in [`BEGIN`] is a little shorter.
const BATCH_TIMEOUT: Duration = Duration::from_secs(15);

/// Begins an explicit transaction, so that PgBouncer sends all steps of a statement to one server.
/// The time limits apply to the transaction: PostgreSQL cancels a statement that nobody awaits any
/// more, and a transaction whose owner has stopped, which would block other workers.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; \
                     SET LOCAL statement_timeout = 14000; \
                     SET LOCAL idle_in_transaction_session_timeout = 15000";

/// How long the schema is cached. A column that can hold more since then does no harm: `metadata`
/// has the values that did not fit.
const SCHEMA_TTL: Duration = Duration::from_secs(60);

/// How many records are parsed before the task yields to others on its thread.
const RECORDS_PER_YIELD: usize = 64;

/// Writes records to PostgreSQL.
pub struct Sink {
    pool: Arc<Pool>,
    /// Begins a transaction.
    begin: Arc<str>,
    cached: Mutex<Option<Arc<CachedSchema>>>,
}

/// The schema when it was last read, and the statement for it.
struct CachedSchema {
    read_at: Instant,
    schema: Schema,
    statement: Arc<str>,
}

impl Sink {
    /// Makes a sink. It connects when it is first used.
    pub fn new(options: DatabaseOptions) -> CoreResult<Self> {
        let (min, max) = (options.pool_min, options.pool_max);
        let begin = match &options.schema {
            Some(name) => {
                format!("{BEGIN}; SET LOCAL search_path TO \"{}\"", name.replace('"', "\"\""))
            }
            None => BEGIN.to_owned(),
        };
        let pool = Pool::new(options.into_server()?, min.min(max), max);
        Ok(Self { pool, begin: begin.into(), cached: Mutex::default() })
    }

    /// The name of the database: `host:port/database`.
    pub fn database(&self) -> &str {
        self.pool.database()
    }

    /// How many batches the sink can store at a time.
    pub fn connections(&self) -> usize {
        self.pool.max()
    }

    /// Stores all records or none. It skips records that are stored already, so a batch that failed,
    /// or whose outcome is unknown, may be stored again.
    pub async fn store(&self, records: &[Record]) -> Result<(), Fault> {
        if records.is_empty() {
            return Ok(());
        }
        let mut lease = self.pool.acquire().await?;
        let outcome = within(BATCH_TIMEOUT, self.write(&mut lease, records)).await;
        if outcome.as_ref().err().is_none_or(Fault::is_refusal) {
            lease.give_back();
            return outcome;
        }
        outcome.map_err(|fault| lease.explain(fault))
    }

    /// Creates the missing tables and their indexes.
    pub async fn migrate(&self) -> Result<(), Fault> {
        let mut lease = self.pool.acquire().await?;
        let outcome = within(BATCH_TIMEOUT, async {
            run(&mut lease, &self.begin).await?;
            run(&mut lease, MIGRATION).await?;
            run(&mut lease, "COMMIT").await
        })
        .await;
        match outcome {
            Ok(()) => lease.give_back(),
            Err(fault) => return Err(lease.explain(fault)),
        }
        Ok(())
    }

    /// Closes the connections and refuses further batches. Takes a limited time.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn write(&self, connection: &mut PgConnection, records: &[Record]) -> Result<(), Fault> {
        let cached = self.cached().clone().filter(|cached| cached.read_at.elapsed() < SCHEMA_TTL);
        let mut refusal = None;
        if let Some(cached) = &cached {
            match insert(connection, &self.begin, cached, records).await {
                Err(fault) if fault.is_refusal() => refusal = Some(fault),
                outcome => return outcome,
            }
        }
        // There is no cached schema, or the tables may have changed since it was read.
        let schema = Schema::read(connection, &self.begin).await?;
        if let (Some(cached), Some(fault)) = (cached, refusal)
            && cached.schema == schema
        {
            return Err(fault);
        }
        let cached = Arc::new(CachedSchema {
            read_at: Instant::now(),
            statement: statement(&schema).into(),
            schema,
        });
        *self.cached() = Some(Arc::clone(&cached));
        insert(connection, &self.begin, &cached, records).await
    }

    fn cached(&self) -> std::sync::MutexGuard<'_, Option<Arc<CachedSchema>>> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stores a batch in one transaction. After a refusal the connection can be used again.
async fn insert(
    connection: &mut PgConnection,
    begin: &str,
    cached: &CachedSchema,
    records: &[Record],
) -> Result<(), Fault> {
    let mut rows = Rows::default();
    for (index, record) in records.iter().enumerate() {
        if index % RECORDS_PER_YIELD == RECORDS_PER_YIELD - 1 {
            tokio::task::yield_now().await;
        }
        rows.add(record, &cached.schema);
    }

    let mut query = sqlx::query(AssertSqlSafe(Arc::clone(&cached.statement))).persistent(false);
    for (table, rows) in
        [(&cached.schema.sessions, &rows.sessions), (&cached.schema.events, &rows.events)]
    {
        for column in 0..table.columns.len() {
            query = query.bind(rows.iter().map(|row: &Row<'_>| row.value(column)).bind_iter());
        }
    }
    run(connection, begin).await?;
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

/// Runs SQL as a simple query, without parameters and without preparing it.
async fn run(connection: &mut PgConnection, sql: &str) -> Result<(), Fault> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}
