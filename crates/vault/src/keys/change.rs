//! Adding and removing slots, so that whoever could open the repository before can do so after.

use vouchsafe_format::{Id, KdfParams, KeyError, open_key_file};
use vouchsafe_model::Secret;
use vouchsafe_store::Erased;

use super::error::KeyChangeError;
use super::{STRONG, wrap};
use crate::error::{Damage, RepoError};
use crate::machine::ObjectKind;
use crate::repository::Repository;

/// A slot that was seen to open the repository: its key file was read from the store, and the key in it opened the
/// repository's own configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenSlot {
    slot: Id,
    repository: Id,
}

impl ProvenSlot {
    /// The name of its key file.
    pub fn id(&self) -> Id {
        self.slot
    }
}

impl Repository {
    /// The slots that this passphrase opens, each read from the store now. Key files that cannot be read are passed
    /// over.
    ///
    /// # Errors
    /// [`KeyChangeError::Store`], [`KeyChangeError::Interrupted`].
    pub fn slots_opened_by(&self, passphrase: &Secret) -> Result<Vec<ProvenSlot>, KeyChangeError> {
        let mut out = Vec::new();
        for (slot, _) in self.objects.list(ObjectKind::Key)? {
            if self.env().interrupt.requested() {
                return Err(KeyChangeError::Interrupted);
            }
            match self.try_slot(&slot, passphrase) {
                Ok(proven) => out.push(proven),
                Err(RepoError::Store(error)) if !error.is_not_found() => return Err(error.into()),
                Err(_) => {}
            }
        }
        Ok(out)
    }

    /// One of the slots that this passphrase opens, other than `except`.
    ///
    /// # Errors
    /// [`KeyChangeError::InUse`] if it opens `except` only, [`KeyChangeError::OpensNothing`],
    /// [`KeyChangeError::Store`].
    pub fn proof_beside(
        &self,
        passphrase: &Secret,
        except: Option<&Id>,
    ) -> Result<ProvenSlot, KeyChangeError> {
        let store = self.place();
        let opened = self.slots_opened_by(passphrase)?;
        let all = opened.len();
        let mut others = opened
            .into_iter()
            .filter(|proven| Some(&proven.slot) != except);
        match (others.next(), except) {
            (Some(proven), _) => Ok(proven),
            (None, Some(slot)) if all > 0 => Err(KeyChangeError::InUse { slot: *slot, store }),
            (None, _) => Err(KeyChangeError::OpensNothing { store }),
        }
    }

    /// The slot whose id begins with `wanted`, written in hexadecimal.
    ///
    /// # Errors
    /// [`KeyChangeError::Unknown`], [`KeyChangeError::Ambiguous`], [`KeyChangeError::Store`].
    pub fn slot_by_prefix(&self, wanted: &str) -> Result<Id, KeyChangeError> {
        let prefix = wanted.to_ascii_lowercase();
        let slots = self.objects.list(ObjectKind::Key)?.into_iter();
        let mut found = slots
            .map(|(slot, _)| slot)
            .filter(|slot| !prefix.is_empty() && slot.to_hex().starts_with(&prefix));
        let (wanted, store) = (wanted.to_owned(), self.place());
        match (found.next(), found.next()) {
            (Some(slot), None) => Ok(slot),
            (None, _) => Err(KeyChangeError::Unknown { wanted, store }),
            (Some(_), Some(_)) => Err(KeyChangeError::Ambiguous { wanted, store }),
        }
    }

    /// Wraps the master key under one more passphrase, and proves the new slot by reading it back from the store.
    ///
    /// # Errors
    /// [`KeyChangeError::NotProven`]: then there may be a slot more than before, which does no harm.
    /// [`KeyChangeError::Store`], [`KeyChangeError::Key`].
    pub fn add_key(
        &self,
        passphrase: &Secret,
        kdf: Option<KdfParams>,
    ) -> Result<ProvenSlot, KeyChangeError> {
        let bytes = wrap(self.env(), &self.key, passphrase, kdf.unwrap_or(STRONG))?;
        let slot = Id::of(&bytes);
        self.objects.put(ObjectKind::Key, &slot, &bytes)?;
        self.try_slot(&slot, passphrase)
            .map_err(|source| self.not_proven(slot, source))
    }

    /// Removes a slot while another one, which is looked for once more, stays. A slot that is gone already is fine.
    ///
    /// What the store still keeps of the key file is in the answer: whoever may read that, and has the passphrase, can
    /// still open the repository.
    ///
    /// # Errors
    /// [`KeyChangeError::InUse`] if they are the same, [`KeyChangeError::NotProven`] if the one that is to stay is
    /// not there any more: then nothing was removed. [`KeyChangeError::StillThere`], [`KeyChangeError::Store`].
    pub fn remove_key(&self, slot: &Id, stays: &ProvenSlot) -> Result<Erased, KeyChangeError> {
        let store = self.place();
        if *slot == stays.slot || stays.repository != self.id() {
            return Err(KeyChangeError::InUse { slot: *slot, store });
        }
        self.objects
            .get_named(ObjectKind::Key, &stays.slot)
            .map_err(|source| self.not_proven(stays.slot, source))?;
        let erased = self.objects.erase(ObjectKind::Key, slot)?;
        match self.objects.size(ObjectKind::Key, slot)? {
            None => Ok(erased),
            Some(_) => Err(KeyChangeError::StillThere { slot: *slot, store }),
        }
    }

    fn try_slot(&self, slot: &Id, passphrase: &Secret) -> Result<ProvenSlot, RepoError> {
        let damaged = |source| self.objects.damaged(ObjectKind::Key, slot, source);
        let read = || self.objects.get_named(ObjectKind::Key, slot);
        // What came damaged may have been damaged on its way: a slot must not be passed over for that.
        let bytes = read().or_else(|error| match error {
            RepoError::Damaged { .. } => read(),
            error => Err(error),
        })?;
        let key = open_key_file(&bytes, passphrase.expose()).map_err(|error| match error {
            KeyError::WrongPassword => RepoError::Key(KeyError::WrongPassword),
            error => damaged(error.into()),
        })?;
        let sealed = self.objects.get_config()?;
        let config = crate::repository::open_config(&key, &sealed).map_err(damaged)?;
        if config.id != self.id() {
            return Err(damaged(Damage::Key(KeyError::NoMasterKey)));
        }
        Ok(ProvenSlot {
            slot: *slot,
            repository: config.id,
        })
    }

    fn not_proven(&self, slot: Id, source: RepoError) -> KeyChangeError {
        KeyChangeError::NotProven {
            slot,
            store: self.place(),
            source: Box::new(source),
        }
    }
}
