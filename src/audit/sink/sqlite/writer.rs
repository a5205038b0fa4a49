//! The one connection of a sink: writes a batch in one transaction, and decides whose fault a refusal is;
//! reads what is stored.

use std::collections::HashSet;

use sqlx::sqlite::SqliteConnection;

use super::super::canary::canaries;
use super::super::fault::{Cause, Fault};
use super::super::history::{Answer, Question};
use super::super::row::Rows;
use super::super::status::Status;
use super::super::table::Tables;
use super::batch::insert;
use super::code::is_busy;
use super::file::{File, Opened};
use super::history::answer;
use super::statement::run;
use super::status::status;
use super::tables::{create_missing, lack, tables};
use crate::operation::record::Record;

/// The one writer of a sink.
pub(super) struct Writer {
    file: File,
    tables: Tables,
    /// The connection, while nothing goes on. It is opened when it is first needed.
    idle: Option<Opened>,
}

impl Writer {
    pub fn new(file: File) -> Self {
        Self { file, tables: tables(), idle: None }
    }

    /// Stores all records or none. A file that was deleted or replaced meanwhile took with it what was
    /// committed, so the records are stored again, where the path leads now. Once: a file system that
    /// numbers its files anew each time would have no end of it.
    ///
    /// Returns the sessions that have expired by these records, and have no row.
    pub async fn store(&mut self, records: &[Record]) -> Result<HashSet<String>, Fault> {
        let rowless = self.store_in_file(records).await?;
        match &self.idle {
            Some(opened) if !self.file.is_that_of(opened).await => {
                self.store_in_file(records).await
            }
            _ => Ok(rowless),
        }
    }

    async fn store_in_file(&mut self, records: &[Record]) -> Result<HashSet<String>, Fault> {
        let mut opened = self.opened().await?;
        let stored = self.store_or_judge(&mut opened.connection, records).await;
        self.keep(opened, &stored);
        stored
    }

    /// Creates the missing tables.
    pub async fn migrate(&mut self) -> Result<(), Fault> {
        let mut opened = self.opened().await?;
        let migrated =
            self.create_missing(&mut opened.connection).await.map_err(Fault::of_database);
        self.keep(opened, &migrated);
        migrated
    }

    /// Reads what is stored.
    pub async fn ask(&mut self, question: &Question) -> Result<Answer, Fault> {
        let mut opened = self.opened().await?;
        let answered = match answer(&mut opened.connection, question).await {
            Ok(answer) => Ok(answer),
            Err(error) => Err(match self.lack(&mut opened.connection).await? {
                Some(lack) => lack,
                None => self.file.fault(&error),
            }),
        };
        self.keep(opened, &answered);
        answered
    }

    /// Whether the database has what the audit needs.
    pub async fn status(&mut self) -> Result<Status, Fault> {
        let mut opened = self.opened().await?;
        let status = status(&mut opened.connection, &self.file).await;
        self.keep(opened, &status);
        status
    }

    /// Ends the connection, and SQLite's thread with it.
    pub async fn close(&mut self) {
        if let Some(opened) = self.idle.take() {
            opened.close().await;
        }
    }

    /// The idle connection, or a new one where the file is another one by now.
    async fn opened(&mut self) -> Result<Opened, Fault> {
        if let Some(opened) = self.idle.take() {
            if self.file.is_that_of(&opened).await {
                return Ok(opened);
            }
            opened.close().await;
        }
        self.file.open().await
    }

    /// Keeps a connection that still works. Any other is dropped, which ends it.
    fn keep<T>(&mut self, opened: Opened, outcome: &Result<T, Fault>) {
        let works = match outcome {
            Err(fault) => fault.cause != Cause::Database || is_busy(fault),
            Ok(_) => true,
        };
        if works || self.file.is_in_memory() {
            self.idle = Some(opened);
        }
    }

    async fn store_or_judge(
        &self,
        connection: &mut SqliteConnection,
        records: &[Record],
    ) -> Result<HashSet<String>, Fault> {
        let fault = match self.insert(connection, records).await {
            Ok(rowless) => return Ok(rowless),
            Err(fault) => fault,
        };
        if fault.cause == Cause::Database {
            return Err(fault);
        }
        if let Some(lack) = self.lack(connection).await? {
            return Err(lack);
        }
        if !self.takes_canaries(connection).await? {
            return Err(fault.of_tables());
        }
        match records {
            // The tables may have been repaired between the refusal and the canaries.
            [_] => self.insert(connection, records).await,
            _ => Err(fault),
        }
    }

    /// What the tables lack. That they cannot be looked at, as with a view of a table that is gone, is
    /// no record's fault either.
    async fn lack(&self, connection: &mut SqliteConnection) -> Result<Option<Fault>, Fault> {
        lack(connection, self.file.name()).await.map_err(|error| match self.file.fault(&error) {
            fault if fault.cause == Cause::Database => fault,
            fault => fault.of_tables(),
        })
    }

    async fn insert(
        &self,
        connection: &mut SqliteConnection,
        records: &[Record],
    ) -> Result<HashSet<String>, Fault> {
        let rows = Rows::of(records, &self.tables).await;
        self.file.begin(connection).await?;
        let inserted = match insert(connection, &rows).await {
            Ok(rowless) => run(connection, "COMMIT").await.map(|()| rowless),
            Err(error) => Err(error),
        };
        self.ended(connection, inserted).await
    }

    async fn create_missing(&self, connection: &mut SqliteConnection) -> Result<(), Fault> {
        self.file.begin(connection).await?;
        let created = match create_missing(connection).await {
            Ok(()) => run(connection, "COMMIT").await,
            Err(error) => Err(error),
        };
        self.ended(connection, created).await
    }

    /// Whether the tables take records that are certainly valid. Leaves no trace.
    async fn takes_canaries(&self, connection: &mut SqliteConnection) -> Result<bool, Fault> {
        self.file.begin(connection).await?;
        let mut inserted = Ok(());
        for canary in canaries(&self.tables) {
            if inserted.is_ok() {
                let rows = Rows::of(std::slice::from_ref(&canary), &self.tables).await;
                inserted = insert(connection, &rows).await.map(drop);
            }
        }
        let refused = inserted.map_err(|error| self.file.fault(&error));
        self.roll_back(connection).await;
        match refused {
            Err(fault) if fault.cause == Cause::Database => Err(fault),
            refused => Ok(refused.is_ok()),
        }
    }

    /// Ends a transaction that failed.
    async fn ended<T>(
        &self,
        connection: &mut SqliteConnection,
        outcome: sqlx::Result<T>,
    ) -> Result<T, Fault> {
        match outcome {
            Ok(outcome) => Ok(outcome),
            Err(error) => {
                self.roll_back(connection).await;
                Err(self.file.fault(&error))
            }
        }
    }

    async fn roll_back(&self, connection: &mut SqliteConnection) {
        // After some errors, such as a full disk, SQLite has rolled back already, and says so.
        let _ = run(connection, "ROLLBACK").await;
    }
}
