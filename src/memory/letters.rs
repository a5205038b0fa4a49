//! The dead letters of one audit queue.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use super::entry::{Entry, entry_id, position_after};
use crate::error::{Error, Result};
use crate::operation::letter::{DeadLetter, LetterPage};
use crate::operation::queue::ReadLetters;
use crate::operation::record::Position;

/// How many letters one call looks at, and how many bytes. Others wait meanwhile.
const MAX_SEEN: usize = 500;
const MAX_BYTES: usize = 4 << 20;

/// A record that could not be stored.
pub(super) struct Letter {
    /// The record, with its position.
    pub entry: Entry,
    /// The error message.
    pub error: String,
    /// The SQLSTATE, if the database answered.
    pub sqlstate: Option<String>,
    /// How many attempts there were.
    pub attempts: u32,
}

impl Letter {
    fn dead_letter(&self, position: Position) -> DeadLetter {
        DeadLetter {
            record: self.entry.record(),
            error: self.error.clone(),
            sqlstate: self.sqlstate.clone().filter(|code| !code.is_empty()),
            attempts: self.attempts.into(),
            failed_at_ms: position.ms,
        }
    }

    fn bytes(&self) -> usize {
        self.entry.bytes() + self.error.len()
    }
}

/// The dead letters, by when each came.
#[derive(Default)]
pub(super) struct Letters {
    letters: BTreeMap<Position, Letter>,
    last: Position,
    /// Where the letter of a record is.
    by_record: HashMap<String, Position>,
}

impl Letters {
    /// How many there are.
    pub fn len(&self) -> u64 {
        self.letters.len() as u64
    }

    /// Adds a letter. It replaces an older one of the same record.
    pub fn add(&mut self, record_id: &str, letter: Letter, epoch_ms: u64) {
        self.last = position_after(self.last, epoch_ms);
        self.letters.insert(self.last, letter);
        if let Some(older) = self.by_record.insert(record_id.to_owned(), self.last) {
            self.letters.remove(&older);
        }
    }

    /// Removes the letter of a record.
    pub fn remove(&mut self, record_id: &str) -> Option<Letter> {
        let position = self.by_record.remove(record_id)?;
        self.letters.remove(&position)
    }

    /// Removes the oldest letters up to one, at most so many as one call handles. Returns whether
    /// there may be more.
    pub fn remove_oldest(&mut self, up_to: Position) -> (Vec<Letter>, bool) {
        let (mut removed, mut bytes) = (Vec::new(), 0);
        while removed.len() < MAX_SEEN && bytes < MAX_BYTES {
            let oldest = self.letters.first_entry().filter(|oldest| *oldest.key() <= up_to);
            let Some(oldest) = oldest else { return (removed, false) };
            let letter = oldest.remove();
            self.by_record.remove(&letter.entry.record_id);
            bytes += letter.entry.bytes();
            removed.push(letter);
        }
        (removed, true)
    }

    /// The position of the newest letter.
    pub fn newest(&self) -> Option<Position> {
        self.letters.last_key_value().map(|(position, _)| *position)
    }

    /// A part of a page, the newest first.
    pub fn page(&self, ReadLetters { place, skip, limit }: &ReadLetters) -> Result<LetterPage> {
        let end = end(place).ok_or_else(|| invalid_place(place))?;
        let (mut letters, mut skip, mut next) = (Vec::new(), u64::from(*skip), place.clone());
        let (mut seen, mut bytes) = (0, 0);
        let mut rest = self.letters.range((Bound::Unbounded, end)).rev();
        while letters.len() < *limit as usize && seen < MAX_SEEN && bytes < MAX_BYTES {
            let Some((position, letter)) = rest.next() else {
                return Ok(LetterPage { letters, skip, next: None });
            };
            if skip > 0 {
                skip -= 1;
            } else {
                letters.push(letter.dead_letter(*position));
            }
            bytes += letter.bytes();
            seen += 1;
            next = format!("({}", entry_id(*position));
        }
        Ok(LetterPage { letters, skip, next: Some(next) })
    }
}

/// Up to where a place in the letters goes: `+`, `(` and an entry id, or an entry id.
fn end(place: &str) -> Option<Bound<Position>> {
    if place == "+" {
        return Some(Bound::Unbounded);
    }
    match place.strip_prefix('(') {
        Some(entry_id) => Position::parse(entry_id).map(Bound::Excluded),
        None => Position::parse(place).map(Bound::Included),
    }
}

fn invalid_place(place: &str) -> Error {
    Error::invalid("place", format!("{place:?} is no place in the dead letters"))
}
