//! Every call of the store fails once: always a clean end, nothing lost, and the second attempt succeeds.

use std::sync::Arc;

use crate::common::*;
use vouchsafe_capture::NoProgress;
use vouchsafe_store::{Fault, FaultKind, FaultStore, Operation, Store};
use vouchsafe_vault::machine::Settings;
use vouchsafe_vault::{Driver, ReadBack, Repository, Simulation, copy};

const OPERATIONS: [Operation; 7] = [
    Operation::Get,
    Operation::GetRange,
    Operation::Head,
    Operation::Put,
    Operation::Write,
    Operation::Delete,
    Operation::List,
];

fn small() -> Settings {
    Settings {
        pack_bytes: 4_000,
        index_blobs: 6,
        budget: 30_000,
        ..Settings::default()
    }
}

fn simulated(repository: Repository) -> Repository {
    repository
        .with_driver(Driver::Simulated(Simulation {
            seed: 3,
            flights: None,
        }))
        .with_settings(small())
}

fn items(generation: u64) -> Vec<Item> {
    let file_of = |n: u64| file(&format!("f{n}"), noise(n + 100 * generation, 1_500));
    let below = (0..5).map(file_of).collect();
    vec![
        dir("d", below),
        file("kept", noise(77, 2_000)),
        Item::Stream(b"s".to_vec(), Arc::new(noise(generation, 900))),
    ]
}

/// A store with one snapshot of generation 0, through which faults can be planned.
fn prepared() -> (Arc<dyn Store>, Arc<FaultStore>, vouchsafe_format::Id) {
    let inner: Arc<dyn Store> = memory();
    let repository =
        simulated(Repository::create(inner.clone(), &still_env(1), &secret(), &options()).unwrap());
    let first = back_up(&repository, &items(0)).unwrap();
    (
        inner.clone(),
        Arc::new(FaultStore::new(inner, [])),
        first.snapshot,
    )
}

fn attempt(store: Arc<dyn Store>, parent: vouchsafe_format::Id) -> Result<(), String> {
    let repository =
        simulated(Repository::open(store, &still_env(2), &secret()).map_err(|e| e.to_string())?);
    let report = back_up_after(&repository, &items(1), Some(parent)).map_err(|e| e.to_string())?;
    let back = repository.read_back(&report.snapshot, ReadBack::Added(report.added_packs));
    match back {
        Ok(back) if back.problems.is_empty() => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

fn must_be_whole(inner: &Arc<dyn Store>) {
    let repository = simulated(Repository::open(inner.clone(), &still_env(3), &secret()).unwrap());
    assert_eq!(repository.check(&NoProgress).unwrap().problems, []);
    for (id, snapshot) in repository.snapshots().unwrap() {
        let found = read(&repository.reader(&id).unwrap()).unwrap();
        let whole = [0, 1]
            .iter()
            .any(|generation| found.entries == expected(&items(*generation)));
        assert!(whole && found.failed.is_empty(), "{snapshot:?}");
    }
}

#[test]
fn a_backup_survives_the_failure_of_each_call() {
    let (_, clean, parent) = prepared();
    attempt(clean.clone(), parent).unwrap();
    assert!(
        clean.calls(Operation::Write) > 2,
        "no pack was written piece by piece"
    );
    let mut failed = 0;
    for on in OPERATIONS {
        for nth in 1..=clean.calls(on) {
            for kind in kinds(on) {
                let (inner, store, parent) = prepared();
                store.plan(Fault { on, nth, kind });
                let result = attempt(store.clone(), parent);
                assert_eq!(store.unhit(), [], "the fault was never hit");
                failed += u64::from(result.is_err());
                must_be_whole(&inner);
                attempt(store, parent)
                    .unwrap_or_else(|e| panic!("after {on:?} {nth} {kind:?}: {e}"));
                must_be_whole(&inner);
            }
        }
    }
    assert!(failed > 10, "only {failed} attempts failed");
}

#[test]
fn a_copy_survives_the_failure_of_each_call() {
    let run = |from: Arc<dyn Store>,
               to: Arc<dyn Store>,
               snapshot: &vouchsafe_format::Id|
     -> Result<(), String> {
        let open =
            |store| Repository::open(store, &still_env(5), &secret()).map_err(|e| e.to_string());
        let (from, to) = (simulated(open(from)?), simulated(open(to)?));
        let report = copy(&from, &to, snapshot, &NoProgress).map_err(|e| e.to_string())?;
        let back = to
            .read_back(&report.snapshot, ReadBack::Everything)
            .map_err(|e| e.to_string())?;
        if back.problems.is_empty() {
            Ok(())
        } else {
            Err(format!("{:?}", back.problems))
        }
    };
    let target = || -> (Arc<dyn Store>, Arc<FaultStore>) {
        let inner: Arc<dyn Store> = memory();
        Repository::create(inner.clone(), &still_env(4), &secret(), &options()).unwrap();
        (inner.clone(), Arc::new(FaultStore::new(inner, [])))
    };
    let (_, clean_from, snapshot) = prepared();
    let (_, clean_to) = target();
    run(clean_from.clone(), clean_to.clone(), &snapshot).unwrap();
    for at_source in [true, false] {
        let clean = if at_source { &clean_from } else { &clean_to };
        for on in OPERATIONS {
            for nth in 1..=clean.calls(on) {
                for kind in kinds(on) {
                    let (from_inner, from, snapshot) = prepared();
                    let (to_inner, to) = target();
                    let broken = if at_source { &from } else { &to };
                    broken.plan(Fault { on, nth, kind });
                    let _ = run(from.clone(), to.clone(), &snapshot);
                    assert_eq!(broken.unhit(), [], "the fault was never hit");
                    must_be_whole(&from_inner);
                    must_be_whole(&to_inner);
                    run(from, to, &snapshot)
                        .unwrap_or_else(|e| panic!("after {on:?} {nth} {kind:?}: {e}"));
                    must_be_whole(&to_inner);
                }
            }
        }
    }
}

#[test]
fn what_passes_by_itself_is_tried_again() {
    let (inner, store, parent) = prepared();
    for (on, kind) in [
        (Operation::Get, FaultKind::Transient),
        (Operation::List, FaultKind::Transient),
        (Operation::Put, FaultKind::Transient),
        (Operation::GetRange, FaultKind::Transient),
    ] {
        store.plan(Fault { on, nth: 2, kind });
    }
    store.plan(Fault {
        on: Operation::Put,
        nth: 4,
        kind: FaultKind::Ambiguous,
    });
    store.plan(Fault {
        on: Operation::Put,
        nth: 6,
        kind: FaultKind::TornPut { keep: 20 },
    });
    attempt(store.clone(), parent).unwrap();
    assert_eq!(store.unhit(), []);
    must_be_whole(&inner);
}

fn kinds(on: Operation) -> Vec<FaultKind> {
    match on {
        Operation::Put => vec![FaultKind::Permanent, FaultKind::Ambiguous, FaultKind::Full],
        Operation::Write => vec![FaultKind::Permanent, FaultKind::Full],
        Operation::Get => vec![FaultKind::Permanent, FaultKind::ShortRead { missing: 1 }],
        _ => vec![FaultKind::Permanent],
    }
}
