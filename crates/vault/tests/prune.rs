//! Removing: what may go goes, and what is needed stays.

use crate::common::removing::*;
use crate::common::*;
use vouchsafe_capture::NoProgress;
use vouchsafe_format::Id;
use vouchsafe_store::{Key, PutMode, Store};
use vouchsafe_vault::{Forget, KnownPoints, LockKind, PruneError, PruneOptions, Repository, Why};

#[test]
fn what_may_go_goes_and_the_rest_is_whole() {
    let dated = Dated::new(1);
    let repository = dated.create();
    let all = generations(&repository, 5);
    let before = packs(&*dated.store);
    let known = known(&all[3..], &all[..3]);
    let (worklist, report) = prune(&repository, &known, &strict()).unwrap();
    assert_eq!(sorted(&worklist.kept), sorted(&all[3..]));
    assert_eq!(worklist.unknown, []);
    assert_eq!(report.forgotten.len(), 3);
    assert!(
        !worklist.remove.is_empty() && !worklist.repack.is_empty(),
        "{worklist:?}"
    );
    let after = packs(&*dated.store);
    let sum = |packs: &[(Key, u64)]| packs.iter().map(|(_, bytes)| bytes).sum::<u64>();
    assert_eq!(sum(&before) - sum(&after), report.freed);
    for work in worklist.remove.iter().chain(&worklist.repack) {
        assert!(
            after
                .iter()
                .all(|(key, _)| key.name() != work.pack.to_hex())
        );
    }
    for (n, snapshot) in (3..).zip(&all[3..]) {
        must_hold(&repository, snapshot, n);
        must_hold(&dated.open(), snapshot, n);
    }
    must_be_sound(&dated.open());
    // Nothing is left to do, and nothing unused is left.
    let again = repository
        .plan_prune(
            &removing::known(&all[3..], &all[..3]),
            &strict(),
            &NoProgress,
        )
        .unwrap();
    assert!(again.is_empty(), "{again:?}");
    assert_eq!(again.figures.unused_kept, 0);
    // And the repository goes on.
    let next = back_up(&repository, &generation(5)).unwrap();
    must_hold(&repository, &next.snapshot, 5);
    must_be_sound(&dated.open());
}

#[test]
fn a_share_may_stay_unused_but_not_what_must_be_erased() {
    let secret_file = |n| file("secret", noise(n, 300));
    let items = |n: u64| {
        let mut items = vec![file("big", noise(1, 3_000)), dir("d", vec![])];
        items.extend((n == 0).then(|| secret_file(7)));
        items
    };
    let lax = PruneOptions {
        max_unused: 0.9,
        ..PruneOptions::default()
    };
    for erase in [false, true] {
        let dated = Dated::new(2);
        let repository = dated.create();
        let first = back_up(&repository, &items(0)).unwrap();
        let second = back_up(&repository, &items(1)).unwrap();
        let gone = Forget {
            erase,
            tree: Some(first.tree),
            ..forget(first.snapshot)
        };
        let known = KnownPoints::new([second.snapshot], vec![gone.clone()]);
        // Interrupted after the snapshot was removed: what it held is still found by its tree.
        let name = Key::new(format!("snapshots/{}", first.snapshot.to_hex())).unwrap();
        dated.store.delete(&name).unwrap();
        let (worklist, _) = prune(&repository, &known, &lax).unwrap();
        let erased = worklist.repack.iter().any(|work| work.why == Why::Erased);
        assert_eq!(erased, erase, "{worklist:?}");
        assert_eq!(worklist.figures.unused_kept > 0, !erase);
        let check = repository.check(&NoProgress).unwrap();
        assert_eq!(check.problems, []);
        let found = read(&repository.reader(&second.snapshot).unwrap()).unwrap();
        assert_eq!(found.entries, expected(&items(1)));
        // Without its tree nobody knows what only it held: then all that is unused goes.
        let known = KnownPoints::new([second.snapshot], vec![Forget { tree: None, ..gone }]);
        let rest = repository.plan_prune(&known, &lax, &NoProgress).unwrap();
        assert_eq!(rest.figures.unused_kept > 0, !erase, "{rest:?}");
    }
}

#[test]
fn unknown_snapshots_are_kept_and_displace_nothing() {
    let dated = Dated::new(3);
    let repository = dated.create();
    let all = generations(&repository, 3);
    let (worklist, _) = prune(&repository, &known(&all[..1], &[]), &strict()).unwrap();
    assert_eq!(sorted(&worklist.unknown), sorted(&all[1..]));
    for (n, snapshot) in (0..).zip(&all) {
        must_hold(&repository, snapshot, n);
    }
    // Named in both ways it stays.
    let both = KnownPoints::new([all[0]], vec![forget(all[0])]);
    let worklist = repository
        .plan_prune(&both, &strict(), &NoProgress)
        .unwrap();
    assert_eq!(worklist.forget, []);
}

#[test]
fn what_is_known_and_not_there_ends_the_plan() {
    let dated = Dated::new(4);
    let repository = dated.create();
    let all = generations(&repository, 2);
    let missing = Id::of(b"was never here");
    let refused = prune(
        &repository,
        &known(&[all[1], missing], &all[..1]),
        &strict(),
    );
    assert!(matches!(refused, Err(PruneError::Missing { snapshot, .. }) if snapshot == missing));
    must_hold(&repository, &all[0], 0);
}

#[test]
fn what_cannot_be_read_ends_the_plan_and_nothing_is_removed() {
    let dated = Dated::new(5);
    let repository = dated.create();
    let all = generations(&repository, 3);
    let pristine = dated.store.contents();
    let known = known(&all[1..], &all[..1]);
    let mut refusals = [0; 4];
    for (key, bytes) in &pristine {
        if !["data/", "snapshots/", "index/"]
            .iter()
            .any(|p| key.as_str().starts_with(p))
        {
            continue;
        }
        for gone in [false, true] {
            if gone {
                dated.store.delete(key).unwrap();
            } else {
                let mut damaged = bytes.clone();
                for byte in &mut damaged {
                    *byte ^= 1;
                }
                dated.store.put(key, &damaged, PutMode::Replace).unwrap();
            }
            let before = dated.store.contents();
            let repository = dated.open();
            let result = repository
                .plan_prune(&known, &strict(), &NoProgress)
                .and_then(|worklist| {
                    let lock = repository.lock(LockKind::Exclusive).unwrap();
                    let cleared = repository.clear_deletion(lock, record())?;
                    repository.prune(&worklist, &cleared, &NoProgress)
                });
            match result {
                Err(PruneError::Tree { .. }) => refusals[0] += 1,
                Err(PruneError::Pack { .. }) => refusals[1] += 1,
                Err(PruneError::Unreadable { .. } | PruneError::Missing { .. }) => refusals[2] += 1,
                // A chunk that is still needed was to be moved.
                Err(PruneError::Work(_)) => refusals[3] += 1,
                // It was of no use to what is kept.
                Ok(_) => {}
                Err(other) => panic!("{key}: {other}"),
            }
            // Whatever happened: what was whole before is whole.
            let after = dated.store.contents();
            if !matches!(result, Ok(_) | Err(PruneError::Work(_))) {
                assert_eq!(before, after, "{key}");
            }
            for (name, bytes) in dated.store.contents() {
                if !pristine.contains_key(&name) {
                    dated.store.delete(&name).unwrap();
                }
                drop(bytes);
            }
            for (name, bytes) in &pristine {
                dated.store.put(name, bytes, PutMode::Replace).unwrap();
            }
        }
    }
    assert!(refusals.iter().all(|n| *n > 0), "{refusals:?}");
}

#[test]
fn two_copies_of_a_blob_become_one() {
    let dated = Dated::new(10);
    let repository = dated.create();
    let other = dated.world.store("other");
    for (key, bytes) in dated.store.contents() {
        other.put(&key, &bytes, PutMode::IfAbsent).unwrap();
    }
    let all = generations(&repository, 1);
    // Two who work at the same time store the same twice.
    let env = dated.env(99);
    let beside = simulated(Repository::open(other.clone(), &env, &secret()).unwrap());
    let mut all: Vec<Id> = all.into_iter().chain(generations(&beside, 1)).collect();
    for (key, bytes) in other.contents() {
        dated.store.put(&key, &bytes, PutMode::Replace).unwrap();
    }
    all = sorted(&all);
    let twice = packs(&*dated.store).len();
    let repository = dated.open();
    prune(&repository, &known(&all, &[]), &strict()).unwrap();
    assert!(packs(&*dated.store).len() < twice);
    must_hold(&dated.open(), &all[0], 0);
    must_be_sound(&dated.open());
    let again = dated
        .open()
        .plan_prune(&known(&all, &[]), &strict(), &NoProgress)
        .unwrap();
    assert!(again.is_empty(), "{again:?}");
}
