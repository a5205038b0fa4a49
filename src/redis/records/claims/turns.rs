//! Which partitions a worker asks next for new records, and for how many. A state machine without a socket, a
//! task or a clock.
//!
//! Most partitions have no new record: many are asked for one each, all at once. One that had as many as it was
//! asked for may have more: it is rich, and is asked for as many as there is room for. The rich take turns. After
//! some of them the others are asked, too, however rich the rich are.

use std::collections::{BTreeSet, HashMap, VecDeque};

use tokio::time::Instant;

/// After how many questions to rich partitions the others are asked.
const FAVOURED: u32 = 4;

/// The turns of the partitions.
#[derive(Default)]
pub(super) struct Turns {
    /// The partitions that may have more records than were read.
    rich: VecDeque<usize>,
    /// How many of them were asked since the others were.
    favoured: u32,
    /// The other partition that was asked last.
    latest: usize,
    /// Until when a partition is asked for nothing.
    resting: HashMap<usize, Instant>,
}

/// A look at the partitions: those that are not rich and were not asked yet.
pub(super) struct Look(VecDeque<usize>);

/// Which partitions are asked now, and for how many records each.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub numbers: Vec<usize>,
    pub each: usize,
}

impl Turns {
    /// Begins a look at these partitions, where the last one has ended.
    pub fn look(&mut self, reads: &BTreeSet<usize>, now: Instant) -> Look {
        self.resting.retain(|_, until| *until > now);
        let is_read = |number: &usize| reads.contains(number) && !self.resting.contains_key(number);
        self.rich.retain(is_read);
        let (after, before) = (reads.range(self.latest + 1..), reads.range(..=self.latest));
        let others = after.chain(before).filter(|number| !self.rich.contains(number));
        Look(others.filter(|number| is_read(number)).copied().collect())
    }

    /// Who is asked next, where there is room for so many records. `None`: the look is over.
    pub fn next(&mut self, Look(others): &mut Look, room: usize) -> Option<Turn> {
        if room == 0 {
            return None;
        }
        if (self.favoured < FAVOURED || others.is_empty())
            && let Some(rich) = self.rich.pop_front()
        {
            self.favoured += 1;
            return Some(Turn { numbers: vec![rich], each: room });
        }
        self.favoured = 0;
        let numbers: Vec<usize> = others.drain(..room.min(others.len())).collect();
        self.latest = *numbers.last()?;
        Some(Turn { numbers, each: 1 })
    }

    /// A partition had as many records as it was asked for.
    pub fn is_rich(&mut self, number: usize) {
        self.rich.push_back(number);
    }

    /// Asks a partition for nothing until then.
    pub fn rest(&mut self, number: usize, until: Instant) {
        self.resting.insert(number, until);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ROOM: usize = 16;

    /// Partitions with so many records each, which one worker reads.
    struct World {
        turns: Turns,
        records: Vec<usize>,
        questions: usize,
    }

    impl World {
        fn new(records: Vec<usize>) -> Self {
            Self { turns: Turns::default(), records, questions: 0 }
        }

        /// Reads a batch, as a worker does: the number of records of each partition.
        fn look(&mut self, now: Instant) -> HashMap<usize, usize> {
            let (mut batch, reads) = (HashMap::new(), (0..self.records.len()).collect());
            let (mut look, mut room) = (self.turns.look(&reads, now), ROOM);
            while let Some(Turn { numbers, each }) = self.turns.next(&mut look, room) {
                assert!(each * numbers.len() <= room, "more than there is room for");
                for number in numbers {
                    self.questions += 1;
                    let got = self.records[number].min(each);
                    self.records[number] -= got;
                    room -= got;
                    *batch.entry(number).or_default() += got;
                    if got == each {
                        self.turns.is_rich(number);
                    }
                }
            }
            batch
        }
    }

    #[test]
    fn a_look_asks_every_partition_once_if_there_is_nothing() {
        let mut world = World::new(vec![0; 40]);
        let batch = world.look(Instant::now());
        assert_eq!((batch.len(), world.questions), (40, 40));
    }

    #[test]
    fn all_records_are_read() {
        let mut world = World::new((0..40).map(|number| number * 3 % 50).collect());
        for _ in 0..200 {
            world.look(Instant::now());
        }
        assert_eq!(world.records, vec![0; 40]);
    }

    #[test]
    fn partitions_that_never_run_out_hold_up_no_other() {
        let mut world = World::new(vec![0; 32]);
        let mut looks = HashMap::new();
        for _ in 0..50 {
            for rich in [3, 4, 5] {
                world.records[rich] = 1000;
            }
            for number in world.look(Instant::now()).into_keys() {
                *looks.entry(number).or_insert(0) += 1;
            }
        }
        for number in 0..32 {
            assert!(looks.get(&number).is_some_and(|looks| *looks >= 4), "{number} waits");
        }
    }

    #[test]
    fn a_backlog_everywhere_costs_few_questions() {
        let mut world = World::new(vec![1000; 32]);
        for _ in 0..200 {
            world.look(Instant::now());
        }
        assert!(world.questions < 400, "{} questions", world.questions);
    }

    #[test]
    fn one_that_rests_is_not_asked() {
        let (mut world, now) = (World::new(vec![100; 4]), Instant::now());
        world.look(now);
        world.turns.rest(2, now + Duration::from_secs(10));
        for _ in 0..10 {
            assert_eq!(world.look(now).get(&2), None);
        }
        for _ in 0..10 {
            world.look(now + Duration::from_secs(10));
        }
        assert!(world.records[2] < 90);
    }

    #[test]
    fn one_that_is_read_no_more_is_not_asked() {
        let (mut turns, now) = (Turns::default(), Instant::now());
        turns.is_rich(7);
        let mut look = turns.look(&BTreeSet::from([1, 2]), now);
        let asked = turns.next(&mut look, ROOM);
        assert_eq!(asked, Some(Turn { numbers: vec![1, 2], each: 1 }));
        assert_eq!(turns.next(&mut look, ROOM), None);
    }
}
