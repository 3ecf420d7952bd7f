//! A rate of bytes that holds on average: what was moved is paid back in time before the next is begun.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use vouchsafe_host::Clock;

/// So many bytes a second.
pub(super) struct Rate {
    per_second: f64,
    /// Until when what was moved so far takes at this rate, by the monotonic clock.
    paid_until: Mutex<Duration>,
}

/// How much may be moved at once after a pause.
const CREDIT: Duration = Duration::from_secs(1);
/// How long one wait is at most, whatever was moved before.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

impl Rate {
    pub(super) fn new(per_second: u64) -> Self {
        Self {
            per_second: per_second.max(1) as f64,
            paid_until: Mutex::default(),
        }
    }

    /// Waits until something may be moved.
    pub(super) fn wait(&self, clock: &dyn Clock) {
        let ahead = self.paid_until().saturating_sub(clock.monotonic());
        if ahead > Duration::ZERO {
            clock.sleep(ahead.min(LONGEST_WAIT));
        }
    }

    /// Notes what was moved.
    pub(super) fn spend(&self, bytes: u64, now: Duration) {
        let takes =
            Duration::try_from_secs_f64(bytes as f64 / self.per_second).unwrap_or(LONGEST_WAIT);
        let mut paid = self
            .paid_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *paid = (*paid).max(now.saturating_sub(CREDIT)) + takes;
    }

    fn paid_until(&self) -> Duration {
        *self
            .paid_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_host::ManualClock;
    use vouchsafe_model::Time;

    #[test]
    fn a_hundred_objects_take_the_time_that_the_rate_says() {
        let clock = ManualClock::new(Time::from_secs(0));
        let rate = Rate::new(1000);
        for _ in 0..100 {
            rate.wait(&clock);
            rate.spend(500, clock.monotonic());
        }
        let took = clock.monotonic().as_secs_f64();
        assert!((48.0..=51.0).contains(&took), "{took}");
    }

    #[test]
    fn a_pause_earns_a_second_and_no_more() {
        let clock = ManualClock::new(Time::from_secs(0));
        let rate = Rate::new(1000);
        clock.sleep(Duration::from_secs(1000));
        for _ in 0..10 {
            rate.wait(&clock);
            rate.spend(1000, clock.monotonic());
        }
        assert!(clock.monotonic() >= Duration::from_secs(1008));
    }
}
