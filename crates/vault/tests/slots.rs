//! The slots of a repository: added, removed, replaced; and through every failure some known passphrase opens it.

use std::sync::Arc;
use std::time::Duration;

use crate::common::*;
use vouchsafe_format::Id;
use vouchsafe_host::Clock;
use vouchsafe_model::Secret;
use vouchsafe_store::{
    Fault, FaultKind, FaultStore, LocalStore, MemoryStore, Operation, PutMode, SimConfig, SimStore,
    SimWorld, Store, list_all,
};
use vouchsafe_testkit::{Restic, tempdir};
use vouchsafe_vault::{
    Begun, Env, Keeping, KeepingError, KeyChangeError, LockKind, OpenError, Repository, Rotation,
};

fn pass(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

/// Keeps a passphrase in memory, and dies where it is told to.
struct Kept {
    in_force: Secret,
    begun: Option<Begun>,
    /// The slot that is to be removed.
    second: Option<Id>,
    calls: u64,
    /// The call that dies, and whether it has done its work by then.
    dies_at: Option<(u64, bool)>,
    died: bool,
}

impl Kept {
    fn known(&self) -> Vec<Secret> {
        let next = self.begun.as_ref().map(|begun| begun.next.clone());
        [self.in_force.clone()].into_iter().chain(next).collect()
    }

    fn step(&mut self, work: impl FnOnce(&mut Kept)) -> Result<(), KeepingError> {
        self.calls += 1;
        match self.dies_at {
            Some((at, after)) if at == self.calls => {
                self.died = true;
                if after {
                    work(self);
                }
                Err("planned".into())
            }
            _ => {
                work(self);
                Ok(())
            }
        }
    }
}

impl Keeping for Kept {
    fn begun(&mut self) -> Result<Option<Begun>, KeepingError> {
        let begun = self.begun.clone();
        self.step(|_| {})?;
        Ok(begun)
    }
    fn begin(&mut self, begun: &Begun) -> Result<(), KeepingError> {
        self.step(|kept| kept.begun = Some(begun.clone()))
    }
    fn put_in_force(&mut self, passphrase: &Secret) -> Result<(), KeepingError> {
        self.step(|kept| kept.in_force = passphrase.clone())
    }
}

/// An hour later, when a lock that was left behind is stale.
fn later_env() -> Env {
    let env = still_env(3);
    env.clock.sleep(Duration::from_secs(3600));
    env
}

fn opens(store: &Arc<dyn Store>, passphrase: &Secret) -> bool {
    match Repository::open(store.clone(), &still_env(9), passphrase) {
        Ok(repository) => {
            let (id, _) = repository.snapshots().unwrap().remove(0);
            let found = read(&repository.reader(&id).unwrap()).unwrap();
            assert_eq!(found.entries, expected(&items()));
            true
        }
        Err(OpenError::WrongKey { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

fn some_known_opens(store: &Arc<dyn Store>, kept: &Kept, when: &str) {
    let known = kept.known();
    assert!(known.iter().any(|p| opens(store, p)), "locked out {when}");
}

fn items() -> Vec<Item> {
    vec![file("f", "what must not be lost")]
}

/// What is tried: the whole of it, from opening to the end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Deed {
    Add,
    Remove,
    Rotate,
}

impl Deed {
    fn attempt(self, store: Arc<dyn Store>, env: &Env, kept: &mut Kept) -> Result<(), String> {
        let told = |error: &dyn std::error::Error| error.to_string();
        let in_force = kept.in_force.clone();
        let repository = Repository::open(store, env, &in_force).map_err(|e| told(&e))?;
        let kind = match self {
            Deed::Add => LockKind::Shared,
            _ => LockKind::Exclusive,
        };
        let _lock = repository.lock(kind).map_err(|e| told(&e))?;
        let done = match self {
            Deed::Add => repository.add_key(&pass("second"), Some(KDF)).map(|_| ()),
            Deed::Remove => remove(&repository, &in_force, &kept.second.unwrap()),
            Deed::Rotate => rotate(&repository, &in_force, kept).map(|_| ()),
        };
        done.map_err(|e| told(&e))
    }

    /// What must be so when it has succeeded.
    fn must_have_succeeded(self, store: &Arc<dyn Store>, kept: &Kept) {
        assert!(opens(store, &kept.in_force));
        match self {
            Deed::Add => assert!(opens(store, &pass("second"))),
            Deed::Remove => assert!(!opens(store, &pass("second"))),
            Deed::Rotate => {
                assert_ne!(kept.in_force, secret());
                assert!(!opens(store, &secret()), "the old passphrase still opens");
            }
        }
    }

    /// A repository with one snapshot; for removing, with a second slot.
    fn prepare(self, store: Arc<dyn Store>, env: &Env) -> Kept {
        let repository = Repository::create(store, env, &secret(), &options()).unwrap();
        back_up(&repository, &items()).unwrap();
        let second = || repository.add_key(&pass("second"), Some(KDF)).unwrap();
        Kept {
            in_force: secret(),
            begun: None,
            second: (self == Deed::Remove).then(|| second().id()),
            calls: 0,
            dies_at: None,
            died: false,
        }
    }
}

fn remove(repository: &Repository, in_force: &Secret, slot: &Id) -> Result<(), KeyChangeError> {
    let stays = repository.proof_beside(in_force, Some(slot))?;
    repository.remove_key(slot, &stays).map(|_| ())
}

fn rotate(
    repository: &Repository,
    in_force: &Secret,
    kept: &mut Kept,
) -> Result<Rotation, KeyChangeError> {
    // Each attempt would choose another one.
    let fresh = || pass(&format!("next passphrase {}", in_force.expose().len()));
    let rotation = repository.rotate_passphrase(in_force, kept, fresh, Some(KDF))?;
    kept.begun = None;
    Ok(rotation)
}

const DEEDS: [Deed; 3] = [Deed::Add, Deed::Remove, Deed::Rotate];

fn kinds(on: Operation) -> Vec<FaultKind> {
    let mut kinds = vec![
        FaultKind::Transient,
        FaultKind::Permanent,
        FaultKind::Ambiguous,
    ];
    match on {
        Operation::Put => kinds.extend([
            FaultKind::Full,
            FaultKind::TornPut { keep: 0 },
            FaultKind::TornPut { keep: 40 },
            FaultKind::Delayed { calls: 1 },
            FaultKind::Delayed { calls: 4 },
        ]),
        Operation::Get => kinds.push(FaultKind::ShortRead { missing: 1 }),
        _ => {}
    }
    kinds
}

#[test]
fn a_known_passphrase_opens_through_the_failure_of_each_call() {
    let operations = [
        Operation::Get,
        Operation::Head,
        Operation::Put,
        Operation::Delete,
        Operation::List,
    ];
    for deed in DEEDS {
        let prepared = || {
            let inner: Arc<dyn Store> = memory();
            let kept = deed.prepare(inner.clone(), &still_env(1));
            (inner.clone(), Arc::new(FaultStore::new(inner, [])), kept)
        };
        let (inner, clean, mut kept) = prepared();
        deed.attempt(clean.clone(), &still_env(2), &mut kept)
            .unwrap();
        deed.must_have_succeeded(&inner, &kept);
        let (mut hit, mut failed) = (0, 0);
        for on in operations {
            for nth in 1..=clean.calls(on) {
                for kind in kinds(on) {
                    let (inner, store, mut kept) = prepared();
                    store.plan(Fault { on, nth, kind });
                    let when = format!("{deed:?} with {on:?} {nth} {kind:?}");
                    let done = deed.attempt(store.clone(), &still_env(2), &mut kept);
                    assert_eq!(store.unhit(), [], "the fault was never hit: {when}");
                    hit += 1;
                    failed += u64::from(done.is_err());
                    some_known_opens(&inner, &kept, &when);
                    if done.is_ok() {
                        deed.must_have_succeeded(&inner, &kept);
                    }
                    deed.attempt(store, &later_env(), &mut kept)
                        .unwrap_or_else(|e| panic!("again after {when}: {e}"));
                    deed.must_have_succeeded(&inner, &kept);
                }
            }
        }
        assert!(failed > 4 && hit > 40, "{deed:?}: {failed} of {hit} failed");
    }
}

/// What a simulated store holds now, in a store that does not fail.
fn at_rest(store: &SimStore) -> Arc<dyn Store> {
    let out = MemoryStore::new();
    for (key, bytes) in store.contents() {
        out.put(&key, &bytes, PutMode::Replace).unwrap();
    }
    Arc::new(out)
}

#[test]
fn a_known_passphrase_opens_after_a_crash_at_each_step() {
    let mut crashes = 0;
    for deed in DEEDS {
        for seed in 0..24 {
            for step in 0.. {
                let config = if seed % 2 == 0 {
                    SimConfig::calm()
                } else {
                    SimConfig::rough()
                };
                let world = SimWorld::new(seed, config);
                let store = world.store("near");
                let clock: Arc<dyn Clock> = world.clock();
                let random = Arc::new(vouchsafe_host::SeededRandom::new(seed));
                let env = env_of(clock, random);
                // Made where nothing fails, and brought over.
                let whole: Arc<dyn Store> = memory();
                let mut kept = deed.prepare(whole.clone(), &still_env(seed));
                for (key, _) in list_all(&*whole, "").unwrap() {
                    let bytes = whole.get(&key).unwrap();
                    while store.put(&key, &bytes, PutMode::Replace).is_err() {}
                }
                world.crash_after(step);
                let done = deed.attempt(store.clone(), &env, &mut kept);
                let crashed = world.is_down();
                if crashed {
                    world.crash();
                    crashes += 1;
                }
                world.restart();
                let when = format!("{deed:?}, seed {seed}, step {step}");
                some_known_opens(&at_rest(&store), &kept, &when);
                if done.is_ok() {
                    deed.must_have_succeeded(&at_rest(&store), &kept);
                }
                // By then the lock of whoever crashed is stale.
                let last = (0..40).try_fold(String::new(), |_, _| {
                    env.clock.sleep(Duration::from_secs(3600));
                    deed.attempt(store.clone(), &env, &mut kept).err()
                });
                assert_eq!(last, None, "never succeeds after {when}");
                deed.must_have_succeeded(&at_rest(&store), &kept);
                if !crashed {
                    break;
                }
            }
        }
    }
    assert!(crashes > 200, "only {crashes} crashes");
}

#[test]
fn a_known_passphrase_opens_wherever_the_keeping_of_it_breaks_off() {
    let mut died = 0;
    for call in 1.. {
        let mut any = false;
        for after in [false, true] {
            let store: Arc<dyn Store> = memory();
            let mut kept = Deed::Rotate.prepare(store.clone(), &still_env(1));
            kept.dies_at = Some((call, after));
            let done = Deed::Rotate.attempt(store.clone(), &still_env(2), &mut kept);
            assert_eq!(done.is_err(), kept.died);
            any |= kept.died;
            some_known_opens(&store, &kept, &format!("call {call}, {after}"));
            kept.dies_at = None;
            Deed::Rotate
                .attempt(store.clone(), &later_env(), &mut kept)
                .unwrap();
            // A change that was begun is gone on with, and not begun anew.
            assert!(list_all(&*store, "keys/").unwrap().len() == 1);
            Deed::Rotate.must_have_succeeded(&store, &kept);
        }
        if !any {
            break;
        }
        died += 1;
    }
    assert_eq!(died, 3);
}

#[test]
fn the_last_slot_and_the_one_in_use_stay() {
    let store: Arc<dyn Store> = memory();
    let repository = create(store.clone());
    let own = repository.slots_opened_by(&secret()).unwrap().remove(0);
    let refused = repository.remove_key(&own.id(), &own);
    assert!(matches!(refused, Err(KeyChangeError::InUse { .. })));
    // A proof for another repository proves nothing here.
    let other = create(memory());
    let foreign = other.slots_opened_by(&secret()).unwrap().remove(0);
    let refused = repository.remove_key(&own.id(), &foreign);
    assert!(matches!(refused, Err(KeyChangeError::InUse { .. })));
    // One that was proven, and is gone since.
    let second = repository.add_key(&pass("second"), Some(KDF)).unwrap();
    repository.remove_key(&second.id(), &own).unwrap();
    let refused = repository.remove_key(&own.id(), &second);
    assert!(matches!(refused, Err(KeyChangeError::NotProven { .. })));
    assert!(opens_at_all(&store));
    let nothing = repository.slots_opened_by(&pass("wrong")).unwrap();
    assert_eq!(nothing, []);
}

fn opens_at_all(store: &Arc<dyn Store>) -> bool {
    Repository::open(store.clone(), &real_env(), &secret()).is_ok()
}

#[test]
fn slots_are_meant_by_the_beginning_of_their_id() {
    let repository = create(memory());
    let slot = repository.keys().unwrap().0.remove(0).id;
    assert_eq!(
        repository.slot_by_prefix(&slot.to_hex()[..6]).unwrap(),
        slot
    );
    for unknown in ["", "zz", &Id::of(b"none").to_hex()] {
        let found = repository.slot_by_prefix(unknown);
        assert!(matches!(found, Err(KeyChangeError::Unknown { .. })));
    }
    for n in 0..16 {
        repository
            .add_key(&pass(&n.to_string()), Some(KDF))
            .unwrap();
    }
    let ambiguous = "0123456789abcdef".chars().any(|c| {
        let found = repository.slot_by_prefix(&c.to_string());
        matches!(found, Err(KeyChangeError::Ambiguous { .. }))
    });
    assert!(ambiguous);
}

#[test]
fn each_slot_opens_with_stock_restic_until_it_is_removed() {
    let home = tempdir().unwrap();
    let place = home.path().join("repo");
    let store: Arc<dyn Store> = Arc::new(LocalStore::create(&place).unwrap());
    let mut kept = Deed::Add.prepare(store.clone(), &real_env());
    let repository = open(store.clone());
    let second = repository.add_key(&pass("second"), Some(KDF)).unwrap();
    let newest = Restic::newest();
    for restic in Restic::both() {
        for passphrase in [PASSWORD, "second"] {
            restic.run(["snapshots"], &place, passphrase).succeeded();
        }
    }
    // What restic adds we list and open with.
    let file = home.path().join("third");
    std::fs::write(&file, "third\n").unwrap();
    let file = file.to_str().unwrap().to_owned();
    newest
        .run(
            ["key", "add", "--new-password-file", &file],
            &place,
            PASSWORD,
        )
        .succeeded();
    assert_eq!(repository.keys().unwrap().0.len(), 3);
    assert!(opens(&store, &pass("third")));
    // What we remove opens nothing any more, for them and for us.
    let own = repository.slots_opened_by(&secret()).unwrap().remove(0);
    repository.remove_key(&second.id(), &own).unwrap();
    let refused = newest.run(["snapshots"], &place, "second").failed();
    assert_eq!(refused.code, Some(12));
    assert!(!opens(&store, &pass("second")));
    newest.run(["check"], &place, "third").succeeded();
    // A rotation leaves the third alone.
    Deed::Rotate
        .attempt(store.clone(), &real_env(), &mut kept)
        .unwrap();
    newest
        .run(["check"], &place, "next passphrase 13")
        .succeeded();
    newest.run(["snapshots"], &place, "third").succeeded();
    let refused = newest.run(["snapshots"], &place, PASSWORD).failed();
    assert_eq!(refused.code, Some(12));
}
