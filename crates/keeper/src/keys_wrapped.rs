//! The key services of vaults: what they say of their keys, and how a passphrase comes to be wrapped by one.

use vouchsafe_host::files;
use vouchsafe_model::fact::KeyDeed;
use vouchsafe_model::{Secret, VaultName};
use vouchsafe_store::PutMode;
use vouchsafe_store::kms::KeyState;
use vouchsafe_vault::LockKind;

use crate::custody::{self, Wrapping};
use crate::error::KeeperError;
use crate::events::Reporter;
use crate::keeper::Keeper;
use crate::vaults::VaultHandle;

/// What wraps the passphrase of a vault.
#[derive(Debug)]
pub struct KeyServiceInfo {
    /// The key, for people.
    pub by: String,
    /// What the service says of it; nothing where there is nobody to ask.
    pub state: Result<Option<KeyState>, KeeperError>,
}

impl Keeper {
    /// What wraps the passphrase of a vault, and what the service says of its key; nothing for a vault whose passphrase
    /// is not wrapped.
    ///
    /// # Errors
    /// As for opening the vault's store. That the service cannot be asked is told in the value.
    pub fn key_service(&self, vault: &VaultName) -> Result<Option<KeyServiceInfo>, KeeperError> {
        let spec = crate::vaults::find(&self.policy, vault.as_str())?;
        let root = crate::vaults::root_store(spec, &self.policy.base, false, &self.tools)?;
        let wrapping = Wrapping::of(spec, &root, &self.tools)?;
        Ok(wrapping.map(|wrapping| KeyServiceInfo {
            by: wrapping.describe(),
            state: wrapping.probe(),
        }))
    }

    /// The passphrase in force of a vault, for stock restic. The vault is opened with it first.
    ///
    /// # Errors
    /// As for [`Keeper::vault`].
    pub fn passphrase(&self, vault: &VaultName) -> Result<Secret, KeeperError> {
        let open = self.vault(vault)?;
        custody::passphrase(&open.spec, &open.root, &self.state, &self.tools)
    }

    /// Wraps the passphrase of a vault by the key that its policy names, and puts it into the vault: one that is given,
    /// that of the state directory, which is then taken away, or the one that lies there, wrapped before.
    ///
    /// # Errors
    /// [`KeeperError::Policy`] for a vault without a key service, [`KeeperError::Kms`],
    /// [`KeeperError::NoPassphrase`]; [`KeeperError::Open`] for a passphrase that does not open the vault.
    pub fn wrap_passphrase(
        &self,
        vault: &VaultName,
        given: Option<Secret>,
        reporter: &dyn Reporter,
    ) -> Result<String, KeeperError> {
        let _state = self.state.lock()?;
        self.reconcile()?;
        let spec = crate::vaults::find(&self.policy, vault.as_str())?;
        let root = crate::vaults::root_store(spec, &self.policy.base, false, &self.tools)?;
        let wrapping = Wrapping::of(spec, &root, &self.tools)?.ok_or_else(|| KeeperError::Policy {
            message: format!(
                "vault `{vault}` names nothing that wraps; write kms: {{ aws: KEY }} in the policy first"
            ),
        })?;
        let in_state = self.state.passphrase_path(vault);
        let clear = files::exists(&in_state)?;
        let passphrase = match (given, clear) {
            (Some(given), _) => given,
            (None, true) => custody::unwrapped(spec, &self.state)?,
            (None, false) => wrapping.read()?.passphrase,
        };
        let repo = crate::vaults::open_repo(&root, &self.tools.env(), &passphrase, vault)?;
        let open = VaultHandle {
            spec: spec.clone(),
            root,
            repo,
        };
        let kind = LockKind::Exclusive;
        let key = self.recorded_in(open, "wrap key", kind, reporter, |open| {
            wrapping.put(&passphrase, &open.repo.id(), PutMode::Replace)?;
            let change = self.change(open, KeyDeed::Wrapped, &[], &[]);
            Ok((wrapping.describe(), change))
        })?;
        self.write_sheet()?;
        if clear {
            // It opens the vault no less than what is wrapped, and nobody looks after it any more.
            files::remove_file(&in_state)?;
        }
        self.publish(reporter)?;
        Ok(key)
    }
}
