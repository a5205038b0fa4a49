//! Stores records in PostgreSQL: a batch as a whole or not at all, and each record once.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgBindIterExt, PgConnection};
use tokio::time::{Duration, Instant};

use super::super::canary::canaries;
use super::super::fault::{Cause, Fault};
use super::super::history::{Answer, Question};
use super::super::row::{Row, Rows};
use super::super::status::Status;
use super::connection::{run, within};
use super::database::PostgresOptions;
use super::expiry;
use super::history::answer;
use super::migrate::MIGRATION;
use super::pool::{Lease, Pool};
use super::schema::Schema;
use super::statement::statement;
use super::status::status;
use crate::error::Result as CoreResult;
use crate::operation::record::Record;

/// The time limit for a batch. `statement_timeout` in [`BEGIN`] is a little shorter.
const BATCH_TIMEOUT: Duration = Duration::from_secs(15);

/// Begins an explicit transaction, so that PgBouncer sends all steps of a statement to one server.
/// The time limits apply to the transaction: PostgreSQL cancels a statement that nobody awaits any
/// more, and a transaction whose owner has stopped, which would block other workers.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; \
                     SET LOCAL statement_timeout = 14000; \
                     SET LOCAL idle_in_transaction_session_timeout = 15000";

/// Excludes other transactions that store events. Used where no unique index keeps an event from being
/// stored twice; the statement after it sees what they have stored.
const LOCK: &str = "SELECT pg_advisory_xact_lock(723812716, to_regclass('sync_events')::oid::int)";

/// How long the schema is cached. A column that can hold more since then does no harm: `metadata`
/// has the values that did not fit.
const SCHEMA_TTL: Duration = Duration::from_secs(60);

/// Writes records to PostgreSQL.
pub struct PostgresSink {
    pool: Arc<Pool>,
    /// Begins a transaction.
    begin: Arc<str>,
    cached: Mutex<Option<Arc<CachedSchema>>>,
}

/// The schema when it was last read, and the SQL for it.
struct CachedSchema {
    read_at: Instant,
    schema: Schema,
    begin: Arc<str>,
    statement: Arc<str>,
    /// Marks sessions as expired, where their rows can hold that.
    expiry: Option<Arc<str>>,
}

/// What came of a transaction: whether PostgreSQL refused it. An outer error means that the
/// connection cannot be used again; no record is its cause.
type Outcome<T> = Result<Result<T, Fault>, Fault>;

/// The sessions that have expired by the records of a batch, and have no row.
type Rowless = HashSet<String>;

impl PostgresSink {
    /// Makes a sink. It connects when it is first used.
    pub fn new(options: PostgresOptions) -> CoreResult<Self> {
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
    /// or whose outcome is unknown, may be stored again. Returns the sessions that have expired by these
    /// records, and have no row.
    pub async fn store(&self, records: &[Record]) -> Result<Rowless, Fault> {
        if records.is_empty() {
            return Ok(Rowless::new());
        }
        let mut lease = self.pool.acquire().await?;
        match within(BATCH_TIMEOUT, self.write(&mut lease, records)).await {
            Ok(outcome) => {
                lease.give_back();
                outcome
            }
            Err(fault) => Err(lease.explain(fault).of_database()),
        }
    }

    /// Creates the missing tables and their indexes.
    pub async fn migrate(&self) -> Result<(), Fault> {
        let mut lease = self.pool.acquire().await?;
        let migrated = within(BATCH_TIMEOUT, async {
            run(&mut lease, &self.begin).await?;
            run(&mut lease, MIGRATION).await?;
            run(&mut lease, "COMMIT").await
        })
        .await;
        ended(lease, migrated)
    }

    /// Reads what is stored.
    pub async fn ask(&self, question: Question) -> Result<Answer, Fault> {
        let mut lease = self.pool.acquire().await?;
        let answered = within(BATCH_TIMEOUT, async {
            let schema = Schema::read(&mut lease, &self.begin).await?;
            answer(&mut lease, &self.begin, &schema, question).await
        })
        .await;
        ended(lease, answered)
    }

    /// Whether the database has what the audit needs.
    pub async fn status(&self) -> Result<Status, Fault> {
        let mut lease = self.pool.acquire().await?;
        let told = status(&mut lease, &self.begin, self.database());
        let told = within(BATCH_TIMEOUT, told).await;
        ended(lease, told)
    }

    /// Closes the connections and refuses further batches. Takes a limited time.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn write(&self, connection: &mut PgConnection, records: &[Record]) -> Outcome<Rowless> {
        let cached = self.cached().clone().filter(|cached| cached.read_at.elapsed() < SCHEMA_TTL);
        let mut refusal = None;
        if let Some(cached) = &cached {
            match insert(connection, cached, records).await? {
                Ok(rowless) => return Ok(Ok(rowless)),
                Err(fault) => refusal = Some(fault),
            }
        }
        // There is no cached schema, or the tables may have changed since it was read.
        let schema = match Schema::read(connection, &self.begin).await {
            Ok(schema) => schema,
            Err(fault) if fault.is_refusal() => {
                run(connection, "ROLLBACK").await?;
                return Ok(Err(fault.of_database()));
            }
            Err(fault) => return Err(fault),
        };
        if let (Some(cached), Some(fault)) = (cached, refusal)
            && cached.schema == schema
        {
            return judge(connection, &cached, records, fault).await;
        }
        let cached = Arc::new(CachedSchema::new(schema, &self.begin));
        *self.cached() = Some(Arc::clone(&cached));
        match insert(connection, &cached, records).await? {
            Ok(rowless) => Ok(Ok(rowless)),
            Err(fault) => judge(connection, &cached, records, fault).await,
        }
    }

    fn cached(&self) -> std::sync::MutexGuard<'_, Option<Arc<CachedSchema>>> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CachedSchema {
    fn new(schema: Schema, begin: &Arc<str>) -> Self {
        let begin = match schema.events.key.is_empty() {
            true => format!("{begin}; {LOCK}").into(),
            false => Arc::clone(begin),
        };
        let (statement, expiry) = (statement(&schema).into(), expiry::statement(&schema));
        let expiry = expiry.map(Arc::from);
        Self { read_at: Instant::now(), schema, begin, statement, expiry }
    }
}

/// Gives a connection back, unless what it was used for has failed.
fn ended<T>(lease: Lease, outcome: Result<T, Fault>) -> Result<T, Fault> {
    match outcome {
        Ok(done) => {
            lease.give_back();
            Ok(done)
        }
        Err(fault) => Err(lease.explain(fault).of_database()),
    }
}

/// Stores a batch in one transaction.
async fn insert(
    connection: &mut PgConnection,
    cached: &CachedSchema,
    records: &[Record],
) -> Outcome<Rowless> {
    let rows = Rows::of(records, &cached.schema.tables).await;
    run(connection, &cached.begin).await?;
    let stored = match execute(connection, cached, rows).await {
        Ok(rowless) => run(connection, "COMMIT").await.map(|()| rowless),
        Err(fault) => Err(fault),
    };
    match stored {
        Err(fault) if fault.is_refusal() => {
            run(connection, "ROLLBACK").await?;
            Ok(Err(fault))
        }
        stored => stored.map(Ok),
    }
}

/// Decides whether the records or the tables are at fault.
async fn judge(
    connection: &mut PgConnection,
    cached: &CachedSchema,
    records: &[Record],
    fault: Fault,
) -> Outcome<Rowless> {
    if fault.cause == Cause::Database {
        return Ok(Err(fault));
    }
    if !are_canaries_stored(connection, cached).await? {
        return Ok(Err(fault.of_tables()));
    }
    match records {
        // The tables may have been repaired between the refusal and the canaries.
        [_] => insert(connection, cached, records).await,
        _ => Ok(Err(fault)),
    }
}

/// Whether the tables take records that are certainly valid. Leaves no trace.
async fn are_canaries_stored(
    connection: &mut PgConnection,
    cached: &CachedSchema,
) -> Result<bool, Fault> {
    run(connection, &cached.begin).await?;
    let mut stored = Ok(());
    for canary in canaries(&cached.schema.tables) {
        if stored.is_ok() {
            let rows = Rows::of(std::slice::from_ref(&canary), &cached.schema.tables).await;
            stored = execute(connection, cached, rows).await.map(drop);
        }
    }
    if stored.is_ok() {
        stored = run(connection, "SET CONSTRAINTS ALL IMMEDIATE").await; // As COMMIT would.
    }
    match stored {
        Err(fault) if !fault.is_refusal() => Err(fault),
        stored => {
            run(connection, "ROLLBACK").await?;
            Ok(stored.is_ok())
        }
    }
}

/// Executes the statement for these rows, in a transaction that has begun.
async fn execute(
    connection: &mut PgConnection,
    cached: &CachedSchema,
    rows: Rows<'_>,
) -> Result<Rowless, Fault> {
    let mut query = sqlx::query(AssertSqlSafe(Arc::clone(&cached.statement))).persistent(false);
    let tables = &cached.schema.tables;
    for (table, rows) in [(&tables.sessions, &rows.sessions), (&tables.events, &rows.events)] {
        for column in 0..table.columns.len() {
            query = query.bind(rows.iter().map(|row: &Row<'_>| row.value(column)).bind_iter());
        }
    }
    query.execute(&mut *connection).await?;
    let Some(expiry) = cached.expiry.as_ref().filter(|_| !rows.expiries.is_empty()) else {
        return Ok(Rowless::new());
    };
    let positions: Vec<String> = rows.expiries.values().map(ToString::to_string).collect();
    let rowless = sqlx::query_scalar(AssertSqlSafe(Arc::clone(expiry)))
        .persistent(false)
        .bind(rows.expiries.keys().map(|id| Some(*id)).bind_iter())
        .bind(positions.iter().map(|text| Some(text.as_str())).bind_iter())
        .fetch_all(connection)
        .await?;
    Ok(rowless.into_iter().collect())
}
