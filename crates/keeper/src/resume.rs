//! Before something is stored: is there room, and what has interrupted work left that need not be stored again?

use vouchsafe_evidence::{count, len};
use vouchsafe_host::files;
use vouchsafe_model::fact::{Fact, Recorded};
use vouchsafe_model::{ProtectionId, VaultName, human_bytes};
use vouchsafe_vault::LockGuard;

use crate::error::KeeperError;
use crate::events::{Event, Reporter};
use crate::keeper::Keeper;
use crate::vaults::{VaultHandle, local_dir};

/// With less free space than this nothing is begun: not even what a stop must write would surely fit.
const RESERVE: u64 = 16 << 20;
/// How many earlier points tell what the next one will add.
const POINTS: usize = 5;

impl Keeper {
    /// Refuses what cannot succeed for want of space, and says if it may run short by what earlier points have added.
    /// Only vaults on this machine can be asked.
    pub(crate) fn look_at_space(
        &self,
        facts: &[Recorded],
        protection: &ProtectionId,
        vault: &VaultHandle,
        reporter: &dyn Reporter,
    ) -> Result<(), KeeperError> {
        let Some(dir) = local_dir(&vault.spec, &self.policy.base) else {
            return Ok(());
        };
        // Where it cannot be told, the store itself will say when it is full.
        let Ok((free, _)) = files::free_space(&dir) else {
            return Ok(());
        };
        if free < RESERVE {
            return Err(KeeperError::NoSpace {
                vault: vault.name().clone(),
                place: dir.display().to_string(),
                free: human_bytes(free),
            });
        }
        let added = facts.iter().rev().filter_map(|r| match &r.entry.fact {
            Fact::Copy(c) if c.protection == *protection && c.vault == *vault.name() => {
                Some(c.added_bytes)
            }
            _ => None,
        });
        if let Some(most) = added.take(POINTS).max().filter(|most| *most > free) {
            let text = format!(
                "vault {} has {} left; of the last points of {protection} one added {}",
                vault.name(),
                human_bytes(free),
                human_bytes(most)
            );
            reporter.event(&Event::Note { text });
        }
        Ok(())
    }

    /// Lists packs that interrupted work has stored in a vault, so that they are not stored again. Looked for only if
    /// work broke off since the last copy came into the vault.
    pub(crate) fn go_on_where_it_stopped(
        &self,
        facts: &[Recorded],
        vault: &VaultHandle,
        lock: &LockGuard,
        reporter: &dyn Reporter,
    ) -> Result<(), KeeperError> {
        if !broke_off(facts, vault.name()) {
            return Ok(());
        }
        let adopted = vault
            .repo
            .adopt_packs(lock, reporter.progress())
            .map_err(|error| self.repair_error(vault.name(), error))?;
        if !adopted.packs.is_empty() {
            self.lock_anew(vault, adopted.packs.iter().copied())?;
            let text = format!(
                "vault {}: {} ({}) of interrupted work used",
                vault.name(),
                count(len(adopted.packs.len()), "pack"),
                human_bytes(adopted.bytes)
            );
            reporter.event(&Event::Note { text });
        }
        for issue in adopted.unusable {
            let text = format!(
                "vault {}: {} is left of interrupted work and of no use: {}",
                vault.name(),
                issue.place,
                issue.message
            );
            reporter.event(&Event::Note { text });
        }
        Ok(())
    }
}

/// Whether a capture or a copy ended without a result since something was last read back from the vault.
fn broke_off(facts: &[Recorded], vault: &VaultName) -> bool {
    for recorded in facts.iter().rev() {
        match &recorded.entry.fact {
            Fact::Copy(copy) if copy.vault == *vault => return false,
            Fact::RunAbandoned { .. } => return true,
            Fact::RunClosed { outcome, .. } if *outcome != vouchsafe_model::Outcome::Done => {
                return true;
            }
            _ => {}
        }
    }
    false
}
