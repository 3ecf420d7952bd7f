//! An index too large for the memory is kept in a file: found again, added to, and given up when it is not to be trusted.

use std::path::Path;
use std::sync::Arc;

use crate::common::*;
use vouchsafe_capture::NoProgress;
use vouchsafe_host::files::{self, TempDir};
use vouchsafe_store::{CountingStore, Key, MemoryStore, Store, list_all};
use vouchsafe_vault::{Budget, IndexSettings, ReadBack, Repository};

/// Nothing fits into memory.
fn tiny(cache: Option<&Path>) -> IndexSettings {
    IndexSettings {
        in_memory: 0,
        beside_file: 3,
        cache: cache.map(Path::to_path_buf),
    }
}

struct World {
    store: Arc<MemoryStore>,
    cache: TempDir,
}

impl World {
    fn new() -> World {
        let store = memory();
        create(store.clone());
        World {
            store,
            cache: files::temp_dir("kept-index").unwrap(),
        }
    }

    fn open(&self) -> Repository {
        open(self.store.clone()).with_index_settings(tiny(Some(self.cache.path())))
    }

    /// Opens it, reads a point, and says how many objects were read as a whole for it.
    fn gets(&self, snapshot: &vouchsafe_format::Id) -> u64 {
        let counting = Arc::new(CountingStore::new(self.store.clone()));
        let repository = open(counting.clone()).with_index_settings(tiny(Some(self.cache.path())));
        let before = counting.counts().gets;
        let everything = read(&repository.reader(snapshot).unwrap()).unwrap();
        assert_eq!(everything.entries, expected(&sample()));
        counting.counts().gets - before
    }

    fn kept(&self) -> std::path::PathBuf {
        self.cache.path().join("index")
    }

    fn indexes(&self) -> Vec<Key> {
        let all = list_all(self.store.as_ref(), "index/").unwrap();
        all.into_iter().map(|(key, _)| key).collect()
    }
}

fn damage(path: &Path, at: impl Fn(usize) -> usize) {
    let mut bytes = files::read(path, 1 << 30).unwrap();
    let at = at(bytes.len());
    bytes[at] ^= 1;
    files::write_atomic(path, &bytes, 0o600).unwrap();
}

#[test]
fn everything_works_with_the_index_in_a_file() {
    for cached in [false, true] {
        let world = World::new();
        let cache = cached.then_some(world.cache.path());
        let open = || open(world.store.clone()).with_index_settings(tiny(cache));
        let first = back_up(&open(), &sample()).unwrap();
        let again = back_up_after(&open(), &sample(), Some(first.snapshot)).unwrap();
        assert_eq!((again.added_bytes, again.files_unchanged), (0, 6));
        let more = [sample(), vec![file("more", noise(9, 100_000))]].concat();
        let third = back_up_after(&open(), &more, Some(first.snapshot)).unwrap();
        assert!(third.added_bytes > 0);
        let repository = open();
        for (report, items) in [(&first, sample()), (&third, more)] {
            let found = read(&repository.reader(&report.snapshot).unwrap()).unwrap();
            assert_eq!(found.entries, expected(&items));
            let scope = ReadBack::Added(report.added_packs.clone());
            let back = repository.read_back(&report.snapshot, scope).unwrap();
            assert_eq!(back.problems, []);
        }
        assert_eq!(repository.check(&NoProgress).unwrap().problems, []);
        let verified = repository.verify(Budget::All, 1, &NoProgress).unwrap();
        assert!(verified.complete && verified.problems.is_empty());
        assert_eq!(files::exists(world.kept()).unwrap(), cached);
    }
}

#[test]
fn what_is_kept_is_not_read_again() {
    let world = World::new();
    let report = back_up(&world.open(), &sample()).unwrap();
    let first = world.gets(&report.snapshot);
    assert_eq!(world.gets(&report.snapshot), first - 1);
    // What has come since is read, and added to the file when it is too much.
    back_up(&world.open(), &[file("few", noise(5, 1_000))]).unwrap();
    for _ in 0..2 {
        assert_eq!(world.gets(&report.snapshot), first);
    }
    let many = (0..9)
        .map(|n| file(&format!("f{n}"), noise(10 + n, 1_000)))
        .collect::<Vec<_>>();
    back_up(&world.open(), &many).unwrap();
    assert_eq!(world.gets(&report.snapshot), first + 1);
    assert_eq!(world.gets(&report.snapshot), first - 1);
}

#[test]
fn a_damaged_file_is_said_and_made_anew() {
    let places: [fn(usize) -> usize; 4] = [|_| 0, |_| 30, |_| 5_000, |length| length - 4_000];
    for place in places {
        let world = World::new();
        let report = back_up(&world.open(), &sample()).unwrap();
        let first = world.gets(&report.snapshot);
        damage(&world.kept(), place);
        // Whether it is seen when it is opened or when it is asked: nothing wrong is stored or left out.
        let repository = world.open();
        let again = back_up(&repository, &sample()).unwrap();
        assert!(
            again
                .repository_issues
                .iter()
                .any(|issue| issue.place == "index"),
            "{:?}",
            again.repository_issues
        );
        let everything = read(&repository.reader(&again.snapshot).unwrap()).unwrap();
        assert_eq!(everything.entries, expected(&sample()));
        assert_eq!(
            open(world.store.clone())
                .check(&NoProgress)
                .unwrap()
                .problems,
            []
        );
        world.gets(&report.snapshot);
        assert!(world.gets(&report.snapshot) < first);
    }
}

/// Damage that is met only when all is copied to a larger file does not end in an error, nor in a loss.
#[test]
fn damage_that_is_met_late_is_mended_too() {
    let world = World::new();
    let report = back_up(&world.open(), &sample()).unwrap();
    world.gets(&report.snapshot);
    let many = (0..9)
        .map(|n| file(&format!("f{n}"), noise(10 + n, 1_000)))
        .collect::<Vec<_>>();
    let other = open(world.store.clone());
    let later = back_up(&other, &many).unwrap();
    // Among the entries, which are not looked at when the file is opened.
    damage(&world.kept(), |_| 5_000);
    let repository = world.open();
    let point = repository.reader(&later.snapshot).unwrap();
    assert_eq!(read(&point).unwrap().entries, expected(&many));
    let point = repository.reader(&report.snapshot).unwrap();
    assert_eq!(read(&point).unwrap().entries, expected(&sample()));
    assert!(files::exists(world.kept()).unwrap());
}

/// A point that cannot be read because of it says why; and the next attempt succeeds.
#[test]
fn damage_that_hinders_reading_is_named_and_does_not_stay() {
    let world = World::new();
    let report = back_up(&world.open(), &sample()).unwrap();
    world.gets(&report.snapshot);
    damage(&world.kept(), |_| 5_000);
    let repository = world.open();
    let error = match repository.reader(&report.snapshot) {
        Ok(point) => format!("{:?}", read(&point).map(|found| found.failed)),
        Err(error) => format!("{error:?}"),
    };
    assert!(error.contains("damaged"), "{error}");
    assert!(!files::exists(world.kept()).unwrap());
    world.gets(&report.snapshot);
}

#[test]
fn a_file_of_another_repository_is_not_used() {
    let (one, other) = (World::new(), World::new());
    back_up(&one.open(), &sample()).unwrap();
    one.open()
        .reader(&back_up(&one.open(), &sample()).unwrap().snapshot)
        .unwrap();
    files::write_atomic(
        other.kept(),
        &files::read(one.kept(), 1 << 30).unwrap(),
        0o600,
    )
    .unwrap();
    let report = back_up(&other.open(), &sample()).unwrap();
    assert!(report.added_bytes > 0);
    assert_eq!(other.open().check(&NoProgress).unwrap().problems, []);
}

#[test]
fn what_a_removed_index_file_listed_is_forgotten() {
    let world = World::new();
    let first = back_up(&world.open(), &sample()).unwrap();
    let gone = world.indexes();
    back_up(&world.open(), &[file("other", noise(7, 50_000))]).unwrap();
    world.gets(&first.snapshot);
    assert!(files::exists(world.kept()).unwrap());
    for key in gone {
        world.store.delete(&key).unwrap();
    }
    let again = back_up(&world.open(), &sample()).unwrap();
    assert_eq!(again.added_bytes, first.added_bytes);
    let found = read(&world.open().reader(&again.snapshot).unwrap()).unwrap();
    assert_eq!(found.entries, expected(&sample()));
}

#[test]
fn what_cannot_be_written_is_an_error_that_names_the_place() {
    let world = World::new();
    back_up(&world.open(), &sample()).unwrap();
    let blocked = world.cache.path().join("blocked");
    files::write_atomic(&blocked, b"not a directory", 0o600).unwrap();
    let settings = tiny(Some(&blocked.join("cache")));
    let repository = open(world.store.clone()).with_index_settings(settings);
    let error = back_up(&repository, &sample()).unwrap_err().to_string();
    assert!(error.contains("blocked/cache"), "{error}");
}
