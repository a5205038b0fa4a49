//! What an engine does for a worker that moves records to a database.
//!
//! A record that a worker has claimed stays in the stream, under the worker's name, until it is
//! settled; another worker takes it over when the first one is silent for too long.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use crate::operation::batch::Batch;

/// How long a worker must be silent before other workers take over its claims.
pub const ABANDONED: Duration = Duration::from_secs(10);

/// Why the claims can no longer be used. The worker asks the engine for new ones and resumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// What happened, and where.
    pub reason: String,
    /// Whether the records have vanished, and with them the claims.
    pub vanished: bool,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// An answer, or why there will be none.
pub type Answer<T> = Result<T, Lost>;

/// A record that is to become a dead letter.
#[derive(Debug, Clone, Copy)]
pub struct Burial<'a> {
    /// The id of its entry.
    pub entry_id: &'a str,
    /// Its own id.
    pub record_id: &'a str,
    /// How many attempts there were to store it.
    pub attempts: u32,
    /// The error message.
    pub error: &'a str,
    /// PostgreSQL's SQLSTATE, or the name of SQLite's result code, if the database answered.
    pub sqlstate: Option<&'a str>,
}

/// The claims of one worker.
pub trait Claims: Send + 'static {
    /// Whether the queue had no place for claims yet, and got it now.
    fn is_first(&self) -> bool;

    /// Claims up to `count` new records. May wait for the first.
    fn fresh(
        &mut self,
        count: usize,
        wait: Option<Duration>,
    ) -> impl Future<Output = Answer<Batch>> + Send;

    /// Ends a wait of [`fresh`](Self::fresh) early: it answers at once, perhaps with records. A caller
    /// that drops the wait instead loses records that are claimed already.
    fn waking(&self) -> impl Future<Output = ()> + Send + use<Self>;

    /// The records that this worker had claimed before it lost its claims, after an entry id.
    fn own(&mut self, count: usize, after: &str) -> impl Future<Output = Answer<Batch>> + Send;

    /// Claims records that silent workers had claimed. Also returns how many claimed entries have
    /// been deleted from the stream.
    fn abandoned(&mut self, count: usize) -> impl Future<Output = Answer<(Batch, usize)>> + Send;

    /// Removes stored records from their streams. Returns how many records these streams still hold.
    fn settle(&mut self, entry_ids: &[String]) -> impl Future<Output = Answer<u64>> + Send;

    /// Whether no stream of the queue holds a record.
    fn is_drained(&mut self) -> impl Future<Output = Answer<bool>> + Send;

    /// Marks records as waiting for a retry. Returns the number of counted attempts of each; 0 where
    /// another worker has settled the record.
    fn delay(
        &mut self,
        entry_ids: &[String],
        delay: Duration,
        counted: bool,
    ) -> impl Future<Output = Answer<Vec<u32>>> + Send;

    /// Moves a record to the dead letters. Returns `false` if another worker has settled it.
    fn bury(&mut self, burial: Burial<'_>) -> impl Future<Output = Answer<bool>> + Send;

    /// Renews claims, so that no other worker takes the records over.
    fn keep(&mut self, entry_ids: &[&str]) -> impl Future<Output = Answer<()>> + Send;

    /// Gives claims up, so that other workers may take the records over at once.
    fn release(&mut self, entry_ids: &[&str]) -> impl Future<Output = Answer<()>> + Send;

    /// Notes the name of the database in which the records are stored. Returns the name that was
    /// noted before.
    fn note_database(&mut self, name: &str) -> impl Future<Output = Answer<Option<String>>> + Send;

    /// Forgets the names of workers that have ended long ago.
    fn tidy(&mut self) -> impl Future<Output = Answer<()>> + Send;

    /// What puts records at risk, in words for an operator.
    fn warnings(&mut self) -> impl Future<Output = Vec<String>> + Send;
}
