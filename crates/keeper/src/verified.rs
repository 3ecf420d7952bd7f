//! What verifications remember, kept in the state directory and bound to the ledger by its digest.

use vouchsafe_format::Id;
use vouchsafe_host::files;
use vouchsafe_model::fact::{Fact, Recorded, VaultCoverage};
use vouchsafe_model::{RunId, Span, VaultName};
use vouchsafe_vault::{Coverage, VerifyMemory};

use crate::error::KeeperError;
use crate::keeper::Keeper;
use crate::vaults::VaultHandle;

/// The longest memory that is read: some hundred million packs.
const LARGEST: u64 = 4 << 30;

impl Keeper {
    /// What earlier verifications of a vault remember, and a remark if it is lost. A memory counts only if the ledger
    /// names its digest; every other is as good as none, and then every pack counts as never read.
    pub(crate) fn verify_memory(
        &self,
        facts: &[Recorded],
        vault: &VaultHandle,
    ) -> Result<(VerifyMemory, Option<String>), KeeperError> {
        let name = vault.name();
        let known = facts.iter().rev().find_map(|r| match &r.entry.fact {
            Fact::Coverage(coverage) if coverage.vault == *name => Some(coverage),
            _ => None,
        });
        let Some(known) = known else {
            return Ok((VerifyMemory::default(), None));
        };
        let lost = |why: &str| {
            let text = format!(
                "what earlier verifications of vault {name} remember {why}; every pack counts as not verified"
            );
            Ok((VerifyMemory::default(), Some(text)))
        };
        let path = self.state.verified_dir(name)?.join(&known.memory);
        if !files::exists(&path)? {
            return lost("is lost");
        }
        let bytes = files::read(&path, LARGEST)?;
        if Id::of(&bytes).to_hex() != known.memory {
            return lost("was altered");
        }
        match VerifyMemory::decode(&bytes, &vault.repo.id()) {
            Ok(memory) => Ok((memory, None)),
            Err(error) => lost(&format!("cannot be used: {error}")),
        }
    }

    /// Keeps a memory, durably, and gives the fact that binds it. The one before stays until that fact is recorded:
    /// see [`Keeper::drop_older_memories`].
    pub(crate) fn keep_verify_memory(
        &self,
        vault: &VaultHandle,
        run: &RunId,
        memory: &VerifyMemory,
        coverage: &Coverage,
        within: Span,
    ) -> Result<VaultCoverage, KeeperError> {
        let bytes = memory.encode(&vault.repo.id());
        let digest = Id::of(&bytes).to_hex();
        let path = self.state.verified_dir(vault.name())?.join(&digest);
        files::write_atomic(path, &bytes, files::PRIVATE_FILE)?;
        Ok(VaultCoverage {
            vault: vault.name().clone(),
            run: run.clone(),
            memory: digest,
            bytes_total: coverage.bytes_total,
            within,
            bytes_within: coverage.bytes_within,
            oldest: coverage.oldest,
            packs_never: coverage.packs_never,
            packs_damaged: coverage.packs_damaged,
        })
    }

    /// Removes what the ledger no longer names.
    pub(crate) fn drop_older_memories(
        &self,
        vault: &VaultName,
        current: &str,
    ) -> Result<(), KeeperError> {
        let dir = self.state.verified_dir(vault)?;
        for name in files::list_dir(&dir)? {
            if name != current {
                files::remove_file(dir.join(name))?;
            }
        }
        Ok(())
    }
}
