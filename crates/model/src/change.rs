//! Changes of the policy, as the record has them: what they alter, and who agreed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::ChangeId;
use crate::verdict::Strength;

/// What an alteration does to what the policy promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// It promises less: it waits until somebody agrees.
    Weakens,
    /// It promises more: it is in force at once.
    Strengthens,
    /// It promises something else of the same kind: it is in force at once.
    Neutral,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Effect::Weakens => "weakens",
            Effect::Strengthens => "strengthens",
            Effect::Neutral => "neutral",
        })
    }
}

/// One thing that differs between two policies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Alteration {
    /// What it does.
    pub effect: Effect,
    /// Where, as a path of the policy's keys: `systems/shop/keep`.
    pub place: String,
    /// What differs, as half a sentence: `kept at least 7d, was 35d`.
    pub what: String,
}

/// A policy differs from those that bind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyChange {
    /// Its id.
    pub change: ChangeId,
    /// Digests of the policies that it is held against: the one last agreed to, and those that came after it while
    /// something waited.
    pub from: Vec<String>,
    /// Digest of the policy.
    pub to: String,
    /// Who wrote it, as far as it is known.
    pub author: String,
    /// How that is known.
    pub author_known: Strength,
    /// What differs, the weakening first; the list may be cut.
    pub alterations: Vec<Alteration>,
    /// How many of all alterations weaken.
    pub weakens: u64,
    /// How many strengthen.
    pub strengthens: u64,
    /// How many do neither.
    pub neutral: u64,
}

/// A signature that was verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedBy {
    /// `commit` or `tag`.
    pub kind: String,
    /// The object's name: a commit's hash, or the tag with the hash of its commit.
    pub object: String,
    /// The signer by the file of allowed signers.
    pub signer: String,
    /// The signing key's fingerprint.
    pub key: String,
    /// SHA-256 of the file of allowed signers, lower hex.
    pub allowed_signers: String,
}

/// Somebody has decided on a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeDecision {
    /// Which.
    pub change: ChangeId,
    /// Whether it is agreed to.
    pub granted: bool,
    /// Who decided.
    pub by: String,
    /// Why.
    pub reason: String,
    /// How it is known who it was: measured by a signature, else stated.
    pub strength: Strength,
    /// The signature, if there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub signed: Option<SignedBy>,
}
