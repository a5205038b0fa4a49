//! Which worker reads which partitions. A state machine without a socket, a task or a clock.
//!
//! The workers of a queue share one table (`scripts/leases.lua`): who is alive, and who has the lease of
//! which partition. Every [`TICK`] a worker announces itself there, and asks for what it lacks or gives up
//! what it has too much. Its fair share is the number of partitions by that of the workers, rounded up.
//!
//! A lease saves work, and decides nothing else: the consumer groups hand each record to one worker,
//! whoever reads. So a worker that does not reach the table goes on with what it has, and one that gives
//! up a lease reads on until another has taken it. A partition that nobody takes for a whole `TICK` waits
//! for a worker that is dead, and still counts as alive: it is read without a lease.

use std::collections::BTreeSet;
use std::time::Duration;

/// How often a worker announces itself.
pub(super) const TICK: Duration = Duration::from_secs(2);

/// For how long a worker that does not announce itself counts as alive. With two `TICK`s of the others it
/// is less than 10 s, so that its partitions are read again in that time.
pub(in crate::redis::records) const ALIVE: Duration = Duration::from_secs(5);

/// What a worker asks the table for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// To have a partition that nobody has.
    Take(usize),
    /// To have it no longer.
    Give(usize),
}

/// What the table says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Table {
    /// How many workers are alive.
    pub workers: usize,
    /// The partitions of which this worker has the lease.
    pub mine: BTreeSet<usize>,
    /// Those of which others have it.
    pub others: BTreeSet<usize>,
}

/// The partitions of one worker.
pub(super) struct Leases {
    partitions: usize,
    table: Table,
    reads: BTreeSet<usize>,
    /// What nobody had when the last `TICK` was over.
    free: BTreeSet<usize>,
    random: fastrand::Rng,
}

impl Leases {
    /// Of a queue with so many partitions. It has none yet.
    pub fn new(partitions: usize, random: fastrand::Rng) -> Self {
        let (reads, free) = (BTreeSet::new(), BTreeSet::new());
        Self { partitions, table: Table::default(), reads, free, random }
    }

    /// The partitions that this worker reads.
    pub fn reads(&self) -> &BTreeSet<usize> {
        &self.reads
    }

    /// The table has answered.
    pub fn heard(&mut self, table: Table) {
        self.reads.retain(|one| !table.others.contains(one));
        self.reads.extend(table.mine.iter().filter(|one| **one < self.partitions));
        self.table = table;
    }

    /// A tick is over: the table has answered, and nothing more is asked for until the next one.
    pub fn ticked(&mut self) {
        let free = self.free();
        self.reads.extend(free.intersection(&self.free));
        self.free = free;
    }

    /// The partitions that nobody has.
    fn free(&self) -> BTreeSet<usize> {
        let Table { mine, others, .. } = &self.table;
        (0..self.partitions).filter(|one| !mine.contains(one) && !others.contains(one)).collect()
    }

    /// What is to be asked for. Nothing, before the table has answered.
    pub fn changes(&mut self) -> Vec<Change> {
        let Table { workers, mine, .. } = &self.table;
        if *workers == 0 {
            return Vec::new();
        }
        let fair = self.partitions.div_ceil(*workers);
        let surplus = mine.len().saturating_sub(fair);
        if surplus > 0 {
            return mine.iter().rev().take(surplus).copied().map(Change::Give).collect();
        }
        let mut free: Vec<usize> = self.free().into_iter().collect();
        // Two who ask in the same moment mostly ask for different ones.
        if !free.is_empty() {
            let first = self.random.usize(..free.len());
            free.rotate_left(first);
        }
        free.into_iter().take(fair - mine.len()).map(Change::Take).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const PARTITIONS: usize = 64;

    /// The table, as the script keeps it.
    #[derive(Default)]
    struct Shared {
        alive: HashMap<u32, Duration>,
        leases: HashMap<usize, u32>,
    }

    impl Shared {
        fn ask(&mut self, me: u32, changes: &[Change], now: Duration) -> Table {
            self.alive.retain(|_, until| *until > now);
            self.alive.insert(me, now + ALIVE);
            self.leases.retain(|_, worker| self.alive.contains_key(worker));
            for change in changes {
                match change {
                    Change::Take(one) => {
                        self.leases.entry(*one).or_insert(me);
                    }
                    Change::Give(one) => {
                        assert_eq!(self.leases.remove(one), Some(me));
                    }
                }
            }
            let of = |is_mine: bool| {
                let leases = self.leases.iter().filter(|(_, worker)| (**worker == me) == is_mine);
                leases.map(|(one, _)| *one).collect()
            };
            Table { workers: self.alive.len(), mine: of(true), others: of(false) }
        }

        fn leave(&mut self, me: u32) {
            self.alive.remove(&me);
            self.leases.retain(|_, worker| *worker != me);
        }
    }

    struct Worker {
        name: u32,
        leases: Leases,
        next: Duration,
    }

    struct World {
        shared: Shared,
        workers: Vec<Worker>,
        random: fastrand::Rng,
        now: Duration,
        names: u32,
        /// Whether workers do not reach the table at times, and its content gets lost.
        has_faults: bool,
        /// Since when nobody reads a partition.
        unread: HashMap<usize, Duration>,
    }

    impl World {
        fn new(seed: u64) -> Self {
            let random = fastrand::Rng::with_seed(seed);
            let (shared, workers, unread) = (Shared::default(), Vec::new(), HashMap::new());
            let (now, has_faults) = (Duration::ZERO, seed.is_multiple_of(2));
            let mut world = Self { shared, workers, random, now, names: 0, has_faults, unread };
            world.join();
            world
        }

        fn join(&mut self) {
            self.names += 1;
            let leases = Leases::new(PARTITIONS, self.random.fork());
            self.workers.push(Worker { name: self.names, leases, next: self.now });
        }

        /// Half a second.
        fn step(&mut self) {
            self.now += Duration::from_millis(500);
            for worker in self.workers.iter_mut().filter(|worker| worker.next <= self.now) {
                worker.next = self.now + TICK;
                for _ in 0..2 {
                    let changes = worker.leases.changes();
                    worker.leases.heard(self.shared.ask(worker.name, &changes, self.now));
                    if worker.leases.changes().is_empty() {
                        break;
                    }
                }
                worker.leases.ticked();
            }
            for one in 0..PARTITIONS {
                if self.workers.iter().any(|worker| worker.leases.reads().contains(&one)) {
                    self.unread.remove(&one);
                } else {
                    let since = *self.unread.entry(one).or_insert(self.now);
                    let is_late = self.now - since >= Duration::from_secs(10);
                    assert!(self.has_faults || !is_late, "{one} is not read");
                }
            }
        }

        fn happen(&mut self) {
            let one = self.random.usize(..self.workers.len());
            match self.random.u32(..20) {
                0..6 => self.join(),
                6..11 if self.workers.len() > 1 => {
                    self.workers.remove(one); // It is killed.
                }
                11..14 if self.workers.len() > 1 => {
                    let left = self.workers.remove(one);
                    self.shared.leave(left.name);
                }
                14..17 if self.has_faults => {
                    self.workers[one].next += Duration::from_secs(self.random.u64(..30))
                }
                17 if self.has_faults => self.shared = Shared::default(),
                _ => {}
            }
        }
    }

    #[test]
    fn every_partition_is_read_and_shares_become_fair_whatever_happens() {
        for seed in 0..60 {
            let mut world = World::new(seed);
            for _ in 0..40 {
                world.happen();
                for _ in 0..world.random.u32(..12) {
                    world.step();
                }
            }
            for worker in &mut world.workers {
                worker.next = world.now;
            }
            for _ in 0..40 {
                world.step();
            }
            let fair = PARTITIONS.div_ceil(world.workers.len());
            let mut readers = vec![0; PARTITIONS];
            for worker in &world.workers {
                let reads = worker.leases.reads();
                assert!(reads.len() <= fair, "seed {seed}: {} of {fair}", reads.len());
                reads.iter().for_each(|one| readers[*one] += 1);
            }
            assert!(readers.iter().all(|readers| *readers == 1), "seed {seed}: {readers:?}");
        }
    }

    #[test]
    fn a_worker_reads_on_until_another_has_taken_what_it_gives_up() {
        let mut leases = Leases::new(2, fastrand::Rng::with_seed(1));
        let table = |workers, mine: &[usize], others: &[usize]| {
            let (mine, others) = (mine.iter().copied().collect(), others.iter().copied().collect());
            Table { workers, mine, others }
        };
        assert_eq!(leases.changes(), []);
        leases.heard(table(1, &[0, 1], &[]));
        assert_eq!(leases.changes(), []);
        leases.heard(table(2, &[0, 1], &[]));
        assert_eq!(leases.changes(), [Change::Give(1)]);
        leases.heard(table(2, &[0], &[]));
        assert_eq!(leases.reads().len(), 2);
        leases.heard(table(2, &[0], &[1]));
        assert_eq!(leases.reads().len(), 1);
    }
}
