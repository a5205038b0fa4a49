//! What an operation was answered with, in a form that can be compared: entry ids differ between
//! engines, so each is told as its place in the order in which they were first seen.

use std::collections::BTreeMap;

use synckairos_state::error::Result;
use synckairos_state::operation::batch::Batch;
use synckairos_state::operation::expiry::Expired;
use synckairos_state::operation::letter::{DeadLetter, LetterPage, Revived};
use synckairos_state::operation::queue::Metrics;
use synckairos_state::operation::record::{EXPIRED, Position, Record};
use synckairos_state::operation::session::{Deleted, Documents, Written};
use synckairos_state::operation::survey::Surveyed;

#[derive(Debug)]
#[allow(dead_code)] // What is only shown.
pub enum Answer {
    Document(Result<Option<String>>),
    Documents(Result<Documents>),
    Written(Result<Written>),
    Deleted(Result<Deleted>),
    Touched(Result<bool>),
    Done(Result<()>),
    Counted(Result<Metrics>),
    Surveyed(Result<Surveyed>),
    Letters(Result<LetterPage>),
    Revived(Result<Revived>),
    Removed(Result<u64>),
    Expired(Result<Expired>),
}

/// The entries that were seen, in the order in which they were.
#[derive(Default)]
pub struct Entries {
    /// The places of the entries, and of the positions of records.
    places: Vec<Position>,
    /// The entries themselves, with the ids of their records.
    pub seen: Vec<(String, String)>,
}

impl Entries {
    fn place(&mut self, position: Position) -> usize {
        let at = self.places.iter().position(|seen| *seen == position);
        at.unwrap_or_else(|| {
            self.places.push(position);
            self.places.len() - 1
        })
    }

    fn record(&mut self, record: &Record) -> String {
        let Record { id, session_id, event_type, at_ms, state, metadata, position, is_write } =
            record;
        let place = position.map(|position| self.place(position));
        // By the engine's clock, unless a change told of the expiry.
        let at_ms = if event_type == EXPIRED { &0 } else { at_ms };
        format!(
            "{id} {event_type} of {session_id:?} at {at_ms}, first at {place:?}, {}: {state:?}, {metadata:?}",
            if *is_write { "of a write" } else { "of no write" },
        )
    }

    fn letter(&mut self, letter: &DeadLetter) -> String {
        let DeadLetter { record, error, sqlstate, attempts, failed_at_ms: _ } = letter;
        format!("{error:?} {sqlstate:?} after {attempts}: {}", self.record(record))
    }

    /// The records of a batch. Their entries are noted, and returned by their numbers in `seen`.
    pub fn batch(&mut self, batch: &Batch) -> (Vec<String>, Vec<usize>) {
        let (mut lines, mut numbers) = (Vec::new(), Vec::new());
        let mut last = None;
        let Batch { entry_ids, records, attempts } = batch;
        for ((entry_id, record), attempt) in entry_ids.iter().zip(records).zip(attempts) {
            let known = self.seen.iter().position(|(seen, _)| seen == entry_id);
            let number = known.unwrap_or_else(|| {
                self.seen.push((entry_id.clone(), record.id.clone()));
                self.seen.len() - 1
            });
            let position = Position::parse(entry_id).expect("an entry id is a position");
            let order = (position.ms, position.number);
            let is_sorted = last.is_none_or(|last| last < order);
            last = Some(order);
            let place = self.place(position);
            let order = if is_sorted { "" } else { " (out of order)" };
            lines.push(format!("{place}{order}, attempt {attempt}: {}", self.record(record)));
            numbers.push(number);
        }
        (lines, numbers)
    }

    /// What was answered, as it is compared.
    pub fn told(&mut self, answer: &Answer) -> String {
        match answer {
            Answer::Letters(Ok(LetterPage { letters, skip, next })) => {
                let letters: Vec<String> =
                    letters.iter().map(|letter| self.letter(letter)).collect();
                format!("letters {letters:#?}, {skip} to skip, more: {}", next.is_some())
            }
            // Time passes differently: a record keeps its age, and a worker its silence.
            Answer::Surveyed(Ok(Surveyed {
                counts,
                oldest,
                stored_at_ms,
                stored_ago,
                workers,
            })) => {
                let mut claims: BTreeMap<&str, u64> = BTreeMap::new();
                for worker in workers.iter().flatten().filter(|worker| worker.claimed > 0) {
                    *claims.entry(&worker.name).or_default() += worker.claimed;
                }
                let known = [oldest.is_some(), stored_at_ms.is_some(), stored_ago.is_some()];
                format!("{counts:?}, oldest and stored {known:?}, claims {claims:?}")
            }
            Answer::Revived(Ok(Revived { moved, more })) => {
                format!("revived {moved}, more: {}", more.is_some())
            }
            other => format!("{other:?}"),
        }
    }
}
