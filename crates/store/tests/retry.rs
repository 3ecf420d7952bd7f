//! What fails for a passing reason is done again; what fails for good is not.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use vouchsafe_host::{Clock, ManualClock, SeededRandom};
use vouchsafe_model::Time;
use vouchsafe_store::conformance::check;
use vouchsafe_store::{
    Capabilities, Key, MemoryStore, ObjectMeta, PutMode, Retrying, Store, StoreError,
};

/// Fails every call so many times before it does anything, or after it did it.
struct Flaky {
    truth: MemoryStore,
    failures: u32,
    after: bool,
    retryable: bool,
    calls: AtomicU32,
}

impl Flaky {
    fn new(failures: u32, after: bool, retryable: bool) -> Self {
        Self {
            truth: MemoryStore::new(),
            failures,
            after,
            retryable,
            calls: AtomicU32::new(0),
        }
    }

    fn call<T>(&self, call: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        let fails = self.calls.fetch_add(1, Ordering::SeqCst) % (self.failures + 1) < self.failures;
        let done = if fails && !self.after {
            None
        } else {
            Some(call())
        };
        match done {
            Some(done) if !fails => done,
            _ => Err(StoreError::Unavailable {
                key: "data/x".into(),
                store: self.truth.describe(),
                reason: "busy".into(),
                retryable: self.retryable,
            }),
        }
    }
}

impl Store for Flaky {
    fn describe(&self) -> String {
        self.truth.describe()
    }
    fn capabilities(&self) -> Capabilities {
        self.truth.capabilities()
    }
    fn get(&self, key: &Key) -> Result<Vec<u8>, StoreError> {
        self.call(|| self.truth.get(key))
    }
    fn get_range(&self, key: &Key, offset: u64, len: u64) -> Result<Vec<u8>, StoreError> {
        self.call(|| self.truth.get_range(key, offset, len))
    }
    fn head(&self, key: &Key) -> Result<ObjectMeta, StoreError> {
        self.call(|| self.truth.head(key))
    }
    fn put(&self, key: &Key, bytes: &[u8], mode: PutMode) -> Result<(), StoreError> {
        self.call(|| self.truth.put(key, bytes, mode))
    }
    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.call(|| self.truth.delete(key))
    }
    fn list(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(Key, u64) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.call(|| self.truth.list(prefix, visit))
    }
}

fn retrying(store: Flaky) -> (Arc<ManualClock>, Retrying) {
    let clock = Arc::new(ManualClock::new(Time::from_secs(0)));
    let random = Arc::new(SeededRandom::new(7));
    (
        Arc::clone(&clock),
        Retrying::new(Arc::new(store), clock, random),
    )
}

#[test]
fn a_store_that_fails_now_and_then_conforms_when_calls_are_repeated() {
    let broken = check(&mut || Arc::new(retrying(Flaky::new(2, false, true)).1));
    let rules: Vec<&str> = broken.iter().map(|v| v.rule).collect();
    // Here every first attempt fails, so equal bytes are always taken for one's own: those two rules put them twice.
    assert_eq!(
        rules,
        ["a taken key is left alone", "errors name key and store"],
        "{broken:#?}"
    );
    let alone = check(&mut || Arc::new(Flaky::new(2, false, true)));
    assert!(!alone.is_empty());
}

#[test]
fn a_put_that_took_effect_unseen_is_not_taken_for_another_ones() {
    let (_, store) = retrying(Flaky::new(1, true, true));
    let key = Key::new("data/x").expect("a key");
    store
        .put(&key, b"mine", PutMode::IfAbsent)
        .expect("its own object is found");
    // Bytes of somebody else are not.
    let other = store.put(&key, b"others", PutMode::IfAbsent);
    assert!(
        matches!(other, Err(StoreError::AlreadyExists { .. })),
        "{other:?}"
    );
    assert_eq!(store.get(&key).expect("gets"), b"mine");
}

#[test]
fn repeating_ends_with_the_budget_and_waits_longer_each_time() {
    let (clock, store) = retrying(Flaky::new(u32::MAX - 1, false, true));
    let key = Key::new("data/x").expect("a key");
    assert!(store.get(&key).is_err_and(|e| e.is_transient()));
    let took = clock.monotonic();
    assert!(
        took > Duration::from_secs(120) && took < Duration::from_secs(300),
        "{took:?}"
    );
}

#[test]
fn what_fails_for_good_is_tried_once() {
    let (clock, store) = retrying(Flaky::new(1, false, false));
    let key = Key::new("data/x").expect("a key");
    assert!(store.get(&key).is_err());
    assert_eq!(clock.monotonic(), Duration::ZERO);
}
