//! Retention locks: how binding they are, and what was read back of them.

use serde::{Deserialize, Serialize};

use crate::Time;
use crate::ids::{RunId, VaultName};

/// How binding a retention lock is. The greater binds more.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum LockMode {
    /// Whoever has a special right may lift it.
    Governance,
    /// Nobody may lift it, the account's owner included.
    #[default]
    Compliance,
}

impl LockMode {
    /// The word in the policy and on screen.
    pub fn word(self) -> &'static str {
        match self {
            LockMode::Governance => "governance",
            LockMode::Compliance => "compliance",
        }
    }
}

/// The locks of what one copy has added to a vault, as the store stated them afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyLock {
    /// The weakest mode among them.
    pub mode: LockMode,
    /// When the first of them ends; nothing if an object is not locked at all.
    pub until: Option<Time>,
    /// How many objects were looked at.
    pub objects: u64,
    /// How many of these are not locked.
    pub unlocked: u64,
}

/// How long the objects of a vault are locked, as the store stated it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultLocks {
    /// Which vault.
    pub vault: VaultName,
    /// The run that read them, if one did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub run: Option<RunId>,
    /// When reading began: what was put later is not counted.
    pub read: Time,
    /// The length that the policy asked for then, as it is written.
    pub wanted: String,
    /// The mode that it asked for then.
    pub mode: LockMode,
    /// Objects that are needed and must be locked.
    pub objects: u64,
    /// Those that are not locked at all.
    pub unlocked: u64,
    /// Those whose lock ends before half of that length has passed.
    pub short: u64,
    /// Those whose lock binds less than the policy says.
    pub weak: u64,
    /// When the first lock of them ends; nothing if there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub soonest: Option<Time>,
    /// Locks that were extended before this was read.
    pub extended: u64,
}

impl VaultLocks {
    /// Whether everything that is needed was locked as the policy said then.
    pub fn are_met(&self) -> bool {
        self.unlocked == 0 && self.short == 0 && self.weak == 0
    }
}

/// An object that was removed, and of which a lock keeps the bytes: nobody sees it, and it takes space.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HiddenObject {
    /// Its key in the vault.
    pub object: String,
    /// When its lock ends; nothing if the store does not say, or holds it without an end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<Time>,
}
