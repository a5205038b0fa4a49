//! How long to wait before the next try. Pure: the random number comes from the caller.

use std::time::Duration;

/// Exponential growth between two bounds, with full jitter.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// The shortest wait.
    pub floor: Duration,
    /// The longest wait.
    pub ceiling: Duration,
}

impl Backoff {
    /// The wait before try number `attempt` (from 0). `random` is uniform in `0.0..1.0`.
    ///
    /// The jitter spans everything from the floor to the doubled bound, so that instances which
    /// lost one Redis at the same moment do not come back at the same moment.
    pub fn delay(&self, attempt: u32, random: f64) -> Duration {
        // 2^20 times any sensible floor is past any sensible ceiling, and cannot overflow.
        let bound = self.floor.saturating_mul(2 << attempt.min(20)).min(self.ceiling);
        self.floor + bound.saturating_sub(self.floor).mul_f64(random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff =
        Backoff { floor: Duration::from_millis(50), ceiling: Duration::from_millis(2000) };

    #[test]
    fn doubles_up_to_the_ceiling_and_stays_there() {
        let longest: Vec<u128> = (0..8).map(|n| BACKOFF.delay(n, 1.0).as_millis()).collect();
        assert_eq!(longest, [100, 200, 400, 800, 1600, 2000, 2000, 2000]);
    }

    #[test]
    fn never_waits_less_than_the_floor() {
        for attempt in [0, 1, 10, u32::MAX] {
            assert_eq!(BACKOFF.delay(attempt, 0.0), BACKOFF.floor);
        }
    }

    #[test]
    fn jitter_spreads_over_the_whole_range() {
        assert_eq!(BACKOFF.delay(9, 0.5).as_millis(), 50 + 975);
    }
}
