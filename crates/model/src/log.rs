//! What was shipped of a transaction log, and what is missing of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{ProtectionId, VaultName};
use crate::{Span, Time};

/// What was shipped of one log since the last such fact, and how far each copy of it goes.
///
/// Positions are written as the engine writes them: `0/3000028` for PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogShipped {
    /// Whose log.
    pub protection: ProtectionId,
    /// The stream in each vault.
    pub stream: String,
    /// The server, by the number that it gives itself.
    pub server: String,
    /// The beginning of the time that this is about.
    pub from: Time,
    /// Its end.
    pub until: Time,
    /// Another such fact is promised by then: silence after it shows. When shipping ends, that is at once.
    pub next_by: Time,
    /// How often the log was to be shipped.
    pub every: Span,
    /// Each vault that is to have it.
    pub copies: Vec<LogCopy>,
    /// The last heartbeat token that every one of them holds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub token: Option<LogToken>,
}

/// How far the log goes in one vault. Everything told of was read back from there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogCopy {
    /// Which vault.
    pub vault: VaultName,
    /// The timeline at its end.
    pub timeline: u64,
    /// From where on it is without a gap up to its end.
    pub begins: String,
    /// Up to where it goes.
    pub reaches: String,
    /// The first commit in that stretch of which the time is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_commit: Option<Time>,
    /// The newest commit in it, by the server's clock: the state of that moment can be had back.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub newest_commit: Option<Time>,
    /// The most that would have been lost at any moment since the last such fact, if all but this vault had been.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub worst: Option<Span>,
    /// Places in the stream.
    pub fragments_total: u64,
    /// The digest of the chain, lower hex: equal in every vault that holds the same.
    pub digest: String,
    /// Fragments since the last such fact.
    pub fragments: u64,
    /// Bytes of log in them.
    pub bytes: u64,
    /// Bytes of these whose records could not be verified, as their format is not known.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub unverified: u64,
    /// Why it is behind, if it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<String>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A heartbeat token, as it was committed into the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogToken {
    /// Its chain, lower hex.
    pub chain: String,
    /// Its place in the chain.
    pub sequence: u64,
    /// SHA-256 of its text, lower hex.
    pub digest: String,
}

/// Why a part of a log will never come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogGapCause {
    /// The slot was not there any more, and the server had removed what came after the last piece.
    SlotMissing,
    /// The server had let the slot go, since it held back too much.
    SlotLost,
    /// The server had removed what came after the last piece.
    Removed,
    /// The server went on from a past that the shipped log is not part of.
    Diverged,
    /// What was received is damaged.
    Damaged,
    /// What was received is gone from the spool before this vault had it.
    SpoolLost,
    /// Another server answers under this address: its log is not shipped.
    OtherServer,
}

impl LogGapCause {
    /// As half a sentence.
    pub fn words(self) -> &'static str {
        match self {
            LogGapCause::SlotMissing => {
                "the replication slot was gone, and with it what it had kept"
            }
            LogGapCause::SlotLost => {
                "the server gave the replication slot up, since it held back too much"
            }
            LogGapCause::Removed => "the server had removed what was not received yet",
            LogGapCause::Diverged => "the server went on from another past",
            LogGapCause::Damaged => "what was received is damaged",
            LogGapCause::SpoolLost => "what was received was lost before every vault had it",
            LogGapCause::OtherServer => "another server answers under this address",
        }
    }
}

impl fmt::Display for LogGapCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.words())
    }
}

/// A part of a log will never come: nothing can be rolled forward across it, so a new base is needed behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogGap {
    /// Whose log.
    pub protection: ProtectionId,
    /// The stream in each vault.
    pub stream: String,
    /// Why.
    pub cause: LogGapCause,
    /// The timeline before the gap.
    pub timeline: u64,
    /// Up to where the log goes before the gap.
    pub from: String,
    /// From where on it goes on; nothing if it does not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub to: Option<String>,
    /// The vault that lacks it, if others have it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub vault: Option<VaultName>,
    /// When it was found.
    pub found: Time,
    /// What the server or its program said.
    pub detail: String,
}
