//! Stores a batch of records, all or none, exactly once, in PostgreSQL or in SQLite; and reads what is
//! stored.
//!
//! - [`fault`]: why a batch was not stored; decides what happens to its records.
//! - `table`: the two tables, and what their columns can hold. `row`: a record as column values.
//!   `canary`: records that are certainly valid.
//! - [`history`]: what can be asked about the stored records. [`status`]: whether a database is ready
//!   for the audit.
//! - [`postgres`], [`sqlite`]: all that is of one database alone.

mod canary;
pub mod fault;
pub mod history;
pub mod postgres;
mod row;
pub mod sqlite;
pub mod status;
mod table;

use std::collections::HashSet;

use serde::Deserialize;
use tokio::time::{Duration, Instant, sleep};

use self::fault::Fault;
use self::history::{Answer, Question};
use self::postgres::database::PostgresOptions;
use self::postgres::sink::PostgresSink;
use self::row::expiry;
use self::sqlite::file::SqliteOptions;
use self::sqlite::sink::SqliteSink;
use self::status::Status;
use crate::error::Result as CoreResult;
use crate::operation::record::Record;

/// The settings of the database, as `lib/audit/database.js` reads them from a URL, the environment
/// and the options.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DatabaseOptions {
    /// A server.
    Postgres(Box<PostgresOptions>),
    /// A file, or a database in memory.
    Sqlite(SqliteOptions),
}

/// How long an expiry waits for the row of its session, which another worker may be about to insert, and
/// how often it looks.
const ROW_PATIENCE: Duration = Duration::from_secs(1);
const ROW_PAUSE: Duration = Duration::from_millis(50);

/// Stores records in a database.
pub enum Sink {
    /// In PostgreSQL.
    Postgres(PostgresSink),
    /// In SQLite.
    Sqlite(SqliteSink),
}

impl Sink {
    /// Makes a sink, within a runtime of tokio. It connects when it is first used.
    pub fn new(options: DatabaseOptions) -> CoreResult<Self> {
        Ok(match options {
            DatabaseOptions::Postgres(options) => Self::Postgres(PostgresSink::new(*options)?),
            DatabaseOptions::Sqlite(options) => Self::Sqlite(SqliteSink::new(options)),
        })
    }

    /// The name of the database: `host:port/database`, or `sqlite:` and the path.
    pub fn database(&self) -> &str {
        match self {
            Self::Postgres(sink) => sink.database(),
            Self::Sqlite(sink) => sink.database(),
        }
    }

    /// How many batches the sink takes at a time.
    pub fn connections(&self) -> usize {
        match self {
            Self::Postgres(sink) => sink.connections(),
            Self::Sqlite(sink) => sink.batches(),
        }
    }

    /// Stores all records or none. It skips records that are stored already, so a batch that failed,
    /// or whose outcome is unknown, may be stored again.
    pub async fn store(&self, records: &[Record]) -> Result<(), Fault> {
        let mut rowless = self.store_now(records).await?;
        let patience = Instant::now() + ROW_PATIENCE;
        while !rowless.is_empty() && Instant::now() < patience {
            sleep(ROW_PAUSE).await;
            let is_left =
                |record: &&Record| expiry(record).is_some() && rowless.contains(&record.session_id);
            let left: Vec<Record> = records.iter().filter(is_left).cloned().collect();
            rowless = self.store_now(&left).await?;
        }
        Ok(())
    }

    /// Returns the sessions that have expired by these records, and have no row.
    async fn store_now(&self, records: &[Record]) -> Result<HashSet<String>, Fault> {
        match self {
            Self::Postgres(sink) => sink.store(records).await,
            Self::Sqlite(sink) => sink.store(records).await,
        }
    }

    /// Reads what is stored.
    pub async fn ask(&self, question: Question) -> Result<Answer, Fault> {
        match self {
            Self::Postgres(sink) => sink.ask(question).await,
            Self::Sqlite(sink) => sink.ask(question).await,
        }
    }

    /// Whether the database has what the audit needs.
    pub async fn status(&self) -> Result<Status, Fault> {
        match self {
            Self::Postgres(sink) => sink.status().await,
            Self::Sqlite(sink) => sink.status().await,
        }
    }

    /// Creates the missing tables and their indexes.
    pub async fn migrate(&self) -> Result<(), Fault> {
        match self {
            Self::Postgres(sink) => sink.migrate().await,
            Self::Sqlite(sink) => sink.migrate().await,
        }
    }

    /// Ends the connections and refuses further batches. Takes a limited time.
    pub async fn close(&self) {
        match self {
            Self::Postgres(sink) => sink.close().await,
            Self::Sqlite(sink) => sink.close().await,
        }
    }
}
