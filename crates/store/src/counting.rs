//! A store that counts what is asked of it.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Capabilities, Growing, Key, ObjectMeta, PutMode, Store, StoreError};

/// Passes everything on and counts calls and bytes, failed calls included.
pub struct CountingStore {
    inner: Arc<dyn Store>,
    counters: Counters,
}

/// What was asked of a store so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Calls of `get`.
    pub gets: u64,
    /// Calls of `get_range`.
    pub ranges: u64,
    /// Calls of `head`.
    pub heads: u64,
    /// Calls of `put`.
    pub puts: u64,
    /// Calls of `delete`.
    pub deletes: u64,
    /// Calls of `list`.
    pub lists: u64,
    /// Bytes given by `get` and `get_range`.
    pub bytes_read: u64,
    /// Bytes of successful puts.
    pub bytes_written: u64,
}

#[derive(Debug, Default)]
struct Counters {
    gets: AtomicU64,
    ranges: AtomicU64,
    heads: AtomicU64,
    puts: AtomicU64,
    deletes: AtomicU64,
    lists: AtomicU64,
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
}

impl CountingStore {
    /// Counts from zero.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            counters: Counters::default(),
        }
    }

    /// The counts so far.
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        Counts {
            gets: read(&counters.gets),
            ranges: read(&counters.ranges),
            heads: read(&counters.heads),
            puts: read(&counters.puts),
            deletes: read(&counters.deletes),
            lists: read(&counters.lists),
            bytes_read: read(&counters.bytes_read),
            bytes_written: read(&counters.bytes_written),
        }
    }

    fn count(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }
}

impl Store for CountingStore {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn get(&self, key: &Key) -> Result<Vec<u8>, StoreError> {
        Self::count(&self.counters.gets, 1);
        let bytes = self.inner.get(key)?;
        Self::count(&self.counters.bytes_read, bytes.len() as u64);
        Ok(bytes)
    }

    fn get_into(&self, key: &Key, most: u64, into: &mut Vec<u8>) -> Result<(), StoreError> {
        Self::count(&self.counters.gets, 1);
        self.inner.get_into(key, most, into)?;
        Self::count(&self.counters.bytes_read, into.len() as u64);
        Ok(())
    }

    fn get_range(&self, key: &Key, offset: u64, len: u64) -> Result<Vec<u8>, StoreError> {
        Self::count(&self.counters.ranges, 1);
        let bytes = self.inner.get_range(key, offset, len)?;
        Self::count(&self.counters.bytes_read, bytes.len() as u64);
        Ok(bytes)
    }

    fn head(&self, key: &Key) -> Result<ObjectMeta, StoreError> {
        Self::count(&self.counters.heads, 1);
        self.inner.head(key)
    }

    fn put(&self, key: &Key, bytes: &[u8], mode: PutMode) -> Result<(), StoreError> {
        Self::count(&self.counters.puts, 1);
        self.inner.put(key, bytes, mode)?;
        Self::count(&self.counters.bytes_written, bytes.len() as u64);
        Ok(())
    }

    fn grows(&self) -> bool {
        self.inner.grows()
    }

    fn begin(self: Arc<Self>, beside: &Key) -> Result<Box<dyn Growing>, StoreError> {
        let object = Arc::clone(&self.inner).begin(beside)?;
        Ok(Box::new(Counted {
            object,
            written: 0,
            store: self,
        }))
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        Self::count(&self.counters.deletes, 1);
        self.inner.delete(key)
    }

    fn list(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(Key, u64) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        Self::count(&self.counters.lists, 1);
        self.inner.list(prefix, visit)
    }
}

/// An object whose bytes count when it is put.
struct Counted {
    object: Box<dyn Growing>,
    written: u64,
    store: Arc<CountingStore>,
}

impl Growing for Counted {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.written += bytes.len() as u64;
        self.object.write(bytes)
    }

    fn put(&mut self, key: &Key, mode: PutMode) -> Result<(), StoreError> {
        let counters = &self.store.counters;
        CountingStore::count(&counters.puts, 1);
        self.object.put(key, mode)?;
        CountingStore::count(&counters.bytes_written, self.written);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryStore;

    #[test]
    fn calls_and_bytes_are_counted_and_failures_move_no_bytes() {
        let store = CountingStore::new(Arc::new(MemoryStore::new()));
        let key = Key::new("a").expect("a key");
        store.put(&key, b"12345", PutMode::IfAbsent).expect("puts");
        assert!(store.put(&key, b"12345", PutMode::IfAbsent).is_err());
        store.get(&key).expect("gets");
        store.get_range(&key, 1, 2).expect("gets a range");
        assert!(store.get_range(&key, 4, 2).is_err());
        store.head(&key).expect("looks");
        store.delete(&key).expect("deletes");
        store
            .list("", &mut |_, _| ControlFlow::Continue(()))
            .expect("lists");
        let expected = Counts {
            gets: 1,
            ranges: 2,
            heads: 1,
            puts: 2,
            deletes: 1,
            lists: 1,
            bytes_read: 7,
            bytes_written: 5,
        };
        assert_eq!(store.counts(), expected);
    }
}
