//! The slots of a vault: what opens it is added, removed and replaced, and each change recorded.

use std::path::PathBuf;

use vouchsafe_format::Id;
use vouchsafe_host::files;
use vouchsafe_model::fact::{Fact, KeyChange, KeyDeed, KeyKind, Outcome};
use vouchsafe_model::{HiddenObject, Issue, ObligationId, ObligationKind, Secret, Time, VaultName};
use vouchsafe_vault::{Keeping, KeyChangeError, KeyInfo, LockGuard, LockKind};

use crate::custody::{self, Custodian};
use crate::error::{KeeperError, chain};
use crate::events::{Event, Reporter};
use crate::hidden::in_repository;
use crate::keeper::Keeper;
use crate::vaults::VaultHandle;

/// A slot as the vault has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotInfo {
    /// What its key file tells.
    pub key: KeyInfo,
    /// Whether our passphrase opened the vault by it.
    pub in_use: bool,
}

/// The slots of one vault.
#[derive(Clone, Debug)]
pub struct Slots {
    /// Those that can be read.
    pub slots: Vec<SlotInfo>,
    /// What is wrong with the others.
    pub issues: Vec<Issue>,
    /// Whether a change of the passphrase was begun and not ended.
    pub unfinished: bool,
}

/// What a new slot is to open with.
#[derive(Debug)]
pub enum NewPassphrase {
    /// This.
    Given(Secret),
    /// A fresh one, which is left in a file.
    Fresh,
}

/// A slot that was added.
#[derive(Clone, Debug)]
pub struct AddedSlot {
    /// Its id.
    pub slot: Id,
    /// The file that holds its passphrase, if it is a fresh one.
    pub passphrase: Option<PathBuf>,
}

/// A slot that was removed.
#[derive(Clone, Debug)]
pub struct RemovedSlot {
    /// Its id.
    pub slot: Id,
    /// Its key file, if a lock keeps it as an older version: until then it can still be opened there.
    pub hidden: Vec<HiddenObject>,
}

/// A passphrase that was replaced.
#[derive(Clone, Debug)]
pub struct Rotated {
    /// The slot that the passphrase in force opens.
    pub added: Id,
    /// The slots that are gone.
    pub removed: Vec<Id>,
    /// Their key files, as far as locks keep them as older versions: until then they can still be opened there.
    pub hidden: Vec<HiddenObject>,
    /// Whether a change that was begun before was gone on with.
    pub resumed: bool,
    /// What wraps the new passphrase, if it is wrapped.
    pub wrapped_by: Option<String>,
    /// The recovery sheet, written anew: those on paper are void, unless the passphrase is wrapped and not on them.
    pub sheet: PathBuf,
}

impl Keeper {
    /// The slots of a vault.
    ///
    /// # Errors
    /// As for [`Keeper::vault`].
    pub fn slots(&self, vault: &VaultName) -> Result<Slots, KeeperError> {
        let open = self.vault(vault)?;
        let (keys, issues) = open.repo.keys().map_err(|source| KeeperError::Repository {
            vault: vault.to_string(),
            source: Box::new(source),
        })?;
        let in_use = open.repo.slot();
        let slot = |key: KeyInfo| SlotInfo {
            in_use: key.id == in_use,
            key,
        };
        Ok(Slots {
            slots: keys.into_iter().map(slot).collect(),
            issues,
            unfinished: files::exists(self.state.rotation_path(vault))?,
        })
    }

    /// Adds a slot, proven by opening the vault with it.
    ///
    /// # Errors
    /// [`KeeperError::KeyChange`]; as for [`Keeper::vault`].
    pub fn add_slot(
        &self,
        vault: &VaultName,
        new: NewPassphrase,
        reporter: &dyn Reporter,
    ) -> Result<AddedSlot, KeeperError> {
        self.changing("add key", vault, LockKind::Shared, reporter, |open| {
            let (secret, fresh) = match new {
                NewPassphrase::Given(secret) => (secret, None),
                NewPassphrase::Fresh => {
                    // Written first: a slot whose passphrase was lost in a crash would open for nobody.
                    let fresh = custody::new_passphrase(self.tools.random.as_ref());
                    let path = self.state.fresh_path(vault, "new");
                    self.state.write_secret(&path, &fresh)?;
                    (fresh, Some(path))
                }
            };
            let added = open.repo.add_key(&secret, None);
            let slot = added.map_err(|e| key_error(vault, e))?.id();
            let passphrase = match fresh {
                Some(path) => {
                    let named = self.state.fresh_path(vault, &slot.short());
                    files::rename(&path, &named)?;
                    Some(named)
                }
                None => None,
            };
            let change = self.change(open, KeyDeed::Added, &[slot], &[]);
            Ok((AddedSlot { slot, passphrase }, change))
        })
    }

    /// Removes a slot. That which our passphrase opens is removed only if `prove` opens another one; that passphrase
    /// is in force from then on.
    ///
    /// # Errors
    /// [`KeeperError::KeyChange`], [`KeeperError::KeptElsewhere`]; as for [`Keeper::vault`].
    pub fn remove_slot(
        &self,
        vault: &VaultName,
        wanted: &str,
        prove: Option<&Secret>,
        reporter: &dyn Reporter,
    ) -> Result<RemovedSlot, KeeperError> {
        self.changing("remove key", vault, LockKind::Exclusive, reporter, |open| {
            let failed = |e| key_error(vault, e);
            let slot = open.repo.slot_by_prefix(wanted).map_err(failed)?;
            let in_force = custody::passphrase(&open.spec, &open.root, &self.state, &self.tools)?;
            let stays = match (open.repo.proof_beside(&in_force, Some(&slot)), prove) {
                (Err(KeyChangeError::InUse { .. }), Some(other)) => {
                    let stays = open.repo.proof_beside(other, Some(&slot)).map_err(failed)?;
                    Custodian::of(self, open)?
                        .put_in_force(other)
                        .map_err(|e| failed(KeyChangeError::Keeping(e)))?;
                    stays
                }
                (proof, _) => proof.map_err(failed)?,
            };
            let erased = open.repo.remove_key(&slot, &stays).map_err(failed)?;
            let mut change = self.change(open, KeyDeed::Removed, &[], &[slot]);
            change.obligations = self.fulfilled_by_hand(open)?;
            if erased.locked > 0 {
                change.hidden = key_files(&[(slot, erased.until)]);
            }
            let hidden = change.hidden.clone();
            Ok((RemovedSlot { slot, hidden }, change))
        })
    }

    /// Replaces the passphrase of a vault by a fresh one, or goes on with a replacement that was begun before. The
    /// recovery sheet is written anew.
    ///
    /// # Errors
    /// [`KeeperError::KeptElsewhere`], [`KeeperError::KeyChange`]; as for [`Keeper::vault`]. Then calling it again
    /// goes on; the vault opens with the passphrase in force.
    pub fn rotate_slot(
        &self,
        vault: &VaultName,
        reporter: &dyn Reporter,
    ) -> Result<Rotated, KeeperError> {
        let _state = self.state.lock()?;
        self.reconcile()?;
        let rotated = self.rotate_locked(vault, reporter)?;
        self.publish(reporter)?;
        Ok(rotated)
    }

    /// As [`Keeper::rotate_slot`], for who holds the state's lock and publishes later.
    pub(crate) fn rotate_locked(
        &self,
        vault: &VaultName,
        reporter: &dyn Reporter,
    ) -> Result<Rotated, KeeperError> {
        let noted = self.state.rotation_path(vault);
        let resumed = files::exists(&noted)?;
        let kind = LockKind::Exclusive;
        let rotated = self.recorded("rotate key", vault, kind, reporter, |open| {
            let mut keeping = Custodian::of(self, open)?;
            let in_force = custody::passphrase(&open.spec, &open.root, &self.state, &self.tools)?;
            let fresh = || custody::new_passphrase(self.tools.random.as_ref());
            let told = &mut Telling {
                keeping: &mut keeping,
                vault,
                reporter,
            };
            let rotation = open.repo.rotate_passphrase(&in_force, told, fresh, None);
            let rotation = rotation.map_err(|e| key_error(vault, e))?;
            let mut change =
                self.change(open, KeyDeed::Rotated, &[rotation.added], &rotation.removed);
            change.hidden = key_files(&rotation.hidden);
            let facts = self.facts()?;
            change.obligations = self.answers(&facts, ObligationKind::RotateKey, None, Some(vault));
            let rotated = Rotated {
                added: rotation.added,
                removed: rotation.removed,
                hidden: change.hidden.clone(),
                resumed,
                wrapped_by: change.wrapped_by.clone(),
                sheet: self.state.sheet_path(),
            };
            Ok((rotated, change))
        })?;
        // Only now is it done and recorded.
        files::remove_file(&noted)?;
        Ok(rotated)
    }

    /// What is owed is fulfilled by hand where the passphrase is kept elsewhere: a slot was added since it opened, our
    /// passphrase opens that one, and an older one was taken away.
    fn fulfilled_by_hand(&self, open: &VaultHandle) -> Result<Vec<ObligationId>, KeeperError> {
        if open.spec.password.is_none() {
            return Ok(Vec::new());
        }
        let (facts, in_use) = (self.facts()?, open.repo.slot().to_hex());
        let made = facts.iter().find_map(|r| match &r.entry.fact {
            Fact::KeyChange(k) if k.added.contains(&in_use) => Some(k.completed),
            _ => None,
        });
        let Some(made) = made else {
            return Ok(Vec::new());
        };
        let asked = self.answers(&facts, ObligationKind::RotateKey, None, Some(open.name()));
        let opened_before = |id: &ObligationId| {
            facts.iter().any(|r| {
                matches!(&r.entry.fact, Fact::ObligationDue(o) if o.id == *id && o.opens <= made)
            })
        };
        Ok(asked.into_iter().filter(opened_before).collect())
    }

    /// A change of slots: locked, recorded as a run with its fact, published.
    fn changing<T>(
        &self,
        deed: &'static str,
        vault: &VaultName,
        kind: LockKind,
        reporter: &dyn Reporter,
        change: impl FnOnce(&VaultHandle) -> Result<(T, KeyChange), KeeperError>,
    ) -> Result<T, KeeperError> {
        let _state = self.state.lock()?;
        self.reconcile()?;
        let done = self.recorded(deed, vault, kind, reporter, change)?;
        self.publish(reporter)?;
        Ok(done)
    }

    fn recorded<T>(
        &self,
        deed: &'static str,
        vault: &VaultName,
        kind: LockKind,
        reporter: &dyn Reporter,
        change: impl FnOnce(&VaultHandle) -> Result<(T, KeyChange), KeeperError>,
    ) -> Result<T, KeeperError> {
        self.recorded_in(self.vault(vault)?, deed, kind, reporter, change)
    }

    pub(crate) fn recorded_in<T>(
        &self,
        open: VaultHandle,
        deed: &'static str,
        kind: LockKind,
        reporter: &dyn Reporter,
        change: impl FnOnce(&VaultHandle) -> Result<(T, KeyChange), KeeperError>,
    ) -> Result<T, KeeperError> {
        let vault = open.name();
        let _lock = lock(&open, kind)?;
        let subject = vault.to_string();
        reporter.event(&Event::Started {
            deed,
            subject: subject.clone(),
        });
        let run = self.open_run(&deed.replace(' ', "-"), vault.as_str(), None)?;
        let (done, fact) = match change(&open) {
            Ok(done) => done,
            Err(error) => {
                let issue = Issue {
                    place: format!("vault {vault}"),
                    message: chain(&error),
                };
                self.close_run(&run, Outcome::Failed, vec![issue])?;
                return Err(error);
            }
        };
        let summary = summary(&fact);
        self.record(vec![
            Fact::KeyChange(fact),
            Fact::RunClosed {
                run,
                outcome: Outcome::Done,
                issues: Vec::new(),
            },
        ])?;
        reporter.event(&Event::Finished {
            deed,
            subject,
            summary,
            good: true,
        });
        Ok(done)
    }

    pub(crate) fn change(
        &self,
        open: &VaultHandle,
        change: KeyDeed,
        added: &[Id],
        removed: &[Id],
    ) -> KeyChange {
        KeyChange {
            vault: open.name().clone(),
            repository: open.repo.id().to_hex(),
            key: KeyKind::Slot,
            change,
            added: added.iter().map(Id::to_hex).collect(),
            removed: removed.iter().map(Id::to_hex).collect(),
            successor: None,
            obligations: Vec::new(),
            wrapped_by: open.spec.kms.as_ref().map(ToString::to_string),
            hidden: Vec::new(),
            completed: self.tools.clock.now(),
        }
    }
}

fn lock(open: &VaultHandle, kind: LockKind) -> Result<LockGuard, KeeperError> {
    open.repo
        .lock(kind)
        .map_err(|source| KeeperError::VaultLock {
            vault: open.name().to_string(),
            source,
        })
}

fn key_error(vault: &VaultName, source: KeyChangeError) -> KeeperError {
    KeeperError::KeyChange {
        vault: vault.to_string(),
        source: Box::new(source),
    }
}

fn key_files(hidden: &[(Id, Option<Time>)]) -> Vec<HiddenObject> {
    let key = |(slot, until): &(Id, Option<Time>)| (format!("keys/{slot}"), *until);
    in_repository(&hidden.iter().map(key).collect::<Vec<_>>())
}

fn summary(change: &KeyChange) -> String {
    let short = |slots: &[String]| {
        let slots: Vec<&str> = slots.iter().map(|s| s.get(..8).unwrap_or(s)).collect();
        slots.join(", ")
    };
    match change.change {
        KeyDeed::Added => format!("{}, opened with it", short(&change.added)),
        KeyDeed::Removed if change.hidden.is_empty() => {
            format!("{} is gone", short(&change.removed))
        }
        KeyDeed::Removed => format!(
            "{} is hidden; a lock keeps its key file",
            short(&change.removed)
        ),
        KeyDeed::Rotated => format!(
            "{} in the place of {}",
            short(&change.added),
            short(&change.removed)
        ),
        KeyDeed::Wrapped => format!(
            "its passphrase lies in it, wrapped by the {}",
            change.wrapped_by.as_deref().unwrap_or_default()
        ),
    }
}

/// Tells each step before the next one begins.
struct Telling<'a, 'k> {
    keeping: &'a mut Custodian<'k>,
    vault: &'a VaultName,
    reporter: &'a dyn Reporter,
}

impl Telling<'_, '_> {
    fn tell(&self, what: &str) {
        let text = format!("vault {}: {what}", self.vault);
        self.reporter.event(&Event::Note { text });
    }
}

impl Keeping for Telling<'_, '_> {
    fn begun(&mut self) -> Result<Option<vouchsafe_vault::Begun>, vouchsafe_vault::KeepingError> {
        self.keeping.begun()
    }

    fn begin(
        &mut self,
        begun: &vouchsafe_vault::Begun,
    ) -> Result<(), vouchsafe_vault::KeepingError> {
        self.keeping.begin(begun)?;
        self.tell("a new passphrase is noted");
        Ok(())
    }

    fn put_in_force(&mut self, passphrase: &Secret) -> Result<(), vouchsafe_vault::KeepingError> {
        self.tell("the new passphrase opens it");
        self.keeping.put_in_force(passphrase)?;
        self.tell("the new passphrase is in force, and the recovery sheet written anew");
        Ok(())
    }
}
