//! One part of a store, seen as a store of its own.

use std::ops::ControlFlow;
use std::sync::Arc;

use vouchsafe_model::Time;

use crate::{
    Capabilities, Erased, Growing, Key, LockMode, ObjectMeta, PutMode, Retention, Store, StoreError,
};

/// All objects of a store below one key, such as a vault's `repo` or `ledger`.
#[derive(Clone)]
pub struct Prefixed {
    inner: Arc<dyn Store>,
    parent: Key,
}

impl Prefixed {
    /// The part of `inner` below `parent`.
    pub fn new(inner: Arc<dyn Store>, parent: Key) -> Self {
        Self { inner, parent }
    }

    fn on<T>(
        &self,
        key: &Key,
        call: impl FnOnce(&Key) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self.parent.join(key.as_str()) {
            Ok(full) => call(&full).map_err(|e| e.seen_as(key.as_str(), self.describe())),
            // Only the length can be wrong: both parts are keys.
            Err(error) => Err(StoreError::Unavailable {
                key: key.to_string(),
                store: self.describe(),
                reason: error.to_string(),
                retryable: false,
            }),
        }
    }
}

impl Store for Prefixed {
    fn describe(&self) -> String {
        format!(
            "{}/{}",
            self.inner.describe().trim_end_matches('/'),
            self.parent
        )
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn get(&self, key: &Key) -> Result<Vec<u8>, StoreError> {
        self.on(key, |full| self.inner.get(full))
    }

    fn get_into(&self, key: &Key, most: u64, into: &mut Vec<u8>) -> Result<(), StoreError> {
        self.on(key, |full| self.inner.get_into(full, most, into))
    }

    fn get_range(&self, key: &Key, offset: u64, len: u64) -> Result<Vec<u8>, StoreError> {
        self.on(key, |full| self.inner.get_range(full, offset, len))
    }

    fn head(&self, key: &Key) -> Result<ObjectMeta, StoreError> {
        self.on(key, |full| self.inner.head(full))
    }

    fn put(&self, key: &Key, bytes: &[u8], mode: PutMode) -> Result<(), StoreError> {
        self.on(key, |full| self.inner.put(full, bytes, mode))
    }

    fn grows(&self) -> bool {
        self.inner.grows()
    }

    fn begin(self: Arc<Self>, beside: &Key) -> Result<Box<dyn Growing>, StoreError> {
        let object = self.on(beside, |full| Arc::clone(&self.inner).begin(full))?;
        Ok(Box::new(Below {
            object,
            beside: beside.clone(),
            place: self,
        }))
    }

    fn remove_leftovers(&self, before: Time) -> Result<u64, StoreError> {
        self.inner
            .remove_leftovers(before)
            .map_err(|e| e.seen_as("", self.describe()))
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.on(key, |full| self.inner.delete(full))
    }

    fn list(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(Key, u64) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let full = format!("{}/{prefix}", self.parent);
        let listed = self
            .inner
            .list(&full, &mut |key, size| match key.below(&self.parent) {
                Some(below) => visit(below, size),
                None => ControlFlow::Continue(()),
            });
        listed.map_err(|e| e.seen_as(prefix, self.describe()))
    }

    fn put_locked(
        &self,
        key: &Key,
        bytes: &[u8],
        mode: PutMode,
        retention: Retention,
    ) -> Result<(), StoreError> {
        self.on(key, |full| {
            self.inner.put_locked(full, bytes, mode, retention)
        })
    }

    fn lock_until(&self, key: &Key, until: Time, mode: LockMode) -> Result<(), StoreError> {
        self.on(key, |full| self.inner.lock_until(full, until, mode))
    }

    fn retention(&self, key: &Key) -> Result<Option<Retention>, StoreError> {
        self.on(key, |full| self.inner.retention(full))
    }

    fn set_legal_hold(&self, key: &Key, held: bool) -> Result<(), StoreError> {
        self.on(key, |full| self.inner.set_legal_hold(full, held))
    }

    fn legal_hold(&self, key: &Key) -> Result<bool, StoreError> {
        self.on(key, |full| self.inner.legal_hold(full))
    }

    fn erase(&self, key: &Key) -> Result<Erased, StoreError> {
        self.on(key, |full| self.inner.erase(full))
    }
}
/// An object that grows in a part of a store.
struct Below {
    object: Box<dyn Growing>,
    /// What errors name as long as the object has no key.
    beside: Key,
    place: Arc<Prefixed>,
}

impl Growing for Below {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let described = |e: StoreError| e.seen_as(self.beside.as_str(), self.place.describe());
        self.object.write(bytes).map_err(described)
    }

    fn put(&mut self, key: &Key, mode: PutMode) -> Result<(), StoreError> {
        let object = &mut self.object;
        self.place.on(key, |full| object.put(full, mode))
    }
}
