//! What belongs to each slot, where many that follow each other have the same.

use std::collections::BTreeMap;

use super::slot::{Slot, SlotRange};

/// What belongs to each slot. It is small where few ranges have the same.
pub(crate) struct Ranges<T>(BTreeMap<u16, Option<T>>);

impl<T: Copy + PartialEq> Ranges<T> {
    /// Nothing belongs to any slot.
    pub fn new() -> Self {
        Self(BTreeMap::from([(0, None)]))
    }

    pub fn get(&self, slot: Slot) -> Option<T> {
        self.at(slot.number())
    }

    fn at(&self, number: u16) -> Option<T> {
        self.0.range(..=number).next_back().and_then(|(_, value)| *value)
    }

    /// Sets it for these slots. Whether that changed anything.
    pub fn set(&mut self, slots: &SlotRange, value: T) -> bool {
        let (first, last) = (*slots.start(), *slots.end());
        let is_new = self.at(first) != Some(value)
            || (first < last && self.0.range(first + 1..=last).any(|(_, one)| *one != Some(value)));
        if is_new {
            let after = self.at(last);
            let inside: Vec<u16> = self.0.range(first..=last).map(|(start, _)| *start).collect();
            for start in inside {
                self.0.remove(&start);
            }
            self.0.insert(first, Some(value));
            if last + 1 < Slot::COUNT {
                self.0.entry(last + 1).or_insert(after);
            }
        }
        is_new
    }

    /// Whether something belongs to every slot.
    pub fn is_full(&self) -> bool {
        self.0.values().all(Option::is_some)
    }

    /// Whether any slot has this.
    pub fn has(&self, value: T) -> bool {
        self.0.values().any(|one| *one == Some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_as_an_array_of_all_slots() {
        let mut random = fastrand::Rng::with_seed(7);
        let (mut ranges, mut array) = (Ranges::new(), vec![None; usize::from(Slot::COUNT)]);
        for _ in 0..500 {
            let (one, other) = (random.u16(..Slot::COUNT), random.u16(..Slot::COUNT));
            let slots = match random.u8(0..3) {
                0 => one..=one,
                1 => 0..=one,
                _ => one.min(other)..=one.max(other),
            };
            let value = random.u8(0..4);
            let places = usize::from(*slots.start())..=usize::from(*slots.end());
            let is_new = array[places.clone()].iter().any(|before| *before != Some(value));
            assert_eq!(ranges.set(&slots, value), is_new);
            array[places].fill(Some(value));
            let slot = Slot::new(random.u16(..Slot::COUNT)).expect("a slot");
            assert_eq!(ranges.get(slot), array[usize::from(slot.number())]);
            assert_eq!(ranges.has(value), array.contains(&Some(value)));
            assert_eq!(ranges.is_full(), !array.contains(&None));
        }
        for number in 0..Slot::COUNT {
            let slot = Slot::new(number).expect("a slot");
            assert_eq!(ranges.get(slot), array[usize::from(number)]);
        }
    }
}
