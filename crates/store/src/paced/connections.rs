//! How many calls at a time: found out by trying one more, and one less when it brings nothing.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use vouchsafe_host::Clock;

/// Turns that callers take; the number of those out at the same time is what is adapted.
pub(super) struct Connections {
    most: u32,
    state: Mutex<State>,
    free: Condvar,
}

struct State {
    allowed: u32,
    out: u32,
    /// What was moved in the present round, and since when.
    round: Round,
    /// Bytes a second of the round before, and whether it was entered by growing.
    before: f64,
    grew: bool,
}

#[derive(Default)]
struct Round {
    begun: Option<Duration>,
    bytes: u64,
    calls: u32,
    failed: u32,
    /// Whether all turns were out at some time: otherwise more of them would bring nothing.
    full: bool,
}

/// A caller's turn; it must be ended.
pub(super) struct Turn<'a> {
    of: &'a Connections,
    ended: bool,
}

const FIRST: u32 = 4;
const MOST: u32 = 32;
/// Calls that move bytes before a round is judged, for each turn.
const CALLS_PER_TURN: u32 = 3;
/// One more turn pays if it moves so much more.
const PAYS: f64 = 1.03;

impl Connections {
    /// At most `most` turns at a time, or as many as pay.
    pub(super) fn new(most: Option<u32>) -> Self {
        let most = most.unwrap_or(MOST).max(1);
        Self {
            most,
            state: Mutex::new(State {
                allowed: FIRST.min(most),
                out: 0,
                round: Round::default(),
                before: 0.0,
                grew: false,
            }),
            free: Condvar::new(),
        }
    }

    pub(super) fn allowed(&self) -> u32 {
        self.state().allowed
    }

    /// Waits for a turn.
    pub(super) fn take_turn(&self, clock: &dyn Clock) -> Turn<'_> {
        let mut state = self.state();
        while state.out >= state.allowed {
            state = self
                .free
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.out += 1;
        if state.out >= state.allowed {
            state.round.full = true;
        }
        if state.round.begun.is_none() {
            state.round.begun = Some(clock.monotonic());
        }
        Turn {
            of: self,
            ended: false,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// Gives the turn back with what it moved; nothing if the call failed.
    pub(super) fn ends(mut self, now: Duration, moved: Option<u64>) {
        self.ended = true;
        let mut state = self.of.state();
        state.out -= 1;
        match moved {
            Some(0) => {}
            Some(bytes) => {
                state.round.bytes += bytes;
                state.round.calls += 1;
            }
            None => state.round.failed += 1,
        }
        if state.round.calls >= state.allowed * CALLS_PER_TURN {
            state.judge(now, self.of.most);
        }
        drop(state);
        self.of.free.notify_all();
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // Only when a call panicked: the turn must not be lost with it.
        if !self.ended {
            self.of.state().out -= 1;
            self.of.free.notify_all();
        }
    }
}

impl State {
    fn judge(&mut self, now: Duration, most: u32) {
        let round = std::mem::take(&mut self.round);
        let took = round
            .begun
            .map_or(Duration::ZERO, |begun| now.saturating_sub(begun));
        let speed = round.bytes as f64 / took.as_secs_f64().max(1e-6);
        if round.failed > round.calls / 4 {
            self.allowed = (self.allowed / 2).max(1);
            self.grew = false;
        } else if self.grew && speed < self.before * PAYS {
            self.allowed -= 1;
            self.grew = false;
        } else if round.full && self.allowed < most {
            self.allowed += 1;
            self.grew = true;
        } else {
            self.grew = false;
        }
        self.before = speed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_host::ManualClock;
    use vouchsafe_model::Time;

    /// Runs rounds against a store that moves `speed(turns)` bytes a second.
    fn settle(connections: &Connections, rounds: u32, speed: impl Fn(u32) -> f64) {
        let clock = ManualClock::new(Time::from_secs(0));
        for _ in 0..rounds {
            let turns = connections.allowed();
            let all: Vec<Turn<'_>> = (0..turns).map(|_| connections.take_turn(&clock)).collect();
            for _ in 1..CALLS_PER_TURN {
                connections.state().round.calls += turns;
                connections.state().round.bytes += u64::from(turns) * 1000;
            }
            let bytes = f64::from(turns * CALLS_PER_TURN) * 1000.0;
            clock.sleep(Duration::from_secs_f64(bytes / speed(turns)));
            for turn in all {
                turn.ends(clock.monotonic(), Some(1000));
            }
        }
    }

    #[test]
    fn they_grow_as_long_as_that_pays_and_no_further() {
        let connections = Connections::new(None);
        settle(&connections, 100, |turns| f64::from(turns.min(12)) * 1e6);
        let found = connections.allowed();
        assert!((11..=14).contains(&found), "{found}");
        let single = Connections::new(None);
        settle(&single, 100, |_| 1e6);
        assert!(single.allowed() <= FIRST + 1, "{}", single.allowed());
    }

    #[test]
    fn failures_halve_them_and_the_bound_holds() {
        let connections = Connections::new(Some(6));
        settle(&connections, 50, |turns| f64::from(turns) * 1e6);
        assert_eq!(connections.allowed(), 6);
        let clock = ManualClock::new(Time::from_secs(0));
        for _ in 0..18 {
            connections.take_turn(&clock).ends(clock.monotonic(), None);
        }
        for _ in 0..18 {
            connections
                .take_turn(&clock)
                .ends(clock.monotonic(), Some(1));
        }
        assert_eq!(connections.allowed(), 3);
    }

    #[test]
    fn a_turn_is_waited_for_and_never_lost() {
        let connections = Connections::new(Some(1));
        let clock = ManualClock::new(Time::from_secs(0));
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _turn = connections.take_turn(&clock);
            panic!("the call dies");
        }));
        assert!(ended.is_err());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| connections.take_turn(&clock).ends(Duration::ZERO, Some(0)));
            }
        });
        assert_eq!(connections.state().out, 0);
    }
}
