//! Where the database is, and how a connection to it is opened.

use std::time::Duration;

use serde::Deserialize;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::time::{Instant, sleep};

use super::super::fault::Fault;
use super::code::{fault, is_busy};
use super::statement::run;

/// How long SQLite's thread waits for a lock in one call, which nothing can end earlier.
const BUSY_TIMEOUT: Duration = Duration::from_millis(200);

/// How long to wait for other processes that write to the file.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause before the lock is asked for again.
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// How much of the file stays in memory, in KiB. SQLite's 2 MiB do not hold the indexes of a large file.
const CACHE_KIB: u32 = 16 << 10;

/// How many statements stay prepared.
const STATEMENTS: usize = 8;

/// The settings, as `lib/audit/database.js` reads them from the URL.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SqliteOptions {
    /// The absolute path of the file. Null: a database in memory, which ends with its sink.
    file: Option<String>,
}

/// An open connection.
pub(super) struct Opened {
    pub connection: SqliteConnection,
    /// Which file the path named.
    identity: Option<Identity>,
}

/// The device of a file, and its number there.
type Identity = (u64, u64);

impl Opened {
    /// Ends the connection. The last one of a file moves the WAL into it.
    pub async fn close(self) {
        let _ = self.connection.close().await;
    }
}

/// A database in a file or in memory.
pub(super) struct File {
    path: Option<String>,
}

impl File {
    pub fn new(SqliteOptions { file }: SqliteOptions) -> Self {
        Self { path: file }
    }

    /// The path, for messages.
    pub fn name(&self) -> &str {
        self.path.as_deref().unwrap_or(":memory:")
    }

    pub fn is_in_memory(&self) -> bool {
        self.path.is_none()
    }

    /// Opens a connection; creates the file, but not its directory.
    pub async fn open(&self) -> Result<Opened, Fault> {
        let deadline = Instant::now() + LOCK_TIMEOUT;
        let connection = loop {
            match self.connect().await {
                Ok(connection) => break connection,
                Err(fault) => self.pause_if_busy(fault, deadline).await?,
            }
        };
        Ok(Opened { connection, identity: self.identity().await })
    }

    /// Begins a transaction that may write at once: no other connection writes until it ends.
    pub async fn begin(&self, connection: &mut SqliteConnection) -> Result<(), Fault> {
        let deadline = Instant::now() + LOCK_TIMEOUT;
        while let Err(error) = run(connection, "BEGIN IMMEDIATE").await {
            self.pause_if_busy(self.fault(&error), deadline).await?;
        }
        Ok(())
    }

    async fn connect(&self) -> Result<SqliteConnection, Fault> {
        let options = SqliteConnectOptions::new()
            .busy_timeout(BUSY_TIMEOUT)
            .statement_cache_capacity(STATEMENTS)
            // A commit survives a crash of the machine. NORMAL, with a WAL, may lose the last ones.
            .synchronous(SqliteSynchronous::Full)
            // On macOS an ordinary sync leaves the data in the disk's cache.
            .pragma("fullfsync", "ON")
            .pragma("cache_size", format!("-{CACHE_KIB}"))
            .disable_statement_logging();
        let options = match &self.path {
            None => options.in_memory(true),
            // In WAL mode readers do not wait for the writer, nor it for them. The mode stays with the file.
            Some(path) => {
                options.filename(path).create_if_missing(true).journal_mode(SqliteJournalMode::Wal)
            }
        };
        options.connect().await.map_err(|error| self.fault(&error))
    }

    /// Pauses where others have locked the file, unless it is too late. Any other fault is returned: it
    /// is never a record's.
    async fn pause_if_busy(&self, fault: Fault, deadline: Instant) -> Result<(), Fault> {
        if !is_busy(&fault) || Instant::now() >= deadline {
            return Err(fault.of_database());
        }
        sleep(LOCK_PAUSE).await;
        Ok(())
    }

    /// Whether the path still names the file of a connection: SQLite would go on writing to one that
    /// somebody has deleted, replaced or emptied.
    pub async fn is_that_of(&self, opened: &Opened) -> bool {
        self.identity().await == opened.identity
    }

    #[cfg(unix)]
    async fn identity(&self) -> Option<Identity> {
        use std::os::unix::fs::MetadataExt;

        let path = self.path.clone()?;
        let metadata = tokio::task::spawn_blocking(|| std::fs::metadata(path).ok());
        let metadata = metadata.await.ok().flatten()?;
        // With a WAL, SQLite writes the first page as soon as it opens a file.
        if metadata.len() == 0 {
            return None;
        }
        Some((metadata.dev(), metadata.ino()))
    }

    /// Windows lets nobody delete a database that is open.
    #[cfg(not(unix))]
    async fn identity(&self) -> Option<Identity> {
        None
    }

    /// Classifies an error, and names the file.
    pub fn fault(&self, error: &sqlx::Error) -> Fault {
        fault(error, self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sqlx::Row as _;

    use super::*;

    /// What a connection has set, by the names of the pragmas.
    async fn settings(file: Option<String>) -> BTreeMap<&'static str, String> {
        let mut opened = File::new(SqliteOptions { file }).open().await.unwrap();
        let mut settings = BTreeMap::new();
        for (name, text) in [
            ("journal_mode", "SELECT CAST(journal_mode AS TEXT) FROM pragma_journal_mode"),
            ("synchronous", "SELECT CAST(synchronous AS TEXT) FROM pragma_synchronous"),
            ("busy_timeout", "SELECT CAST(timeout AS TEXT) FROM pragma_busy_timeout"),
        ] {
            let row = sqlx::query(text).fetch_one(&mut opened.connection).await.unwrap();
            settings.insert(name, row.get(0));
        }
        opened.close().await;
        settings
    }

    #[tokio::test]
    async fn a_commit_is_on_the_disk_and_no_call_waits_long_for_a_lock() {
        let name = format!("synckairos-settings-{}.db", std::process::id());
        let path = std::env::temp_dir().join(name);
        let settings = settings(Some(path.to_str().unwrap().to_owned())).await;
        std::fs::remove_file(path).unwrap();
        // 2: FULL.
        let expected = [("busy_timeout", "200"), ("journal_mode", "wal"), ("synchronous", "2")];
        assert_eq!(settings, expected.map(|(name, value)| (name, value.to_owned())).into());
    }
}
