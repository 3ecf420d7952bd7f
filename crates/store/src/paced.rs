//! How much a store is used: so many calls at a time as pay, and so many bytes a second as are allowed.

mod connections;
mod rate;

use std::ops::ControlFlow;
use std::sync::Arc;

use vouchsafe_host::Clock;
use vouchsafe_model::{Limits, Time};

use connections::Connections;
use rate::Rate;

use crate::{
    Capabilities, Erased, Key, LockMode, ObjectMeta, PutMode, Retention, Store, StoreError,
};

/// Bounds the calls to a store that are under way at the same time, and the bytes that go each way.
///
/// The number of calls grows while more of them move more bytes, and shrinks when the store fails or more of them
/// bring nothing. Callers beyond it wait. Rates hold over any few seconds, not within one: an object is sent as
/// fast as it goes, and the next one waits.
pub struct Paced {
    inner: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    connections: Connections,
    upload: Option<Rate>,
    download: Option<Rate>,
}

impl Paced {
    /// Uses `inner` within `limits`.
    pub fn new(inner: Arc<dyn Store>, limits: Limits, clock: Arc<dyn Clock>) -> Self {
        Self {
            inner,
            connections: Connections::new(limits.connections),
            upload: limits.upload.map(Rate::new),
            download: limits.download.map(Rate::new),
            clock,
        }
    }

    /// How many calls at a time are allowed at present.
    pub fn connections(&self) -> u32 {
        self.connections.allowed()
    }

    fn moving<T>(
        &self,
        rate: Option<&Rate>,
        bytes: impl FnOnce(&T) -> u64,
        call: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if let Some(rate) = rate {
            rate.wait(self.clock.as_ref());
        }
        let turn = self.connections.take_turn(self.clock.as_ref());
        let done = call();
        let moved = done.as_ref().map(bytes).ok();
        turn.ends(self.clock.monotonic(), moved);
        if let (Some(rate), Some(moved)) = (rate, moved) {
            rate.spend(moved, self.clock.monotonic());
        }
        done
    }

    fn small<T>(&self, call: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.moving(None, |_| 0, call)
    }
}

impl Store for Paced {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn get(&self, key: &Key) -> Result<Vec<u8>, StoreError> {
        let down = self.download.as_ref();
        self.moving(
            down,
            |got: &Vec<u8>| got.len() as u64,
            || self.inner.get(key),
        )
    }

    fn get_into(&self, key: &Key, most: u64, into: &mut Vec<u8>) -> Result<(), StoreError> {
        let down = self.download.as_ref();
        let got = || {
            self.inner.get_into(key, most, into)?;
            Ok(into.len() as u64)
        };
        self.moving(down, |length: &u64| *length, got).map(drop)
    }

    fn get_range(&self, key: &Key, offset: u64, len: u64) -> Result<Vec<u8>, StoreError> {
        let down = self.download.as_ref();
        self.moving(down, |_| len, || self.inner.get_range(key, offset, len))
    }

    fn head(&self, key: &Key) -> Result<ObjectMeta, StoreError> {
        self.small(|| self.inner.head(key))
    }

    fn put(&self, key: &Key, bytes: &[u8], mode: PutMode) -> Result<(), StoreError> {
        let (up, len) = (self.upload.as_ref(), bytes.len() as u64);
        self.moving(up, |()| len, || self.inner.put(key, bytes, mode))
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.small(|| self.inner.delete(key))
    }

    fn list(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(Key, u64) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        // No turn is taken: the visitor may call the store, and would wait for itself.
        self.inner.list(prefix, visit)
    }

    fn put_locked(
        &self,
        key: &Key,
        bytes: &[u8],
        mode: PutMode,
        retention: Retention,
    ) -> Result<(), StoreError> {
        let (up, len) = (self.upload.as_ref(), bytes.len() as u64);
        self.moving(
            up,
            |()| len,
            || self.inner.put_locked(key, bytes, mode, retention),
        )
    }

    fn lock_until(&self, key: &Key, until: Time, mode: LockMode) -> Result<(), StoreError> {
        self.small(|| self.inner.lock_until(key, until, mode))
    }

    fn retention(&self, key: &Key) -> Result<Option<Retention>, StoreError> {
        self.small(|| self.inner.retention(key))
    }

    fn set_legal_hold(&self, key: &Key, held: bool) -> Result<(), StoreError> {
        self.small(|| self.inner.set_legal_hold(key, held))
    }

    fn legal_hold(&self, key: &Key) -> Result<bool, StoreError> {
        self.small(|| self.inner.legal_hold(key))
    }

    fn erase(&self, key: &Key) -> Result<Erased, StoreError> {
        self.small(|| self.inner.erase(key))
    }
}
