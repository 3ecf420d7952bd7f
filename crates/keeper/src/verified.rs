//! What verifications remember, kept in the state directory and bound to the ledger by its digest.

use vouchsafe_format::Id;
use vouchsafe_host::files;
use vouchsafe_model::fact::{Fact, Recorded, VaultCoverage};
use vouchsafe_model::{RunId, Span, VaultName};
use vouchsafe_policy::verification;
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

    /// As [`Keeper::keep_verify_memory`], and bound to the ledger at once: for results that a killed process must not
    /// lose.
    pub(crate) fn keep_so_far(
        &self,
        vault: &VaultHandle,
        run: &RunId,
        memory: &VerifyMemory,
        coverage: &Coverage,
        within: Span,
    ) -> Result<(), KeeperError> {
        let kept = self.keep_verify_memory(vault, run, memory, coverage, within)?;
        let digest = kept.memory.clone();
        self.record(vec![Fact::Coverage(kept)])?;
        self.drop_older_memories(vault.name(), &digest)
    }

    /// Takes it into the memory of a vault that these packs did not read back, so that no run counts on what lies in
    /// them, and the next verification reads them first.
    pub(crate) fn note_damaged(
        &self,
        vault: &VaultHandle,
        run: &RunId,
        packs: &[Id],
    ) -> Result<(), KeeperError> {
        if packs.is_empty() {
            return Ok(());
        }
        let (mut memory, _) = self.verify_memory(&self.facts()?, vault)?;
        let within = verification::window(&self.policy, vault.name());
        let coverage = vault.repo.note_damaged(packs, &mut memory, within);
        let coverage = coverage.map_err(|source| KeeperError::Repository {
            vault: vault.name().to_string(),
            source: Box::new(source),
        })?;
        self.keep_so_far(vault, run, &memory, &coverage, within)
    }

    /// Opens a vault that is written to: what is known to be damaged is not counted on, but stored once more.
    pub(crate) fn vault_to_write(&self, name: &VaultName) -> Result<VaultHandle, KeeperError> {
        let mut vault = self.vault(name)?;
        let (memory, _) = self.verify_memory(&self.facts()?, &vault)?;
        vault.repo = vault.repo.distrusting(memory.damaged().collect());
        Ok(vault)
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
