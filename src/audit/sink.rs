//! Where records end: PostgreSQL takes a batch as a whole or not at all, and each record once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgBindIterExt, PgConnection};
use tokio::time::{Duration, Instant};

use super::copy::copy;
use super::database::DatabaseOptions;
use super::fault::Fault;
use super::migrate::MIGRATION;
use super::pool::{Pool, within};
use super::record::Record;
use super::row::{Row, Rows};
use super::schema::{Schema, Table};
use super::statement::{copy_events, insert_both, insert_sessions};
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

/// How many records are worth a statement for each table.
const WORTH_COPYING: usize = 64;

/// The way into PostgreSQL.
pub struct Sink {
    pool: Arc<Pool>,
    known: Mutex<Option<Arc<Known>>>,
}

/// The tables as they were when they were last looked at.
struct Known {
    since: Instant,
    schema: Schema,
    /// For both tables in one.
    insert: Arc<str>,
    /// For each table its own.
    copy_events: String,
    insert_sessions: Arc<str>,
    /// Whether events may be copied into their table, as far as is known.
    takes_copies: AtomicBool,
}

impl Known {
    fn new(schema: Schema) -> Self {
        Self {
            since: Instant::now(),
            insert: insert_both(&schema).into(),
            copy_events: copy_events(&schema),
            insert_sessions: insert_sessions(&schema).into(),
            takes_copies: AtomicBool::new(true),
            schema,
        }
    }
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
            match put(connection, known, records).await {
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
        let known = Arc::new(Known::new(schema));
        *self.known() = Some(Arc::clone(&known));
        put(connection, &known, records).await
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Option<Arc<Known>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// After a refusal the connection is as before.
async fn put(
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
    if records.len() >= WORTH_COPYING && known.takes_copies.load(Ordering::Relaxed) {
        match copied(connection, known, &sessions, &rows.events).await {
            Err(fault) if fault.is_refusal() && !fault.is_of_data() => {
                // A record that is there already can be passed over by an insertion only. Whatever
                // else was refused (a view, row-level security, a reference to a session that was
                // to come) will be again.
                if !fault.is_of_uniqueness() {
                    known.takes_copies.store(false, Ordering::Relaxed);
                }
            }
            outcome => return outcome,
        }
    }
    inserted(connection, known, &sessions, &rows.events).await
}

/// One transaction for rows of which none is there.
async fn copied(
    connection: &mut PgConnection,
    known: &Known,
    sessions: &[Row<'_>],
    events: &[Row<'_>],
) -> Result<(), Fault> {
    run(connection, BEGIN).await?;
    // Sessions last: their rows are locked until the end, and others may wait for them.
    let outcome = async {
        copy(connection, &known.copy_events, events).await?;
        let query = query(&known.insert_sessions);
        bind(query, &known.schema.sessions, sessions).execute(&mut *connection).await
    };
    let outcome = outcome.await.map(drop);
    end(connection, outcome).await
}

/// One transaction, and one statement.
async fn inserted(
    connection: &mut PgConnection,
    known: &Known,
    sessions: &[Row<'_>],
    events: &[Row<'_>],
) -> Result<(), Fault> {
    run(connection, BEGIN).await?;
    let query = bind(query(&known.insert), &known.schema.sessions, sessions);
    let query = bind(query, &known.schema.events, events);
    let outcome = query.execute(&mut *connection).await.map(drop);
    end(connection, outcome).await
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn query<'q>(sql: &Arc<str>) -> Query<'q> {
    sqlx::query(AssertSqlSafe(Arc::clone(sql))).persistent(false)
}

/// Each column as an array.
fn bind<'q>(mut query: Query<'q>, table: &Table, rows: &'q [Row<'q>]) -> Query<'q> {
    for column in 0..table.columns.len() {
        query = query.bind(rows.iter().map(move |row| row.value(column)).bind_iter());
    }
    query
}

/// Ends a transaction.
async fn end(connection: &mut PgConnection, outcome: sqlx::Result<()>) -> Result<(), Fault> {
    let Err(error) = outcome else { return run(connection, "COMMIT").await };
    let fault = Fault::from(error);
    if fault.is_refusal() {
        run(connection, "ROLLBACK").await?;
    }
    Err(fault)
}

/// Sent as it is, without parameters and without being prepared.
async fn run(connection: &mut PgConnection, sql: &'static str) -> Result<(), Fault> {
    sqlx::raw_sql(sql).execute(connection).await?;
    Ok(())
}
