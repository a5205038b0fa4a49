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

use serde::Deserialize;

use self::fault::Fault;
use self::history::{Answer, Question};
use self::postgres::database::PostgresOptions;
use self::postgres::sink::PostgresSink;
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
