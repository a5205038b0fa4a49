//! The supervisor's timer.
//!
//! A process that stood still (stopped, or starved of its core) learns of the time before it learns
//! of what has arrived meanwhile. So the timer elapses twice before it counts: in between, what has
//! arrived is read. If more and more arrives, it counts all the same.

use std::pin::Pin;

use tokio::time::{Duration, Instant, Sleep, sleep_until};

/// How long arriving bytes may put off a timer that has elapsed.
const PUT_OFF: Duration = Duration::from_millis(50);

/// A timer for the earliest time-out. To set it to the same time again costs nothing.
pub(crate) struct Timer {
    sleep: Pin<Box<Sleep>>,
    at: Option<Instant>,
    /// When `set` saw first that the time has passed.
    passed: Option<Instant>,
    /// How often the timer has elapsed since it was set to another time.
    elapsed: u32,
}

impl Timer {
    pub fn new() -> Self {
        Self { sleep: Box::pin(sleep_until(Instant::now())), at: None, passed: None, elapsed: 0 }
    }

    /// To be called before each wait. `None`: the timer never elapses.
    pub fn set(&mut self, at: Option<Instant>) {
        if self.at != at {
            (self.at, self.passed, self.elapsed) = (at, None, 0);
            if let Some(at) = at {
                self.sleep.as_mut().reset(at);
            }
        }
        let now = Instant::now();
        if self.passed.is_none() && at.is_some_and(|at| at <= now) {
            self.passed = Some(now);
        }
    }

    /// Whether the timer has elapsed again after what had arrived was read.
    pub fn is_confirmed(&self) -> bool {
        self.elapsed > 1
    }

    /// Whether bytes that arrive have put the timer off for long enough.
    pub fn is_long_overdue(&self) -> bool {
        self.passed.is_some_and(|passed| passed.elapsed() > PUT_OFF)
    }

    /// Resolves when the time has passed.
    pub async fn elapsed(&mut self) {
        match self.at {
            Some(_) => self.sleep.as_mut().await,
            None => std::future::pending().await,
        }
        self.elapsed += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_counts_when_it_has_elapsed_twice() {
        let mut timer = Timer::new();
        timer.set(Some(Instant::now() + Duration::from_secs(1)));
        timer.elapsed().await;
        assert!(!timer.is_confirmed());
        timer.elapsed().await;
        assert!(timer.is_confirmed());
    }

    #[tokio::test(start_paused = true)]
    async fn what_arrives_puts_it_off_for_a_while_and_no_longer() {
        let mut timer = Timer::new();
        let at = Some(Instant::now() + Duration::from_secs(1));
        timer.set(at);
        tokio::time::advance(Duration::from_secs(60)).await; // The process stood still.
        timer.set(at);
        assert!(!timer.is_long_overdue());
        tokio::time::advance(PUT_OFF * 2).await;
        timer.set(at);
        assert!(timer.is_long_overdue());
    }
}
