//! The partitions of a cluster's sessions. What a change of a session touches shares a slot: the
//! session, its place in the audit's stream, its channel, the ledger. A partition is such a slot, told
//! by a hash tag.

use super::slot::{Slot, crc16};

/// How many partitions there are unless said otherwise.
pub(crate) const DEFAULT: u16 = 64;

/// The most there may be.
pub(crate) const MOST: u16 = 1024;

/// A partition: the keys that share a hash tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Partition {
    pub tag: String,
    pub slot: Slot,
}

/// The partitions. Their slots lie at equal distances. So masters that have equal shares of the slots, one
/// range each, have equal shares of the partitions, to one.
#[derive(Debug, Clone)]
pub(crate) struct Partitions(Box<[Partition]>);

impl Partitions {
    /// So many, from 1 to [`MOST`].
    pub fn new(count: u16) -> Self {
        let count = count.clamp(1, MOST);
        let mut tags: Vec<Option<String>> = vec![None; usize::from(count)];
        let mut missing = tags.len();
        // A tag is the smallest number whose slot is the one that is sought. A slot is met every 16384
        // numbers on average.
        for number in 0_u32.. {
            if missing == 0 {
                break;
            }
            let tag = number.to_string();
            let slot = Slot::of(tag.as_bytes()).number();
            let place = u32::from(slot) * u32::from(count) / u32::from(Slot::COUNT);
            let sought = tags.get_mut(place as usize).filter(|sought| sought.is_none());
            if let Some(sought) = sought.filter(|_| slot == middle(place, count)) {
                *sought = Some(tag);
                missing -= 1;
            }
        }
        let partition = |tag: String| Partition { slot: Slot::of(tag.as_bytes()), tag };
        Self(tags.into_iter().flatten().map(partition).collect())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The partition of this number.
    pub fn get(&self, number: usize) -> Option<&Partition> {
        self.0.get(number)
    }

    /// Whether one of them has this hash tag.
    pub fn has_tag(&self, tag: &str) -> bool {
        let number = u32::from(Slot::of(tag.as_bytes()).number()) * self.0.len() as u32;
        let partition = self.get((number / u32::from(Slot::COUNT)) as usize);
        partition.is_some_and(|partition| partition.tag == tag)
    }

    /// All of them, by number.
    pub fn iter(&self) -> impl Iterator<Item = &Partition> {
        self.0.iter()
    }

    /// The number of the partition that a session is in. It is the same for every instance and every
    /// version of this library.
    pub fn of(&self, session_id: &str) -> usize {
        usize::from(crc16(session_id.as_bytes())) % self.len()
    }
}

/// The slot in the middle of a partition's share of them.
fn middle(place: u32, count: u16) -> u16 {
    let slots = u32::from(Slot::COUNT);
    ((2 * place + 1) * slots / (2 * u32::from(count))) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many partitions each of so many masters has, as a new cluster shares its slots out.
    fn shares(partitions: &Partitions, masters: usize) -> Vec<usize> {
        let mut shares = vec![0; masters];
        for partition in partitions.iter() {
            let slot = usize::from(partition.slot.number());
            shares[slot * masters / usize::from(Slot::COUNT)] += 1;
        }
        shares
    }

    #[test]
    fn any_number_of_masters_has_equal_shares() {
        for count in [1, 7, DEFAULT, 100] {
            let partitions = Partitions::new(count);
            for masters in 1..=usize::from(count) {
                let shares = shares(&partitions, masters);
                let (least, most) = (shares.iter().min(), shares.iter().max());
                let difference = most.zip(least).map(|(most, least)| most - least);
                assert!(difference <= Some(1), "{count} on {masters}: {shares:?}");
            }
        }
    }

    #[test]
    fn sessions_are_spread() {
        let partitions = Partitions::new(DEFAULT);
        let mut sessions = vec![0_u32; partitions.len()];
        for number in 0..64_000 {
            sessions[partitions.of(&format!("session-{number}"))] += 1;
        }
        assert!(sessions.iter().all(|count| (900..1100).contains(count)), "{sessions:?}");
    }

    #[test]
    fn tags_stay_what_they_are() {
        let partitions = Partitions::new(DEFAULT);
        let tags: Vec<&str> = partitions.iter().map(|one| one.tag.as_str()).take(3).collect();
        assert_eq!(tags, ["40821", "5469", "3017"]);
        assert_eq!(partitions.of("a"), 7);
    }
}
