//! Every call of the store fails once during a prune, in every way; and a prune is cut off at every step.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::common::removing::*;
use crate::common::*;
use vouchsafe_capture::NoProgress;
use vouchsafe_format::Id;
use vouchsafe_store::{
    Fault, FaultKind, FaultStore, Key, Operation, PutMode, SimConfig, SimWorld, Store, list_all,
};
use vouchsafe_vault::{LockKind, Repository};

const OPERATIONS: [Operation; 7] = [
    Operation::Get,
    Operation::GetRange,
    Operation::Head,
    Operation::Put,
    Operation::Write,
    Operation::Delete,
    Operation::List,
];

fn kinds(on: Operation) -> Vec<FaultKind> {
    let both = [FaultKind::Permanent, FaultKind::Transient];
    let more = match on {
        Operation::Put => vec![
            FaultKind::Ambiguous,
            FaultKind::Full,
            FaultKind::TornPut { keep: 20 },
            FaultKind::Delayed { calls: 3 },
        ],
        Operation::Delete | Operation::List => vec![FaultKind::Ambiguous],
        Operation::Get | Operation::GetRange => vec![FaultKind::ShortRead { missing: 1 }],
        Operation::Write => vec![FaultKind::Full],
        Operation::Head => vec![],
    };
    both.into_iter().chain(more).collect()
}

fn state(n: u64) -> Vec<Item> {
    let old = (0..3).map(|f| file(&format!("f{f}"), noise(n / 2 * 100 + f, 1_200)));
    let new = (3..5).map(|f| file(&format!("f{f}"), noise(n * 1000 + f, 1_200)));
    vec![dir("d", old.collect()), dir("e", new.collect())]
}

/// Four snapshots, of which the first three may go.
struct Prepared {
    contents: BTreeMap<Key, Vec<u8>>,
    snapshots: Vec<Id>,
}

fn prepared() -> Prepared {
    let dated = Dated::new(1);
    let repository = dated.create();
    let snapshots = (0..4)
        .map(|n| back_up(&repository, &state(n)).unwrap().snapshot)
        .collect();
    Prepared {
        contents: dated.store.contents(),
        snapshots,
    }
}

impl Prepared {
    fn fill(&self, store: &dyn Store) {
        for (key, bytes) in &self.contents {
            store.put(key, bytes, PutMode::IfAbsent).unwrap();
        }
    }

    /// The failure, in words.
    fn attempt(&self, repository: Result<Repository, String>) -> Result<(), String> {
        let repository = repository?;
        let known = known(&self.snapshots[3..], &self.snapshots[..3]);
        let lock = repository
            .lock(LockKind::Exclusive)
            .map_err(|e| e.to_string())?;
        let cleared = repository
            .clear_deletion(lock, record())
            .map_err(|e| e.to_string())?;
        let worklist = repository
            .plan_prune(&known, &strict(), &NoProgress)
            .map_err(|e| e.to_string())?;
        repository
            .prune(&worklist, &cleared, &NoProgress)
            .map(|_| ())
            .map_err(|e| e.to_string())
    }

    /// What is kept is whole, and nothing that is still there is not.
    fn must_be_whole(&self, dated: &Dated) {
        let repository = dated.open();
        let (snapshots, issues) = repository.readable_snapshots().unwrap();
        assert_eq!(issues, []);
        assert!(snapshots.iter().any(|(id, _)| *id == self.snapshots[3]));
        for (id, _) in snapshots {
            let n = self.snapshots.iter().position(|s| *s == id).unwrap() as u64;
            let found = read(&repository.reader(&id).unwrap()).unwrap();
            assert_eq!(found.failed, Default::default());
            assert_eq!(found.entries, expected(&state(n)));
        }
    }

    fn must_be_done(&self, dated: &Dated) {
        self.must_be_whole(dated);
        let repository = dated.open();
        assert_eq!(repository.snapshots().unwrap().len(), 1);
        let check = repository.check(&NoProgress).unwrap();
        assert_eq!((check.problems, check.unlisted_packs), (vec![], vec![]));
        let known = known(&self.snapshots[3..], &self.snapshots[..3]);
        let left = repository
            .plan_prune(&known, &strict(), &NoProgress)
            .unwrap();
        assert!(left.is_empty(), "{left:?}");
        let locks = list_all(&*dated.store, "locks/").unwrap();
        assert_eq!(locks, [], "a lock was left behind");
    }
}

fn open(dated: &Dated, store: Arc<dyn Store>) -> Result<Repository, String> {
    Repository::open(store, &dated.env(2), &secret())
        .map(simulated)
        .map_err(|e| e.to_string())
}

/// What a run left has become stale.
fn later(dated: &Dated) {
    dated.world.clock().advance(Duration::from_secs(31 * 60));
}

#[test]
fn a_prune_survives_the_failure_of_each_call() {
    let prepared = prepared();
    let faulty = || {
        let dated = Dated::new(2);
        prepared.fill(&*dated.store);
        let inner: Arc<dyn Store> = dated.store.clone();
        (dated, Arc::new(FaultStore::new(inner, [])))
    };
    let (dated, clean) = faulty();
    prepared.attempt(open(&dated, clean.clone())).unwrap();
    prepared.must_be_done(&dated);
    let (mut planned, mut failed) = (0, 0);
    for on in OPERATIONS {
        for nth in 1..=clean.calls(on) {
            for kind in kinds(on) {
                let (dated, store) = faulty();
                store.plan(Fault { on, nth, kind });
                let result = prepared.attempt(open(&dated, store.clone()));
                assert_eq!(store.unhit(), [], "the fault was never hit");
                planned += 1;
                failed += u64::from(result.is_err());
                prepared.must_be_whole(&dated);
                // What a store hides for a while may end a second attempt, too, but not for ever.
                let mut again = Err(String::new());
                for _ in 0..3 {
                    later(&dated);
                    again = prepared.attempt(open(&dated, store.clone()));
                    prepared.must_be_whole(&dated);
                    if again.is_ok() || !matches!(kind, FaultKind::Delayed { .. }) {
                        break;
                    }
                }
                again.unwrap_or_else(|e| panic!("after {on:?} {nth} {kind:?} ({result:?}): {e}"));
                prepared.must_be_done(&dated);
            }
        }
    }
    println!("{planned} faults, all hit; {failed} prunes failed");
    assert!(
        planned > 150 && failed > 50,
        "{planned} faults, {failed} failures"
    );
}

#[test]
fn a_prune_cut_off_at_any_step_leaves_whole_snapshots_and_the_next_goes_on() {
    let prepared = prepared();
    for (seed, torn) in [(0, 0), (1, 500), (2, 1000)] {
        let mut steps = 0;
        loop {
            let config = SimConfig {
                torn,
                ..SimConfig::calm()
            };
            let world = SimWorld::new(seed, config);
            let store = world.store("dated");
            let dated = Dated { world, store };
            prepared.fill(&*dated.store);
            dated.world.crash_after(steps);
            let result = prepared.attempt(open(&dated, dated.store.clone()));
            let crashed = dated.world.is_down();
            if crashed {
                dated.world.crash();
            }
            dated.world.restart();
            if !crashed {
                result.unwrap();
                break;
            }
            prepared.must_be_whole(&dated);
            later(&dated);
            prepared
                .attempt(open(&dated, dated.store.clone()))
                .unwrap_or_else(|e| panic!("seed {seed}, step {steps} ({result:?}): {e}"));
            prepared.must_be_done(&dated);
            steps += 1;
        }
        assert!(steps > 15, "only {steps} steps");
    }
}
