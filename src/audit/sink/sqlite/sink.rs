//! The task that has the connection to SQLite: stores one batch after the other, and reads.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::super::fault::Fault;
use super::super::history::{Answer, Question};
use super::super::status::Status;
use super::code::{BUSY, INTERNAL, database_fault};
use super::file::{File, SqliteOptions};
use super::writer::Writer;
use crate::operation::record::Record;

/// The time limit for a batch.
const BATCH_TIMEOUT: Duration = Duration::from_secs(15);

/// The time limit for closing the file.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How many batches the sink takes at a time: it stores one while the next is read.
const BATCHES: usize = 2;

/// Writes records to SQLite.
///
/// A task of its own has the connection, and finishes what it has begun whether somebody still waits
/// for it or not: so no transaction is left open, and a disk that stands still holds up that task
/// alone. The task ends with the sink.
pub struct SqliteSink {
    /// `sqlite:` and the path.
    database: String,
    /// The path, for messages.
    file: String,
    requests: mpsc::Sender<Request>,
}

/// What the task is asked for, and where it answers.
enum Request {
    Store(Vec<Record>, oneshot::Sender<Result<HashSet<String>, Fault>>),
    Migrate(oneshot::Sender<Result<(), Fault>>),
    Ask(Question, oneshot::Sender<Result<Answer, Fault>>),
    Status(oneshot::Sender<Result<Status, Fault>>),
    Close(oneshot::Sender<()>),
}

impl SqliteSink {
    /// Makes a sink, within a runtime of tokio. It opens the file when it is first used.
    pub fn new(options: SqliteOptions) -> Self {
        let file = File::new(options);
        let name = file.name().to_owned();
        let (requests, received) = mpsc::channel(BATCHES);
        tokio::spawn(serve(Writer::new(file), name.clone(), received));
        Self { database: format!("sqlite:{name}"), file: name, requests }
    }

    /// The name of the database: `sqlite:` and the path.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// How many batches the sink takes at a time.
    pub fn batches(&self) -> usize {
        BATCHES
    }

    /// Stores all records or none, and those that are stored already once. Returns the sessions that have
    /// expired by these records, and have no row.
    pub async fn store(&self, records: &[Record]) -> Result<HashSet<String>, Fault> {
        if records.is_empty() {
            return Ok(HashSet::new());
        }
        let records = records.to_vec();
        self.request(|answer| Request::Store(records, answer)).await
    }

    /// Creates the missing tables and their indexes.
    pub async fn migrate(&self) -> Result<(), Fault> {
        self.request(Request::Migrate).await
    }

    /// Reads what is stored.
    pub async fn ask(&self, question: Question) -> Result<Answer, Fault> {
        self.request(|answer| Request::Ask(question, answer)).await
    }

    /// Whether the database has what the audit needs.
    pub async fn status(&self) -> Result<Status, Fault> {
        self.request(Request::Status).await
    }

    /// Closes the file and refuses further batches. Takes a limited time.
    pub async fn close(&self) {
        let (closed, is_closed) = oneshot::channel();
        let closing = async {
            if self.requests.send(Request::Close(closed)).await.is_ok() {
                let _ = is_closed.await;
            }
        };
        let _ = timeout(CLOSE_TIMEOUT, closing).await;
    }

    async fn request<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, Fault>>) -> Request,
    ) -> Result<T, Fault> {
        let closed = || database_fault(INTERNAL, "the database is closed", &self.file);
        let (answer, answered) = oneshot::channel();
        let asked = async {
            self.requests.send(request(answer)).await.map_err(|_| closed())?;
            answered.await.map_err(|_| closed())?
        };
        let waited = BATCH_TIMEOUT.as_secs();
        timeout(BATCH_TIMEOUT, asked).await.unwrap_or_else(|_| {
            Err(database_fault(BUSY, &format!("it did not answer within {waited} s"), &self.file))
        })
    }
}

/// Carries out one request after the other. Skips those that nobody waits for any more.
async fn serve(mut writer: Writer, file: String, mut requests: mpsc::Receiver<Request>) {
    while let Some(request) = requests.recv().await {
        match request {
            Request::Store(records, answer) if !answer.is_closed() => {
                let _ = answer.send(caught(writer.store(&records), &file).await);
            }
            Request::Migrate(answer) if !answer.is_closed() => {
                let _ = answer.send(caught(writer.migrate(), &file).await);
            }
            Request::Ask(question, answer) if !answer.is_closed() => {
                let _ = answer.send(caught(writer.ask(&question), &file).await);
            }
            Request::Status(answer) if !answer.is_closed() => {
                let _ = answer.send(caught(writer.status(), &file).await);
            }
            Request::Store(..) | Request::Migrate(_) | Request::Ask(..) | Request::Status(_) => {}
            Request::Close(closed) => {
                requests.close();
                writer.close().await;
                let _ = closed.send(());
            }
        }
    }
    writer.close().await;
}

/// A panic costs a batch its connection, as any error of the database does.
async fn caught<T>(
    outcome: impl Future<Output = Result<T, Fault>>,
    file: &str,
) -> Result<T, Fault> {
    AssertUnwindSafe(outcome)
        .catch_unwind()
        .await
        .unwrap_or_else(|_panic| Err(database_fault(INTERNAL, "SQLite's client has failed", file)))
}
