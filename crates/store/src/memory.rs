//! A store that lives and dies with the process.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::growing::Collected;
use crate::{Capabilities, Growing, Key, ObjectMeta, PutMode, Store, StoreError, exact_range};

/// Objects in memory. Durable only as long as the process lives.
#[derive(Debug, Default)]
pub struct MemoryStore {
    objects: RwLock<BTreeMap<Key, Arc<[u8]>>>,
}

const NAME: &str = "memory";

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<Key, Arc<[u8]>>> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<Key, Arc<[u8]>>> {
        self.objects.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn object(&self, key: &Key) -> Result<Arc<[u8]>, StoreError> {
        self.read().get(key).cloned().ok_or_else(|| missing(key))
    }
}

impl Store for MemoryStore {
    fn describe(&self) -> String {
        NAME.to_owned()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            put_if_absent: true,
            atomic_put: true,
            list_consistent: true,
            durable: false,
            retention_lock: false,
            versions: false,
            other_prefixes: true,
            broken_conditions: false,
        }
    }

    fn get(&self, key: &Key) -> Result<Vec<u8>, StoreError> {
        Ok(self.object(key)?.to_vec())
    }

    fn get_range(&self, key: &Key, offset: u64, len: u64) -> Result<Vec<u8>, StoreError> {
        exact_range(&self.object(key)?, offset, len, |got| {
            StoreError::ShortRead {
                key: key.to_string(),
                store: NAME.to_owned(),
                offset,
                wanted: len,
                got,
            }
        })
    }

    fn head(&self, key: &Key) -> Result<ObjectMeta, StoreError> {
        Ok(ObjectMeta {
            size: self.object(key)?.len() as u64,
            modified: None,
        })
    }

    fn put(&self, key: &Key, bytes: &[u8], mode: PutMode) -> Result<(), StoreError> {
        let mut objects = self.write();
        if mode == PutMode::IfAbsent && objects.contains_key(key) {
            let (key, store) = (key.to_string(), NAME.to_owned());
            return Err(StoreError::AlreadyExists { key, store });
        }
        objects.insert(key.clone(), bytes.into());
        Ok(())
    }

    fn grows(&self) -> bool {
        true
    }

    fn begin(self: Arc<Self>, _beside: &Key) -> Result<Box<dyn Growing>, StoreError> {
        Ok(Collected::begin(self))
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.write().remove(key);
        Ok(())
    }

    fn list(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(Key, u64) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        // Collected first: the visitor may call the store.
        let found: Vec<(Key, u64)> = self
            .read()
            .iter()
            .filter(|(key, _)| key.as_str().starts_with(prefix))
            .map(|(key, object)| (key.clone(), object.len() as u64))
            .collect();
        let _ = found
            .into_iter()
            .try_for_each(|(key, size)| visit(key, size));
        Ok(())
    }
}

fn missing(key: &Key) -> StoreError {
    StoreError::NotFound {
        key: key.to_string(),
        store: NAME.to_owned(),
    }
}
