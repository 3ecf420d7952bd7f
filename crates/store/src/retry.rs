//! Repeating what failed for a passing reason: with growing, random pauses, and only so long in all.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use vouchsafe_host::{Clock, Random};
use vouchsafe_model::Time;

use crate::{
    Capabilities, Erased, Key, LockMode, ObjectMeta, PutMode, Retention, Store, StoreError,
};

/// Repeats calls that failed for a passing reason ([`StoreError::is_transient`]).
///
/// The pause before the n-th repetition is random between nothing and twice the one before, at most
/// 20 seconds; no repetition begins when a call has taken five minutes in all. The last error is given.
///
/// A put that may or may not have taken effect and is repeated may find its own object: one that holds exactly
/// these bytes is then taken for it.
pub struct Retrying {
    inner: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    budget: Duration,
}

/// How long one call is tried in all.
const BUDGET: Duration = Duration::from_secs(300);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

impl Retrying {
    /// Repeats what fails in `inner`.
    pub fn new(inner: Arc<dyn Store>, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self {
            inner,
            clock,
            random,
            budget: BUDGET,
        }
    }

    /// With another limit for one call, all its repetitions included.
    #[must_use]
    pub fn within(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }

    /// Calls until it succeeds, fails for good, or the budget is used up; `attempt` counts from 0.
    fn call<T>(&self, mut call: impl FnMut(u32) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let begun = self.clock.monotonic();
        let mut longest = FIRST_PAUSE;
        let mut attempt = 0;
        loop {
            let error = match call(attempt) {
                Err(error) if error.is_transient() => error,
                done => return done,
            };
            let pause = self.jittered(longest);
            let spent = self.clock.monotonic().saturating_sub(begun);
            if spent + pause >= self.budget {
                return Err(error);
            }
            self.clock.sleep(pause);
            longest = (longest * 2).min(LONGEST_PAUSE);
            attempt += 1;
        }
    }

    /// A random part of a pause, so that many who failed together do not come back together.
    fn jittered(&self, longest: Duration) -> Duration {
        let mut bytes = [0; 4];
        self.random.fill(&mut bytes);
        longest.mul_f64(f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX))
    }

    fn put_with(
        &self,
        key: &Key,
        bytes: &[u8],
        put: impl Fn() -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut taken = None;
        self.call(|attempt| match put() {
            Err(error @ StoreError::AlreadyExists { .. }) if attempt > 0 => {
                taken = Some(error);
                Ok(())
            }
            done => done,
        })?;
        match taken {
            Some(error) if self.get(key)? != bytes => Err(error),
            _ => Ok(()),
        }
    }
}

impl Store for Retrying {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn get(&self, key: &Key) -> Result<Vec<u8>, StoreError> {
        self.call(|_| self.inner.get(key))
    }

    fn get_into(&self, key: &Key, most: u64, into: &mut Vec<u8>) -> Result<(), StoreError> {
        self.call(|_| self.inner.get_into(key, most, into))
    }

    fn get_range(&self, key: &Key, offset: u64, len: u64) -> Result<Vec<u8>, StoreError> {
        self.call(|_| self.inner.get_range(key, offset, len))
    }

    fn head(&self, key: &Key) -> Result<ObjectMeta, StoreError> {
        self.call(|_| self.inner.head(key))
    }

    fn put(&self, key: &Key, bytes: &[u8], mode: PutMode) -> Result<(), StoreError> {
        self.put_with(key, bytes, || self.inner.put(key, bytes, mode))
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.call(|_| self.inner.delete(key))
    }

    fn list(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(Key, u64) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        // Whoever lists may be shown a key twice, and must not be left without one.
        let mut flow = ControlFlow::Continue(());
        self.call(|_| {
            if flow.is_break() {
                return Ok(());
            }
            self.inner.list(prefix, &mut |key, size| {
                flow = visit(key, size);
                flow
            })
        })
    }

    fn put_locked(
        &self,
        key: &Key,
        bytes: &[u8],
        mode: PutMode,
        retention: Retention,
    ) -> Result<(), StoreError> {
        self.put_with(key, bytes, || {
            self.inner.put_locked(key, bytes, mode, retention)
        })
    }

    fn lock_until(&self, key: &Key, until: Time, mode: LockMode) -> Result<(), StoreError> {
        self.call(|_| self.inner.lock_until(key, until, mode))
    }

    fn retention(&self, key: &Key) -> Result<Option<Retention>, StoreError> {
        self.call(|_| self.inner.retention(key))
    }

    fn set_legal_hold(&self, key: &Key, held: bool) -> Result<(), StoreError> {
        self.call(|_| self.inner.set_legal_hold(key, held))
    }

    fn legal_hold(&self, key: &Key) -> Result<bool, StoreError> {
        self.call(|_| self.inner.legal_hold(key))
    }

    fn erase(&self, key: &Key) -> Result<Erased, StoreError> {
        self.call(|_| self.inner.erase(key))
    }
}
