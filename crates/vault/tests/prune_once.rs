//! Removing without locks: out of the index first, and a day later out of the store.

use std::time::Duration;

use crate::common::removing::*;
use crate::common::*;
use vouchsafe_capture::NoProgress;
use vouchsafe_format::Id;
use vouchsafe_host::Clock;
use vouchsafe_model::Span;
use vouchsafe_store::{Key, PutMode, SimConfig, SimWorld, Store, list_all};
use vouchsafe_vault::{KnownPoints, PendingPack, PruneError, PruneMode, PruneOptions};

#[test]
fn without_locks_a_pack_leaves_the_index_first_and_is_removed_a_day_later() {
    let dated = Dated::new(11);
    let repository = dated.create();
    let all = generations(&repository, 4);
    let beside = dated.world.store("beside");
    let key = Key::new("clock").unwrap();
    let known = known(&all[2..], &all[..2]);
    let mut pending: Vec<PendingPack> = Vec::new();
    let step = |pending: &[PendingPack]| {
        let options = PruneOptions {
            mode: PruneMode::WriteOnce {
                pending: pending.to_vec(),
                grace: Span::from_hours(1),
            },
            ..strict()
        };
        let repository = dated.open();
        let worklist = repository
            .plan_prune(&known, &options, &NoProgress)
            .unwrap();
        let cleared = repository
            .clear_write_once(&*beside, &key, record())
            .unwrap();
        let report = repository.prune(&worklist, &cleared, &NoProgress).unwrap();
        for (n, snapshot) in (2..).zip(&all[2..]) {
            must_hold(&dated.open(), snapshot, n);
        }
        assert_eq!(dated.open().check(&NoProgress).unwrap().problems, []);
        (worklist, report)
    };
    let there = packs(&*dated.store);
    let (_, first) = step(&pending);
    assert!(
        !first.retired.is_empty() && first.removed.is_empty(),
        "{first:?}"
    );
    let still = packs(&*dated.store);
    assert!(
        there.iter().all(|pack| still.contains(pack)),
        "no pack is removed yet"
    );
    // One that an interrupted backup has left: it waits as well.
    let stray = Id::of(b"stray");
    let name = Key::new(format!("data/{}/{}", &stray.to_hex()[..2], stray.to_hex())).unwrap();
    dated.store.put(&name, b"stray", PutMode::IfAbsent).unwrap();
    let now = dated.world.clock().now();
    pending.extend(first.retired.iter().map(|pack| PendingPack {
        pack: *pack,
        since: now,
    }));
    // The grace asked for is too short to be safe; a day it is.
    dated.world.clock().advance(Duration::from_secs(23 * 3600));
    let (_, second) = step(&pending);
    assert_eq!((second.removed.len(), &second.retired), (0, &vec![stray]));
    dated.world.clock().advance(Duration::from_secs(2 * 3600));
    let (_, third) = step(&pending);
    let wanted = sorted(&first.retired);
    assert_eq!(third.removed, wanted);
    let left = packs(&*dated.store);
    assert!(
        left.iter()
            .all(|(key, _)| !wanted.iter().any(|id| id.to_hex() == key.name()))
    );
    assert!(left.contains(&(name, 5)), "the stray one is not due yet");
    assert_eq!(list_all(&*dated.store, "locks/").unwrap(), []);
}

#[test]
fn a_pack_that_is_listed_again_is_not_removed_though_it_was_pending() {
    let dated = Dated::new(12);
    let repository = dated.create();
    let all = generations(&repository, 1);
    let long_ago = dated.world.clock().now();
    dated.world.clock().advance(Duration::from_secs(90 * 3600));
    let pending = packs(&*dated.store)
        .iter()
        .map(|(key, _)| PendingPack {
            pack: key.name().parse().unwrap(),
            since: long_ago,
        })
        .collect();
    let options = PruneOptions {
        mode: PruneMode::WriteOnce {
            pending,
            grace: Span::from_hours(24),
        },
        ..strict()
    };
    let worklist = repository
        .plan_prune(&known(&all, &[]), &options, &NoProgress)
        .unwrap();
    assert_eq!((worklist.remove.len(), worklist.retire.len()), (0, 0));
}

#[test]
fn a_backup_under_way_without_locks_finds_all_that_it_counted_on() {
    let dated = Dated::new(13);
    let repository = dated.create();
    let all = generations(&repository, 4);
    let beside = dated.world.store("beside");
    let prune_now = |pending: Vec<PendingPack>| {
        let options = PruneOptions {
            mode: PruneMode::WriteOnce {
                pending,
                grace: Span::from_hours(24),
            },
            ..strict()
        };
        let repository = dated.open();
        let known = known(&all[3..], &all[..3]);
        let worklist = repository
            .plan_prune(&known, &options, &NoProgress)
            .unwrap();
        let key = Key::new("clock").unwrap();
        let cleared = repository
            .clear_write_once(&*beside, &key, record())
            .unwrap();
        repository.prune(&worklist, &cleared, &NoProgress).unwrap()
    };
    let mut first = None;
    let ((), late) = dated
        .open()
        .backup(&backup_options(), &NoProgress, |sink| {
            // It has read the index, in which all of generation 0 is listed; then all that goes away.
            first = Some(prune_now(Vec::new()));
            fill(sink, &generation(0))
        })
        .unwrap();
    let since = dated.world.clock().now();
    let retired = first.unwrap().retired.into_iter();
    let pending: Vec<PendingPack> = retired.map(|pack| PendingPack { pack, since }).collect();
    assert!(late.added_packs.len() < 3, "{late:?}");
    let problems = dated.open().check(&NoProgress).unwrap().problems;
    assert!(
        !problems.is_empty(),
        "the index does not list what it counted on"
    );
    // However late the next prune comes: it lists again what turned out to be needed.
    dated.world.clock().advance(Duration::from_secs(100 * 3600));
    let second = prune_now(pending.clone());
    assert!(second.removed.len() < pending.len());
    must_hold(&dated.open(), &late.snapshot, 0);
    must_hold(&dated.open(), &all[3], 3);
    assert_eq!(dated.open().check(&NoProgress).unwrap().problems, []);
}

/// A snapshot that was written elsewhere moments ago may not be seen.
#[test]
fn where_listings_are_late_nothing_is_removed_under_locks() {
    let config = SimConfig {
        stale_list: 1,
        stale_for: Duration::from_secs(60),
        ..SimConfig::calm()
    };
    let repository = create(SimWorld::new(1, config).store("late"));
    let plan = |mode| {
        let known = KnownPoints::new([], Vec::new());
        let options = PruneOptions { mode, ..strict() };
        repository.plan_prune(&known, &options, &NoProgress)
    };
    let refused = plan(PruneMode::Locked).unwrap_err();
    assert!(
        matches!(refused, PruneError::LateListings { .. }),
        "{refused}"
    );
    assert!(refused.to_string().contains("write-once"), "{refused}");
    let once = PruneMode::WriteOnce {
        pending: Vec::new(),
        grace: Span::from_hours(24),
    };
    plan(once).unwrap();
}
