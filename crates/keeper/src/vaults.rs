//! Vaults by name: their stores, passphrases and repositories.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use vouchsafe_host::files;
use vouchsafe_model::{Policy, Secret, Vault, VaultName, VaultPlace};
use vouchsafe_store::{Key, Prefixed, Store};
use vouchsafe_vault::{Env, IndexSettings, OpenError, Repository};

use crate::custody;
use crate::error::KeeperError;
use crate::keeper::Tools;
use crate::state::State;

/// An open vault.
pub struct VaultHandle {
    /// What the policy says of it.
    pub spec: Vault,
    /// The whole vault: `repo/`, `ledger/`, `policy/`.
    pub root: Arc<dyn Store>,
    /// The repository within.
    pub repo: Repository,
}

impl VaultHandle {
    /// Its name.
    pub fn name(&self) -> &VaultName {
        &self.spec.name
    }
}

/// The vault of that name in the policy.
pub(crate) fn find<'a>(policy: &'a Policy, name: &str) -> Result<&'a Vault, KeeperError> {
    policy
        .vaults
        .values()
        .find(|v| v.name.as_str() == name)
        .ok_or_else(|| KeeperError::UnknownVault {
            name: name.to_owned(),
            known: policy
                .vaults
                .keys()
                .map(VaultName::as_str)
                .collect::<Vec<_>>()
                .join(", "),
        })
}

/// The directory of a vault that lies on this machine.
pub fn local_dir(vault: &Vault, base: &Path) -> Option<PathBuf> {
    let path = match vault.url.split_once("://") {
        Some(("file", rest)) => rest,
        Some(_) => return None,
        None => vault.url.as_str(),
    };
    Some(base.join(path))
}

/// Whether this version can reach the vault; one that it cannot is declared, not yet connected.
pub(crate) fn is_connected(vault: &Vault) -> bool {
    VaultPlace::parse(&vault.url).is_ok()
}

/// Whether the vault's store can hold ledger and policy beside the repository.
pub(crate) fn holds_record(vault: &Vault) -> bool {
    VaultPlace::parse(&vault.url).is_ok_and(|place| place.holds_record())
}

/// The whole vault as a store; with `create`, a directory that is not there yet is made.
pub(crate) fn root_store(
    vault: &Vault,
    base: &Path,
    create: bool,
    tools: &Tools,
) -> Result<Arc<dyn Store>, KeeperError> {
    match local_dir(vault, base) {
        Some(dir) if create => Ok(Arc::new(vouchsafe_store::LocalStore::create(&dir)?)),
        Some(dir) if !files::exists(&dir)? => Err(KeeperError::Open {
            vault: vault.name.to_string(),
            source: OpenError::NoRepository {
                store: dir.display().to_string(),
            },
        }),
        Some(dir) => Ok(Arc::new(vouchsafe_store::LocalStore::open(&dir)?)),
        None => crate::remote::open(vault, create, tools),
    }
}

/// The repository's part of a vault.
pub(crate) fn repo_store(root: &Arc<dyn Store>) -> Result<Arc<dyn Store>, KeeperError> {
    let folder = Key::new("repo").map_err(|e| KeeperError::Damaged {
        place: root.describe(),
        message: e.to_string(),
    })?;
    Ok(Arc::new(Prefixed::new(Arc::clone(root), folder)))
}

/// Opens a vault that is there.
pub(crate) fn open(
    vault: &Vault,
    base: &Path,
    state: &State,
    tools: &Tools,
) -> Result<VaultHandle, KeeperError> {
    let root = root_store(vault, base, false, tools)?;
    let settings = IndexSettings {
        cache: Some(state.index_cache(&vault.name)),
        ..IndexSettings::default()
    };
    let repo = custody::open_repo(vault, &root, state, tools)?.with_index_settings(settings);
    Ok(VaultHandle {
        spec: vault.clone(),
        root,
        repo,
    })
}

/// Opens the repository in a vault's store.
pub(crate) fn open_repo(
    root: &Arc<dyn Store>,
    env: &Env,
    password: &Secret,
    name: &VaultName,
) -> Result<Repository, KeeperError> {
    Repository::open(repo_store(root)?, env, password).map_err(|source| KeeperError::Open {
        vault: name.to_string(),
        source,
    })
}
