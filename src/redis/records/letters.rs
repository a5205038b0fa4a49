//! The dead letters of all partitions in one order, the newest first.
//!
//! A place in them is a place in each partition: `+` in the beginning, later a list such as
//! `3@(1700000000000-0,17@+` of the partitions that have more. A part of a page is made of a portion of
//! each partition: of those letters that no other partition can have a newer one before.

use crate::error::{Error, Result};
use crate::operation::letter::{DeadLetter, LetterPage, Revived};
use crate::operation::queue::ReadLetters;
use crate::operation::record::Position;

/// The most letters that one script looks at.
const SEEN: u32 = 500;

/// The most bytes of letters that all partitions together answer with, at least one letter each.
const BYTES: usize = 4 << 20;

/// Where to go on in each partition, by its number. `None`: there is no more.
pub(super) type Places = Vec<Option<String>>;

/// Reads a place in the letters of so many partitions. `beginning`: what stands for the place in each
/// partition where nothing was read yet.
pub(super) fn read_places(text: &str, beginning: &str, count: usize) -> Result<Places> {
    if text == beginning {
        return Ok(vec![Some(beginning.to_owned()); count]);
    }
    let mut places = vec![None; count];
    for one in text.split(',') {
        let known = one.split_once('@').and_then(|(number, place)| {
            Some((places.get_mut(number.parse::<usize>().ok()?)?, place))
        });
        if let Some((known, place)) = known {
            *known = Some(place.to_owned());
        } else {
            let fault = format!("{text:?} is no place in the dead letters");
            return Err(Error::invalid("place", fault));
        }
    }
    Ok(places)
}

/// Writes what [`read_places`] reads; `None` at the end.
pub(super) fn write_places(places: &Places) -> Option<String> {
    let one = |(number, place): (usize, &Option<String>)| {
        place.as_ref().map(|place| format!("{number}@{place}"))
    };
    let all: Vec<String> = places.iter().enumerate().filter_map(one).collect();
    (!all.is_empty()).then(|| all.join(","))
}

/// What one partition is asked.
#[derive(Debug)]
pub(super) struct ReadPortion {
    pub place: String,
    pub skip: u32,
    pub limit: u32,
    /// Only the entry ids, of letters that are skipped.
    pub only_ids: bool,
    pub max_bytes: usize,
}

/// What one partition has answered with.
#[derive(Debug, Default)]
pub(super) struct Portion {
    /// With their entry ids.
    pub letters: Vec<(String, DeadLetter)>,
    pub skip: u64,
    pub next: Option<String>,
}

/// What each partition is asked for a part of a page.
pub(super) fn portions(page: &ReadLetters, places: &Places) -> Vec<Option<ReadPortion>> {
    let ReadLetters { skip, limit, .. } = *page;
    let count = u32::try_from(places.len()).unwrap_or(u32::MAX);
    let portion = |place: &Option<String>| {
        let place = place.clone()?;
        Some(match (count, skip) {
            (1, _) => ReadPortion { place, skip, limit, only_ids: false, max_bytes: BYTES },
            (_, 0) => {
                let max_bytes = BYTES / places.len();
                ReadPortion { place, skip, limit: share(limit, count), only_ids: false, max_bytes }
            }
            (..) => {
                let limit = share(skip, count);
                ReadPortion { place, skip: 0, limit, only_ids: true, max_bytes: BYTES }
            }
        })
    };
    places.iter().map(portion).collect()
}

/// Enough that mostly one question will do.
fn share(limit: u32, count: u32) -> u32 {
    limit.min(2 * (limit / count) + 4).min(SEEN)
}

/// Makes a part of a page of what the partitions have answered with.
pub(super) fn page(
    page: &ReadLetters,
    mut places: Places,
    mut portions: Vec<Option<Portion>>,
) -> LetterPage {
    if let [portion] = portions.as_mut_slice() {
        let Portion { letters, skip, next } = portion.take().unwrap_or_default();
        let letters = letters.into_iter().map(|(_, letter)| letter).collect();
        return LetterPage { letters, skip, next: write_places(&vec![next]) };
    }
    let (mut found, mut certain) = (Vec::new(), Position::default());
    for (number, portion) in portions.into_iter().enumerate() {
        let Some(Portion { letters, next, .. }) = portion else { continue };
        if next.is_some() {
            certain = certain.max(letters.last().map(|(id, _)| position(id)).unwrap_or_default());
        } else if let Some(place) = places.get_mut(number) {
            *place = None; // Unless one of these is left over.
        }
        found.extend(letters.into_iter().map(|(id, letter)| (position(&id), number, id, letter)));
    }
    found.sort_by(|(a, of_a, ..), (b, of_b, ..)| b.cmp(a).then(of_a.cmp(of_b)));
    let is_skipping = page.skip > 0;
    let (mut skip, mut letters) = (page.skip, Vec::new());
    for (position, number, id, letter) in found {
        let has_room = if is_skipping { skip > 0 } else { letters.len() < page.limit as usize };
        let Some(place) = places.get_mut(number) else { continue };
        if position < certain || !has_room {
            // Only the first one that is left over says where to go on.
            place.get_or_insert_with(|| format!("({}", next_after(position)));
            continue;
        }
        if place.is_some() {
            *place = Some(format!("({id}"));
        }
        if is_skipping {
            skip -= 1;
        } else {
            letters.push(letter);
        }
    }
    LetterPage { letters, skip: skip.into(), next: write_places(&places) }
}

fn position(entry_id: &str) -> Position {
    Position::parse(entry_id).unwrap_or_default()
}

/// The entry id that follows, of an entry that there need not be.
fn next_after(Position { ms, number }: Position) -> String {
    match number.checked_add(1) {
        Some(number) => format!("{ms}-{number}"),
        None => format!("{}-0", ms.saturating_add(1)),
    }
}

/// Sums up what has become of letters in all partitions.
pub(super) fn revived(answers: Vec<Option<Revived>>) -> Revived {
    let moved = answers.iter().flatten().map(|one| one.moved).sum();
    let more = answers.into_iter().map(|one| one.and_then(|one| one.more)).collect();
    Revived { moved, more: write_places(&more) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::record::Record;

    /// Partitions with letters of these times, the newest first, as the scripts answer.
    struct Letters(Vec<Vec<u64>>);

    impl Letters {
        fn ask(&self, number: usize, asked: &ReadPortion) -> Portion {
            let before = asked.place.strip_prefix('(').map(position);
            let times = self.0[number].iter().map(|ms| Position { ms: *ms, number: 0 });
            let rest = times.filter(|one| before.is_none_or(|before| *one < before));
            let all: Vec<Position> = rest.skip(asked.skip as usize).collect();
            let letters = all.iter().take(asked.limit as usize).map(|one| {
                let failed_at_ms = one.ms;
                let letter = DeadLetter {
                    record: Record::default(),
                    error: String::new(),
                    sqlstate: None,
                    attempts: 1,
                    failed_at_ms,
                };
                (format!("{}-0", one.ms), letter)
            });
            let letters: Vec<_> = letters.collect();
            let last = letters.last().map(|(id, _)| format!("({id}"));
            let next = last.filter(|_| letters.len() >= asked.limit as usize);
            Portion { letters, skip: 0, next }
        }

        /// The times of a whole page, as the queue's client reads it.
        fn page(&self, skip: u32, limit: u32) -> Vec<u64> {
            let (mut times, mut skip) = (Vec::new(), skip);
            let mut place = Some(String::from("+"));
            while let Some(begin) = place.take_if(|_| times.len() < limit as usize) {
                let limit = limit - u32::try_from(times.len()).expect("a page");
                let read = ReadLetters { place: begin, skip, limit };
                let places = read_places(&read.place, "+", self.0.len()).expect("places");
                let asked = portions(&read, &places);
                let answers = asked.iter().enumerate();
                let answers = answers.map(|(n, one)| one.as_ref().map(|one| self.ask(n, one)));
                let part = super::page(&read, places, answers.collect());
                times.extend(part.letters.iter().map(|letter| letter.failed_at_ms));
                skip = u32::try_from(part.skip).expect("a number");
                place = part.next;
            }
            times
        }
    }

    #[test]
    fn pages_have_the_letters_of_all_partitions_in_one_order() {
        for seed in 0..300 {
            let mut random = fastrand::Rng::with_seed(seed);
            let partitions = random.usize(1..9);
            let mut letters = Letters(vec![Vec::new(); partitions]);
            let count = random.u64(0..200);
            let hot = random.usize(..partitions);
            for time in (1..=count).rev() {
                let number = if random.bool() { hot } else { random.usize(..partitions) };
                letters.0[number].push(time);
            }
            let all: Vec<u64> = (1..=count).rev().collect();
            let (skip, limit) = (random.usize(..150), random.usize(1..80));
            let expected: Vec<u64> = all.into_iter().skip(skip).take(limit).collect();
            // One server skips by itself: here as one partition with nothing to skip.
            let skip = if partitions == 1 { 0 } else { skip };
            let expected =
                if partitions == 1 { (1..=count).rev().take(limit).collect() } else { expected };
            assert_eq!(letters.page(skip as u32, limit as u32), expected, "seed {seed}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in ["", "x", "9@+", "0@+,", "-1@+"] {
            assert!(read_places(text, "+", 4).is_err(), "{text}");
        }
        let places = read_places("3@(5-0,1@+", "+", 4).expect("places");
        assert_eq!(write_places(&places).as_deref(), Some("1@+,3@(5-0"));
    }

    #[test]
    fn letters_are_moved_back_until_no_partition_has_more() {
        let one =
            |moved, more: Option<&str>| Some(Revived { moved, more: more.map(str::to_owned) });
        let all = revived(vec![one(2, None), None, one(3, Some("7-0"))]);
        assert_eq!(all, Revived { moved: 5, more: Some("2@7-0".into()) });
        assert_eq!(revived(vec![one(1, None)]).more, None);
    }
}
