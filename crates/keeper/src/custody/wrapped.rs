//! A passphrase that lies wrapped in the vault that it opens, beside the repository.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use vouchsafe_format::Id;
use vouchsafe_host::random::Random;
use vouchsafe_model::{Kms, Secret, Vault, VaultName};
use vouchsafe_store::kms::{Bound, KeyService, KeyState, KmsError, Wrapped};
use vouchsafe_store::{Key, PutMode, Store, StoreError};
use vouchsafe_vault::Repository;

use super::service;
use crate::error::{KeeperError, chain};
use crate::keeper::Tools;
use crate::vaults;

/// Where the wrapped passphrase lies in a vault.
pub(crate) const OBJECT: &str = "custody/passphrase.json";

/// What wrapped bytes are for; those for one thing do not unwrap as those for another.
pub(crate) mod purpose {
    /// The passphrase in force.
    pub(crate) const IN_FORCE: &str = "vault-passphrase";
    /// A change of the passphrase that was begun.
    pub(crate) const CHANGE: &str = "passphrase-change";
}

/// The longest object of this kind that is read, in bytes.
const LONGEST: u64 = 64 << 10;

/// The wrapped passphrase, as it lies in the vault.
#[derive(Serialize, Deserialize)]
struct Envelope {
    v: u32,
    /// `aws`, `command`.
    service: String,
    /// The key, as the service names it.
    key: String,
    /// The repository that it opens.
    repository: Id,
    /// What the service made of the passphrase, in base64.
    wrapped: String,
}

/// What an envelope holds.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The passphrase, or the note of a change.
    pub(crate) passphrase: Secret,
    /// The repository for which it was wrapped; nothing for one that was not.
    pub(crate) repository: Option<Id>,
}

/// A vault's key service and the place where what it wraps lies.
pub(crate) struct Wrapping {
    vault: VaultName,
    kms: Kms,
    service: Arc<dyn KeyService>,
    root: Arc<dyn Store>,
    random: Arc<dyn Random>,
}

impl Wrapping {
    /// That of a vault whose policy names a key service; nothing is sent yet.
    pub(crate) fn of(
        vault: &Vault,
        root: &Arc<dyn Store>,
        tools: &Tools,
    ) -> Result<Option<Wrapping>, KeeperError> {
        let Some(kms) = &vault.kms else {
            return Ok(None);
        };
        Ok(Some(Wrapping {
            vault: vault.name.clone(),
            kms: kms.clone(),
            service: service::open(kms, &vault.name, tools)?,
            root: Arc::clone(root),
            random: Arc::clone(&tools.random),
        }))
    }

    /// What wraps, for people.
    pub(crate) fn describe(&self) -> String {
        self.service.describe()
    }

    /// What the service says of its key; nothing where there is nobody to ask.
    pub(crate) fn probe(&self) -> Result<Option<KeyState>, KeeperError> {
        let state = self.service.probe();
        state.map_err(|source| service::failed(&self.vault, source))
    }

    /// The passphrase in force.
    pub(crate) fn read(&self) -> Result<Kept, KeeperError> {
        match stored(&self.root)? {
            Some(bytes) => self.unwrapped(&bytes, purpose::IN_FORCE, &place(&self.root)),
            None => Err(KeeperError::NotWrapped {
                vault: self.vault.clone(),
                place: place(&self.root),
            }),
        }
    }

    /// The passphrase in force, or a fresh one for a repository that is yet to be made: wrapped first, because a
    /// repository whose passphrase was lost in a crash would be lost too.
    pub(super) fn read_or_make(&self) -> Result<Kept, KeeperError> {
        match self.read() {
            Err(KeeperError::NotWrapped { .. }) => {}
            other => return other,
        }
        let passphrase = super::new_passphrase(self.random.as_ref());
        let repository = super::new_id(self.random.as_ref());
        self.put(&passphrase, &repository, PutMode::IfAbsent)?;
        Ok(Kept {
            passphrase,
            repository: Some(repository),
        })
    }

    /// Opens the repository, and sees that it is the one for which the passphrase was wrapped.
    pub(super) fn open(&self, kept: &Kept, tools: &Tools) -> Result<Repository, KeeperError> {
        let store = vaults::repo_store(&self.root)?;
        let opened = Repository::open(store, &tools.env(), &kept.passphrase);
        let repo = super::opened_by_kept(opened, &self.vault, &self.describe())?;
        if kept.repository.is_some_and(|id| id != repo.id()) {
            let key = self.describe();
            return Err(service::failed(&self.vault, KmsError::Altered { key }));
        }
        Ok(repo)
    }

    /// Wraps a passphrase and puts it into the vault, and sees that it comes back: only then is it in force.
    pub(crate) fn put(
        &self,
        passphrase: &Secret,
        repository: &Id,
        mode: PutMode,
    ) -> Result<(), KeeperError> {
        let bytes = self.wrapped(passphrase, repository, purpose::IN_FORCE)?;
        // Before it replaces one that works.
        self.is_back(&bytes, passphrase)?;
        self.root.put(&object_key()?, &bytes, mode)?;
        self.is_back(&stored(&self.root)?.unwrap_or_default(), passphrase)
    }

    fn is_back(&self, bytes: &[u8], passphrase: &Secret) -> Result<(), KeeperError> {
        let kept = self.unwrapped(bytes, purpose::IN_FORCE, &place(&self.root))?;
        match kept.passphrase == *passphrase {
            true => Ok(()),
            false => Err(KeeperError::Damaged {
                place: format!("vault `{}`, {}", self.vault, self.describe()),
                message: "what was wrapped does not come back when it is unwrapped; the passphrase in force is not changed: see what wraps".to_owned(),
            }),
        }
    }

    /// An envelope with a secret.
    pub(super) fn wrapped(
        &self,
        secret: &Secret,
        repository: &Id,
        purpose: &'static str,
    ) -> Result<Vec<u8>, KeeperError> {
        let wrapped = self.service.wrap(secret, &bound(repository, purpose));
        let wrapped = wrapped.map_err(|source| service::failed(&self.vault, source))?;
        let envelope = Envelope {
            v: 1,
            service: self.kms.word().to_owned(),
            key: wrapped.key,
            repository: *repository,
            wrapped: STANDARD.encode(wrapped.bytes),
        };
        serde_json::to_vec_pretty(&envelope).map_err(|e| KeeperError::Damaged {
            place: place(&self.root),
            message: chain(&e),
        })
    }

    /// What an envelope holds.
    pub(super) fn unwrapped(
        &self,
        bytes: &[u8],
        purpose: &'static str,
        place: &str,
    ) -> Result<Kept, KeeperError> {
        let envelope = read_envelope(bytes, place)?;
        let other = |wrapped_by: String| {
            let key = self.describe();
            service::failed(&self.vault, KmsError::OtherKey { key, wrapped_by })
        };
        if envelope.service != self.kms.word() {
            return Err(other(format!("{} {}", envelope.service, envelope.key)));
        }
        let wrapped = Wrapped {
            key: envelope.key,
            bytes: STANDARD
                .decode(&envelope.wrapped)
                .map_err(|_| damaged(place))?,
        };
        let unwrapped = self
            .service
            .unwrap(&wrapped, &bound(&envelope.repository, purpose));
        Ok(Kept {
            passphrase: unwrapped.map_err(|source| service::failed(&self.vault, source))?,
            repository: Some(envelope.repository),
        })
    }
}

/// The service and the key by which the passphrase in a vault is wrapped, if it is.
pub(crate) fn wrapped_by(root: &Arc<dyn Store>) -> Result<Option<(String, String)>, KeeperError> {
    let Some(bytes) = stored(root)? else {
        return Ok(None);
    };
    let envelope = read_envelope(&bytes, &place(root))?;
    Ok(Some((envelope.service, envelope.key)))
}

fn bound(repository: &Id, purpose: &'static str) -> Bound {
    Bound {
        repository: repository.to_hex(),
        purpose,
    }
}

fn read_envelope(bytes: &[u8], place: &str) -> Result<Envelope, KeeperError> {
    let envelope: Envelope = serde_json::from_slice(bytes).map_err(|_| damaged(place))?;
    match envelope.v {
        1 => Ok(envelope),
        v => Err(KeeperError::Damaged {
            place: place.to_owned(),
            message: format!(
                "it has version {v}, which this version does not know; take a newer one"
            ),
        }),
    }
}

fn damaged(place: &str) -> KeeperError {
    KeeperError::Damaged {
        place: place.to_owned(),
        message: "the wrapped passphrase cannot be understood; put a whole copy back, or wrap it anew with `vouchsafe key wrap`".to_owned(),
    }
}

fn stored(root: &Arc<dyn Store>) -> Result<Option<Vec<u8>>, KeeperError> {
    let mut found = Vec::new();
    match root.get_into(&object_key()?, LONGEST, &mut found) {
        Ok(()) => Ok(Some(found)),
        Err(StoreError::TooLong { .. }) => Err(damaged(&place(root))),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn place(root: &Arc<dyn Store>) -> String {
    format!("{OBJECT} in {}", root.describe())
}

fn object_key() -> Result<Key, KeeperError> {
    Key::new(OBJECT).map_err(|e| KeeperError::Damaged {
        place: OBJECT.to_owned(),
        message: e.to_string(),
    })
}
