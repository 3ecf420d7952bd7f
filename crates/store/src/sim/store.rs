//! One store of a simulated world.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use vouchsafe_host::Clock;
use vouchsafe_model::Time;

use super::{Shared, SimConfig, SimWorld, TraceEvent};
use crate::growing::Collected;
use crate::overlay::{Damage, apply};
use crate::{Capabilities, Growing, Key, ObjectMeta, PutMode, Store, StoreError, exact_range};

/// A store that lives in memory and misbehaves as its world's seed decides.
///
/// Whatever happens, an acknowledged put is durable until it is replaced or deleted, and `get` sees
/// it at once. Listings may be late within the bound of [`SimConfig::stale_list`].
pub struct SimStore {
    name: String,
    shared: Arc<Shared>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<Key, Object>,
    /// For listings of the past: the latest changes, oldest first, each with the size before it and its time.
    changes: VecDeque<(Key, Option<u64>, Duration)>,
    flights: BTreeMap<u64, Pending>,
    next_flight: u64,
}

#[derive(Clone)]
struct Object {
    bytes: Arc<[u8]>,
    modified: Time,
}

struct Pending {
    key: Key,
    bytes: Arc<[u8]>,
    mode: PutMode,
}

/// A put that was begun and is not acknowledged. Finish it with [`SimStore::finish_put`].
#[derive(Debug)]
#[must_use = "a put that is never finished is lost at the next crash"]
pub struct Flight {
    number: u64,
}

impl SimStore {
    /// A store in a world of its own.
    pub fn new(seed: u64, config: SimConfig) -> Arc<Self> {
        SimWorld::new(seed, config).store("sim")
    }

    pub(super) fn in_world(name: &str, shared: Arc<Shared>) -> Self {
        Self {
            name: name.to_owned(),
            shared,
            state: Mutex::default(),
        }
    }

    /// Hands an object to the store without waiting for the answer, so that a driver can have
    /// several under way when a crash comes.
    pub fn begin_put(&self, key: &Key, bytes: &[u8], mode: PutMode) -> Result<Flight, StoreError> {
        self.shared.pass_time();
        self.require_up("put", key.as_str())?;
        let mut state = self.state();
        let number = state.next_flight;
        state.next_flight += 1;
        state.flights.insert(
            number,
            Pending {
                key: key.clone(),
                bytes: bytes.into(),
                mode,
            },
        );
        Ok(Flight { number })
    }

    /// Waits for the answer to a put.
    pub fn finish_put(&self, flight: Flight) -> Result<(), StoreError> {
        let pending = self.state().flights.remove(&flight.number);
        let Some(pending) = pending else {
            return Err(self.down("put", ""));
        };
        let key = pending.key.clone();
        self.require_up("put", key.as_str())?;
        if self.shared.step() {
            self.crash_put(pending);
            return Err(self.unavailable(key.as_str()));
        }
        if self.shared.happens(self.shared.config.transient) {
            self.record("put", key.as_str(), "refused");
            return Err(self.unavailable(key.as_str()));
        }
        let ambiguous = self.shared.happens(self.shared.config.ambiguous);
        let stored = self.store(&pending.key, pending.bytes, pending.mode);
        if !stored {
            self.record("put", key.as_str(), "exists");
            let (key, store) = (key.to_string(), self.name.clone());
            return Err(StoreError::AlreadyExists { key, store });
        }
        if ambiguous {
            self.record("put", key.as_str(), "stored, answered with an error");
            return Err(self.unavailable(key.as_str()));
        }
        self.record("put", key.as_str(), "stored");
        Ok(())
    }

    /// What is really there, without faults and without being recorded: for checking invariants.
    pub fn contents(&self) -> BTreeMap<Key, Vec<u8>> {
        let state = self.state();
        state
            .objects
            .iter()
            .map(|(key, object)| (key.clone(), object.bytes.to_vec()))
            .collect()
    }

    /// Lets an object rot. Says whether it was there and is different now.
    pub fn damage(&self, key: &Key, damage: Damage) -> bool {
        let mut state = self.state();
        let Some(object) = state.objects.get_mut(key) else {
            return false;
        };
        match apply(&object.bytes, damage) {
            Some(after) if after == *object.bytes => false,
            Some(after) => {
                object.bytes = after.into();
                true
            }
            None => state.objects.remove(key).is_some(),
        }
    }

    /// Crashes the world of a store that is alone in it; see [`SimWorld::crash`].
    pub fn crash(&self) {
        self.drop_flights();
        let mut fate = self.shared.fate();
        fate.down = true;
        fate.steps_left = None;
    }

    /// Makes the world answer again after a crash.
    pub fn restart(&self) {
        self.shared.fate().down = false;
    }

    /// Everything that happened in this store's world.
    pub fn trace(&self) -> Vec<TraceEvent> {
        self.shared.fate().trace.clone()
    }

    pub(super) fn drop_flights(&self) {
        let flights = std::mem::take(&mut self.state().flights);
        for pending in flights.into_values() {
            self.crash_put(pending);
        }
    }

    /// What a crash leaves of a put that was not acknowledged.
    fn crash_put(&self, pending: Pending) {
        let Pending { key, bytes, mode } = pending;
        let torn = self.shared.happens(self.shared.config.torn);
        let decision = if torn && bytes.len() > 1 {
            let keep = 1 + self.shared.below(bytes.len() as u64 - 1);
            let keep = usize::try_from(keep).unwrap_or(0);
            let part = bytes.get(..keep).unwrap_or_default().into();
            if self.store(&key, part, mode) {
                "torn by the crash"
            } else {
                "lost in the crash"
            }
        } else if self.shared.below(2) == 0 {
            "lost in the crash"
        } else if self.store(&key, bytes, mode) {
            "stored before the crash"
        } else {
            "lost in the crash"
        };
        self.record("put", key.as_str(), decision);
    }

    fn store(&self, key: &Key, bytes: Arc<[u8]>, mode: PutMode) -> bool {
        let modified = self.shared.clock.now();
        let mut state = self.state();
        let before = state
            .objects
            .get(key)
            .map(|object| object.bytes.len() as u64);
        if mode == PutMode::IfAbsent && before.is_some() {
            return false;
        }
        state
            .objects
            .insert(key.clone(), Object { bytes, modified });
        self.remember(&mut state, key, before);
        true
    }

    fn remove(&self, key: &Key) {
        let mut state = self.state();
        if let Some(object) = state.objects.remove(key) {
            let before = Some(object.bytes.len() as u64);
            self.remember(&mut state, key, before);
        }
    }

    fn remember(&self, state: &mut State, key: &Key, before: Option<u64>) {
        let now = self.shared.clock.monotonic();
        state.changes.push_back((key.clone(), before, now));
        while state.changes.len() as u64 > self.shared.config.stale_list {
            state.changes.pop_front();
        }
    }

    fn read(&self, operation: &'static str, key: &Key) -> Result<Object, StoreError> {
        self.shared.pass_time();
        self.require_up(operation, key.as_str())?;
        if self.shared.happens(self.shared.config.transient) {
            self.record(operation, key.as_str(), "refused");
            return Err(self.unavailable(key.as_str()));
        }
        let found = self.state().objects.get(key).cloned();
        self.record(
            operation,
            key.as_str(),
            if found.is_some() {
                "found"
            } else {
                "not found"
            },
        );
        let (key, store) = (key.to_string(), self.name.clone());
        found.ok_or(StoreError::NotFound { key, store })
    }

    /// Keys and sizes as a listing sees them, perhaps some changes late.
    fn sizes_as_listed(&self) -> (BTreeMap<Key, u64>, &'static str) {
        let state = self.state();
        let lag = self
            .shared
            .below(self.shared.config.stale_list.saturating_add(1));
        let size = |(key, object): (&Key, &Object)| (key.clone(), object.bytes.len() as u64);
        let mut sizes: BTreeMap<Key, u64> = state.objects.iter().map(size).collect();
        let lag = usize::try_from(lag).unwrap_or(usize::MAX);
        let now = self.shared.clock.monotonic();
        let hidden = |at: Duration| now.saturating_sub(at) < self.shared.config.stale_for;
        let latest = state.changes.iter().rev().take(lag);
        for (key, before, _) in latest.take_while(|(_, _, at)| hidden(*at)) {
            match before {
                Some(size) => sizes.insert(key.clone(), *size),
                None => sizes.remove(key),
            };
        }
        (sizes, if lag == 0 { "listed" } else { "listed late" })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn require_up(&self, operation: &'static str, key: &str) -> Result<(), StoreError> {
        let down = self.shared.fate().down;
        if down {
            Err(self.down(operation, key))
        } else {
            Ok(())
        }
    }

    fn down(&self, operation: &'static str, key: &str) -> StoreError {
        self.record(operation, key, "down");
        StoreError::Unavailable {
            key: key.to_owned(),
            store: self.name.clone(),
            reason: "the simulated world has crashed".to_owned(),
            retryable: false,
        }
    }

    fn unavailable(&self, key: &str) -> StoreError {
        let retryable = !self.shared.fate().down;
        StoreError::Unavailable {
            key: key.to_owned(),
            store: self.name.clone(),
            reason: "a simulated failure".to_owned(),
            retryable,
        }
    }

    fn record(&self, operation: &'static str, key: &str, decision: &'static str) {
        let at = self.shared.clock.now().micros();
        let (store, key) = (self.name.clone(), key.to_owned());
        self.shared.record(TraceEvent {
            store,
            operation,
            key,
            decision,
            at,
        });
    }
}

impl Store for SimStore {
    fn describe(&self) -> String {
        self.name.clone()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            put_if_absent: true,
            atomic_put: self.shared.config.torn == 0,
            list_consistent: self.shared.config.stale_list == 0,
            durable: true,
            retention_lock: false,
            versions: false,
            other_prefixes: true,
            broken_conditions: false,
        }
    }

    fn get(&self, key: &Key) -> Result<Vec<u8>, StoreError> {
        Ok(self.read("get", key)?.bytes.to_vec())
    }

    fn get_range(&self, key: &Key, offset: u64, len: u64) -> Result<Vec<u8>, StoreError> {
        exact_range(&self.read("get_range", key)?.bytes, offset, len, |got| {
            StoreError::ShortRead {
                key: key.to_string(),
                store: self.name.clone(),
                offset,
                wanted: len,
                got,
            }
        })
    }

    fn head(&self, key: &Key) -> Result<ObjectMeta, StoreError> {
        let object = self.read("head", key)?;
        Ok(ObjectMeta {
            size: object.bytes.len() as u64,
            modified: Some(object.modified),
        })
    }

    fn put(&self, key: &Key, bytes: &[u8], mode: PutMode) -> Result<(), StoreError> {
        let flight = self.begin_put(key, bytes, mode)?;
        self.finish_put(flight)
    }

    fn grows(&self) -> bool {
        true
    }

    fn begin(self: Arc<Self>, _beside: &Key) -> Result<Box<dyn Growing>, StoreError> {
        Ok(Collected::begin(self))
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.shared.pass_time();
        self.require_up("delete", key.as_str())?;
        if self.shared.step() {
            let decision = if self.shared.below(2) == 0 {
                "lost in the crash"
            } else {
                self.remove(key);
                "deleted before the crash"
            };
            self.record("delete", key.as_str(), decision);
            return Err(self.unavailable(key.as_str()));
        }
        if self.shared.happens(self.shared.config.transient) {
            self.record("delete", key.as_str(), "refused");
            return Err(self.unavailable(key.as_str()));
        }
        self.remove(key);
        if self.shared.happens(self.shared.config.ambiguous) {
            self.record("delete", key.as_str(), "deleted, answered with an error");
            return Err(self.unavailable(key.as_str()));
        }
        self.record("delete", key.as_str(), "deleted");
        Ok(())
    }

    fn list(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(Key, u64) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.shared.pass_time();
        self.require_up("list", prefix)?;
        if self.shared.happens(self.shared.config.transient) {
            self.record("list", prefix, "refused");
            return Err(self.unavailable(prefix));
        }
        let (sizes, decision) = self.sizes_as_listed();
        self.record("list", prefix, decision);
        for (key, size) in sizes {
            if !key.as_str().starts_with(prefix) {
                continue;
            }
            if self.shared.happens(self.shared.config.duplicate)
                && visit(key.clone(), size).is_break()
            {
                return Ok(());
            }
            if visit(key, size).is_break() {
                return Ok(());
            }
        }
        Ok(())
    }
}
