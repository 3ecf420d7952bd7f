//! What was fetched lately: bounded by its weight, and fetched once only however many ask at the same time.

use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use hashlink::LruCache;

type Cell<V> = Arc<OnceLock<Option<Arc<V>>>>;

/// Values by key, the least recently used ones forgotten when all together weigh more than the limit.
pub(crate) struct Cache<K, V> {
    inner: Mutex<Inner<K, V>>,
    limit: u64,
}

struct Inner<K, V> {
    cells: LruCache<K, (Cell<V>, u64)>,
    weight: u64,
}

impl<K: Hash + Eq + Copy, V> Cache<K, V> {
    pub(crate) fn new(limit: u64) -> Cache<K, V> {
        Cache {
            inner: Mutex::new(Inner {
                cells: LruCache::new_unbounded(),
                weight: 0,
            }),
            limit,
        }
    }

    /// The value, fetched if it is not there. What could not be fetched is fetched anew the next time.
    pub(crate) fn get<E>(
        &self,
        key: K,
        weigh: impl FnOnce(&V) -> u64,
        fetch: impl FnOnce() -> Result<V, E>,
    ) -> Result<Arc<V>, Option<E>> {
        let cell = {
            let mut inner = self.inner();
            match inner.cells.get(&key) {
                Some((cell, _)) => Arc::clone(cell),
                None => {
                    let cell = Cell::default();
                    inner.cells.insert(key, (Arc::clone(&cell), 0));
                    cell
                }
            }
        };
        let mut failed = None;
        let mut weight = None;
        let value = cell.get_or_init(|| match fetch() {
            Ok(value) => {
                weight = Some(weigh(&value));
                Some(Arc::new(value))
            }
            Err(error) => {
                failed = Some(error);
                None
            }
        });
        match (value, weight) {
            (Some(value), None) => Ok(Arc::clone(value)),
            (Some(value), Some(weight)) => {
                self.weighed(&key, weight);
                Ok(Arc::clone(value))
            }
            (None, _) => {
                let mut inner = self.inner();
                if let Some((_, weight)) = inner.cells.remove(&key) {
                    inner.weight -= weight;
                }
                Err(failed)
            }
        }
    }

    fn weighed(&self, key: &K, weight: u64) {
        let mut inner = self.inner();
        if let Some(entry) = inner.cells.get_mut(key) {
            entry.1 = weight;
            inner.weight += weight;
        }
        while inner.weight > self.limit {
            match inner.cells.remove_lru() {
                Some((_, (_, weight))) => inner.weight -= weight,
                None => return,
            }
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner<K, V>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    fn fetched(cache: &Cache<u32, u64>, key: u32) -> bool {
        let mut asked = false;
        let value = cache.get(
            key,
            |v| *v,
            || {
                asked = true;
                Ok::<u64, ()>(10)
            },
        );
        assert_eq!(*value.unwrap(), 10);
        asked
    }

    #[test]
    fn the_least_recently_used_goes_when_it_grows_too_heavy() {
        let cache = Cache::new(30);
        assert!([1, 2, 3].map(|key| fetched(&cache, key)).iter().all(|f| *f));
        assert!(!fetched(&cache, 1));
        assert!(fetched(&cache, 4));
        assert!(!fetched(&cache, 1));
        assert!(fetched(&cache, 2));
        assert!(cache.inner().weight <= 30);
        // What weighs more than all is handed out and not kept.
        let big = cache.get(9, |_| 1000, || Ok::<u64, ()>(7));
        assert_eq!((*big.unwrap(), cache.inner().weight), (7, 0));
    }

    #[test]
    fn what_failed_is_fetched_anew() {
        let cache: Cache<u32, u64> = Cache::new(30);
        assert_eq!(cache.get(1, |v| *v, || Err("no")), Err(Some("no")));
        assert!(fetched(&cache, 1));
    }

    #[test]
    fn many_who_ask_at_once_are_served_by_one_fetch() {
        let (cache, asked) = (Cache::<u32, u64>::new(30), AtomicU32::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let value = cache.get(
                        1,
                        |v| *v,
                        || {
                            asked.fetch_add(1, Ordering::SeqCst);
                            thread::yield_now();
                            Ok::<u64, ()>(5)
                        },
                    );
                    assert_eq!(*value.unwrap(), 5);
                });
            }
        });
        assert_eq!(asked.into_inner(), 1);
    }
}
