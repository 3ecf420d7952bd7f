//! Where the passphrase of a vault is kept: in the state directory, where the policy says, or wrapped in the vault.

mod keeping;
mod service;
mod wrapped;

use std::sync::Arc;

use vouchsafe_format::{Id, Polynomial};
use vouchsafe_host::random::Random;
use vouchsafe_host::{files, secret};
use vouchsafe_model::{Secret, SecretRef, Vault, VaultName};
use vouchsafe_store::Store;
use vouchsafe_vault::{CreateOptions, OpenError, Repository};

use crate::error::KeeperError;
use crate::keeper::Tools;
use crate::state::State;
use crate::vaults;

pub(crate) use keeping::Custodian;
pub(crate) use service::from_vault;
use wrapped::Kept;
pub(crate) use wrapped::{OBJECT, Wrapping, wrapped_by};

/// The passphrase of a vault whose root is open: unwrapped, by the policy's reference, or from the state directory.
pub(crate) fn passphrase(
    vault: &Vault,
    root: &Arc<dyn Store>,
    state: &State,
    tools: &Tools,
) -> Result<Secret, KeeperError> {
    match Wrapping::of(vault, root, tools)? {
        Some(wrapping) => Ok(wrapping.read()?.passphrase),
        None => unwrapped(vault, state),
    }
}

/// The passphrase of a vault that keeps none itself.
pub(crate) fn unwrapped(vault: &Vault, state: &State) -> Result<Secret, KeeperError> {
    if let Some(reference) = &vault.password {
        return Ok(secret::resolve_passphrase(reference)?);
    }
    let path = state.passphrase_path(&vault.name);
    if !files::exists(&path)? {
        return Err(KeeperError::NoPassphrase {
            vault: vault.name.clone(),
            place: path.display().to_string(),
        });
    }
    Ok(secret::resolve_passphrase(&SecretRef::File(path))?)
}

/// Opens the repository of a vault with the passphrase that is kept for it.
pub(crate) fn open_repo(
    vault: &Vault,
    root: &Arc<dyn Store>,
    state: &State,
    tools: &Tools,
) -> Result<Repository, KeeperError> {
    match Wrapping::of(vault, root, tools)? {
        Some(wrapping) => wrapping.open(&wrapping.read()?, tools),
        None => vaults::open_repo(root, &tools.env(), &unwrapped(vault, state)?, &vault.name),
    }
}

/// Opens the repository of a vault by the passphrase that lies wrapped in it.
pub(crate) fn open_wrapped(
    vault: &Vault,
    root: &Arc<dyn Store>,
    tools: &Tools,
) -> Result<Repository, KeeperError> {
    let wrapping = Wrapping::of(vault, root, tools)?.ok_or_else(|| KeeperError::NotWrapped {
        vault: vault.name.clone(),
        place: root.describe(),
    })?;
    wrapping.open(&wrapping.read()?, tools)
}

/// Opens the repository of a vault, or makes it, and then its passphrase too unless there is one; and whether it was
/// made.
pub(crate) fn open_or_create(
    vault: &Vault,
    root: &Arc<dyn Store>,
    state: &State,
    tools: &Tools,
    polynomial: Option<Polynomial>,
) -> Result<(Repository, bool), KeeperError> {
    let in_vault = |source| KeeperError::Open {
        vault: vault.name.to_string(),
        source,
    };
    let store = vaults::repo_store(root)?;
    if Repository::exists(store.as_ref()).map_err(in_vault)? {
        return Ok((open_repo(vault, root, state, tools)?, false));
    }
    let kept = match Wrapping::of(vault, root, tools)? {
        Some(wrapping) => wrapping.read_or_make()?,
        None => Kept {
            passphrase: kept_or_made(vault, state, tools)?,
            repository: None,
        },
    };
    let options = CreateOptions {
        id: kept.repository,
        polynomial,
        kdf: None,
    };
    let made = Repository::create(store, &tools.env(), &kept.passphrase, &options);
    Ok((made.map_err(in_vault)?, true))
}

fn kept_or_made(vault: &Vault, state: &State, tools: &Tools) -> Result<Secret, KeeperError> {
    match unwrapped(vault, state) {
        Err(KeeperError::NoPassphrase { .. }) => {
            // Written first: a repository whose passphrase was lost in a crash would be lost too.
            let fresh = new_passphrase(tools.random.as_ref());
            state.write_secret(&state.passphrase_path(&vault.name), &fresh)?;
            Ok(fresh)
        }
        other => other,
    }
}

/// What an opening error means if the passphrase was unwrapped.
fn opened_by_kept(
    opened: Result<Repository, OpenError>,
    vault: &VaultName,
    key: &str,
) -> Result<Repository, KeeperError> {
    opened.map_err(|source| match source {
        OpenError::WrongKey { .. } => KeeperError::UnwrappedOpensNothing {
            vault: vault.clone(),
            key: key.to_owned(),
        },
        source => KeeperError::Open {
            vault: vault.to_string(),
            source,
        },
    })
}

/// An id for a repository that is yet to be made.
fn new_id(random: &dyn Random) -> Id {
    let mut bytes = [0; 32];
    random.fill(&mut bytes);
    Id::from_bytes(bytes)
}

/// 160 random bits in eight groups of four characters that cannot be mistaken for one another.
pub(crate) fn new_passphrase(random: &dyn Random) -> Secret {
    const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
    let mut out = Vec::with_capacity(39);
    for group in 0..8 {
        if group > 0 {
            out.push(b'-');
        }
        let mut bytes = [0u8; 4];
        random.fill(&mut bytes);
        out.extend(
            bytes
                .iter()
                .filter_map(|b| ALPHABET.get(usize::from(b % 32))),
        );
    }
    Secret::new(out)
}
