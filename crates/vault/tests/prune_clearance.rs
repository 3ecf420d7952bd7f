//! Removing needs a lock that holds, a record, and clocks that agree.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::common::removing::*;
use crate::common::*;
use vouchsafe_capture::NoProgress;
use vouchsafe_host::Clock;
use vouchsafe_model::{Span, Time};
use vouchsafe_store::{Capabilities, Key, ObjectMeta, PutMode, Store, StoreError, list_all};
use vouchsafe_vault::{
    ClearanceError, LockError, LockKind, PruneError, PruneMode, PruneOptions, Repository,
    WholeRecord,
};

#[test]
fn nothing_is_removed_while_the_clocks_disagree() {
    let dated = Dated::new(6);
    let repository = dated.create();
    let all = generations(&repository, 2);
    let known = known(&all[1..], &all[..1]);
    let clock = dated.world.clock();
    let clear = |record| {
        let lock = repository.lock(LockKind::Exclusive).unwrap();
        repository.clear_deletion(lock, record)
    };
    // The wall clock jumps after the lock was written.
    for by in [Span::from_secs(61), Span::from_days(400)] {
        let lock = repository.lock(LockKind::Exclusive).unwrap();
        clock.set(clock.now().plus(by));
        let refused = repository.clear_deletion(lock, record()).unwrap_err();
        assert!(
            matches!(refused, ClearanceError::ClockJumped { .. }),
            "{refused}"
        );
    }
    // It is behind the record.
    let ahead = WholeRecord {
        entries: 9,
        newest: clock.now().plus(Span::from_mins(2)),
    };
    assert!(matches!(
        clear(ahead),
        Err(ClearanceError::RecordAhead { .. })
    ));
    // There is no record.
    let empty = WholeRecord {
        entries: 0,
        newest: Time::MIN,
    };
    assert!(matches!(
        clear(empty),
        Err(ClearanceError::EmptyRecord { .. })
    ));
    // The store does not say.
    let undated = create(memory());
    let lock = undated.lock(LockKind::Exclusive).unwrap();
    let refused = undated.clear_deletion(lock, record()).unwrap_err();
    assert!(matches!(refused, ClearanceError::NoDate { .. }));
    // The store says something else.
    let elsewhere = Repository::open(dated.store.clone(), &still_env(4), &secret()).unwrap();
    clock.set(clock.now().plus(Span::from_days(1)));
    let lock = elsewhere.lock(LockKind::Exclusive).unwrap();
    let refused = elsewhere.clear_deletion(lock, record()).unwrap_err();
    assert!(
        matches!(refused, ClearanceError::ClocksDisagree { .. }),
        "{refused}"
    );
    // It jumps between the worklist and the deed.
    let cleared = clear(record()).unwrap();
    let worklist = repository
        .plan_prune(&known, &strict(), &NoProgress)
        .unwrap();
    clock.set(clock.now().plus(Span::from_mins(2)));
    let refused = repository
        .prune(&worklist, &cleared, &NoProgress)
        .unwrap_err();
    assert!(matches!(
        refused,
        PruneError::NotCleared(ClearanceError::ClockJumped { .. })
    ));
    for (n, snapshot) in (0..).zip(&all) {
        must_hold(&repository, snapshot, n);
    }
    // And when they agree it is removed.
    clock.advance(Duration::from_secs(3600));
    drop(cleared);
    let (_, report) = prune(&repository, &known, &strict()).unwrap();
    assert_eq!(report.forgotten, all[..1]);
}

#[test]
fn a_shared_lock_clears_nothing_and_another_prune_is_kept_out() {
    let dated = Dated::new(7);
    let repository = dated.create();
    let all = generations(&repository, 1);
    let lock = repository.lock(LockKind::Shared).unwrap();
    let refused = repository.clear_deletion(lock, record()).unwrap_err();
    assert!(matches!(refused, ClearanceError::NotExclusive { .. }));
    let held = repository.lock(LockKind::Exclusive).unwrap();
    let other = dated.open();
    assert!(matches!(
        other.lock(LockKind::Exclusive),
        Err(LockError::Held { .. })
    ));
    // A clearance is good for its own repository and its own way only.
    let cleared = repository.clear_deletion(held, record()).unwrap();
    let once = PruneOptions {
        mode: PruneMode::WriteOnce {
            pending: Vec::new(),
            grace: Span::ZERO,
        },
        ..strict()
    };
    let worklist = repository
        .plan_prune(&known(&all, &[]), &once, &NoProgress)
        .unwrap();
    let refused = repository
        .prune(&worklist, &cleared, &NoProgress)
        .unwrap_err();
    assert!(matches!(refused, PruneError::OtherClearance { .. }));
}

#[test]
fn what_came_since_the_worklist_was_made_ends_the_deed() {
    let dated = Dated::new(8);
    let repository = dated.create();
    let all = generations(&repository, 2);
    let lock = repository.lock(LockKind::Exclusive).unwrap();
    let cleared = repository.clear_deletion(lock, record()).unwrap();
    let known = known(&all[1..], &all[..1]);
    let worklist = repository
        .plan_prune(&known, &strict(), &NoProgress)
        .unwrap();
    // Somebody who does not heed locks.
    let late = back_up(&dated.open(), &generation(0)).unwrap();
    let refused = repository
        .prune(&worklist, &cleared, &NoProgress)
        .unwrap_err();
    assert!(matches!(refused, PruneError::Changed { .. }), "{refused}");
    must_hold(&dated.open(), &late.snapshot, 0);
    must_hold(&dated.open(), &all[0], 0);
}

/// Removes the lock, as somebody who took it for stale would, before the nth removal of another object.
struct Thief {
    inner: Arc<dyn Store>,
    left: AtomicU64,
    removed_after: AtomicU64,
}

impl Store for Thief {
    fn describe(&self) -> String {
        self.inner.describe()
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
        self.inner.put(key, bytes, mode)
    }
    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        if !key.as_str().starts_with("locks/") {
            match self.left.load(Ordering::SeqCst) {
                0 => {
                    self.removed_after.fetch_add(1, Ordering::SeqCst);
                }
                1 => {
                    for (lock, _) in list_all(&*self.inner, "locks/")? {
                        self.inner.delete(&lock)?;
                    }
                    self.left.store(0, Ordering::SeqCst);
                }
                left => self.left.store(left - 1, Ordering::SeqCst),
            }
        }
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

#[test]
fn a_writer_whose_lock_is_taken_away_stops() {
    let (mut stopped, mut nth) = (0, 1);
    loop {
        let dated = Dated::new(9);
        let all = generations(&dated.create(), 6);
        let thief = Arc::new(Thief {
            inner: dated.store.clone(),
            left: AtomicU64::new(nth),
            removed_after: AtomicU64::new(0),
        });
        let repository = dated.open_as(thief.clone());
        let result = prune(&repository, &known(&all[4..], &all[..4]), &strict());
        let more = thief.removed_after.load(Ordering::SeqCst);
        match result {
            Err(PruneError::NotCleared(ClearanceError::LockLost { .. })) => {
                stopped += 1;
                // Within one kind of object it is noticed after a few removals or a second.
                assert!(more < 64, "{more} removals after the lock was lost");
            }
            Ok(_) => {}
            Err(other) => panic!("{other}"),
        }
        for (n, snapshot) in (4..).zip(&all[4..]) {
            must_hold(&dated.open(), snapshot, n);
        }
        assert_eq!(dated.open().check(&NoProgress).unwrap().problems, []);
        if thief.left.load(Ordering::SeqCst) > 0 {
            break;
        }
        nth += 1;
    }
    assert!(stopped >= 5 && nth > 10, "{stopped} of {nth}");
}
