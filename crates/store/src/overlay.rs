//! A damaged twin: another store's objects, changed only in memory.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{Capabilities, Key, ObjectMeta, PutMode, Store, StoreError, exact_range};

/// Reads pass through to a base store unless the object was changed here; changes stay here.
///
/// The base is never written to. Made for negative controls: [`Overlay::damage`] does to the twin
/// what must not happen to the original.
pub struct Overlay {
    base: Arc<dyn Store>,
    changes: Mutex<Changes>,
}

/// Objects stored here, and `None` for those deleted here.
type Changes = BTreeMap<Key, Option<Arc<[u8]>>>;

/// What to do to an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// Invert the lowest bit of one byte.
    FlipByte {
        /// Which; it must be within the object.
        offset: u64,
    },
    /// Keep only the first bytes; fewer than there are.
    Truncate(u64),
    /// Take the object away.
    Missing,
    /// Put other bytes in its place; different ones.
    Replace(Vec<u8>),
}

impl Overlay {
    /// A twin of `base`, equal to it so far.
    pub fn new(base: Arc<dyn Store>) -> Self {
        Self {
            base,
            changes: Mutex::default(),
        }
    }

    /// Damages an object that exists. A damage that would change nothing is
    /// [`StoreError::Unavailable`]: a control with undamaged data would prove nothing.
    pub fn damage(&self, key: &Key, damage: Damage) -> Result<(), StoreError> {
        let before = self.get(key)?;
        let after = apply(&before, damage);
        if after.as_deref() == Some(before.as_slice()) {
            return Err(StoreError::Unavailable {
                key: key.to_string(),
                store: self.describe(),
                reason: format!("the damage leaves its {} bytes as they are", before.len()),
                retryable: false,
            });
        }
        self.changes().insert(key.clone(), after.map(Arc::from));
        Ok(())
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn own(&self, error: StoreError, key: &str) -> StoreError {
        error.seen_as(key, self.describe())
    }

    /// The object as changed here; the outer `None` means that the base decides.
    fn changed(&self, key: &Key) -> Option<Result<Arc<[u8]>, StoreError>> {
        let change = self.changes().get(key).cloned()?;
        Some(change.ok_or_else(|| StoreError::NotFound {
            key: key.to_string(),
            store: self.describe(),
        }))
    }
}

impl Store for Overlay {
    fn describe(&self) -> String {
        format!("a twin of {}", self.base.describe())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            durable: false,
            ..self.base.capabilities()
        }
    }

    fn get(&self, key: &Key) -> Result<Vec<u8>, StoreError> {
        match self.changed(key) {
            Some(object) => Ok(object?.to_vec()),
            None => self.base.get(key).map_err(|e| self.own(e, key.as_str())),
        }
    }

    fn get_into(&self, key: &Key, most: u64, into: &mut Vec<u8>) -> Result<(), StoreError> {
        match self.changed(key) {
            Some(object) => {
                *into = object?.to_vec();
                crate::within(into, most, key, || self.describe())
            }
            None => self
                .base
                .get_into(key, most, into)
                .map_err(|e| self.own(e, key.as_str())),
        }
    }

    fn get_range(&self, key: &Key, offset: u64, len: u64) -> Result<Vec<u8>, StoreError> {
        let Some(object) = self.changed(key) else {
            let got = self.base.get_range(key, offset, len);
            return got.map_err(|e| self.own(e, key.as_str()));
        };
        exact_range(&object?, offset, len, |got| StoreError::ShortRead {
            key: key.to_string(),
            store: self.describe(),
            offset,
            wanted: len,
            got,
        })
    }

    fn head(&self, key: &Key) -> Result<ObjectMeta, StoreError> {
        match self.changed(key) {
            Some(object) => Ok(ObjectMeta {
                size: object?.len() as u64,
                modified: None,
            }),
            None => self.base.head(key).map_err(|e| self.own(e, key.as_str())),
        }
    }

    fn put(&self, key: &Key, bytes: &[u8], mode: PutMode) -> Result<(), StoreError> {
        let mut changes = self.changes();
        if mode == PutMode::IfAbsent {
            let taken = match changes.get(key) {
                Some(change) => change.is_some(),
                None => crate::exists(&self.base, key).map_err(|e| self.own(e, key.as_str()))?,
            };
            if taken {
                let (key, store) = (key.to_string(), self.describe());
                return Err(StoreError::AlreadyExists { key, store });
            }
        }
        changes.insert(key.clone(), Some(bytes.into()));
        Ok(())
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.changes().insert(key.clone(), None);
        Ok(())
    }

    fn list(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(Key, u64) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        // Collected first: the visitor may call the store.
        let changed: BTreeMap<Key, Option<u64>> = self
            .changes()
            .iter()
            .filter(|(key, _)| key.as_str().starts_with(prefix))
            .map(|(key, change)| {
                (
                    key.clone(),
                    change.as_ref().map(|object| object.len() as u64),
                )
            })
            .collect();
        let mut flow = ControlFlow::Continue(());
        let listed = self.base.list(prefix, &mut |key, size| {
            if !changed.contains_key(&key) {
                flow = visit(key, size);
            }
            flow
        });
        listed.map_err(|e| self.own(e, prefix))?;
        let stored = changed
            .into_iter()
            .filter_map(|(key, size)| Some((key, size?)));
        for (key, size) in stored {
            if flow.is_break() {
                break;
            }
            flow = visit(key, size);
        }
        Ok(())
    }
}

/// The object after the damage; `None` when it is gone.
pub(crate) fn apply(before: &[u8], damage: Damage) -> Option<Vec<u8>> {
    match damage {
        Damage::FlipByte { offset } => {
            let mut after = before.to_vec();
            let at = usize::try_from(offset).unwrap_or(usize::MAX);
            if let Some(byte) = after.get_mut(at) {
                *byte ^= 1;
            }
            Some(after)
        }
        Damage::Truncate(len) => {
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            Some(before.get(..len).unwrap_or(before).to_vec())
        }
        Damage::Missing => None,
        Damage::Replace(bytes) => Some(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryStore, list_all};

    fn twin() -> (Arc<MemoryStore>, Overlay, Key) {
        let base = Arc::new(MemoryStore::new());
        let key = Key::new("data/ab").expect("a key");
        base.put(&key, b"0123456789", PutMode::IfAbsent)
            .expect("puts");
        let overlay = Overlay::new(Arc::clone(&base) as Arc<dyn Store>);
        (base, overlay, key)
    }

    #[test]
    fn each_damage_shows_in_the_twin_and_never_in_the_base() {
        let cases: [(Damage, Option<&[u8]>); 4] = [
            (Damage::FlipByte { offset: 9 }, Some(b"0123456788")),
            (Damage::Truncate(3), Some(b"012")),
            (Damage::Missing, None),
            (Damage::Replace(b"x".to_vec()), Some(b"x")),
        ];
        for (damage, expected) in cases {
            let (base, twin, key) = twin();
            twin.damage(&key, damage.clone()).expect("damages");
            assert_eq!(twin.get(&key).ok().as_deref(), expected, "{damage:?}");
            assert_eq!(
                twin.head(&key).ok().map(|m| m.size),
                expected.map(|e| e.len() as u64)
            );
            let listed = list_all(&twin, "data/").expect("lists");
            assert_eq!(
                listed.first().map(|(_, size)| *size),
                expected.map(|e| e.len() as u64)
            );
            assert_eq!(base.get(&key).expect("gets"), b"0123456789");
        }
    }

    #[test]
    fn damage_that_changes_nothing_is_an_error() {
        let (_base, twin, key) = twin();
        for damage in [
            Damage::FlipByte { offset: 10 },
            Damage::Truncate(10),
            Damage::Replace(b"0123456789".to_vec()),
        ] {
            assert!(twin.damage(&key, damage.clone()).is_err(), "{damage:?}");
        }
        twin.damage(&key, Damage::Missing).expect("damages");
        assert!(
            twin.damage(&key, Damage::Missing)
                .is_err_and(|e| e.is_not_found())
        );
    }

    #[test]
    fn deleting_and_storing_again_stays_in_the_twin() {
        let (base, twin, key) = twin();
        assert!(twin.put(&key, b"new", PutMode::IfAbsent).is_err());
        twin.delete(&key).expect("deletes");
        twin.put(&key, b"new", PutMode::IfAbsent).expect("puts");
        assert_eq!(twin.get(&key).expect("gets"), b"new");
        assert_eq!(base.get(&key).expect("gets"), b"0123456789");
    }
}
