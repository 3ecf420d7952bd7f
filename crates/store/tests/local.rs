//! The local store under real conditions: full disk, missing rights, crashes, races, lost mounts.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use vouchsafe_host::TempDir;
use vouchsafe_host::files::{self, temp_dir};
use vouchsafe_model::Time;
use vouchsafe_store::{Key, LocalStore, PutMode, Store, StoreError, list_all};

fn key(text: &str) -> Key {
    Key::new(text).expect("a key")
}

fn fresh() -> (TempDir, LocalStore) {
    let dir = temp_dir("local-").expect("a directory");
    let store = LocalStore::create(dir.path().join("vault")).expect("creates");
    (dir, store)
}

/// A mounted file system that goes away with the value.
struct Mounted(PathBuf);

impl Mounted {
    fn tmpfs(at: &Path, options: &str) -> Self {
        fs::create_dir_all(at).expect("a mount point");
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(at)
            .status()
            .expect("mount runs");
        assert!(
            status.success(),
            "this test mounts a small file system and needs root for it"
        );
        Self(at.to_path_buf())
    }

    fn remount(&self, options: &str) {
        let status = Command::new("mount")
            .args(["-o", options])
            .arg(&self.0)
            .status();
        assert!(status.expect("mount runs").success());
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn objects_and_directories_are_private_and_objects_read_only() {
    let (_dir, store) = fresh();
    store
        .put(&key("data/4a/4a01"), b"x", PutMode::IfAbsent)
        .expect("puts");
    let mode = |path: &str| {
        fs::metadata(store.root().join(path))
            .expect("exists")
            .permissions()
            .mode()
            & 0o7777
    };
    assert_eq!(mode(""), 0o700);
    assert_eq!(mode("data"), 0o700);
    assert_eq!(mode("data/4a"), 0o700);
    assert_eq!(mode("data/4a/4a01"), 0o400);
    let age = store
        .head(&key("data/4a/4a01"))
        .expect("looks")
        .modified
        .expect("files have a date");
    assert!(age.micros() > 1_700_000_000_000_000);
}

#[test]
fn a_full_disk_is_said_to_be_full_and_leaves_no_rubbish() {
    let dir = temp_dir("full-").expect("a directory");
    let mounted = Mounted::tmpfs(&dir.path().join("small"), "size=1m");
    let store = LocalStore::create(mounted.0.join("vault")).expect("creates");
    store
        .put(&key("data/00/fits"), &[1; 300_000], PutMode::IfAbsent)
        .expect("fits");
    for mode in [PutMode::IfAbsent, PutMode::Replace] {
        let error = store
            .put(&key("data/00/large"), &[2; 900_000], mode)
            .expect_err("is full");
        assert!(matches!(error, StoreError::Full { .. }), "{error}");
        assert!(error.to_string().contains("data/00/large") && !error.is_transient());
    }
    let names = files::list_dir(store.root().join("data/00")).expect("lists");
    assert_eq!(names, ["fits"]);
    assert!(
        store
            .get(&key("data/00/large"))
            .is_err_and(|e| e.is_not_found())
    );
    store
        .delete(&key("data/00/fits"))
        .expect("deleting works on a full disk");
    // A program that a neighbouring test is just starting has, until it executes, the files open
    // that this process had; only after that is the space of a deleted one free.
    let freed = Instant::now() + Duration::from_secs(10);
    while let Err(error) = store.put(&key("data/00/large"), &[2; 900_000], PutMode::IfAbsent) {
        assert!(
            matches!(error, StoreError::Full { .. }) && Instant::now() < freed,
            "does not fit: {error}"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_replacement_that_does_not_fit_leaves_the_old_object() {
    let dir = temp_dir("full-").expect("a directory");
    let mounted = Mounted::tmpfs(&dir.path().join("small"), "size=1m");
    let store = LocalStore::create(&mounted.0).expect("opens");
    store
        .put(&key("head"), &[1; 600_000], PutMode::IfAbsent)
        .expect("fits");
    assert!(
        store
            .put(&key("head"), &[2; 600_000], PutMode::Replace)
            .is_err()
    );
    assert_eq!(store.get(&key("head")).expect("gets"), vec![1; 600_000]);
}

#[test]
fn a_read_only_file_system_is_said_to_be_read_only() {
    let dir = temp_dir("ro-").expect("a directory");
    let mounted = Mounted::tmpfs(&dir.path().join("small"), "size=1m");
    let store = LocalStore::create(&mounted.0).expect("opens");
    store
        .put(&key("data/a"), b"x", PutMode::IfAbsent)
        .expect("puts");
    mounted.remount("remount,ro");
    for error in [
        store
            .put(&key("data/b"), b"y", PutMode::IfAbsent)
            .expect_err("is read-only"),
        store
            .put(&key("new/b"), b"y", PutMode::Replace)
            .expect_err("is read-only"),
        store.delete(&key("data/a")).expect_err("is read-only"),
    ] {
        assert!(matches!(error, StoreError::ReadOnly { .. }), "{error}");
    }
    assert_eq!(store.get(&key("data/a")).expect("reading works"), b"x");
    store
        .delete(&key("data/none"))
        .expect("an absent object is fine");
}

#[test]
fn missing_rights_are_said_to_be_missing_rights() {
    // Root may write anywhere, so the store is used by somebody else.
    let (dir, store) = fresh();
    store
        .put(&key("data/a"), b"x", PutMode::IfAbsent)
        .expect("puts");
    if rustix_uid() == 0 {
        let program = std::env::current_exe().expect("a path");
        // The test program itself may lie where others cannot reach it.
        let copy = dir.path().join("program");
        // By another process: what this one has open for writing is inherited by whatever another test starts meanwhile,
        // and cannot be executed until that ends.
        let copied = Command::new("cp").arg(program).arg(&copy).status();
        assert!(copied.expect("cp runs").success());
        for path in [dir.path(), &copy, store.root(), &store.root().join("data")] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o555)).expect("sets the mode");
        }
        let output = Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&copy)
            .args(["--exact", "local::as_somebody_else", "--nocapture"])
            .env("VOUCHSAFE_TEST_STORE", store.root())
            .output()
            .expect("setpriv runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("checked as user 65534"), "{said}");
    } else {
        fs::set_permissions(store.root().join("data"), fs::Permissions::from_mode(0o555))
            .expect("sets");
        let error = store
            .put(&key("data/b"), b"y", PutMode::IfAbsent)
            .expect_err("denied");
        assert!(matches!(error, StoreError::Denied { .. }), "{error}");
    }
}

/// The second half of the test above; alone, with no store to look at, there is nothing to do.
#[test]
fn as_somebody_else() {
    let Some(root) = std::env::var_os("VOUCHSAFE_TEST_STORE") else {
        return;
    };
    let store = LocalStore::open(PathBuf::from(root)).expect("opens");
    for error in [
        store.get(&key("data/a")).expect_err("0400 of another user"),
        store
            .put(&key("data/b"), b"y", PutMode::IfAbsent)
            .expect_err("a closed directory"),
        store
            .put(&key("new/b"), b"y", PutMode::IfAbsent)
            .expect_err("a closed directory"),
        store
            .delete(&key("data/a"))
            .expect_err("a closed directory"),
    ] {
        assert!(matches!(error, StoreError::Denied { .. }), "{error}");
    }
    println!("checked as user {}", rustix_uid());
}

fn rustix_uid() -> u32 {
    vouchsafe_host::machine::uid()
}

#[test]
fn what_a_crash_leaves_between_write_and_rename_is_not_an_object() {
    let (_dir, store) = fresh();
    store
        .put(&key("data/00/a"), b"x", PutMode::IfAbsent)
        .expect("puts");
    // The first half of a put, in a process that dies before the second.
    let path = store.root().join("data/00/b");
    let leftover = files::write_temporary(&path, b"half a put", 0o400).expect("writes");
    assert!(leftover.exists());
    assert_eq!(
        list_all(&store, "").expect("lists"),
        [(key("data/00/a"), 1)]
    );
    assert!(
        store
            .get(&key("data/00/b"))
            .is_err_and(|e| e.is_not_found())
    );

    let modified = files::modified(&leftover).expect("looks").micros();
    assert_eq!(
        store
            .remove_leftovers(Time::from_micros(modified))
            .expect("looks"),
        0
    );
    assert!(
        leftover.exists(),
        "a put under way was taken for a leftover"
    );
    assert_eq!(
        store
            .remove_leftovers(Time::from_micros(modified + 1))
            .expect("removes"),
        1
    );
    assert!(!leftover.exists());
    store
        .put(&key("data/00/b"), b"whole", PutMode::IfAbsent)
        .expect("puts");
    assert_eq!(list_all(&store, "").expect("lists").len(), 2);
}

#[test]
fn a_writer_killed_at_any_moment_leaves_whole_objects() {
    const SIZE: usize = 300_000;
    for delay in [0, 1, 3, 7, 12, 20] {
        let (_dir, store) = fresh();
        let mut writer = Command::new(std::env::current_exe().expect("a path"))
            .args(["--exact", "local::as_a_writer", "--nocapture"])
            .env("VOUCHSAFE_TEST_WRITE_TO", store.root())
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("starts");
        let started = std::time::Instant::now();
        while list_all(&store, "").expect("lists").is_empty() {
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "the writer writes nothing"
            );
        }
        std::thread::sleep(Duration::from_millis(delay));
        writer.kill().expect("kills");
        writer.wait().expect("reaps");
        let objects = list_all(&store, "").expect("lists");
        for (key, size) in objects {
            assert_eq!(size, SIZE as u64, "{key} is torn");
            let fill = key.name().parse::<u64>().expect("a number") as u8;
            assert!(
                store
                    .get(&key)
                    .expect("gets")
                    .iter()
                    .all(|byte| *byte == fill)
            );
        }
    }
}

/// The process that the test above kills.
#[test]
fn as_a_writer() {
    let Some(root) = std::env::var_os("VOUCHSAFE_TEST_WRITE_TO") else {
        return;
    };
    let store = LocalStore::open(PathBuf::from(root)).expect("opens");
    for number in 0_u64.. {
        let bytes = vec![number as u8; 300_000];
        store
            .put(&key(&format!("data/{number}")), &bytes, PutMode::IfAbsent)
            .expect("puts");
    }
}

#[test]
fn many_writers_in_many_stores_have_exactly_one_winner() {
    let dir = temp_dir("race-").expect("a directory");
    LocalStore::create(dir.path()).expect("creates");
    for round in 0..20 {
        let key = key(&format!("race/{round}/object"));
        let wins = Arc::new(AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for runner in 0..8_u8 {
                let (wins, key) = (Arc::clone(&wins), key.clone());
                // Each has a store of its own, as separate processes would.
                let store = LocalStore::open(dir.path()).expect("opens");
                scope.spawn(
                    move || match store.put(&key, &[runner; 100], PutMode::IfAbsent) {
                        Ok(()) => {
                            wins.fetch_add(1, Ordering::SeqCst);
                            assert_eq!(store.get(&key).expect("gets"), vec![runner; 100]);
                        }
                        Err(StoreError::AlreadyExists { .. }) => {}
                        Err(other) => panic!("{other}"),
                    },
                );
            }
        });
        assert_eq!(wins.load(Ordering::SeqCst), 1);
        let left = files::list_dir(dir.path().join(format!("race/{round}"))).expect("lists");
        assert_eq!(left, ["object"]);
    }
}

#[test]
fn readers_see_the_old_or_the_new_object_while_it_is_replaced() {
    let (_dir, store) = fresh();
    let head = key("head");
    store
        .put(&head, &[0; 50_000], PutMode::IfAbsent)
        .expect("puts");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for fill in 1..30_u8 {
                store
                    .put(&head, &vec![fill; 50_000], PutMode::Replace)
                    .expect("replaces");
            }
        });
        for _ in 0..100 {
            let seen = store.get(&head).expect("gets");
            assert_eq!(seen.len(), 50_000);
            assert!(seen.iter().all(|byte| *byte == seen[0]), "a mixture");
        }
    });
}

#[test]
fn a_lost_mount_is_not_an_empty_store() {
    let (dir, store) = fresh();
    store
        .put(&key("data/a"), b"x", PutMode::IfAbsent)
        .expect("puts");
    fs::rename(store.root(), dir.path().join("elsewhere")).expect("moves");
    let errors = [
        store.get(&key("data/a")).expect_err("not there"),
        store
            .get_range(&key("data/a"), 0, 1)
            .expect_err("not there"),
        store.head(&key("data/a")).expect_err("not there"),
        store
            .put(&key("data/a"), b"x", PutMode::IfAbsent)
            .expect_err("not there"),
        store.delete(&key("data/a")).expect_err("not there"),
        list_all(&store, "").expect_err("not there"),
        LocalStore::open(store.root()).expect_err("not there"),
    ];
    for error in errors {
        assert!(
            matches!(
                error,
                StoreError::Unavailable {
                    retryable: false,
                    ..
                }
            ),
            "{error}"
        );
    }
    assert!(
        !store.root().exists(),
        "a put made a new store in the place of the lost one"
    );
}

#[test]
fn names_that_are_not_ours_are_passed_over() {
    let (_dir, store) = fresh();
    store
        .put(&key("data/a"), b"x", PutMode::IfAbsent)
        .expect("puts");
    fs::create_dir(store.root().join("lost+found")).expect("makes");
    fs::write(store.root().join("data/.DS_Store"), b"z").expect("writes");
    fs::write(store.root().join("data/with space"), b"z").expect("writes");
    std::os::unix::fs::symlink("/nowhere", store.root().join("data/dangling")).expect("links");
    assert_eq!(list_all(&store, "").expect("lists"), [(key("data/a"), 1)]);
}

#[test]
fn an_object_has_one_name_on_disk() {
    let (_dir, store) = fresh();
    store
        .put(&key("data/a"), b"x", PutMode::IfAbsent)
        .expect("puts");
    assert_eq!(
        fs::metadata(store.root().join("data/a"))
            .expect("looks")
            .nlink(),
        1
    );
}

#[test]
fn what_grew_and_was_given_up_or_cut_off_is_no_object() {
    let (_directory, store) = fresh();
    let root = store.root().to_path_buf();
    let store: Arc<dyn Store> = Arc::new(store);
    let begin = || Arc::clone(&store).begin(&key("data/00/x")).expect("begins");
    let files = || files_below(&root);
    let mut given_up = begin();
    given_up.write(b"half").expect("writes");
    assert_eq!(files(), 1);
    drop(given_up);
    assert_eq!(files(), 0);
    // As after a death: nobody takes it away but who looks for leftovers.
    let mut cut_off = begin();
    cut_off.write(b"half").expect("writes");
    std::mem::forget(cut_off);
    assert_eq!(files(), 1);
    assert!(list_all(store.as_ref(), "").expect("lists").is_empty());
    assert_eq!(
        store.remove_leftovers(Time::from_secs(0)).expect("looks"),
        0
    );
    let later = Time::from_secs(i64::from(u32::MAX));
    assert_eq!(store.remove_leftovers(later).expect("removes"), 1);
    assert_eq!(files(), 0);
}

/// Files anywhere below a directory.
fn files_below(directory: &Path) -> usize {
    fs::read_dir(directory)
        .expect("reads")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| if path.is_dir() { files_below(&path) } else { 1 })
        .sum()
}
