//! Objects that grow in memory, for stores that are in memory themselves.

use std::sync::Arc;

use crate::{Growing, Key, PutMode, Store, StoreError};

/// Collects the bytes and puts them at the end.
pub(crate) struct Collected<S> {
    store: Arc<S>,
    bytes: Vec<u8>,
}

impl<S: Store + 'static> Collected<S> {
    /// To be put into `store`.
    pub(crate) fn begin(store: Arc<S>) -> Box<dyn Growing> {
        let bytes = Vec::new();
        Box::new(Self { store, bytes })
    }
}

impl<S: Store> Growing for Collected<S> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn put(&mut self, key: &Key, mode: PutMode) -> Result<(), StoreError> {
        self.store.put(key, &self.bytes, mode)
    }
}
