//! Names and identifiers: what a system, a vault, a run, a recovery point is called.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A name that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a name: use 1 to 64 of a-z, A-Z, 0-9, `.`, `_`, `-`, and begin with a letter or digit"
)]
pub struct IdError {
    /// The text as given.
    pub text: String,
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric());
    first
        && text.len() <= 64
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Accepts 1 to 64 characters of `a-zA-Z0-9._-` that begin with a letter or digit.
            pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                if is_name(&text) { Ok(Self(text)) } else { Err(IdError { text }) }
            }
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(text)
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }
    };
}

name!(
    /// The name of a system in the policy.
    SystemName
);
name!(
    /// The name of a vault in the policy.
    VaultName
);
name!(
    /// The name of a protection within its system; `main` where the shorthand is used.
    ProtectionName
);
name!(
    /// One execution of one obligation.
    RunId
);
name!(
    /// One recovery point, in whichever vaults its copies lie.
    PointId
);
name!(
    /// A legal hold.
    HoldName
);
name!(
    /// A change of the policy; the same change always gets the same id.
    ChangeId
);
name!(
    /// Something that must happen by a time; the same obligation always gets the same id.
    ObligationId
);

/// A protection, written `system/protection`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProtectionId {
    /// The system that is protected.
    pub system: SystemName,
    /// Which of its protections.
    pub protection: ProtectionName,
}

impl ProtectionId {
    /// The protection `protection` of `system`.
    pub fn new(system: SystemName, protection: ProtectionName) -> Self {
        ProtectionId { system, protection }
    }
}

impl fmt::Display for ProtectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.system, self.protection))
    }
}

impl From<ProtectionId> for String {
    fn from(id: ProtectionId) -> String {
        id.to_string()
    }
}

impl TryFrom<String> for ProtectionId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl FromStr for ProtectionId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        match text.split_once('/') {
            Some((s, p)) => Ok(ProtectionId {
                system: s.parse()?,
                protection: p.parse()?,
            }),
            None => Err(IdError {
                text: text.to_owned(),
            }),
        }
    }
}

impl ObligationId {
    /// The id of the obligation of `kind` over `subject` due at `due`: the same three always give the same id.
    pub fn of(kind: &str, subject: &str, due: crate::Time) -> ObligationId {
        let mut hash = Sha256::new();
        for part in [kind, subject, &due.to_string()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        let digest = hex::encode(&hash.finalize()[..10]);
        ObligationId(format!("o-{digest}"))
    }
}

impl RunId {
    /// From 8 random bytes.
    pub fn from_random(bytes: [u8; 8]) -> RunId {
        RunId(format!("r-{}", hex::encode(bytes)))
    }
}

impl PointId {
    /// From 8 random bytes.
    pub fn from_random(bytes: [u8; 8]) -> PointId {
        PointId(format!("p-{}", hex::encode(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded() {
        assert!(SystemName::new("shop-db").is_ok());
        for bad in ["", "-x", "a b", "a/b", "ü", "..", &"x".repeat(65)] {
            assert!(SystemName::new(bad).is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn obligations_differ_by_each_part() {
        let t = crate::Time::from_secs(0);
        let a = ObligationId::of("capture", "a/b", t);
        assert_eq!(a, ObligationId::of("capture", "a/b", t));
        assert_ne!(a, ObligationId::of("capturea", "/b", t));
        assert_ne!(
            a,
            ObligationId::of("capture", "a/b", crate::Time::from_secs(1))
        );
    }
}
