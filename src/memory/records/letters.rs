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
pub(in crate::memory) struct Letter {
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
pub(in crate::memory) struct Letters {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::record::Record;

    fn letters(record_ids: &[&str]) -> Letters {
        let mut letters = Letters::default();
        for id in record_ids {
            let record = Record { id: (*id).into(), ..Record::default() };
            let (entry, error) = (Entry::from(record), "no".into());
            letters.add(id, Letter { entry, error, sqlstate: Some("".into()), attempts: 2 }, 1000);
        }
        letters
    }

    fn ids(page: &LetterPage) -> Vec<&str> {
        page.letters.iter().map(|letter| &*letter.record.id).collect()
    }

    fn page(letters: &Letters, place: &str, skip: u32, limit: u32) -> LetterPage {
        letters.page(&ReadLetters { place: place.into(), skip, limit }).unwrap()
    }

    #[test]
    fn pages_begin_with_the_newest_and_go_on_where_one_ended() {
        let letters = letters(&["a", "b", "c"]);
        let first = page(&letters, "+", 1, 1);
        assert_eq!((ids(&first), first.skip), (vec!["b"], 0));
        let second = page(&letters, &first.next.unwrap(), 0, 1);
        assert_eq!(ids(&second), ["a"]);
        // That a page is full says nothing of the next one.
        let third = page(&letters, &second.next.unwrap(), 0, 1);
        assert_eq!((ids(&third), third.next.clone()), (vec![], None));
        assert_eq!(page(&letters, "+", 9, 1).skip, 6);
        let refused = letters.page(&ReadLetters { place: "x".into(), skip: 0, limit: 1 });
        assert!(matches!(refused, Err(Error::InvalidState { .. })));
    }

    #[test]
    fn a_page_ends_where_one_call_has_seen_enough() {
        let names: Vec<String> = (0..=MAX_SEEN).map(|n| n.to_string()).collect();
        let letters = letters(&names.iter().map(|name| &**name).collect::<Vec<_>>());
        let first = page(&letters, "+", MAX_SEEN as u32, 1);
        assert_eq!((ids(&first), first.skip), (vec![], 0));
        assert_eq!(ids(&page(&letters, &first.next.unwrap(), 0, 1)), ["0"]);
    }

    #[test]
    fn a_newer_letter_of_a_record_replaces_the_older() {
        let mut letters = letters(&["a", "b", "a"]);
        assert_eq!(ids(&page(&letters, "+", 0, 9)), ["a", "b"]);
        assert_eq!(letters.len(), 2);
        assert!(letters.remove("a").is_some());
        assert!(letters.remove("a").is_none());
    }

    #[test]
    fn the_oldest_go_first_and_none_that_came_later() {
        let mut letters = letters(&["a", "b"]);
        let up_to = letters.newest().unwrap();
        let entry = letters.letters[&up_to].entry.clone();
        letters.add("c", Letter { entry, error: "".into(), sqlstate: None, attempts: 1 }, 1000);
        let (removed, more) = letters.remove_oldest(up_to);
        let ids: Vec<&str> = removed.iter().map(|letter| &*letter.entry.record_id).collect();
        assert_eq!((ids, more, letters.len()), (vec!["a", "b"], false, 1));
    }

    #[test]
    fn a_letter_tells_when_it_came_and_an_empty_sqlstate_is_none() {
        let page = page(&letters(&["a"]), "+", 0, 1);
        let letter = &page.letters[0];
        assert_eq!((letter.failed_at_ms, letter.attempts), (1000, 2));
        assert_eq!((&*letter.error, letter.sqlstate.clone()), ("no", None));
    }
}
