//! Whether the file has the tables, and may be written.

use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;
use tokio::time::Instant;

use super::super::fault::Fault;
use super::super::status::Status;
use super::super::table::{EVENTS, SESSIONS};
use super::code::is_read_only;
use super::file::File;
use super::statement::run;
use super::tables::{found, has_table};

const CLOCK: &str = "SELECT sqlite_version(), (julianday('now') - 2440587.5) * 86400000.0";

/// Writes to a file whatever its tables are. SQLite begins a transaction that writes also where it may not.
const WRITE: &str = "CREATE TABLE synckairos_is_writable (a)";

/// Asks SQLite, and takes back what it writes.
pub(super) async fn status(
    connection: &mut SqliteConnection,
    file: &File,
) -> Result<Status, Fault> {
    let fault = |error: sqlx::Error| file.fault(&error);
    let asked = Instant::now();
    let clock = sqlx::query(CLOCK).fetch_one(&mut *connection).await.map_err(fault)?;
    let round_trip_ms = asked.elapsed().as_secs_f64() * 1000.0;
    let found = found(connection).await.map_err(fault)?;
    let tables = [SESSIONS.table, EVENTS.table].into_iter();
    let missing_tables = tables.filter(|table| !has_table(&found, table)).map(str::to_owned);
    file.begin(connection).await?;
    let written = run(connection, WRITE).await.map_err(fault);
    run(connection, "ROLLBACK").await.map_err(fault)?;
    let missing_rights = match written {
        Ok(()) => Vec::new(),
        Err(fault) if is_read_only(&fault) => vec![format!("write to {}", file.name())],
        Err(fault) => return Err(fault),
    };
    Ok(Status {
        database: format!("sqlite:{}", file.name()),
        version: clock.try_get(0).map_err(fault)?,
        now_ms: clock.try_get(1).map_err(fault)?,
        round_trip_ms,
        missing_tables: missing_tables.collect(),
        missing_rights,
    })
}
