//! Repairs: every damage is repaired or its loss is named, and no failure on the way loses anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::common::damages::*;
use crate::common::*;
use vouchsafe_capture::NoProgress;
use vouchsafe_model::Issue;
use vouchsafe_store::{
    CountingStore, Fault, FaultKind, FaultStore, Operation, PutMode, SimConfig, SimWorld, Store,
    list_all,
};
use vouchsafe_vault::{
    Budget, Env, LockError, LockKind, Reading, RepairError, RepairReport, Repository, VerifyMemory,
};

fn stores() -> [Arc<dyn Store>; 2] {
    let [near, far]: [Arc<dyn Store>; 2] = [memory(), memory()];
    two_vaults(&near, &far);
    [near, far]
}

fn problems(repository: &Repository) -> Vec<Issue> {
    let mut all = repository.check(&NoProgress).unwrap().problems;
    all.extend(
        repository
            .verify(Budget::All, 1, &NoProgress)
            .unwrap()
            .problems,
    );
    all
}

/// Index, packs from the other vault, verification: as a user would do it.
fn heal(near: Arc<dyn Store>, far: Arc<dyn Store>, env: &Env) -> Result<RepairReport, String> {
    let (near, far) = (open_in(near, env)?, open_in(far, env)?);
    let text = |e: RepairError| format!("{e}: {e:?}");
    let lock = near.lock(LockKind::Exclusive).map_err(|e| e.to_string())?;
    let index = near.plan_index_repair(&NoProgress).map_err(text)?;
    near.repair_index(&index, &lock).map_err(text)?;
    let plan = near
        .plan_pack_repair(&[], &[&far], &NoProgress)
        .map_err(text)?;
    let report = near
        .repair_packs(&plan, &[&far], &lock, &NoProgress)
        .map_err(text)?;
    Ok(report)
}

/// Both snapshots, and nothing of the packs that were damaged.
fn must_be_whole(store: &Arc<dyn Store>, what: &str) {
    let repository = open_small(store.clone());
    assert_eq!(problems(&repository), [], "{what}");
    assert_eq!(
        repository.check(&NoProgress).unwrap().unlisted_packs,
        [],
        "{what}: leftovers"
    );
    let snapshots = repository.snapshots().unwrap();
    assert_eq!(snapshots.len(), 2, "{what}");
    for (generation, (id, _)) in (0..).zip(&snapshots) {
        let found = read(&repository.reader(id).unwrap()).unwrap();
        assert!(found.failed.is_empty(), "{what}: {:?}", found.failed);
        let either = [expected(&items(0)), expected(&items(1))];
        assert!(either.contains(&found.entries), "{what}, {generation}");
    }
}

#[test]
fn every_damage_is_healed_from_the_other_vault() {
    for (name, damage) in DAMAGES {
        let [near, far] = stores();
        damage(&Victim::of(&near));
        let before = problems(&open_small(near.clone()));
        assert!(
            !before.is_empty() || name == "a pack listed twice",
            "{name} is not noticed"
        );
        let report = heal(near.clone(), far.clone(), &still_env(4))
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(report.blobs_lost, [], "{name}");
        must_be_whole(&near, name);
        must_be_whole(&far, "the other vault");
        // There is nothing left to do, and nothing is done.
        let again = open_small(near.clone());
        assert!(
            again.plan_index_repair(&NoProgress).unwrap().is_nothing(),
            "{name}"
        );
        let far = open_small(far);
        let plan = again.plan_pack_repair(&[], &[&far], &NoProgress).unwrap();
        assert!(plan.is_nothing(), "{name}: {plan:?}");
    }
}

#[test]
fn only_what_is_lost_is_fetched() {
    let [near, far] = stores();
    let victim = Victim::of(&near);
    victim.change(
        &pack_key(&victim.pack(vouchsafe_format::BlobKind::Data).0),
        |bytes| bytes[40] ^= 1,
    );
    let counted = Arc::new(CountingStore::new(far));
    let report = heal(near.clone(), counted.clone(), &still_env(4)).unwrap();
    assert_eq!(report.blobs_healed, 1);
    assert!(report.blobs_salvaged > 0);
    assert_eq!(
        counted.counts().ranges,
        2,
        "one blob, read for the worklist and for the deed"
    );
    must_be_whole(&near, "healed");
}

#[test]
fn without_another_vault_the_loss_is_named_and_the_rest_saved() {
    for (name, damage) in DAMAGES {
        let [near, _] = stores();
        damage(&Victim::of(&near));
        let repository = open_small(near.clone());
        let lock = repository.lock(LockKind::Exclusive).unwrap();
        let index = repository.plan_index_repair(&NoProgress).unwrap();
        repository.repair_index(&index, &lock).unwrap();
        let plan = repository.plan_pack_repair(&[], &[], &NoProgress).unwrap();
        let done = repository
            .repair_packs(&plan, &[], &lock, &NoProgress)
            .unwrap();
        let (mut planned, mut lost) = (plan.lost(), done.blobs_lost.clone());
        planned.sort_unstable();
        lost.sort_unstable();
        lost.dedup();
        assert_eq!(planned, lost, "{name}: the worklist said so");
        let verify = repository.verify(Budget::All, 1, &NoProgress).unwrap();
        assert_eq!(verify.problems, [], "{name}: no damaged pack is left");

        let plan = repository.plan_snapshot_repair(&NoProgress).unwrap();
        let hits = repository.hit_by(&[]).unwrap();
        let counted = |all: Vec<(vouchsafe_format::Id, u64)>| BTreeMap::from_iter(all);
        assert_eq!(
            counted(
                plan.snapshots
                    .iter()
                    .map(|s| (s.snapshot, s.count))
                    .collect()
            ),
            counted(hits.iter().map(|h| (h.snapshot, h.count)).collect()),
            "{name}: both ways of counting agree"
        );
        let done = repository.repair_snapshots(&plan, true, &lock).unwrap();
        assert_eq!(problems(&repository), [], "{name}");
        let whole = 2 - plan.snapshots.len();
        let possible = plan.snapshots.iter().filter(|s| !s.nothing_left).count();
        assert_eq!(done.snapshots_added.len(), possible, "{name}");
        let snapshots = repository.snapshots().unwrap();
        assert_eq!(snapshots.len(), whole + possible, "{name}");
        for (broken, sibling) in &done.snapshots_added {
            let (_, snapshot) = snapshots.iter().find(|(id, _)| id == sibling).unwrap();
            assert_eq!(snapshot.original, Some(*broken));
            assert_eq!(snapshot.tags, ["repaired"]);
            let planned = plan
                .snapshots
                .iter()
                .find(|s| s.snapshot == *broken)
                .unwrap();
            must_hold_all_but(&repository, sibling, &planned.lost, name);
        }
    }
}

/// What the sibling holds is right; what it does not hold was named; what misses chunks has no file's name.
fn must_hold_all_but(
    repository: &Repository,
    sibling: &vouchsafe_format::Id,
    lost: &[String],
    what: &str,
) {
    let found = read(&repository.reader(sibling).unwrap()).unwrap();
    assert!(found.failed.is_empty(), "{what}");
    let either = [expected(&items(0)), expected(&items(1))];
    let fits = either.iter().any(|wanted| {
        wanted.iter().all(|(path, bytes)| {
            let is_lost = lost.iter().any(|l| {
                l == path || path.starts_with(l.trim_end_matches('/')) && l.ends_with('/')
            });
            match found.entries.get(path) {
                Some(held) => held == bytes,
                None => is_lost,
            }
        })
    });
    assert!(fits, "{what}: {lost:?} {:?}", found.entries.keys());
    for path in found.entries.keys().filter(|p| p.ends_with(".incomplete")) {
        let name = path.trim_end_matches(".incomplete");
        assert!(lost.iter().any(|l| l == name), "{what}: {path}");
    }
}

#[test]
fn damaged_in_both_vaults_is_lost_and_said() {
    let [near, far] = stores();
    let victim = Victim::of(&near);
    let (pack, listed) = victim.pack(vouchsafe_format::BlobKind::Data);
    near.delete(&pack_key(&pack)).unwrap();
    for (key, _) in list_all(&*far, "data/").unwrap() {
        far.delete(&key).unwrap();
    }
    let report = heal(near.clone(), far, &still_env(4)).unwrap();
    let mut lost = report.blobs_lost;
    lost.sort_unstable();
    let mut wanted: Vec<_> = listed.blobs.iter().map(|blob| blob.id).collect();
    wanted.sort_unstable();
    assert_eq!(lost, wanted);
    let hits = open_small(near).hit_by(&[]).unwrap();
    assert!(!hits.is_empty());
    assert!(hits.iter().all(|hit| !hit.places.is_empty()));
}

#[test]
fn a_broken_snapshot_stays_unless_it_is_to_be_forgotten() {
    let [near, _] = stores();
    let victim = Victim::of(&near);
    near.delete(&pack_key(&victim.pack(vouchsafe_format::BlobKind::Data).0))
        .unwrap();
    let repository = open_small(near.clone());
    let lock = repository.lock(LockKind::Exclusive).unwrap();
    let plan = repository.plan_pack_repair(&[], &[], &NoProgress).unwrap();
    repository
        .repair_packs(&plan, &[], &lock, &NoProgress)
        .unwrap();
    let plan = repository.plan_snapshot_repair(&NoProgress).unwrap();
    let done = repository.repair_snapshots(&plan, false, &lock).unwrap();
    let names = repository.snapshot_ids().unwrap();
    assert_eq!(names.len(), 2 + done.snapshots_added.len());
    assert!(plan.snapshots.iter().all(|s| names.contains(&s.snapshot)));
    // A second time writes no second sibling.
    let again = repository.plan_snapshot_repair(&NoProgress).unwrap();
    assert!(again.is_nothing() && !again.snapshots.is_empty());
    let done = repository.repair_snapshots(&again, false, &lock).unwrap();
    assert_eq!(done.snapshots_added, []);
}

#[test]
fn a_sound_vault_is_left_as_it_is() {
    let [near, far] = stores();
    let before = list_all(&*near, "").unwrap();
    let counted = Arc::new(CountingStore::new(near.clone()));
    let (repository, far) = (open_small(counted.clone()), open_small(far));
    let index = repository.plan_index_repair(&NoProgress).unwrap();
    assert!(index.is_nothing(), "{index:?}");
    let packs = repository
        .plan_pack_repair(&[], &[&far], &NoProgress)
        .unwrap();
    assert!(packs.is_nothing() && packs.problems.is_empty());
    let snapshots = repository.plan_snapshot_repair(&NoProgress).unwrap();
    assert!(snapshots.is_nothing() && snapshots.snapshots.is_empty());
    let counts = counted.counts();
    assert_eq!((counts.puts, counts.deletes), (0, 0));
    assert_eq!(list_all(&*near, "").unwrap(), before);
}

#[test]
fn packs_are_not_repaired_by_a_damaged_index() {
    let [near, _] = stores();
    let victim = Victim::of(&near);
    let key = victim.index_keys().remove(0);
    victim.change(&key, |bytes| bytes[30] ^= 1);
    let refused = open_small(near).plan_pack_repair(&[], &[], &NoProgress);
    assert!(
        matches!(&refused, Err(RepairError::Index { object }) if object == key.as_str()),
        "{refused:?}"
    );
}

#[test]
fn a_reading_that_goes_wrong_once_is_no_damage() {
    let [near, far] = stores();
    for nth in 1..40 {
        let fault = Fault {
            on: Operation::Get,
            nth,
            kind: FaultKind::ShortRead { missing: 3 },
        };
        let flaky = Arc::new(FaultStore::new(near.clone(), [fault]));
        let Ok(report) = heal(flaky.clone(), far.clone(), &still_env(100 + nth)) else {
            continue;
        };
        assert_eq!(report.blobs_lost, [], "read {nth}");
        assert_eq!(report.blobs_healed, 0, "read {nth}: all of it is here");
        must_be_whole(&near, &format!("read {nth}"));
    }
}

const OPERATIONS: [Operation; 6] = [
    Operation::Get,
    Operation::GetRange,
    Operation::Head,
    Operation::Put,
    Operation::Delete,
    Operation::List,
];

fn kinds(on: Operation) -> Vec<FaultKind> {
    match on {
        Operation::Put => vec![
            FaultKind::Permanent,
            FaultKind::Ambiguous,
            FaultKind::Full,
            FaultKind::TornPut { keep: 20 },
        ],
        Operation::Get => vec![FaultKind::Permanent, FaultKind::ShortRead { missing: 1 }],
        _ => vec![FaultKind::Permanent],
    }
}

/// Damaged in several ways at once.
fn badly_damaged() -> [Arc<dyn Store>; 2] {
    let [near, far] = stores();
    let victim = Victim::of(&near);
    for name in [
        "flipped byte in a chunk",
        "missing pack of directories",
        "missing index",
    ] {
        let (_, damage) = DAMAGES.iter().find(|(n, _)| *n == name).unwrap();
        damage(&victim);
    }
    [near, far]
}

#[test]
fn a_repair_survives_the_failure_of_each_call() {
    let [near, far] = badly_damaged();
    let clean = [near, far].map(|s| Arc::new(FaultStore::new(s, [])));
    heal(clean[0].clone(), clean[1].clone(), &still_env(4)).unwrap();
    let (mut failed, mut swept) = (0, 0);
    for at in 0..2 {
        for on in OPERATIONS {
            for nth in 1..=clean[at].calls(on) {
                for kind in kinds(on) {
                    let inner = badly_damaged();
                    let stores = inner.clone().map(|s| Arc::new(FaultStore::new(s, [])));
                    stores[at].plan(Fault { on, nth, kind });
                    let result = heal(stores[0].clone(), stores[1].clone(), &still_env(4));
                    assert_eq!(stores[at].unhit(), [], "the fault was never hit");
                    swept += 1;
                    failed += u64::from(result.is_err());
                    let what = format!("after {on:?} {nth} {kind:?} in vault {at}");
                    // Somebody's lock may have stayed; it is of this process and this host.
                    remove_locks(&inner[0]);
                    let report = heal(inner[0].clone(), inner[1].clone(), &still_env(5))
                        .unwrap_or_else(|e| panic!("{what}: {e}"));
                    assert_eq!(report.blobs_lost, [], "{what}");
                    must_be_whole_but_for_leftovers(&inner[0], &what);
                    must_be_whole(&inner[1], &what);
                }
            }
        }
    }
    assert!(failed > 50 && swept > 100, "{failed} of {swept} failed");
}

fn remove_locks(store: &Arc<dyn Store>) {
    for (key, _) in list_all(&**store, "locks/").unwrap() {
        store.delete(&key).unwrap();
    }
}

/// A pack that was stored and whose index was not, or that was taken from the index and not removed, does no harm.
fn must_be_whole_but_for_leftovers(store: &Arc<dyn Store>, what: &str) {
    let repository = open_small(store.clone());
    assert_eq!(problems(&repository), [], "{what}");
    for (id, _) in repository.snapshots().unwrap() {
        let found = read(&repository.reader(&id).unwrap()).unwrap();
        assert!(found.failed.is_empty(), "{what}: {:?}", found.failed);
        let either = [expected(&items(0)), expected(&items(1))];
        assert!(either.contains(&found.entries), "{what}");
    }
    assert_eq!(repository.snapshot_ids().unwrap().len(), 2, "{what}");
}

#[test]
fn a_crash_at_any_step_of_a_repair_loses_nothing() {
    let mut steps = 0;
    loop {
        let world = SimWorld::new(7, SimConfig::calm());
        let near = world.store("near");
        let [damaged, far] = badly_damaged();
        for (key, _) in list_all(&*damaged, "").unwrap() {
            near.put(&key, &damaged.get(&key).unwrap(), PutMode::Replace)
                .unwrap();
        }
        world.crash_after(steps);
        let result = heal(near.clone(), far.clone(), &still_env(4));
        let crashed = world.is_down();
        assert!(crashed || result.is_ok(), "{result:?}");
        if crashed {
            world.crash();
        }
        world.restart();
        let after: Arc<dyn Store> = memory();
        for (key, bytes) in near.contents() {
            after.put(&key, &bytes, PutMode::Replace).unwrap();
        }
        remove_locks(&after);
        let what = format!("crashed at step {steps}");
        heal(after.clone(), far, &still_env(5)).unwrap_or_else(|e| panic!("{what}: {e}"));
        must_be_whole_but_for_leftovers(&after, &what);
        if !crashed {
            break;
        }
        steps += 1;
    }
    assert!(steps > 8, "only {steps} steps");
}

#[test]
fn nobody_repairs_beside_somebody_else() {
    let [near, _] = stores();
    let one = open_small(near.clone());
    let _shared = one.lock(LockKind::Shared).unwrap();
    let other = open_in(near, &still_env(8)).unwrap();
    assert!(matches!(
        other.lock(LockKind::Exclusive),
        Err(LockError::Held { .. })
    ));
}

#[test]
fn a_verification_survives_the_failure_of_each_call() {
    let [near, _] = stores();
    let clean = Arc::new(FaultStore::new(near.clone(), []));
    let reading = Reading {
        budget: Budget::All,
        seed: 2,
        within: vouchsafe_model::Span::from_days(28),
    };
    let verify = |store: Arc<dyn Store>, memory: &mut VerifyMemory| {
        let repository = open_in(store, &still_env(6))?;
        repository
            .check_and_read(&reading, memory, &NoProgress)
            .map_err(|e| e.to_string())
    };
    verify(clean.clone(), &mut VerifyMemory::default()).unwrap();
    for on in OPERATIONS {
        for nth in 1..=clean.calls(on) {
            for kind in kinds(on) {
                let store = Arc::new(FaultStore::new(near.clone(), [Fault { on, nth, kind }]));
                let mut memory = VerifyMemory::default();
                let result = verify(store.clone(), &mut memory);
                assert_eq!(store.unhit(), [], "the fault was never hit");
                let what = format!("{on:?} {nth} {kind:?}");
                if let Ok((check, report)) = result {
                    let silent = check.problems.is_empty() && report.problems.is_empty();
                    // A directory that was not read ahead is read by itself.
                    assert!(
                        !silent || on == Operation::GetRange,
                        "{what} was not noticed"
                    );
                    let all = report.coverage.bytes_within == report.coverage.bytes_total;
                    assert!(!all || report.problems.is_empty(), "{what} counts as read");
                }
                // What could not be read was not damaged: the next time says so.
                let (check, report) = verify(near.clone(), &mut memory).unwrap();
                assert_eq!(check.problems, [], "{what}");
                assert_eq!(report.problems, [], "{what}");
                assert_eq!(report.coverage.packs_damaged, 0, "{what}");
            }
        }
    }
}
