//! How full the stores of vaults are.

use serde::{Deserialize, Serialize};

use crate::ids::VaultName;
use crate::size::human_bytes;
use crate::time::Time;
use crate::verdict::{Strength, Verdict};

/// What the file system that holds a vault said of its room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultSpace {
    /// Which vault.
    pub vault: VaultName,
    /// When it was asked.
    pub seen: Time,
    /// Bytes that may still be written by whom it was asked by.
    pub free: u64,
    /// These and the bytes that are taken; never nothing. What is reserved for others is in neither.
    pub total: u64,
}

impl VaultSpace {
    /// Whether that share of it, numerator and denominator, or more is taken.
    pub fn is_taken(&self, (n, d): (u32, u32)) -> bool {
        u128::from(self.taken()) * u128::from(d) >= u128::from(self.total) * u128::from(n)
    }

    fn taken(&self) -> u64 {
        self.total.saturating_sub(self.free)
    }

    /// `83 % full: 12.0 GiB of 70.0 GiB are free`, rounded down: 100 % is all.
    pub fn said(&self) -> String {
        let percent = (u128::from(self.taken()) * 100)
            .checked_div(u128::from(self.total))
            .unwrap_or(100);
        format!(
            "{percent} % full: {} of {} are free",
            human_bytes(self.free),
            human_bytes(self.total)
        )
    }
}

/// Whether a vault's store is less full than the policy wants told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageState {
    /// Which vault.
    pub vault: VaultName,
    /// Met below the share that the policy names, not met from there on.
    pub verdict: Verdict,
    /// Whether its kind of store can say how full it is. Of one that cannot, nothing is ever proven.
    pub tells: bool,
    /// Measured, or nothing if nothing is known.
    pub strength: Option<Strength>,
    /// Why, as a sentence with figures.
    pub because: String,
    /// The ledger's entry that it rests on.
    pub fact: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(free: u64, total: u64) -> VaultSpace {
        VaultSpace {
            vault: VaultName::new("v").unwrap(),
            seen: Time::from_secs(0),
            free,
            total,
        }
    }

    #[test]
    fn a_share_is_taken_from_exactly_there_on() {
        assert!(space(20, 100).is_taken((80, 100)));
        assert!(!space(21, 100).is_taken((80, 100)));
        assert!(space(0, u64::MAX).is_taken((u32::MAX, u32::MAX)));
        assert!(!space(1, u64::MAX).is_taken((u32::MAX, u32::MAX)));
        // More free than there is: some file systems say so.
        assert!(!space(200, 100).is_taken((1, 100)));
    }

    #[test]
    fn only_what_is_full_is_called_so() {
        assert_eq!(space(1, 1000).said(), "99 % full: 1 B of 1000 B are free");
        assert_eq!(space(0, 1000).said(), "100 % full: 0 B of 1000 B are free");
    }
}
