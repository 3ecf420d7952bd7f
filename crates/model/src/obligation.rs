//! What must happen by a time, ours or a person's.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Time;
use crate::ids::{ObligationId, ProtectionId, VaultName};

/// What kind of deed an obligation asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ObligationKind {
    /// A capture (or an observed, asked-for or handed-in point).
    Capture,
    /// A copy into a further vault.
    Copy,
    /// Reading a vault's copies back.
    Verify,
    /// A restore rehearsed in a sandbox.
    Drill,
    /// A drill on damaged twins.
    NegativeControl,
    /// Replacing the passphrase of a vault.
    RotateKey,
    /// Removing from a vault what the policy lets go.
    Prune,
    /// A person's duty.
    Duty,
}

impl ObligationKind {
    /// The word used in ids and on screen.
    pub fn word(self) -> &'static str {
        match self {
            ObligationKind::Capture => "capture",
            ObligationKind::Copy => "copy",
            ObligationKind::Verify => "verify",
            ObligationKind::Drill => "drill",
            ObligationKind::NegativeControl => "negative-control",
            ObligationKind::RotateKey => "rotate-key",
            ObligationKind::Prune => "prune",
            ObligationKind::Duty => "duty",
        }
    }
}

impl fmt::Display for ObligationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Something that must happen by a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Obligation {
    /// From this time on it may be fulfilled.
    pub opens: Time,
    /// By this time it must be fulfilled.
    pub due: Time,
    /// What is asked for.
    pub kind: ObligationKind,
    /// The same obligation always has the same id.
    pub id: ObligationId,
    /// The protection it belongs to; nothing for a duty, or for the key of a vault.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub protection: Option<ProtectionId>,
    /// The vault it concerns, for copies, verifications and keys.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub vault: Option<VaultName>,
    /// The duty's name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub duty: Option<String>,
    /// The system or application that it is about, where each owes one of its own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub about: Option<String>,
    /// The person who owes it, where each owes one of their own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub person: Option<String>,
}

impl Obligation {
    /// An obligation with its id computed from kind, subject, and opening time.
    pub fn new(
        kind: ObligationKind,
        protection: Option<ProtectionId>,
        vault: Option<VaultName>,
        duty: Option<String>,
        opens: Time,
        due: Time,
    ) -> Obligation {
        let part = |p: Option<String>| p.unwrap_or_default();
        let subject = format!(
            "{}|{}|{}",
            part(protection.as_ref().map(ToString::to_string)),
            part(vault.as_ref().map(ToString::to_string)),
            part(duty.clone())
        );
        let id = ObligationId::of(kind.word(), &subject, opens);
        Obligation {
            opens,
            due,
            kind,
            id,
            protection,
            vault,
            duty,
            about: None,
            person: None,
        }
    }

    /// What people owe: the duty, what it is about and who owes it, where there are several of either.
    pub fn of_people(
        duty: String,
        about: Option<String>,
        person: Option<String>,
        opens: Time,
        due: Time,
    ) -> Obligation {
        let mut owed = Obligation::new(ObligationKind::Duty, None, None, Some(duty), opens, due);
        if about.is_some() || person.is_some() {
            let part = |p: &Option<String>| p.clone().unwrap_or_default();
            let duty = part(&owed.duty);
            let subject = format!("||{duty}|{}|{}", part(&about), part(&person));
            owed.id = ObligationId::of(ObligationKind::Duty.word(), &subject, opens);
            (owed.about, owed.person) = (about, person);
        }
        owed
    }

    /// What it concerns, for people: `shop-db/main`, `shop-db/main → offsite`, a duty's name.
    pub fn subject(&self) -> String {
        match (&self.protection, &self.vault, &self.duty) {
            (Some(p), Some(v), _) => format!("{p} → {v}"),
            (Some(p), None, _) => p.to_string(),
            (None, Some(v), _) => v.to_string(),
            (None, None, duty) => {
                let mut said = duty.clone().unwrap_or_default();
                for more in [&self.about, &self.person].into_iter().flatten() {
                    said = format!("{said}: {more}");
                }
                said
            }
        }
    }
}
