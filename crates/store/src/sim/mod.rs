//! A simulated world of stores and one clock, every decision of which follows from one seed.

mod store;
mod trace;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use vouchsafe_host::{Clock, ManualClock, Random, SeededRandom};
use vouchsafe_model::Time;

pub use store::{Flight, SimStore};
pub use trace::TraceEvent;

/// How rough the world is. Chances are out of 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimConfig {
    /// A call does nothing and answers with an error that may pass by itself.
    pub transient: u32,
    /// A put or delete takes effect and answers with an error.
    pub ambiguous: u32,
    /// A put under way at a crash leaves the first part of its bytes, if it leaves anything. Zero
    /// makes puts atomic.
    pub torn: u32,
    /// A listing shows the store as it was up to this many changes ago. Zero makes listings
    /// consistent.
    pub stale_list: u64,
    /// How long a change may be missing in listings.
    pub stale_for: Duration,
    /// A listing shows an object twice.
    pub duplicate: u32,
    /// The wall clock jumps, by up to [`SimConfig::largest_jump`] in either direction.
    pub clock_jump: u32,
    /// How far the wall clock jumps.
    pub largest_jump: Duration,
    /// The longest time that one call takes.
    pub longest_call: Duration,
}

impl SimConfig {
    /// Nothing goes wrong; calls take no time.
    pub const fn calm() -> Self {
        Self {
            transient: 0,
            ambiguous: 0,
            torn: 0,
            stale_list: 0,
            stale_for: Duration::ZERO,
            duplicate: 0,
            clock_jump: 0,
            largest_jump: Duration::ZERO,
            longest_call: Duration::ZERO,
        }
    }

    /// Everything goes wrong now and then.
    pub const fn rough() -> Self {
        Self {
            transient: 30,
            ambiguous: 20,
            torn: 300,
            stale_list: 4,
            stale_for: Duration::from_secs(3600),
            duplicate: 20,
            clock_jump: 5,
            largest_jump: Duration::from_secs(7200),
            longest_call: Duration::from_millis(500),
        }
    }
}

/// Stores that share a clock, a generator and a fate: a crash hits all of them at once.
///
/// Equal seeds, settings and calls give equal results and equal traces. To be used from one thread
/// at a time: calls from several threads are safe, but their order is not the seed's.
pub struct SimWorld {
    shared: Arc<Shared>,
    stores: Mutex<Vec<Arc<SimStore>>>,
}

/// What the stores of one world have in common.
struct Shared {
    config: SimConfig,
    random: SeededRandom,
    clock: Arc<ManualClock>,
    fate: Mutex<Fate>,
}

#[derive(Debug, Default)]
struct Fate {
    trace: Vec<TraceEvent>,
    /// Steps until the crash that was asked for: a step is one put or delete.
    steps_left: Option<u64>,
    steps: u64,
    down: bool,
}

/// Where simulated time begins: 2026-01-01T00:00:00Z.
const BEGINNING: i64 = 1_767_225_600_000_000;

impl SimWorld {
    /// A world without stores.
    pub fn new(seed: u64, config: SimConfig) -> Self {
        let shared = Shared {
            config,
            random: SeededRandom::new(seed),
            clock: Arc::new(ManualClock::new(Time::from_micros(BEGINNING))),
            fate: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
            stores: Mutex::default(),
        }
    }

    /// Adds an empty store.
    pub fn store(&self, name: &str) -> Arc<SimStore> {
        let store = Arc::new(SimStore::in_world(name, Arc::clone(&self.shared)));
        self.stores
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Arc::clone(&store));
        store
    }

    /// The world's clock.
    pub fn clock(&self) -> Arc<ManualClock> {
        Arc::clone(&self.shared.clock)
    }

    /// A number from the world's generator, for a driver that takes decisions of its own.
    pub fn choose(&self, below: u64) -> u64 {
        self.shared.below(below)
    }

    /// Lets the world crash in the middle of the put or delete after `steps` further ones. From
    /// then on every call fails until [`SimWorld::restart`].
    pub fn crash_after(&self, steps: u64) {
        self.shared.fate().steps_left = Some(steps);
    }

    /// Crashes now: every put that was begun and not finished is lost, torn or whole, as the
    /// generator decides. What was acknowledged stays.
    pub fn crash(&self) {
        for store in self
            .stores
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
        {
            store.drop_flights();
        }
        let mut fate = self.shared.fate();
        fate.down = true;
        fate.steps_left = None;
    }

    /// Whether the world has crashed and was not restarted.
    pub fn is_down(&self) -> bool {
        self.shared.fate().down
    }

    /// Makes the stores answer again after a crash.
    pub fn restart(&self) {
        let mut fate = self.shared.fate();
        fate.down = false;
        fate.steps_left = None;
    }

    /// How many puts and deletes were begun so far: the number of places to crash at.
    pub fn steps(&self) -> u64 {
        self.shared.fate().steps
    }

    /// Everything that happened so far.
    pub fn trace(&self) -> Vec<TraceEvent> {
        self.shared.fate().trace.clone()
    }
}

impl Shared {
    fn fate(&self) -> MutexGuard<'_, Fate> {
        self.fate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number below `limit`, or 0 if that is 0. The bias is below 2^-32 for the limits used here.
    fn below(&self, limit: u64) -> u64 {
        if limit == 0 {
            0
        } else {
            self.random.u64() % limit
        }
    }

    /// Draws only if there is something to decide, so that a calm world's sequence is left to the
    /// driver.
    fn happens(&self, chance: u32) -> bool {
        chance > 0 && self.below(1000) < u64::from(chance)
    }

    /// Lets a call's time pass, and the wall clock jump.
    fn pass_time(&self) {
        let micros = |d: Duration| u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
        self.clock.advance(Duration::from_micros(
            self.below(micros(self.config.longest_call)),
        ));
        if self.happens(self.config.clock_jump) {
            let far = self.below(micros(self.config.largest_jump).saturating_mul(2));
            let by = far as i64 - micros(self.config.largest_jump) as i64;
            self.clock.set(Time::from_micros(
                self.clock.now().micros().saturating_add(by),
            ));
        }
    }

    /// Counts a put or delete; true when it is the one in which the world ends.
    fn step(&self) -> bool {
        let mut fate = self.fate();
        fate.steps += 1;
        match &mut fate.steps_left {
            None => false,
            Some(0) => {
                fate.down = true;
                fate.steps_left = None;
                true
            }
            Some(left) => {
                *left -= 1;
                false
            }
        }
    }

    fn record(&self, event: TraceEvent) {
        self.fate().trace.push(event);
    }
}

#[cfg(test)]
mod tests;
