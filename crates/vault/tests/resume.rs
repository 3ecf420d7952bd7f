//! After an interruption the next run goes on with what is stored already.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use crate::common::damages::*;
use crate::common::*;
use vouchsafe_capture::NoProgress;
use vouchsafe_store::{Capabilities, Key, ObjectMeta, PutMode, Store, StoreError, list_all};
use vouchsafe_vault::{LockKind, ReadBack, copy};

/// A store that dies: after so many puts of packs nothing is stored any more, not even an index of what was.
struct Dying {
    inner: Arc<dyn Store>,
    left: AtomicI64,
    dead: AtomicBool,
    full: bool,
}

impl Dying {
    fn after(inner: &Arc<dyn Store>, packs: i64, full: bool) -> Arc<Dying> {
        Arc::new(Dying {
            inner: inner.clone(),
            left: AtomicI64::new(packs),
            dead: AtomicBool::new(false),
            full,
        })
    }

    fn refuse(&self, key: &Key) -> StoreError {
        let (key, store) = (key.to_string(), self.describe());
        if self.full {
            return StoreError::Full { key, store };
        }
        StoreError::Unavailable {
            key,
            store,
            reason: "dead".to_owned(),
            retryable: false,
        }
    }
}

impl Store for Dying {
    fn describe(&self) -> String {
        "dying".to_owned()
    }
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
    fn get(&self, key: &Key) -> Result<Vec<u8>, StoreError> {
        self.inner.get(key)
    }
    fn get_range(&self, key: &Key, offset: u64, len: u64) -> Result<Vec<u8>, StoreError> {
        self.inner.get_range(key, offset, len)
    }
    fn head(&self, key: &Key) -> Result<ObjectMeta, StoreError> {
        self.inner.head(key)
    }
    fn put(&self, key: &Key, bytes: &[u8], mode: PutMode) -> Result<(), StoreError> {
        let is_pack = key.as_str().starts_with("data/");
        let is_index = key.as_str().starts_with("index/");
        if is_pack && self.left.fetch_sub(1, Ordering::SeqCst) <= 0 {
            self.dead.store(true, Ordering::SeqCst);
        }
        if self.dead.load(Ordering::SeqCst) || is_index {
            return Err(self.refuse(key));
        }
        self.inner.put(key, bytes, mode)
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
}

/// Forty chunks and a directory.
const BLOBS: u64 = 41;

fn many() -> Vec<Item> {
    (0..40)
        .map(|n| file(&format!("f{n}"), noise(n, 2_000)))
        .collect()
}

fn packs(store: &Arc<dyn Store>) -> usize {
    list_all(&**store, "data/").unwrap().len()
}

#[test]
fn packs_without_an_index_are_adopted_and_not_stored_again() {
    for full in [false, true] {
        let store: Arc<dyn Store> = memory();
        create(store.clone());
        back_up(&open_small(Dying::after(&store, 6, full)), &many()).unwrap_err();
        let left = packs(&store);
        assert!(left > 0, "no pack was left");
        let repository = open_small(store.clone());
        assert_eq!(
            repository.check(&NoProgress).unwrap().unlisted_packs.len(),
            left
        );

        let lock = repository.lock(LockKind::Shared).unwrap();
        let adopted = repository.adopt_packs(&lock, &NoProgress).unwrap();
        assert_eq!((adopted.packs.len(), adopted.unusable.len()), (left, 0));
        let report = back_up(&repository, &many()).unwrap();
        let back = repository
            .read_back(&report.snapshot, ReadBack::Everything)
            .unwrap();
        assert_eq!(back.problems, []);
        let check = repository.check(&NoProgress).unwrap();
        assert_eq!((check.problems, check.unlisted_packs), (vec![], vec![]));
        assert_eq!(check.blobs, BLOBS, "no blob is stored twice");
        // Once is enough.
        let again = repository.adopt_packs(&lock, &NoProgress).unwrap();
        assert_eq!(again, vouchsafe_vault::Adopted::default());
    }
}

#[test]
fn a_torn_pack_is_reported_and_not_adopted() {
    let store: Arc<dyn Store> = memory();
    create(store.clone());
    back_up(&open_small(Dying::after(&store, 6, false)), &many()).unwrap_err();
    let keys: Vec<Key> = list_all(&*store, "data/")
        .unwrap()
        .into_iter()
        .map(|(k, _)| k)
        .collect();
    let torn = store.get(&keys[0]).unwrap();
    store
        .put(&keys[0], &torn[..torn.len() / 2], PutMode::Replace)
        .unwrap();
    let mut flipped = store.get(&keys[1]).unwrap();
    flipped[40] ^= 1;
    store.put(&keys[1], &flipped, PutMode::Replace).unwrap();
    let repository = open_small(store.clone());
    let lock = repository.lock(LockKind::Shared).unwrap();
    let adopted = repository.adopt_packs(&lock, &NoProgress).unwrap();
    assert_eq!(adopted.packs.len(), keys.len() - 2);
    for key in &keys[..2] {
        assert!(
            adopted
                .unusable
                .iter()
                .any(|issue| issue.place == key.as_str()),
            "{key}: {adopted:?}"
        );
    }
    assert_eq!(repository.check(&NoProgress).unwrap().problems, []);
    // The next backup stores over them what they should have held.
    let report = back_up(&repository, &many()).unwrap();
    let back = repository
        .read_back(&report.snapshot, ReadBack::Everything)
        .unwrap();
    assert_eq!(back.problems, []);
}

#[test]
fn a_copy_that_broke_off_goes_on_where_it_stopped() {
    for full in [false, true] {
        let [from, to]: [Arc<dyn Store>; 2] = [memory(), memory()];
        create(from.clone());
        create(to.clone());
        let snapshot = back_up(&open_small(from.clone()), &many())
            .unwrap()
            .snapshot;
        let dying = open_small(Dying::after(&to, 6, full));
        let source = open_small(from.clone());
        copy(&source, &dying, &snapshot, &NoProgress).unwrap_err();
        assert_eq!(open_small(to.clone()).snapshots().unwrap().len(), 0);

        let target = open_small(to.clone());
        let lock = target.lock(LockKind::Shared).unwrap();
        let adopted = target.adopt_packs(&lock, &NoProgress).unwrap();
        assert!(!adopted.packs.is_empty());
        let there = target.check(&NoProgress).unwrap().blobs;
        let source = open_small(from);
        let report = copy(&source, &target, &snapshot, &NoProgress).unwrap();
        assert_eq!(
            report.blobs_copied + there,
            BLOBS,
            "what is there is not sent again"
        );
        let back = target
            .read_back(&report.snapshot, ReadBack::Everything)
            .unwrap();
        assert_eq!(back.problems, []);
    }
}

#[test]
fn a_repair_on_a_full_disk_stops_cleanly_and_goes_on_later() {
    let [near, far]: [Arc<dyn Store>; 2] = [memory(), memory()];
    two_vaults(&near, &far);
    let victim = Victim::of(&near);
    near.delete(&pack_key(&victim.pack(vouchsafe_format::BlobKind::Data).0))
        .unwrap();
    let before = list_all(&*near, "").unwrap();
    let full = open_small(Dying::after(&near, 0, true));
    let other = open_small(far);
    let lock = open_small(near.clone()).lock(LockKind::Exclusive).unwrap();
    let plan = full.plan_pack_repair(&[], &[&other], &NoProgress).unwrap();
    let refused = full.repair_packs(&plan, &[&other], &lock, &NoProgress);
    assert!(format!("{refused:?}").contains("Full"), "{refused:?}");
    let without_lock = |all: Vec<(Key, u64)>| -> Vec<(Key, u64)> {
        all.into_iter()
            .filter(|(k, _)| !k.as_str().starts_with("locks/"))
            .collect()
    };
    assert_eq!(
        without_lock(list_all(&*near, "").unwrap()),
        before,
        "nothing was changed"
    );
    let repository = open_small(near);
    let plan = repository
        .plan_pack_repair(&[], &[&other], &NoProgress)
        .unwrap();
    repository
        .repair_packs(&plan, &[&other], &lock, &NoProgress)
        .unwrap();
    assert_eq!(repository.check(&NoProgress).unwrap().problems, []);
}
