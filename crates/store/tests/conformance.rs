//! Every store passes the one suite, and stores that lie do not.

use std::ops::ControlFlow;
use std::sync::Arc;

use vouchsafe_host::TempDir;
use vouchsafe_host::files::temp_dir;
use vouchsafe_store::conformance::check;
use vouchsafe_store::{
    Capabilities, CountingStore, FaultStore, Key, LocalStore, MemoryStore, ObjectMeta, Overlay,
    Prefixed, PutMode, SimConfig, SimStore, Store, StoreError,
};

fn passes(mut fresh: impl FnMut() -> Arc<dyn Store>) {
    let broken = check(&mut fresh);
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn memory_conforms() {
    passes(|| Arc::new(MemoryStore::new()));
}

#[test]
fn local_conforms() {
    let mut kept: Vec<TempDir> = Vec::new();
    passes(|| {
        let dir = temp_dir("store-").expect("a directory");
        let store = LocalStore::create(dir.path().join("made/on/demand")).expect("creates");
        kept.push(dir);
        Arc::new(store)
    });
}

#[test]
fn a_simulated_store_without_faults_conforms() {
    let mut seed = 0;
    passes(|| {
        seed += 1;
        SimStore::new(seed, SimConfig::calm())
    });
}

#[test]
fn overlays_conform_over_an_empty_and_over_a_deleted_base() {
    passes(|| Arc::new(Overlay::new(Arc::new(MemoryStore::new()))));
    passes(|| {
        let base = MemoryStore::new();
        let names = [
            "config",
            "data/00/a",
            "keys/one",
            "head",
            "data/none",
            "race/0",
        ];
        let keys = names.map(|name| Key::new(name).expect("a key"));
        for key in &keys {
            base.put(key, b"from the base", PutMode::IfAbsent)
                .expect("puts");
        }
        let overlay = Overlay::new(Arc::new(base));
        for key in &keys {
            overlay.delete(key).expect("deletes");
        }
        Arc::new(overlay)
    });
}

#[test]
fn a_part_of_a_store_conforms_and_does_not_see_its_neighbours() {
    passes(|| {
        let whole: Arc<dyn Store> = Arc::new(MemoryStore::new());
        for neighbour in ["vault/repository/a", "vault/rep", "other", "data/00/a"] {
            let key = Key::new(neighbour).expect("a key");
            whole.put(&key, b"x", PutMode::IfAbsent).expect("puts");
        }
        Arc::new(Prefixed::new(whole, Key::new("vault/repo").expect("a key")))
    });
}

#[test]
fn wrappers_without_plans_conform() {
    passes(|| Arc::new(CountingStore::new(Arc::new(MemoryStore::new()))));
    passes(|| Arc::new(FaultStore::new(Arc::new(MemoryStore::new()), [])));
}

/// A way for a store to be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    IfAbsentOverwrites,
    IfAbsentRaces,
    ShortRange,
    RangeFromTheStart,
    DeleteDoesNothing,
    DeleteOfAbsentFails,
    ListMisses,
    ListIgnoresPrefix,
    ListGoesOn,
    WrongSize,
    AbsentIsEmpty,
    CutsLongObjects,
    ReplaceKeepsTheOld,
    NamelessErrors,
}

struct Liar {
    truth: MemoryStore,
    lie: Lie,
}

impl Store for Liar {
    fn describe(&self) -> String {
        if self.lie == Lie::NamelessErrors {
            "liar".into()
        } else {
            self.truth.describe()
        }
    }

    fn capabilities(&self) -> Capabilities {
        self.truth.capabilities()
    }

    fn get(&self, key: &Key) -> Result<Vec<u8>, StoreError> {
        match self.lie {
            Lie::AbsentIsEmpty => Ok(self.truth.get(key).unwrap_or_default()),
            Lie::CutsLongObjects => self.truth.get(key).map(|mut bytes| {
                bytes.truncate(65_536);
                bytes
            }),
            _ => self.truth.get(key),
        }
    }

    fn get_range(&self, key: &Key, offset: u64, len: u64) -> Result<Vec<u8>, StoreError> {
        match self.lie {
            Lie::ShortRange => {
                let whole = self.truth.get(key)?;
                let start = usize::try_from(offset)
                    .unwrap_or(usize::MAX)
                    .min(whole.len());
                let rest = &whole[start..];
                let len = usize::try_from(len).unwrap_or(usize::MAX).min(rest.len());
                Ok(rest[..len].to_vec())
            }
            Lie::RangeFromTheStart => self.truth.get_range(key, 0, len),
            _ => self.truth.get_range(key, offset, len),
        }
    }

    fn head(&self, key: &Key) -> Result<ObjectMeta, StoreError> {
        let mut meta = self.truth.head(key)?;
        meta.size += u64::from(self.lie == Lie::WrongSize);
        Ok(meta)
    }

    fn put(&self, key: &Key, bytes: &[u8], mode: PutMode) -> Result<(), StoreError> {
        match (self.lie, mode) {
            (Lie::IfAbsentOverwrites, _) => self.truth.put(key, bytes, PutMode::Replace),
            (Lie::IfAbsentRaces, PutMode::IfAbsent) => {
                match self.truth.head(key) {
                    Ok(_) => return self.truth.put(key, bytes, mode),
                    // Time for others to look as well.
                    Err(_) => std::thread::sleep(std::time::Duration::from_millis(2)),
                }
                self.truth.put(key, bytes, PutMode::Replace)
            }
            (Lie::ReplaceKeepsTheOld, PutMode::Replace) => {
                let _ = self.truth.put(key, bytes, PutMode::IfAbsent);
                Ok(())
            }
            _ => self.truth.put(key, bytes, mode),
        }
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        match self.lie {
            Lie::DeleteDoesNothing => Ok(()),
            Lie::DeleteOfAbsentFails => {
                self.truth.head(key)?;
                self.truth.delete(key)
            }
            _ => self.truth.delete(key),
        }
    }

    fn list(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(Key, u64) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let mut first = true;
        let prefix = if self.lie == Lie::ListIgnoresPrefix {
            ""
        } else {
            prefix
        };
        self.truth.list(prefix, &mut |key, size| {
            if self.lie == Lie::ListMisses && std::mem::take(&mut first) {
                return ControlFlow::Continue(());
            }
            let flow = visit(key, size);
            if self.lie == Lie::ListGoesOn {
                ControlFlow::Continue(())
            } else {
                flow
            }
        })
    }
}

#[test]
fn every_lie_is_caught() {
    let lies = [
        (Lie::IfAbsentOverwrites, "a taken key is left alone"),
        (Lie::IfAbsentRaces, "one of many racing puts wins"),
        (Lie::ShortRange, "a range beyond the end is a short read"),
        (Lie::RangeFromTheStart, "a range is exact"),
        (Lie::DeleteDoesNothing, "a deleted object is gone"),
        (
            Lie::DeleteOfAbsentFails,
            "deleting an absent object is fine",
        ),
        (
            Lie::ListMisses,
            "a listing shows each object under the prefix",
        ),
        (
            Lie::ListIgnoresPrefix,
            "a listing shows each object under the prefix",
        ),
        (Lie::ListGoesOn, "a listing stops when told to"),
        (Lie::WrongSize, "head tells the length"),
        (Lie::AbsentIsEmpty, "an absent object is not found"),
        (Lie::CutsLongObjects, "what was put is got"),
        (Lie::ReplaceKeepsTheOld, "a put in replace mode replaces"),
        (Lie::NamelessErrors, "errors name key and store"),
    ];
    for (lie, rule) in lies {
        let broken = check(&mut || {
            Arc::new(Liar {
                truth: MemoryStore::new(),
                lie,
            })
        });
        assert!(
            broken.iter().any(|v| v.rule == rule),
            "{lie:?} broke only {broken:#?}"
        );
    }
}
