//! Statements of people: what they say was done, and how it is known who says it.

use serde::{Deserialize, Serialize};

use crate::ids::ObligationId;
use crate::people::{Capacity, HandedIn};
use crate::time::Time;

/// How a person says a duty came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DutyOutcome {
    /// It was done, and all was well.
    Done,
    /// It was done, and something was found.
    Problems,
    /// It will not be done. Nothing is fulfilled by that.
    Declined,
}

impl DutyOutcome {
    /// The word on screen and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            DutyOutcome::Done => "done",
            DutyOutcome::Problems => "problems",
            DutyOutcome::Declined => "declined",
        }
    }
}

/// A file that a statement rests on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StatedFile {
    /// Its name without folders.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// SHA-256, lower hex.
    pub digest: String,
}

/// What a person states. Its text is what is signed, so its form never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The duty's name, or the protection that something is handed in for.
    pub duty: String,
    /// The obligations that it answers.
    pub obligations: Vec<ObligationId>,
    /// How it came out.
    pub outcome: DutyOutcome,
    /// Why, or what was found.
    pub reason: String,
    /// Who says so, by address.
    pub by: String,
    /// When it was said, by the clock of the machine that it was said on.
    pub at: Time,
    /// SHA-256 of the policy under which it was said, lower hex.
    pub policy: String,
    /// The files that it rests on.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub files: Vec<StatedFile>,
}

impl Statement {
    /// The text that is signed: JSON, one key a line, ended by a newline.
    pub fn text(&self) -> String {
        let json = serde_json::to_string_pretty(self).unwrap_or_default();
        format!("{json}\n")
    }
}

/// How it is known who said it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum Identity {
    /// It is not: whoever used the command gave the name.
    Unverified,
    /// Signed with a key that the policy gives to the person.
    Key {
        /// Its fingerprint: `SHA256:…`.
        fingerprint: String,
        /// The public key in OpenSSH's form.
        public_key: String,
        /// OpenSSH's signature over [`Statement::text`], armored, in the namespace `vouchsafe`.
        signature: String,
    },
}

impl Identity {
    /// Whether a key vouches for the person.
    pub fn is_verified(&self) -> bool {
        matches!(self, Identity::Key { .. })
    }

    /// As people read it.
    pub fn words(&self) -> String {
        match self {
            Identity::Unverified => "identity unverified".to_owned(),
            Identity::Key { fingerprint, .. } => format!("signed with key {fingerprint}"),
        }
    }
}

/// A statement that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    /// What was stated.
    pub statement: Statement,
    /// In which capacity.
    pub capacity: Capacity,
    /// How it is known who said it.
    pub identity: Identity,
    /// What was handed in with it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub handed_in: Option<HandedIn>,
}

/// What was handed in and not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The duty, or the protection.
    pub duty: String,
    /// The file's name without folders.
    pub file: String,
    /// Who handed it in.
    pub by: String,
    /// Why it was not taken, as a sentence.
    pub because: String,
}
