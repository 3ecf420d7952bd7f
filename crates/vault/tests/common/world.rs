//! A simulated life of two vaults: backups, copies, crashes; and what must hold after each of them.
#![allow(dead_code, unreachable_pub)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vouchsafe_capture::NoProgress;
use vouchsafe_format::{Id, Snapshot};
use vouchsafe_host::{Clock, Random, SeededRandom};
use vouchsafe_model::{Outcome, Span, Time};
use vouchsafe_store::{Key, MemoryStore, PutMode, SimConfig, SimStore, SimWorld, Store};
use vouchsafe_vault::machine::Settings;
use vouchsafe_vault::{
    BackupOptions, Budget, CreateOptions, Driver, Env, Forget, KnownPoints, LockKind, OpenError,
    PendingPack, PruneMode, PruneOptions, PruneReport, ReadBack, Repository, Simulation,
    WholeRecord, copy, from_timestamp,
};

use super::{Item, KDF, backup_options, env_of, expected, fill, noise, read, secret, still_env};

/// Two vaults, what was tried, and what was promised.
pub struct World {
    pub sim: SimWorld,
    random: SeededRandom,
    env: Env,
    vaults: [Arc<SimStore>; 2],
    /// What lies beside the repositories.
    beside: Arc<SimStore>,
    polynomial: Option<vouchsafe_format::Polynomial>,
    items: Vec<Item>,
    /// What each attempt at a backup was to hold, by the time in its snapshot.
    attempts: BTreeMap<Time, BTreeMap<String, Vec<u8>>>,
    /// Snapshots that were read back, by vault: promised for ever.
    claimed: [BTreeMap<Id, Time>; 2],
    /// Snapshots that were let go, by vault: they may be there or not.
    expired: [BTreeSet<Id>; 2],
    /// Packs that left the index without locks, as the record has them.
    pending: [Vec<PendingPack>; 2],
    pub crashes: u64,
    pub prunes: u64,
    pub packs_removed: u64,
}

/// What a life came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Life {
    pub claimed: u64,
    pub crashes: u64,
    /// Prunes that went to their end, and packs that they removed.
    pub prunes: u64,
    pub packs_removed: u64,
    pub steps: u64,
    /// A digest of all stored bytes at the end.
    pub end: String,
}

/// Lives through `operations` operations of the seed's choice. An error tells the broken invariant.
pub fn live(seed: u64, operations: u32) -> Result<Life, String> {
    let mut world = World::new(seed)?;
    for _ in 0..operations {
        let steps = world.below(12);
        if world.below(3) > 0 {
            world.sim.crash_after(steps);
        }
        world.operate()?;
        world.recover();
        world.check_invariants()?;
    }
    world.sim.restart();
    world.must_succeed_again()?;
    world.check_invariants()?;
    Ok(world.into_life())
}

/// One backup and one copy that crash at step `step` of all their puts and deletes. False if there is no such step.
pub fn crash_at(seed: u64, step: u64) -> Result<bool, String> {
    let mut world = World::with_config(seed, SimConfig::calm())?;
    world.mutate();
    world.back_up();
    for _ in 0..6 {
        world.mutate();
    }
    world.sim.crash_after(step);
    world.back_up();
    world.copy();
    let crashed = world.sim.is_down();
    world.recover();
    world.check_invariants()?;
    world.must_succeed_again()?;
    world.check_invariants()?;
    Ok(crashed)
}

impl World {
    pub fn new(seed: u64) -> Result<World, String> {
        let config = match seed % 3 {
            0 => SimConfig::calm(),
            1 => SimConfig::rough(),
            _ => SimConfig {
                stale_list: 0,
                ..SimConfig::rough()
            },
        };
        World::with_config(seed, config)
    }

    fn with_config(seed: u64, config: SimConfig) -> Result<World, String> {
        let sim = SimWorld::new(seed, config);
        let random = Arc::new(SeededRandom::new(seed ^ 0x5eed));
        let vaults = [sim.store("near"), sim.store("far")];
        let env = env_of(sim.clock(), random);
        let mut world = World {
            random: SeededRandom::new(seed),
            env,
            beside: sim.store("beside"),
            sim,
            vaults,
            polynomial: None,
            items: Vec::new(),
            attempts: BTreeMap::new(),
            claimed: Default::default(),
            expired: Default::default(),
            pending: Default::default(),
            crashes: 0,
            prunes: 0,
            packs_removed: 0,
        };
        for at in 0..2 {
            world.create(at)?;
        }
        Ok(world)
    }

    pub fn into_life(self) -> Life {
        let mut all = Vec::new();
        for vault in &self.vaults {
            for (key, bytes) in vault.contents() {
                all.extend_from_slice(key.as_str().as_bytes());
                all.extend_from_slice(&bytes);
            }
        }
        Life {
            claimed: self.claimed.iter().map(|c| c.len() as u64).sum(),
            crashes: self.crashes,
            prunes: self.prunes,
            packs_removed: self.packs_removed,
            steps: self.sim.steps(),
            end: Id::of(&all).to_hex(),
        }
    }

    fn below(&self, limit: u64) -> u64 {
        self.random.u64() % limit
    }

    fn create(&mut self, at: usize) -> Result<(), String> {
        for _ in 0..20 {
            let options = CreateOptions {
                id: None,
                polynomial: self.polynomial,
                kdf: Some(KDF),
            };
            match Repository::create(self.vaults[at].clone(), &self.env, &secret(), &options) {
                Ok(repository) => {
                    self.polynomial = Some(repository.polynomial());
                    return Ok(());
                }
                Err(OpenError::Exists { .. }) => return Ok(()),
                Err(_) => {}
            }
        }
        Err("a vault could not be created in 20 attempts".to_owned())
    }

    fn open(&self, at: usize) -> Option<Repository> {
        let store = self.vaults[at].clone();
        let settings = Settings {
            pack_bytes: 6_000,
            index_blobs: 9,
            budget: 40_000,
            ..Settings::default()
        };
        let simulation = Simulation {
            seed: self.random.u64(),
            flights: Some(store.clone()),
        };
        let repository = Repository::open(store, &self.env, &secret()).ok()?;
        Some(
            repository
                .with_driver(Driver::Simulated(simulation))
                .with_settings(settings),
        )
    }

    fn operate(&mut self) -> Result<(), String> {
        match self.below(8) {
            0..4 => {
                self.mutate();
                self.back_up();
            }
            4 | 5 => {
                self.copy();
            }
            _ => {
                self.expire_some();
                let (at, once) = (self.below(2) as usize, self.below(3) == 0);
                self.prune_watched(at, once)?;
            }
        }
        // Now and then days pass, so that what waits for its time is removed.
        if self.below(6) == 0 {
            self.pass(Span::from_hours(26));
        }
        Ok(())
    }

    fn pass(&self, time: Span) {
        self.sim.clock().advance(time.to_duration());
    }

    /// Lets go of some claimed points of each vault, never of the newest.
    fn expire_some(&mut self) {
        for at in 0..2 {
            let newest = self.claimed[at].values().max().copied();
            let old = self.claimed[at].clone();
            for (id, time) in old {
                if Some(time) != newest && self.below(3) == 0 {
                    self.claimed[at].remove(&id);
                    self.expired[at].insert(id);
                }
            }
        }
    }

    /// A prune; whatever comes of it, no snapshot is gone that was not let go.
    fn prune_watched(&mut self, at: usize, once: bool) -> Result<bool, String> {
        // Where a snapshot may not be seen yet there is no other way.
        let once = once || !self.vaults[at].capabilities().list_consistent;
        let before = self.snapshot_names(at);
        let done = self.prune(at, once).is_some();
        let after = self.snapshot_names(at);
        for (id, whole) in &before {
            let goes = self.expired[at].contains(id) || !whole;
            if !after.contains_key(id) && !goes {
                return Err(format!(
                    "vault {at}: snapshot {id} was removed and never let go"
                ));
            }
        }
        Ok(done)
    }

    fn prune(&mut self, at: usize, once: bool) -> Option<PruneReport> {
        let repository = self.open(at)?;
        // What a crash has torn was never a snapshot: its owner removes it by name.
        let torn = self
            .snapshot_names(at)
            .into_iter()
            .filter(|(_, whole)| !whole);
        let expired = self.expired[at].iter().copied();
        let forget = torn
            .map(|(id, _)| (id, false))
            .chain(expired.map(|id| (id, id.as_bytes()[0] % 2 == 0)))
            .map(|(snapshot, erase)| Forget {
                snapshot,
                tree: None,
                reason: String::new(),
                erase,
            });
        let known = KnownPoints::new(self.claimed[at].keys().copied(), forget.collect());
        let mode = match once {
            true => PruneMode::WriteOnce {
                pending: self.pending[at].clone(),
                grace: Span::from_hours(24),
            },
            false => PruneMode::Locked,
        };
        let options = PruneOptions {
            max_unused: [0.0, 0.05, 0.3][self.below(3) as usize],
            mode,
        };
        let record = WholeRecord {
            entries: 1,
            newest: Time::MIN,
        };
        let cleared = if once {
            let key = Key::new("clock").ok()?;
            let beside = &*self.beside;
            repository.clear_write_once(beside, &key, record).ok()?
        } else {
            let lock = repository.lock(LockKind::Exclusive).ok()?;
            repository.clear_deletion(lock, record).ok()?
        };
        let worklist = repository.plan_prune(&known, &options, &NoProgress).ok()?;
        let report = repository.prune(&worklist, &cleared, &NoProgress).ok()?;
        let since = self.sim.clock().now();
        let retired = report
            .retired
            .iter()
            .map(|pack| PendingPack { pack: *pack, since });
        self.pending[at].extend(retired);
        self.prunes += 1;
        self.packs_removed += report.removed.len() as u64;
        Some(report)
    }

    /// The snapshots that are really there, and whether they are not torn.
    fn snapshot_names(&self, at: usize) -> BTreeMap<Id, bool> {
        let all = self.vaults[at].contents().into_iter();
        all.filter(|(key, _)| key.as_str().starts_with("snapshots/"))
            .filter_map(|(key, bytes)| Some((key.name().parse().ok()?, !is_torn(&key, &bytes))))
            .collect()
    }

    /// A crash may have come; everything under way is lost, torn or whole.
    fn recover(&mut self) {
        if self.sim.is_down() {
            self.crashes += 1;
            self.sim.crash();
        }
        self.sim.restart();
        // Who comes after a crash comes when its lock is stale.
        self.pass(Span::from_mins(31));
    }

    fn mutate(&mut self) {
        let name = |n: u64| format!("f{n}").into_bytes();
        for _ in 0..=self.below(6) {
            let n = self.below(12);
            let length = match self.below(24) {
                0 | 1 => 0,
                2 => 600_000,
                _ => self.below(5_000) as usize,
            };
            let seed = self.random.u64();
            // Long files are of few bytes, so that they are cut, and quick.
            let bytes = if length > 10_000 {
                vec![seed as u8; length]
            } else {
                noise(seed, length)
            };
            let item = if self.below(6) == 0 {
                Item::Stream(name(n), Arc::new(bytes))
            } else {
                Item::File(name(n), Arc::new(bytes))
            };
            let inner = self.below(3);
            put(&mut self.items, inner, item);
        }
    }

    /// Backs up to the first vault, reads back, and only then claims.
    fn back_up(&mut self) -> bool {
        let Some(repository) = self.open(0) else {
            return false;
        };
        let time = Time::from_secs(1_767_225_600 + self.attempts.len() as i64);
        self.attempts.insert(time, expected(&self.items));
        let claims: Vec<Id> = self.claimed[0].keys().copied().collect();
        let parent = (!claims.is_empty()).then(|| claims[self.below(claims.len() as u64) as usize]);
        let options = BackupOptions {
            time,
            parent,
            ..backup_options()
        };
        let items = self.items.clone();
        let Ok(((), report)) = repository.backup(&options, &NoProgress, |sink| fill(sink, &items))
        else {
            return false;
        };
        assert_eq!(report.outcome, Outcome::Done);
        let Ok(back) = repository.read_back(&report.snapshot, ReadBack::Added(report.added_packs))
        else {
            return false;
        };
        let whole = back.problems.is_empty();
        if whole {
            self.claimed[0].insert(report.snapshot, time);
        }
        whole
    }

    /// Copies one claimed snapshot to the second vault, reads it back, and only then claims.
    fn copy(&mut self) -> bool {
        let claims: Vec<(Id, Time)> = self.claimed[0]
            .iter()
            .map(|(id, time)| (*id, *time))
            .collect();
        if claims.is_empty() {
            return false;
        }
        let (snapshot, time) = claims[self.below(claims.len() as u64) as usize];
        let (Some(from), Some(to)) = (self.open(0), self.open(1)) else {
            return false;
        };
        let Ok(report) = copy(&from, &to, &snapshot, &NoProgress) else {
            return false;
        };
        let Ok(back) = to.read_back(&report.snapshot, ReadBack::Everything) else {
            return false;
        };
        let whole = back.problems.is_empty();
        if whole {
            self.claimed[1].insert(report.snapshot, time);
        }
        whole
    }

    fn must_succeed_again(&mut self) -> Result<(), String> {
        self.mutate();
        if !(0..20).any(|_| self.back_up()) {
            return Err("no backup succeeds any more".to_owned());
        }
        if !(0..20).any(|_| self.copy()) {
            return Err("no copy succeeds any more".to_owned());
        }
        self.expire_some();
        for at in 0..2 {
            let mut done = false;
            for _ in 0..40 {
                done = done || self.prune_watched(at, false)?;
                self.pass(Span::from_mins(31));
            }
            if !done {
                return Err(format!("no prune of vault {at} succeeds any more"));
            }
        }
        Ok(())
    }

    /// Looks at what is really stored, without faults.
    pub fn check_invariants(&self) -> Result<(), String> {
        for (at, vault) in self.vaults.iter().enumerate() {
            self.check_vault(at, vault)
                .map_err(|broken| format!("vault {at}: {broken}"))?;
        }
        Ok(())
    }

    fn must_be_whole(
        &self,
        repository: &Repository,
        id: &Id,
        snapshot: &Snapshot,
    ) -> Result<(), String> {
        let time = from_timestamp(&snapshot.time);
        let wanted = self
            .attempts
            .get(&time)
            .ok_or(format!("snapshot {id} was never tried"))?;
        let point = repository.reader(id).map_err(|e| e.to_string())?;
        let found = read(&point).map_err(|e| format!("snapshot {id} cannot be read: {e}"))?;
        if !found.failed.is_empty() || found.entries != *wanted {
            return Err(format!(
                "snapshot {id} is not what was backed up: {:?}",
                found.failed
            ));
        }
        Ok(())
    }

    fn check_vault(&self, at: usize, vault: &SimStore) -> Result<(), String> {
        let store = Arc::new(MemoryStore::new());
        let mut torn = Vec::new();
        for (key, bytes) in vault.contents() {
            if is_torn(&key, &bytes) {
                torn.push(key.to_string());
            }
            store
                .put(&key, &bytes, PutMode::Replace)
                .map_err(|e| e.to_string())?;
        }
        let still = Driver::Simulated(Simulation {
            seed: 0,
            flights: None,
        });
        let repository = Repository::open(store, &still_env(0), &secret())
            .map_err(|e| format!("it does not open any more: {e}"))?
            .with_driver(still);
        let (snapshots, _) = repository.readable_snapshots().map_err(|e| e.to_string())?;
        for claimed in self.claimed[at].keys() {
            if !snapshots.iter().any(|(id, _)| id == claimed) {
                return Err(format!("the claimed snapshot {claimed} is gone"));
            }
        }
        let claimed = |id: &Id| self.claimed[at].contains_key(id);
        for (id, snapshot) in snapshots.iter().filter(|(id, _)| claimed(id)) {
            self.must_be_whole(&repository, id, snapshot)?;
        }
        // Of what is not claimed a prune may have taken packs out of the index that it did not see to be needed. They
        // are there, and come back by the next prune that sees it, or by a repair.
        if !vault.capabilities().list_consistent {
            let plan = repository.plan_index_repair(&NoProgress);
            let plan = plan.map_err(|e| e.to_string())?;
            let lock = repository.lock(LockKind::Exclusive);
            let lock = lock.map_err(|e| e.to_string())?;
            let done = repository.repair_index(&plan, &lock);
            done.map_err(|e| e.to_string())?;
        }
        for (id, snapshot) in snapshots.iter().filter(|(id, _)| !claimed(id)) {
            self.must_be_whole(&repository, id, snapshot)?;
        }
        let check = repository.check(&NoProgress).map_err(|e| e.to_string())?;
        let verify = repository
            .verify(Budget::All, 0, &NoProgress)
            .map_err(|e| e.to_string())?;
        for problem in check.problems.into_iter().chain(verify.problems) {
            if !torn.contains(&problem.place) {
                return Err(format!("{}: {}", problem.place, problem.message));
            }
        }
        Ok(())
    }
}

fn put(items: &mut Vec<Item>, inner: u64, item: Item) {
    let name = match &item {
        Item::File(name, _) | Item::Stream(name, _) => name.clone(),
        _ => return,
    };
    if inner > 0 {
        let dir = format!("d{inner}").into_bytes();
        for found in items.iter_mut() {
            if let Item::Dir(n, below) = found
                && *n == dir
            {
                return put(below, 0, item);
            }
        }
        items.push(Item::Dir(dir, vec![item]));
        return;
    }
    items.retain(|found| !matches!(found, Item::File(n, _) | Item::Stream(n, _) if *n == name));
    items.push(item);
}

/// Left by a crash: bytes that are not those the object is named after.
fn is_torn(key: &Key, bytes: &[u8]) -> bool {
    key.name().parse::<Id>().is_ok_and(|id| id != Id::of(bytes))
}
