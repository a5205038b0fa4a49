//! How many records a lane reads at a time.

/// The most records of one reply. The connection decodes a reply as a whole, and nobody knows the
/// size of a record before: small portions bound the memory that records may need which are larger
/// than those before them.
const MAX: usize = 16;

/// The size of the next portion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Portion(usize);

impl Default for Portion {
    fn default() -> Self {
        Self(MAX / 2)
    }
}

impl Portion {
    pub fn count(self) -> usize {
        self.0
    }

    /// A portion has arrived, with this many bytes in its largest record. The next one may have
    /// twice as many records, as long as `limit` bytes hold them.
    pub fn arrived(&mut self, largest: usize, limit: usize) {
        self.0 = (2 * self.0).min(limit / largest.max(1)).clamp(1, MAX);
    }

    /// The connection was lost, perhaps as the portion did not arrive in time.
    pub fn failed(&mut self) {
        self.0 = (self.0 / 2).max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_portion_shrinks_at_once_and_grows_back() {
        let mut portion = Portion::default();
        portion.arrived(10, 1000);
        assert_eq!(portion.count(), MAX);
        portion.arrived(500, 1000);
        assert_eq!(portion.count(), 2);
        portion.arrived(5000, 1000);
        assert_eq!(portion.count(), 1);
        for expected in [2, 4, 8, MAX, MAX] {
            portion.arrived(0, 1000);
            assert_eq!(portion.count(), expected);
        }
        for expected in [8, 4, 2, 1, 1] {
            portion.failed();
            assert_eq!(portion.count(), expected);
        }
    }
}
