//! Whose data was erased, how it is erased from what a restore brings back, and what came of it.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::ids::{PointId, ProtectionId, SystemName, VaultName};
use crate::time::Time;

/// The register of erasures, as the policy names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ErasureRegister {
    /// A file of JSON lines, one for each subject.
    pub file: PathBuf,
    /// Whether drills replay it and look for every subject.
    pub drill: bool,
}

/// How the subjects of the register are erased from what a protection's restore brings back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErasureRule {
    /// By statements to a restored database, in which `:subject` stands for the identifier.
    Statements {
        /// In which database, where a whole server is restored.
        database: Option<String>,
        /// A query that gives one value: true, or a number other than 0, if the subject is there.
        find: String,
        /// What erases one subject, in this order.
        erase: Vec<String>,
        /// A query that gives the identifier of anyone who is there, so that it can be shown that `find` finds them.
        someone: Option<String>,
    },
    /// By places below a restored folder, in which `{subject}` stands for the identifier. What matches is removed, a
    /// folder with all that is in it.
    Places {
        /// Names joined by `/`; `*` stands for any part of one name, `**` for any number of folders.
        paths: Vec<String>,
    },
}

/// By what a system knows a subject. It is personal data: it has no `Display`, and `Debug` hides it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SubjectId {
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
}

impl SubjectId {
    /// The identifier itself, as text. It goes to the restored data and nowhere else.
    pub fn expose(&self) -> String {
        match self {
            SubjectId::Number(number) => number.to_string(),
            SubjectId::Text(text) => text.clone(),
        }
    }
}

impl fmt::Debug for SubjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubjectId(…)")
    }
}

/// One line of the register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErasedSubject {
    /// By what the systems know the subject.
    pub id: SubjectId,
    /// The line in the register, from 1.
    pub line: u64,
    /// When the data was erased.
    pub erased: Time,
    /// From which systems; every one if none is named.
    pub systems: BTreeSet<SystemName>,
}

impl ErasedSubject {
    /// Whether the data of this system is concerned.
    pub fn concerns(&self, system: &SystemName) -> bool {
        self.systems.is_empty() || self.systems.contains(system)
    }
}

/// How a replay of the register over restored data came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum ReplayResult {
    /// Every subject was erased and then looked for.
    Replayed {
        /// How many were in the restored data.
        found: u64,
        /// How many are still found. Anything but 0 means that the restored data must not be used.
        left: u64,
    },
    /// It could not be done: the restored data holds whoever was in it.
    Failed {
        /// Why. Names no subject.
        message: String,
    },
    /// It was left out by order.
    LeftOut {
        /// The reason that was given.
        reason: String,
    },
}

/// The register of erasures was replayed over what a restore wrote, or that was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasureReplay {
    /// What was restored.
    pub protection: ProtectionId,
    /// The point it was restored from.
    pub point: PointId,
    /// The vault it was read from.
    pub vault: VaultName,
    /// HMAC-SHA-256 of the register under a key that only the owner of the record has, lower hex; nothing if it was
    /// not read. A plain digest of a short list could be guessed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub register: Option<String>,
    /// How many subjects of the register concern this system.
    pub subjects: u64,
    /// What came of it.
    #[serde(flatten)]
    pub result: ReplayResult,
}

impl ErasureReplay {
    /// Whether nobody of the register is left.
    pub fn is_clean(&self) -> bool {
        matches!(self.result, ReplayResult::Replayed { left: 0, .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_does_not_show() {
        let subject = ErasedSubject {
            id: SubjectId::Text("anna@example.com".to_owned()),
            line: 3,
            erased: Time::from_secs(0),
            systems: BTreeSet::new(),
        };
        let shown = format!("{subject:?} {:?}", SubjectId::Number(4711));
        assert!(
            !shown.contains("anna") && !shown.contains("4711"),
            "{shown}"
        );
        assert_eq!(SubjectId::Number(-7).expose(), "-7");
    }

    #[test]
    fn a_replay_reads_as_it_was_written() {
        let replay = |result| ErasureReplay {
            protection: "shop/main".parse().unwrap(),
            point: PointId::new("p-1").unwrap(),
            vault: VaultName::new("local").unwrap(),
            register: Some("ab".to_owned()),
            subjects: 3,
            result,
        };
        let clean = replay(ReplayResult::Replayed { found: 2, left: 0 });
        let json = serde_json::to_string(&clean).unwrap();
        assert!(
            json.contains("\"result\":\"replayed\",\"found\":2,\"left\":0"),
            "{json}"
        );
        assert_eq!(serde_json::from_str::<ErasureReplay>(&json).unwrap(), clean);
        assert!(clean.is_clean());
        let left_out = ReplayResult::LeftOut {
            reason: "a court's order".to_owned(),
        };
        for result in [ReplayResult::Replayed { found: 2, left: 1 }, left_out] {
            assert!(!replay(result).is_clean());
        }
    }
}
