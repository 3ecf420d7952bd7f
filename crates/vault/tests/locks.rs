//! Locks: who keeps out whom, and when a lock is stale.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::*;
use vouchsafe_host::{ManualClock, SeededRandom};
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
