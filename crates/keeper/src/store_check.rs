//! What a vault's store can do, as tried; and how long its objects are locked, as read back from it.

use vouchsafe_evidence::count;
use vouchsafe_model::VaultPlace;
use vouchsafe_store::probe::{self, Found, Probed};

use crate::error::KeeperError;
use crate::keeper::Keeper;
use crate::locks::Locks;
use crate::vaults::VaultHandle;

/// What was found out about a vault's store.
#[derive(Clone, Debug, Default)]
pub struct StoreCheck {
    /// What was tried; nothing for a directory of this machine.
    pub probed: Probed,
    /// How long its objects are locked; nothing if the policy asks for no lock.
    pub locks: Option<Locks>,
}

impl StoreCheck {
    /// Whether the store keeps to what it claims, and its objects are locked as the policy says.
    pub fn is_sound(&self) -> bool {
        self.probed.is_sound() && self.locks.as_ref().is_none_or(Locks::are_met)
    }

    /// What is wrong, for people.
    pub fn problems(&self) -> Vec<String> {
        let wrong = self
            .probed
            .trials
            .iter()
            .filter_map(|trial| match &trial.found {
                Found::Wrong(seen) => Some(format!(
                    "the store does not hold that {}: {seen}",
                    trial.what
                )),
                _ => None,
            });
        let locks = self.locks.iter().filter(|l| !l.are_met()).map(|l| {
            format!(
                "less locked than its policy says: of {} {} not locked, {} for less than half of {}, \
                 {} in another mode than {}; extend them with `vouchsafe vault lock`",
                count(l.objects, "object"), l.unlocked, l.short, l.wanted, l.weak, l.mode.word()
            )
        });
        wrong.chain(locks).collect()
    }
}

impl Keeper {
    /// Tries a vault's store and reads its locks back.
    pub fn check_store(&self, vault: &VaultHandle) -> Result<StoreCheck, KeeperError> {
        let remote = !matches!(
            VaultPlace::parse(&vault.spec.url),
            Ok(VaultPlace::File { .. })
        );
        let token: String = self
            .tools
            .random
            .bytes16()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        Ok(StoreCheck {
            probed: if remote {
                probe::probe(vault.root.as_ref(), &token)?
            } else {
                Probed::default()
            },
            locks: self.locks(vault)?,
        })
    }
}
