//! What a vault's store can do, as tried; and how long its objects are locked, as read back from it.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use vouchsafe_model::policy::Length;
use vouchsafe_model::{Time, VaultPlace};
use vouchsafe_store::probe::{self, Found, Probed};
use vouchsafe_store::{Key, LockMode, Retained, Retention, Store, StoreError, list_all};

use crate::error::KeeperError;
use crate::keeper::Keeper;
use crate::vaults::VaultHandle;

/// What was found out about a vault's store.
#[derive(Clone, Debug, Default)]
pub struct StoreCheck {
    /// What was tried; nothing for a directory of this machine.
    pub probed: Probed,
    /// How long its objects are locked; nothing if the policy asks for no lock.
    pub locks: Option<Locks>,
}

/// How long the objects of a vault are locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locks {
    /// For how long from now they should be.
    pub wanted: Length,
    /// Objects that should be locked.
    pub objects: u64,
    /// Those that are not locked at all.
    pub unlocked: u64,
    /// Those whose lock ends before half of the wanted length has passed.
    pub short: u64,
    /// When the first lock ends.
    pub soonest: Option<Time>,
    /// What would have to be extended.
    pub to_extend: Vec<Key>,
}

impl StoreCheck {
    /// Whether the store keeps to what it claims, and its objects are locked as the policy says.
    pub fn is_sound(&self) -> bool {
        self.probed.is_sound() && self.locks.as_ref().is_none_or(Locks::are_met)
    }

    /// What is wrong, for people.
    pub fn problems(&self) -> Vec<String> {
        let wrong = self
            .probed
            .trials
            .iter()
            .filter_map(|trial| match &trial.found {
                Found::Wrong(seen) => Some(format!(
                    "the store does not hold that {}: {seen}",
                    trial.what
                )),
                _ => None,
            });
        let locks = self.locks.iter().filter(|l| !l.are_met()).map(|l| {
            format!(
                "less locked than its policy says: of {} objects {} are not locked, {} for less than half of {}; \
                 extend them with `vouchsafe vault lock`",
                l.objects, l.unlocked, l.short, l.wanted
            )
        });
        wrong.chain(locks).collect()
    }
}

impl Locks {
    /// Whether every object is locked for at least half of what the policy says.
    pub fn are_met(&self) -> bool {
        self.unlocked == 0 && self.short == 0
    }
}

/// Locks that are read or extended at the same time.
const AT_ONCE: usize = 8;

impl Keeper {
    /// Tries a vault's store and reads its locks back.
    pub fn check_store(&self, vault: &VaultHandle) -> Result<StoreCheck, KeeperError> {
        let remote = !matches!(
            VaultPlace::parse(&vault.spec.url),
            Ok(VaultPlace::File { .. })
        );
        let token: String = self
            .tools
            .random
            .bytes16()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        Ok(StoreCheck {
            probed: if remote {
                probe::probe(vault.root.as_ref(), &token)?
            } else {
                Probed::default()
            },
            locks: self.locks(vault)?,
        })
    }

    /// How long a vault's objects are locked; nothing if its policy asks for no lock.
    pub fn locks(&self, vault: &VaultHandle) -> Result<Option<Locks>, KeeperError> {
        let Some(wanted) = vault.spec.retention_lock else {
            return Ok(None);
        };
        let now = self.tools.clock.now();
        let mut keys: Vec<Key> = list_all(vault.root.as_ref(), "")?
            .into_iter()
            .map(|(k, _)| k)
            .collect();
        keys.retain(Retained::locks);
        let read = for_each(&keys, |key| match vault.root.retention(key) {
            // Another kind of store than the policy believes: nothing in it is locked.
            Err(StoreError::Unsupported { .. }) => Ok(None),
            // Gone since it was listed.
            Err(error) if error.is_not_found() => Ok(Some(Retention {
                until: Time::MAX,
                mode: LockMode::Compliance,
            })),
            done => done,
        })?;
        let half = now.plus(halved(wanted, now));
        let mut locks = Locks {
            wanted,
            objects: keys.len() as u64,
            unlocked: 0,
            short: 0,
            soonest: None,
            to_extend: Vec::new(),
        };
        for (key, retention) in keys.into_iter().zip(read) {
            let until = retention.map(|r| r.until).filter(|until| *until > now);
            match until {
                None => locks.unlocked += 1,
                Some(until) if until < half => locks.short += 1,
                Some(_) => {}
            }
            if until.is_none_or(|until| until < half) {
                locks.to_extend.push(key);
            }
            locks.soonest = match (locks.soonest, until) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        Ok(Some(locks))
    }

    /// Locks the objects of a worklist for as long as the policy says, from now on.
    pub fn extend_locks(&self, vault: &VaultHandle, locks: &Locks) -> Result<(), KeeperError> {
        let until = locks.wanted.after(self.tools.clock.now());
        for_each(&locks.to_extend, |key| {
            match vault.root.lock_until(key, until, LockMode::Compliance) {
                Err(error) if error.is_not_found() => Ok(()),
                done => done,
            }
        })?;
        Ok(())
    }
}

/// Half of a length that begins now.
fn halved(length: Length, now: Time) -> vouchsafe_model::Span {
    vouchsafe_model::Span::from_micros(length.after(now).since(now).micros() / 2)
}

/// Calls for each key, several at a time; the first error ends it.
fn for_each<T: Send>(
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
