//! Twenty thousand snapshots: only new ones are fetched, and nothing but what the store had is believed.

use std::path::Path;
use std::sync::Arc;

use crate::common::*;
use vouchsafe_capture::NoProgress;
use vouchsafe_format::{Id, Snapshot, Timestamp, encode_unpacked, open_key_file};
use vouchsafe_store::{CountingStore, Key, PutMode, Store, list_all};
use vouchsafe_testkit::tempdir;
use vouchsafe_vault::{IndexSettings, KnownPoints, PruneError, PruneOptions, Repository};

const MANY: usize = 20_000;

fn snapshot(n: usize) -> Snapshot {
    Snapshot {
        paths: vec![format!("/data/of/system-{}", n % 40)],
        hostname: "host".to_owned(),
        tags: vec![format!("vouchsafe:system-{}/main", n % 40)],
        ..Snapshot::new(
            Timestamp::utc(1_600_000_000 + n as i64 * 3600, 0),
            Id::of(&n.to_le_bytes()),
        )
    }
}

/// Snapshots as a backup stores them.
fn add(store: &dyn Store, numbers: std::ops::Range<usize>) {
    let (key_file, _) = list_all(store, "keys/").unwrap().remove(0);
    let key = open_key_file(&store.get(&key_file).unwrap(), PASSWORD.as_bytes()).unwrap();
    for n in numbers {
        let json = snapshot(n).encode().unwrap();
        let iv = *Id::of(&n.to_be_bytes()).as_bytes().first_chunk().unwrap();
        let sealed = key.seal(iv, &encode_unpacked(&json, 1).unwrap());
        let name = Key::new(format!("snapshots/{}", Id::of(&sealed))).unwrap();
        store.put(&name, &sealed, PutMode::IfAbsent).unwrap();
    }
}

fn open_cached(store: &Arc<CountingStore>, cache: &Path) -> Repository {
    let settings = IndexSettings {
        cache: Some(cache.to_path_buf()),
        ..IndexSettings::default()
    };
    open(store.clone()).with_index_settings(settings)
}

/// How many snapshots had to be fetched to list all of them, in a process of its own.
fn fetched(store: &Arc<CountingStore>, cache: &Path, expected: usize) -> u64 {
    let repository = open_cached(store, cache);
    let before = store.counts().gets;
    let snapshots = repository.snapshots().unwrap();
    assert_eq!(snapshots.len(), expected);
    for (n, (_, found)) in snapshots.iter().enumerate() {
        assert_eq!(*found, snapshot(n), "{n}");
    }
    store.counts().gets - before
}

#[test]
fn only_new_snapshots_are_fetched() {
    let inner: Arc<dyn Store> = memory();
    create(inner.clone());
    add(&*inner, 0..MANY);
    let store = Arc::new(CountingStore::new(inner.clone()));
    let dir = tempdir().unwrap();
    let cache = dir.path().join("cache");
    assert_eq!(fetched(&store, &cache, MANY), MANY as u64);
    assert_eq!(fetched(&store, &cache, MANY), 0);
    add(&*inner, MANY..MANY + 3);
    assert_eq!(fetched(&store, &cache, MANY + 3), 3);
    assert_eq!(fetched(&store, &cache, MANY + 3), 0);

    // The cache may go at any time.
    std::fs::remove_dir_all(&cache).unwrap();
    assert_eq!(fetched(&store, &cache, MANY + 3), MANY as u64 + 3);
}

#[test]
fn a_prune_fetches_no_snapshot_that_is_known_and_needs_it_all_the_same() {
    let inner: Arc<dyn Store> = memory();
    let repository = create(inner.clone());
    for n in 0..3 {
        back_up(&repository, &[file("x", noise(n, 5000))]).unwrap();
    }
    let store = Arc::new(CountingStore::new(inner.clone()));
    let dir = tempdir().unwrap();
    let cache = dir.path().join("cache");
    let known = KnownPoints::new([], Vec::new());
    let planned = |store: &Arc<CountingStore>| {
        let repository = open_cached(store, &cache);
        let before = store.counts().gets;
        let worklist = repository.plan_prune(&known, &PruneOptions::default(), &NoProgress);
        (worklist, store.counts().gets - before)
    };
    let (first, cold) = planned(&store);
    let (second, warm) = planned(&store);
    assert_eq!(cold - warm, 3);
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.unknown.len(), 3);
    assert_eq!(first.unknown, second.unknown);
    assert!(first.is_empty() && second.is_empty());
    // What the store does not list counts for nothing, cached or not; what must be there is asked for.
    let (gone, _) = list_all(&*inner, "snapshots/").unwrap().remove(0);
    inner.delete(&gone).unwrap();
    let (third, _) = planned(&store);
    let third = third.unwrap();
    assert_eq!(third.unknown.len(), 2);
    assert!(!third.is_empty());
    let id: Id = gone.name().parse().unwrap();
    let missed = open_cached(&store, &cache).plan_prune(
        &KnownPoints::new([id], Vec::new()),
        &PruneOptions::default(),
        &NoProgress,
    );
    assert!(
        matches!(missed, Err(PruneError::Missing { .. })),
        "{missed:?}"
    );
}

#[test]
fn the_cache_is_believed_only_as_far_as_it_proves_itself() {
    let inner: Arc<dyn Store> = memory();
    create(inner.clone());
    add(&*inner, 0..30);
    let store = Arc::new(CountingStore::new(inner.clone()));
    let dir = tempdir().unwrap();
    let cache = dir.path().join("cache");
    assert_eq!(fetched(&store, &cache, 30), 30);
    let file = cache.join("snapshots");
    let whole = std::fs::read(&file).unwrap();
    for at in (0..whole.len()).step_by(211) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        // What was altered, or no longer has its place, is fetched; all of it is right.
        assert!(fetched(&store, &cache, 30) > 0, "byte {at}");
        assert_eq!(fetched(&store, &cache, 30), 0, "byte {at}: it was mended");
    }
    for length in (0..whole.len()).step_by(397) {
        std::fs::write(&file, &whole[..length]).unwrap();
        fetched(&store, &cache, 30);
    }
    // One that is gone from the store is gone.
    let (gone, _) = list_all(&*inner, "snapshots/").unwrap().remove(7);
    inner.delete(&gone).unwrap();
    let repository = open_cached(&store, &cache);
    let left = repository.snapshots().unwrap();
    assert_eq!(left.len(), 29);
    assert!(
        left.iter()
            .all(|(id, _)| !gone.as_str().ends_with(&id.to_hex()))
    );
    // One that is damaged in the store is listed, and found damaged by whoever looks there.
    let (damaged, _) = list_all(&*inner, "snapshots/").unwrap().remove(3);
    let mut bytes = inner.get(&damaged).unwrap();
    bytes[20] ^= 1;
    inner.put(&damaged, &bytes, PutMode::Replace).unwrap();
    assert_eq!(repository.snapshots().unwrap().len(), 29);
    let (stored, issues) = repository.stored_snapshots().unwrap();
    assert_eq!((stored.len(), issues.len()), (28, 1));
    let problems = repository.check(&NoProgress).unwrap().problems;
    assert!(
        problems.iter().any(|p| p.place == damaged.as_str()),
        "{problems:?}"
    );
    // Another repository's cache is none.
    let other: Arc<dyn Store> = memory();
    create(other.clone());
    add(&*other, 0..5);
    let other = Arc::new(CountingStore::new(other));
    assert_eq!(fetched(&other, &cache, 5), 5);
}
