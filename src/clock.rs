//! What time it is, and waiting for it. The clock of a store for tests can be set ahead.

use tokio::sync::watch;
use tokio::time::{Duration, Instant};

/// A clock. Clones show the same time.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    /// How far it is ahead of the system's clock; `None`: it shows the system's time.
    ahead: Option<watch::Sender<Duration>>,
}

impl Clock {
    /// A clock that can be set ahead.
    pub fn adjustable() -> Self {
        Self { ahead: Some(watch::Sender::new(Duration::ZERO)) }
    }

    /// Sets it ahead. Whoever waits for a time that has come then is woken.
    pub fn advance(&self, by: Duration) {
        if let Some(ahead) = &self.ahead {
            ahead.send_modify(|ahead| *ahead += by);
        }
    }

    /// Whether it can be set ahead.
    pub fn is_adjustable(&self) -> bool {
        self.ahead.is_some()
    }

    /// How far it is ahead of the system's clock.
    pub fn ahead(&self) -> Duration {
        self.ahead.as_ref().map_or(Duration::ZERO, |ahead| *ahead.borrow())
    }

    /// The time.
    pub fn now(&self) -> Instant {
        Instant::now() + self.ahead()
    }

    /// Waits until it shows this time.
    pub async fn sleep_until(&self, time: Instant) {
        let Some(ahead) = &self.ahead else { return tokio::time::sleep_until(time).await };
        let mut ahead = ahead.subscribe();
        loop {
            let left = time.saturating_duration_since(Instant::now() + *ahead.borrow_and_update());
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                _ = ahead.changed() => {}
            }
        }
    }

    /// Waits for so long.
    pub async fn sleep(&self, time: Duration) {
        self.sleep_until(self.now() + time).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_woken_when_the_clock_is_set_ahead() {
        let clock = Clock::adjustable();
        let (began, due) = (Instant::now(), clock.now() + Duration::from_secs(60));
        let waiting = clock.clone();
        let woken = tokio::spawn(async move { waiting.sleep_until(due).await });
        tokio::task::yield_now().await;
        clock.advance(Duration::from_secs(30));
        tokio::task::yield_now().await;
        assert!(!woken.is_finished());
        clock.advance(Duration::from_secs(30));
        woken.await.expect("it ends");
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn time_passes_by_itself_as_well() {
        let clock = Clock::adjustable();
        clock.advance(Duration::from_secs(5));
        let began = Instant::now();
        clock.sleep(Duration::from_secs(3)).await;
        assert_eq!(began.elapsed(), Duration::from_secs(3));
    }
}
