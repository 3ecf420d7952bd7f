//! Locks: who keeps out whom, and when a lock is stale.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::common::*;
use vouchsafe_capture::NoProgress;
use vouchsafe_host::{Clock, ManualClock, SeededRandom};
use vouchsafe_model::Time;
use vouchsafe_store::{Key, MemoryStore, PutMode, Store, list_all};
use vouchsafe_vault::{Env, LockError, LockKind, Repository};

fn env_at(clock: &Arc<ManualClock>, host: &str, pid: u32) -> Env {
    let random = Arc::new(SeededRandom::new(u64::from(pid)));
    Env {
        hostname: host.to_owned(),
        pid,
        ..env_of(clock.clone(), random)
    }
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Time::from_secs(1_767_225_600)))
}

fn as_process(
    store: &Arc<MemoryStore>,
    clock: &Arc<ManualClock>,
    host: &str,
    pid: u32,
) -> Repository {
    Repository::open(store.clone(), &env_at(clock, host, pid), &secret()).unwrap()
}

fn locks(store: &Arc<MemoryStore>) -> usize {
    list_all(&**store, "locks/").unwrap().len()
}

/// No process can have it.
const GONE: u32 = u32::MAX - 1;

#[test]
fn shared_locks_live_together_and_an_exclusive_one_alone() {
    let (store, clock) = (memory(), clock());
    create(store.clone());
    let one = as_process(&store, &clock, "here", std::process::id());
    let other = as_process(&store, &clock, "there", 42);
    let first = one.lock(LockKind::Shared).unwrap();
    let second = other.lock(LockKind::Shared).unwrap();
    assert_eq!(locks(&store), 2);
    drop(second);
    let refused = other.lock(LockKind::Exclusive).unwrap_err();
    assert!(
        matches!(&refused, LockError::Held { host, pid, .. } if host == "here" && *pid == std::process::id())
    );
    assert_eq!(locks(&store), 1);
    drop(first);
    let exclusive = other.lock(LockKind::Exclusive).unwrap();
    assert!(matches!(
        one.lock(LockKind::Shared),
        Err(LockError::Held { .. })
    ));
    assert!(matches!(
        one.lock(LockKind::Exclusive),
        Err(LockError::Held { .. })
    ));
    drop(exclusive);
    assert_eq!(locks(&store), 0);
}

#[test]
fn a_lock_goes_stale_by_time_or_with_its_process() {
    let (store, clock) = (memory(), clock());
    create(store.clone());
    let one = as_process(&store, &clock, "here", std::process::id());
    std::mem::forget(
        as_process(&store, &clock, "there", GONE)
            .lock(LockKind::Exclusive)
            .unwrap(),
    );
    assert!(
        matches!(one.lock(LockKind::Shared), Err(LockError::Held { .. })),
        "another machine's process"
    );
    clock.advance(Duration::from_secs(31 * 60));
    drop(one.lock(LockKind::Shared).unwrap());
    assert_eq!(locks(&store), 0, "the stale one is removed");
    std::mem::forget(
        as_process(&store, &clock, "here", GONE)
            .lock(LockKind::Exclusive)
            .unwrap(),
    );
    drop(one.lock(LockKind::Exclusive).unwrap());
    assert_eq!(locks(&store), 0);
}

#[test]
fn a_lock_not_refreshed_in_time_is_not_held() {
    let (store, clock) = (memory(), clock());
    create(store.clone());
    let lock = as_process(&store, &clock, "here", 42)
        .lock(LockKind::Shared)
        .unwrap();
    clock.advance(Duration::from_secs(22 * 60));
    assert!(lock.still_held());
    clock.advance(Duration::from_secs(60));
    assert!(!lock.still_held());
}

#[test]
fn leftovers_hinder_only_the_exclusive() {
    let (store, clock) = (memory(), clock());
    create(store.clone());
    let one = as_process(&store, &clock, "here", 42);
    let name = |n: u8| Key::new(format!("locks/{}", hex(n))).unwrap();
    store.put(&name(1), b"", PutMode::IfAbsent).unwrap();
    drop(one.lock(LockKind::Exclusive).unwrap());
    store
        .put(&name(2), b"not a lock", PutMode::IfAbsent)
        .unwrap();
    drop(one.lock(LockKind::Shared).unwrap());
    assert!(matches!(
        one.lock(LockKind::Exclusive),
        Err(LockError::Held { .. })
    ));
}

fn hex(n: u8) -> String {
    format!("{n:02x}").repeat(32)
}

/// The clock stands until it is moved, so the lock settles when the test says so.
#[derive(Debug)]
struct Waiting {
    inner: Arc<ManualClock>,
    may_go_on: Mutex<bool>,
    moved: Condvar,
}

impl Clock for Waiting {
    fn now(&self) -> Time {
        self.inner.now()
    }

    fn monotonic(&self) -> Duration {
        self.inner.monotonic()
    }

    fn sleep(&self, _: Duration) {
        let waits = self
            .moved
            .wait_while(self.may_go_on.lock().unwrap(), |go| !*go);
        drop(waits.unwrap());
    }
}

impl Waiting {
    fn new() -> Arc<Waiting> {
        Arc::new(Waiting {
            inner: clock(),
            may_go_on: Mutex::new(false),
            moved: Condvar::new(),
        })
    }

    fn go_on(&self) {
        *self.may_go_on.lock().unwrap() = true;
        self.moved.notify_all();
    }
}

fn waiting(store: &Arc<MemoryStore>, clock: &Arc<Waiting>) -> Repository {
    let env = Env {
        hostname: "here".to_owned(),
        ..env_of(clock.clone(), Arc::new(SeededRandom::new(5)))
    };
    Repository::open(store.clone(), &env, &secret()).unwrap()
}

/// All that is stored but locks.
fn stored(store: &MemoryStore) -> Vec<Key> {
    let all = list_all(store, "").unwrap();
    let keys = all.into_iter().map(|(key, _)| key);
    keys.filter(|key| !key.as_str().starts_with("locks/"))
        .collect()
}

#[test]
fn while_an_early_lock_settles_there_is_reading_and_no_writing() {
    let (store, clock) = (memory(), Waiting::new());
    create(store.clone());
    let before = stored(&store);
    let repository = waiting(&store, &clock);
    let lock = repository.lock_early(LockKind::Shared).unwrap();
    assert_eq!(locks(&store), 1);
    assert_eq!(repository.check(&NoProgress).unwrap().problems, []);
    std::thread::scope(|scope| {
        let backup = scope.spawn(|| back_up(&repository, &[file("a", "text")]));
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(stored(&store), before);
        assert!(!backup.is_finished());
        clock.go_on();
        backup.join().unwrap().unwrap();
    });
    lock.settled().unwrap();
    assert!(stored(&store).len() > before.len());
    drop(lock);
    assert_eq!(locks(&store), 0);
}

#[test]
fn under_an_early_lock_that_is_refused_nothing_is_written() {
    let (store, clock) = (memory(), Waiting::new());
    create(store.clone());
    // Somebody who looked before our lock was there.
    let other = as_process(&store, &clock.inner, "there", 42);
    let theirs = other.lock(LockKind::Exclusive).unwrap();
    let (key, bytes) = {
        let (key, _) = list_all(&*store, "locks/").unwrap().remove(0);
        let bytes = store.get(&key).unwrap();
        (key, bytes)
    };
    store.delete(&key).unwrap();
    let before = stored(&store);
    let repository = waiting(&store, &clock);
    let lock = repository.lock_early(LockKind::Shared).unwrap();
    store.put(&key, &bytes, PutMode::IfAbsent).unwrap();
    let failed = std::thread::scope(|scope| {
        let backup = scope.spawn(|| back_up(&repository, &[file("a", "text")]));
        clock.go_on();
        backup.join().unwrap().unwrap_err()
    });
    assert!(
        format!("{failed:?}").contains("somebody else"),
        "{failed:?}"
    );
    assert!(matches!(
        lock.settled(),
        Err(LockError::Held { host, .. }) if host == "there"
    ));
    assert!(!lock.still_held());
    assert_eq!(stored(&store), before);
    // Whoever gets a lock later may write again.
    drop((lock, theirs));
    let _lock = repository.lock(LockKind::Shared).unwrap();
    back_up(&repository, &[file("a", "text")]).unwrap();
}
