//! Wall clock, monotonic clock and waiting, as one value that tests and simulations can replace.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use vouchsafe_model::Time;

/// A source of time.
///
/// `now` may jump (somebody sets the wall clock); `monotonic` never goes backwards. Durations are
/// measured with `monotonic`, records are dated with `now`.
pub trait Clock: Send + Sync {
    /// The wall clock, in microseconds since the Unix epoch, UTC.
    fn now(&self) -> Time;

    /// Time since some fixed moment in the life of this clock; never decreases.
    fn monotonic(&self) -> Duration;

    /// Waits for at least `d` as measured by this clock.
    fn sleep(&self, d: Duration);
}

/// The machine's own clocks.
#[derive(Debug, Clone)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A clock whose monotonic reading starts at zero now.
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Time {
        system_time(SystemTime::now())
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep(&self, d: Duration) {
        std::thread::sleep(d);
    }
}

/// A clock that moves only when told to, or when somebody sleeps on it.
///
/// `sleep` advances both readings at once and returns immediately, so a simulated day takes no time.
#[derive(Debug)]
pub struct ManualClock {
    state: Mutex<ManualState>,
}

#[derive(Debug, Clone, Copy)]
struct ManualState {
    now_micros: i64,
    monotonic: Duration,
}

impl ManualClock {
    /// A clock that reads `start`, with a monotonic reading of zero.
    pub fn new(start: Time) -> Self {
        Self {
            state: Mutex::new(ManualState {
                now_micros: start.micros(),
                monotonic: Duration::ZERO,
            }),
        }
    }

    /// Sets the wall clock, forwards or backwards, without touching the monotonic reading: a jump.
    pub fn set(&self, now: Time) {
        self.change(|state| state.now_micros = now.micros());
    }

    /// Lets `d` pass on both clocks.
    pub fn advance(&self, d: Duration) {
        self.change(|state| {
            let micros = i64::try_from(d.as_micros()).unwrap_or(i64::MAX);
            state.now_micros = state.now_micros.saturating_add(micros);
            state.monotonic = state.monotonic.saturating_add(d);
        });
    }

    fn change(&self, with: impl FnOnce(&mut ManualState)) {
        with(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn read(&self) -> ManualState {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Time {
        Time::from_micros(self.read().now_micros)
    }

    fn monotonic(&self) -> Duration {
        self.read().monotonic
    }

    fn sleep(&self, d: Duration) {
        self.advance(d);
    }
}

/// Converts a file system time; times outside the representable range are clamped to its ends.
pub fn system_time(at: SystemTime) -> Time {
    let micros = match at.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |m| -m),
    };
    Time::from_micros(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_jumps_without_moving_the_monotonic_reading() {
        let clock = ManualClock::new(Time::from_micros(5_000_000));
        clock.set(Time::from_micros(1_000));
        assert_eq!(clock.now().micros(), 1_000);
        assert_eq!(clock.monotonic(), Duration::ZERO);
        clock.sleep(Duration::from_secs(2));
        assert_eq!(clock.now().micros(), 2_001_000);
        assert_eq!(clock.monotonic(), Duration::from_secs(2));
    }

    #[test]
    fn the_system_clock_agrees_with_the_machine_and_moves_on() {
        let clock = SystemClock::new();
        let before = clock.monotonic();
        let machine = system_time(SystemTime::now());
        assert!((clock.now().micros() - machine.micros()).abs() < 60_000_000);
        clock.sleep(Duration::from_millis(2));
        assert!(clock.monotonic() >= before + Duration::from_millis(2));
    }

    #[test]
    fn times_before_the_epoch_are_negative() {
        let early = UNIX_EPOCH - Duration::from_secs(3);
        assert_eq!(system_time(early).micros(), -3_000_000);
    }
}
