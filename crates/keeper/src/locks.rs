//! Retention locks: read back from the store, recorded, and extended for what is still needed.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use vouchsafe_evidence::count;
use vouchsafe_format::Id;
use vouchsafe_model::fact::{Fact, Recorded};
use vouchsafe_model::policy::Length;
use vouchsafe_model::{CopyLock, Issue, RunId, Time, VaultLocks, VaultName};
use vouchsafe_policy::locks as rules;
use vouchsafe_store::{Key, LockMode, Retained, Retention, Store, StoreError, list_all};

use crate::catalogue::Catalogue;
use crate::error::{Category, KeeperError, chain};
use crate::events::{Event, Reporter};
use crate::keeper::Keeper;
use crate::vaults::VaultHandle;

/// How long what is needed of a vault is locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locks {
    /// When reading began.
    pub read: Time,
    /// For how long from then on it should be.
    pub wanted: Length,
    /// In which mode.
    pub mode: LockMode,
    /// Objects that should be locked.
    pub objects: u64,
    /// Those that are not locked at all.
    pub unlocked: u64,
    /// Those whose lock ends before half of the wanted length has passed.
    pub short: u64,
    /// Those whose lock binds less than the policy says.
    pub weak: u64,
    /// When the first lock ends.
    pub soonest: Option<Time>,
    /// What is to be extended: less than seven eighths of the length are left, or the mode is too weak.
    pub to_extend: Vec<Key>,
}

impl Locks {
    /// Whether every object is locked in the mode, and for at least half of the length, that the policy says.
    pub fn are_met(&self) -> bool {
        self.unlocked == 0 && self.short == 0 && self.weak == 0
    }

    fn fact(&self, vault: &VaultHandle, run: Option<&RunId>, extended: u64) -> VaultLocks {
        VaultLocks {
            vault: vault.name().clone(),
            run: run.cloned(),
            read: self.read,
            wanted: self.wanted.to_string(),
            mode: self.mode,
            objects: self.objects,
            unlocked: self.unlocked,
            short: self.short,
            weak: self.weak,
            soonest: self.soonest,
            extended,
        }
    }
}

/// Locks that are read or extended at the same time.
const AT_ONCE: usize = 8;

impl Keeper {
    /// How long what is needed of a vault is locked; nothing if its policy asks for no lock.
    ///
    /// What no index lists and what was let go is not needed: it waits for its lock to end.
    pub fn locks(&self, vault: &VaultHandle) -> Result<Option<Locks>, KeeperError> {
        let Some(wanted) = vault.spec.retention_lock else {
            return Ok(None);
        };
        let now = self.tools.clock.now();
        let keys = self.needed(vault)?;
        let read = for_each(&keys, |key| lock_of(vault, key))?;
        let mut locks = Locks {
            read: now,
            wanted,
            mode: vault.spec.lock_mode,
            objects: 0,
            unlocked: 0,
            short: 0,
            weak: 0,
            soonest: None,
            to_extend: Vec::new(),
        };
        let (short, extend) = (
            rules::short_before(wanted, now),
            rules::extend_before(wanted, now),
        );
        for (key, seen) in keys.into_iter().zip(read) {
            // Gone since it was listed.
            let Some(retention) = seen else { continue };
            locks.objects += 1;
            let lock = retention.filter(|lock| lock.until > now);
            let weak = lock.is_some_and(|lock| lock.mode < locks.mode);
            locks.weak += u64::from(weak);
            match lock {
                None => locks.unlocked += 1,
                Some(lock) if lock.until < short => locks.short += 1,
                Some(_) => {}
            }
            if weak || lock.is_none_or(|lock| lock.until < extend) {
                locks.to_extend.push(key);
            }
            let until = lock.map(|lock| lock.until);
            locks.soonest = match (locks.soonest, until) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        Ok(Some(locks))
    }

    /// Locks the objects of a worklist for as long as the policy says, from now on. Says how many those are.
    pub fn extend_locks(&self, vault: &VaultHandle, locks: &Locks) -> Result<u64, KeeperError> {
        let until = locks.wanted.after(self.tools.clock.now());
        lock_all(vault, &locks.to_extend, until)?;
        Ok(locks.to_extend.len() as u64)
    }

    /// Records what was read of a vault's locks, unless somebody else is at work; says whether it was recorded.
    pub fn record_locks(
        &self,
        vault: &VaultHandle,
        locks: &Locks,
        extended: u64,
    ) -> Result<bool, KeeperError> {
        let _lock = match self.state.lock() {
            Ok(lock) => lock,
            Err(error) if error.category() == Category::Locked => return Ok(false),
            Err(error) => return Err(error),
        };
        self.record(vec![Fact::Locks(locks.fact(vault, None, extended))])?;
        Ok(true)
    }

    /// Reads the locks of what a copy has added; nothing if the policy asks for none.
    pub(crate) fn lock_of_copy(
        &self,
        vault: &VaultHandle,
        snapshot: &str,
        packs: impl IntoIterator<Item = String>,
    ) -> Result<Option<CopyLock>, KeeperError> {
        if vault.spec.retention_lock.is_none() {
            return Ok(None);
        }
        let packs = packs.into_iter().map(|hex| pack_key(&hex));
        let all = packs.chain([format!("repo/snapshots/{snapshot}")]);
        let keys: Vec<Key> = all.filter_map(|key| Key::new(key).ok()).collect();
        let seen = for_each(&keys, |key| lock_of(vault, key))?;
        let locks: Vec<Retention> = seen.into_iter().flatten().flatten().collect();
        let unlocked = (keys.len() - locks.len()) as u64;
        let mode = locks.iter().map(|lock| lock.mode).min();
        let until = locks.iter().map(|lock| lock.until).min();
        Ok(Some(CopyLock {
            mode: mode.unwrap_or(LockMode::Governance),
            until: until.filter(|_| unlocked == 0),
            objects: keys.len() as u64,
            unlocked,
        }))
    }

    /// Extends the locks of every vault where that is due, and records what the store says afterwards. A vault that is
    /// less locked than its policy says even then, or cannot be asked, is told and does not keep the others from it;
    /// what was told is returned.
    pub(crate) fn keep_locked(&self, reporter: &dyn Reporter) -> Result<Vec<Issue>, KeeperError> {
        let facts = self.facts()?;
        let now = self.tools.clock.now();
        let mut told = Vec::new();
        for name in self.connected_vaults() {
            let Some(spec) = self.policy.vaults.get(name) else {
                continue;
            };
            if !rules::look_is_due(spec, newest(&facts, name), now) {
                continue;
            }
            self.stop_if_asked()?;
            let kept = self.vault(name).and_then(|v| self.extend_one(&v, reporter));
            told.extend(tell(name, kept, reporter)?);
        }
        Ok(told)
    }

    /// As [`Keeper::keep_locked`], for one vault and whether or not it is due: for deeds after which what counts may be
    /// less locked than it was when the locks were read last.
    pub(crate) fn keep_one_locked(
        &self,
        vault: &VaultHandle,
        reporter: &dyn Reporter,
    ) -> Result<Option<Issue>, KeeperError> {
        tell(vault.name(), self.extend_one(vault, reporter), reporter)
    }

    /// Locks packs that are counted on again for as long as the policy says: nobody has extended their locks while no
    /// index listed them.
    pub(crate) fn lock_anew(
        &self,
        vault: &VaultHandle,
        packs: impl IntoIterator<Item = Id>,
    ) -> Result<(), KeeperError> {
        let Some(wanted) = vault.spec.retention_lock else {
            return Ok(());
        };
        let keys = packs.into_iter().map(|pack| pack_key(&pack.to_hex()));
        let keys: Vec<Key> = keys.filter_map(|key| Key::new(key).ok()).collect();
        let until = wanted.after(self.tools.clock.now());
        lock_all(vault, &keys, until)
    }

    /// Says what is still less locked than the policy says.
    fn extend_one(
        &self,
        vault: &VaultHandle,
        reporter: &dyn Reporter,
    ) -> Result<Option<String>, KeeperError> {
        let Some(before) = self.locks(vault)? else {
            return Ok(None);
        };
        let mut locks = before;
        let mut extended = 0;
        let mut failure = None;
        if !locks.to_extend.is_empty() {
            match self.extend_locks(vault, &locks) {
                Ok(done) => extended = done,
                Err(error) => failure = Some(error),
            }
            // What counts is what the store says afterwards, also after a failure.
            locks = self.locks(vault)?.unwrap_or(locks);
        }
        self.record(vec![Fact::Locks(locks.fact(vault, None, extended))])?;
        if extended > 0 {
            let locks = count(extended, "lock");
            reporter.event(&Event::Note {
                text: format!("{locks} in {} extended", vault.name()),
            });
        }
        match failure {
            Some(error) => Err(error),
            None if locks.are_met() => Ok(None),
            None => Ok(Some(format!(
                "of {} {} not locked, {} for less than half of {}, {} in too weak a mode",
                count(locks.objects, "object"),
                locks.unlocked,
                locks.short,
                locks.wanted,
                locks.weak
            ))),
        }
    }

    /// What of a vault must stay locked.
    fn needed(&self, vault: &VaultHandle) -> Result<Vec<Key>, KeeperError> {
        let in_vault = |source| KeeperError::Repository {
            vault: vault.name().to_string(),
            source: Box::new(source),
        };
        let mut keys: Vec<Key> = list_all(vault.root.as_ref(), "")?
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        keys.retain(Retained::locks);
        // Asked after the listing: a pack that was put meanwhile is not in the list, and locked.
        let listed = vault.repo.listed_packs().map_err(in_vault)?;
        let facts = self.facts()?;
        let let_go: BTreeSet<String> = Catalogue::of(&facts)
            .let_go_in(vault.name())
            .map(|copy| format!("repo/snapshots/{}", copy.snapshot))
            .collect();
        keys.retain(|key| {
            let waits = listed.as_ref().is_some_and(|listed| {
                key.as_str().starts_with("repo/data/")
                    && key.name().parse().is_ok_and(|id| !listed.contains(&id))
            });
            !waits && !let_go.contains(key.as_str())
        });
        Ok(keys)
    }
}

/// The last reading of a vault's locks.
fn newest<'f>(facts: &'f [Recorded], vault: &VaultName) -> Option<&'f VaultLocks> {
    facts.iter().rev().find_map(|r| match &r.entry.fact {
        Fact::Locks(locks) if locks.vault == *vault => Some(locks),
        _ => None,
    })
}

/// Tells what keeps a vault from being locked as its policy says; only an interruption ends the deed.
fn tell(
    vault: &VaultName,
    kept: Result<Option<String>, KeeperError>,
    reporter: &dyn Reporter,
) -> Result<Option<Issue>, KeeperError> {
    let message = match kept {
        Ok(None) => return Ok(None),
        Ok(Some(said)) => format!("less than the policy says: {said}"),
        Err(error) if error.category() == Category::Interrupted => return Err(error),
        Err(error) => format!("could not be extended: {}", chain(&error)),
    };
    let issue = Issue {
        place: format!("vault {vault}, its locks"),
        message,
    };
    reporter.event(&Event::Issue {
        protection: None,
        issue: issue.clone(),
    });
    Ok(Some(issue))
}

/// Locks these objects in the mode that the policy says; one that is gone meanwhile is fine.
fn lock_all(vault: &VaultHandle, keys: &[Key], until: Time) -> Result<(), KeeperError> {
    for_each(keys, |key| {
        match vault.root.lock_until(key, until, vault.spec.lock_mode) {
            Err(error) if error.is_not_found() => Ok(()),
            done => done,
        }
    })?;
    Ok(())
}

fn pack_key(hex: &str) -> String {
    format!("repo/data/{}/{hex}", hex.get(..2).unwrap_or_default())
}

/// The lock of an object, if it has one; nothing if it is not there.
fn lock_of(vault: &VaultHandle, key: &Key) -> Result<Option<Option<Retention>>, StoreError> {
    match vault.root.retention(key) {
        // Another kind of store than the policy believes: nothing in it is locked.
        Err(StoreError::Unsupported { .. }) => Ok(Some(None)),
        Err(error) if error.is_not_found() => Ok(None),
        done => done.map(Some),
    }
}

/// Calls for each key, several at a time; the first error ends it.
pub(crate) fn for_each<T: Send>(
    keys: &[Key],
    call: impl Fn(&Key) -> Result<T, StoreError> + Sync,
) -> Result<Vec<T>, StoreError> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, T)>> = Mutex::default();
    let failed: Mutex<Option<StoreError>> = Mutex::default();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(keys.len()) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(key) = keys.get(at) else { return };
                    match call(key) {
                        Ok(value) => done
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push((at, value)),
                        Err(error) => {
                            next.store(keys.len(), Ordering::Relaxed);
                            *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                            return;
                        }
                    }
                }
            });
        }
    });
    if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, value)| value).collect())
}
