//! The partitions of a cluster's sessions. What a change of a session touches shares a slot: the
//! session, its place in the audit's stream, its channel, the ledger. A partition is such a slot, told
//! by a hash tag.

use super::slot::{Slot, crc16};

/// How many partitions there are unless said otherwise.
pub(crate) const DEFAULT: u16 = 64;

/// The most there may be.
pub(crate) const MOST: u16 = 1024;

/// The hash tags of the partitions. Their slots lie at equal distances. So masters that have equal
/// shares of the slots, one range each, have equal shares of the partitions, to one.
#[derive(Debug, Clone)]
pub(crate) struct Partitions {
    tags: Box<[String]>,
}

impl Partitions {
    /// So many, from 1 to [`MOST`].
    pub fn new(count: u16) -> Self {
        let count = count.clamp(1, MOST);
        let mut tags = vec![String::new(); usize::from(count)];
        let mut missing = tags.len();
        // A tag is the smallest number whose slot is the one that is sought. A slot is met every 16384
        // numbers on average.
        let numbers = (0_u32..).map(|number| number.to_string());
        for number in numbers {
            if missing == 0 {
                break;
            }
            let slot = Slot::of(number.as_bytes()).number();
            let place = u32::from(slot) * u32::from(count) / u32::from(Slot::COUNT);
            let Some(tag) = tags.get_mut(place as usize) else { continue };
            if tag.is_empty() && slot == middle(place, count) {
                *tag = number;
                missing -= 1;
            }
        }
        Self { tags: tags.into() }
    }

    /// The hash tag of each.
    pub fn tags(&self) -> &[String] {
        &self.tags
    }

    /// The number of the partition that a session is in. It is the same for every instance and every
    /// version of this library.
    pub fn of(&self, session_id: &str) -> usize {
        usize::from(crc16(session_id.as_bytes())) % self.tags.len()
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
        for tag in partitions.tags() {
            let slot = usize::from(Slot::of(tag.as_bytes()).number());
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
        let mut sessions = vec![0_u32; partitions.tags().len()];
        for number in 0..64_000 {
            sessions[partitions.of(&format!("session-{number}"))] += 1;
        }
        assert!(sessions.iter().all(|count| (900..1100).contains(count)), "{sessions:?}");
    }

    #[test]
    fn tags_stay_what_they_are() {
        let partitions = Partitions::new(DEFAULT);
        assert_eq!(partitions.tags().iter().take(3).collect::<Vec<_>>(), ["40821", "5469", "3017"]);
        assert_eq!(partitions.of("a"), 7);
    }
}
