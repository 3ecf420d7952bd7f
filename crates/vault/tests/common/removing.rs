//! Pruning in tests: under a lock, with a clearance, in one call.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::sync::Arc;

use vouchsafe_capture::NoProgress;
use vouchsafe_format::Id;
use vouchsafe_host::SeededRandom;
use vouchsafe_model::Time;
use vouchsafe_store::{Key, SimConfig, SimStore, SimWorld, Store, list_all};
use vouchsafe_vault::machine::Settings;
use vouchsafe_vault::{
    Budget, Driver, Env, Forget, KnownPoints, LockKind, PruneError, PruneOptions, PruneReport,
    PruneWorklist, Repository, Simulation, WholeRecord,
};

use super::{Item, back_up, dir, env_of, expected, file, noise, options, read, secret};

/// A store that dates its objects, with the clock that it dates them by.
pub struct Dated {
    pub world: SimWorld,
    pub store: Arc<SimStore>,
}

impl Dated {
    pub fn new(seed: u64) -> Dated {
        let world = SimWorld::new(seed, SimConfig::calm());
        let store = world.store("dated");
        Dated { world, store }
    }

    pub fn env(&self, seed: u64) -> Env {
        env_of(self.world.clock(), Arc::new(SeededRandom::new(seed)))
    }

    pub fn create(&self) -> Repository {
        let store = self.store.clone();
        simulated(Repository::create(store, &self.env(1), &secret(), &options()).unwrap())
    }

    pub fn open_as(&self, store: Arc<dyn Store>) -> Repository {
        simulated(Repository::open(store, &self.env(2), &secret()).unwrap())
    }

    pub fn open(&self) -> Repository {
        self.open_as(self.store.clone())
    }
}

pub fn small() -> Settings {
    Settings {
        pack_bytes: 4_000,
        index_blobs: 6,
        budget: 30_000,
        ..Settings::default()
    }
}

pub fn simulated(repository: Repository) -> Repository {
    repository
        .with_driver(Driver::Simulated(Simulation {
            seed: 3,
            flights: None,
        }))
        .with_settings(small())
}

pub fn record() -> WholeRecord {
    WholeRecord {
        entries: 1,
        newest: Time::MIN,
    }
}

pub fn forget(snapshot: Id) -> Forget {
    Forget {
        snapshot,
        tree: None,
        reason: "the test says so".to_owned(),
        erase: false,
    }
}

pub fn known(protect: &[Id], gone: &[Id]) -> KnownPoints {
    KnownPoints::new(
        protect.iter().copied(),
        gone.iter().copied().map(forget).collect(),
    )
}

/// Nothing may stay unused.
pub fn strict() -> PruneOptions {
    PruneOptions {
        max_unused: 0.0,
        ..PruneOptions::default()
    }
}

/// Lock, clearance, worklist, deed.
pub fn prune(
    repository: &Repository,
    known: &KnownPoints,
    options: &PruneOptions,
) -> Result<(PruneWorklist, PruneReport), PruneError> {
    let lock = repository.lock(LockKind::Exclusive).unwrap();
    let cleared = repository.clear_deletion(lock, record())?;
    let worklist = repository.plan_prune(known, options, &NoProgress)?;
    let report = repository.prune(&worklist, &cleared, &NoProgress)?;
    Ok((worklist, report))
}

/// Files of which each generation shares half with the one before.
pub fn generation(n: u64) -> Vec<Item> {
    let old = (0..6).map(|f| file(&format!("f{f}"), noise(n / 2 * 100 + f, 1_200)));
    let new = (6..12).map(|f| file(&format!("f{f}"), noise(n * 1000 + f, 1_200)));
    vec![dir("d", old.collect()), dir("e", new.collect())]
}

pub fn generations(repository: &Repository, count: u64) -> Vec<Id> {
    (0..count)
        .map(|n| back_up(repository, &generation(n)).unwrap().snapshot)
        .collect()
}

pub fn must_hold(repository: &Repository, snapshot: &Id, n: u64) {
    let found = read(&repository.reader(snapshot).unwrap()).unwrap();
    assert_eq!(found.failed, Default::default());
    assert_eq!(found.entries, expected(&generation(n)));
}

pub fn must_be_sound(repository: &Repository) {
    let check = repository.check(&NoProgress).unwrap();
    assert_eq!(check.problems, []);
    assert_eq!(check.unlisted_packs, []);
    let verified = repository.verify(Budget::All, 1, &NoProgress).unwrap();
    assert!(
        verified.complete && verified.problems.is_empty(),
        "{verified:?}"
    );
}

pub fn packs(store: &dyn Store) -> Vec<(Key, u64)> {
    list_all(store, "data/").unwrap()
}

/// Snapshots of one moment come in any order.
pub fn sorted(ids: &[Id]) -> Vec<Id> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids
}
