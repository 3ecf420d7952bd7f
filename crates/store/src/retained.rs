//! A store whose objects are locked as they are put.

use std::ops::ControlFlow;
use std::sync::Arc;

use vouchsafe_host::Clock;
use vouchsafe_model::Time;
use vouchsafe_model::policy::Length;

use crate::{
    Capabilities, Erased, Key, LockMode, ObjectMeta, PutMode, Retention, Store, StoreError,
};

/// Locks every object from its first moment on, for a length of time from now; but for those that must be
/// deleted soon.
pub struct Retained {
    inner: Arc<dyn Store>,
    length: Length,
    mode: LockMode,
    clock: Arc<dyn Clock>,
}

/// What is removed or replaced as a matter of course: locks that say who is at work, what was written to try the
/// store, and what each prune writes to compare the clocks.
const PASSING: [&str; 3] = ["repo/locks/", "probe/", "policy/clock"];

impl Retained {
    /// Locks what is put into `inner` for `length`.
    pub fn new(
        inner: Arc<dyn Store>,
        length: Length,
        mode: LockMode,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            inner,
            length,
            mode,
            clock,
        }
    }

    /// Whether objects of this key are locked.
    pub fn locks(key: &Key) -> bool {
        !PASSING
            .iter()
            .any(|prefix| key.as_str().starts_with(prefix))
    }
}

impl Store for Retained {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn get(&self, key: &Key) -> Result<Vec<u8>, StoreError> {
        self.inner.get(key)
    }

    fn get_into(&self, key: &Key, most: u64, into: &mut Vec<u8>) -> Result<(), StoreError> {
        self.inner.get_into(key, most, into)
    }

    fn get_range(&self, key: &Key, offset: u64, len: u64) -> Result<Vec<u8>, StoreError> {
        self.inner.get_range(key, offset, len)
    }

    fn head(&self, key: &Key) -> Result<ObjectMeta, StoreError> {
        self.inner.head(key)
    }

    fn put(&self, key: &Key, bytes: &[u8], mode: PutMode) -> Result<(), StoreError> {
        if !Self::locks(key) {
            return self.inner.put(key, bytes, mode);
        }
        let until = self.length.after(self.clock.now());
        self.inner.put_locked(
            key,
            bytes,
            mode,
            Retention {
                until,
                mode: self.mode,
            },
        )
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.inner.delete(key)
    }

    fn list(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(Key, u64) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.inner.list(prefix, visit)
    }

    fn put_locked(
        &self,
        key: &Key,
        bytes: &[u8],
        mode: PutMode,
        retention: Retention,
    ) -> Result<(), StoreError> {
        self.inner.put_locked(key, bytes, mode, retention)
    }

    fn lock_until(&self, key: &Key, until: Time, mode: LockMode) -> Result<(), StoreError> {
        self.inner.lock_until(key, until, mode)
    }

    fn retention(&self, key: &Key) -> Result<Option<Retention>, StoreError> {
        self.inner.retention(key)
    }

    fn set_legal_hold(&self, key: &Key, held: bool) -> Result<(), StoreError> {
        self.inner.set_legal_hold(key, held)
    }

    fn legal_hold(&self, key: &Key) -> Result<bool, StoreError> {
        self.inner.legal_hold(key)
    }

    fn erase(&self, key: &Key) -> Result<Erased, StoreError> {
        self.inner.erase(key)
    }
}
