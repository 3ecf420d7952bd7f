//! What happened: the bodies of ledger entries.

use serde::{Deserialize, Serialize};

use crate::change::{ChangeDecision, PolicyChange};
use crate::drill::DrillResult;
use crate::erasure::ErasureReplay;
use crate::hold::{Hold, HoldRelease};
use crate::ids::{ObligationId, PointId, ProtectionId, RunId, VaultName};
use crate::locks::{CopyLock, HiddenObject, VaultLocks};
use crate::log::{LogGap, LogShipped};
use crate::manifest::Engine;
use crate::obligation::Obligation;
use crate::people_fact::PeopleFact;
use crate::record::{SigningKeyChange, Timestamping, Witnessing};
use crate::space::VaultSpace;
use crate::{Span, Time};

/// How a run or a deed came out. A partial result is never a full one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Everything that was asked for.
    Done,
    /// Something could not be read or compared; the issues name it.
    Incomplete,
    /// Nothing that counts.
    Failed,
}

/// One thing that went wrong, with its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// The file, table, ref, object that it concerns.
    pub place: String,
    /// What went wrong.
    pub message: String,
}

/// What a successful (or incomplete) capture yields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryPoint {
    /// Its id, the same in every vault.
    pub point: PointId,
    /// What was captured.
    pub protection: ProtectionId,
    /// The run that made it.
    pub run: RunId,
    /// The obligations that it answers.
    pub obligations: Vec<ObligationId>,
    /// When the capture began.
    pub started: Time,
    /// The moment whose state it holds: nothing later is in it.
    pub content_time: Time,
    /// When it was complete and read back; retention counts from here.
    pub completed: Time,
    /// Whether everything was captured.
    pub outcome: Outcome,
    /// What could not be read.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub issues: Vec<Issue>,
    /// How many issues there were in all, should the list be cut.
    pub issue_count: u64,
    /// Files, or other items of the source.
    pub items: u64,
    /// Bytes of content, before deduplication and compression.
    pub bytes: u64,
    /// Root of the repository tree, lower hex: binds content and metadata of everything captured.
    pub tree: String,
    /// Digest of the manifest inside the tree, if the source makes one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub manifest: Option<String>,
    /// Digest of what the manifest says of the schema, if it says anything of it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub schema: Option<String>,
    /// The engine that held the data.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub engine: Option<Engine>,
}

/// A recovery point in one vault, read back from there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyFact {
    /// Which point.
    pub point: PointId,
    /// Of which protection.
    pub protection: ProtectionId,
    /// In which vault.
    pub vault: VaultName,
    /// The repository's snapshot there, lower hex.
    pub snapshot: String,
    /// The root of its tree, lower hex: equal in every vault.
    pub tree: String,
    /// The run that made the copy.
    pub run: RunId,
    /// The obligations that it answers.
    pub obligations: Vec<ObligationId>,
    /// When it was read back.
    pub completed: Time,
    /// Bytes that were added to the vault for it.
    pub added_bytes: u64,
    /// Blobs that were read back from the store and re-hashed.
    pub blobs_read_back: u64,
    /// What was seen on the stored bytes: sealed with this cipher under this key.
    pub encryption: Encryption,
    /// What the store said of the locks of what was added; nothing where the policy asks for none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lock: Option<CopyLock>,
    /// What the policy says of the vault's place; a declaration, not a measurement.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub region: Option<String>,
    /// ISO 3166 country code, declared.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub country: Option<String>,
}

/// What reading stored bytes showed of their encryption.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encryption {
    /// `AES-256-CTR + Poly1305-AES`.
    pub cipher: String,
    /// The repository's id, which names its master key.
    pub key: String,
    /// Whether stored bytes were fetched and opened under that key, and shown not to be the plaintext.
    pub probed: bool,
}

/// A vault's stored bytes were read back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// Which vault.
    pub vault: VaultName,
    /// The run that did it.
    pub run: RunId,
    /// The obligations that it answers.
    pub obligations: Vec<ObligationId>,
    /// When it began.
    pub started: Time,
    /// When it ended.
    pub completed: Time,
    /// Packs in the vault.
    pub packs_total: u64,
    /// Packs that were read and re-hashed now.
    pub packs_read: u64,
    /// Bytes that were read.
    pub bytes_read: u64,
    /// Whether every pack that any snapshot needs has been read now.
    pub complete: bool,
    /// What was wrong.
    pub problems: Vec<Issue>,
}

/// Which key was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyKind {
    /// A slot: a passphrase that unwraps the master key. What is stored stays sealed as it was.
    Slot,
    /// The master key, which seals what is stored.
    Master,
}

/// What was done to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyDeed {
    /// One more opens the vault.
    Added,
    /// One opens it no more.
    Removed,
    /// One took the place of another.
    Rotated,
    /// The passphrase was wrapped by a key service; what opens the vault is the same.
    Wrapped,
}

/// What opens a vault was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChange {
    /// Which vault.
    pub vault: VaultName,
    /// The repository's id, which names its master key, lower hex.
    pub repository: String,
    /// Which key.
    pub key: KeyKind,
    /// What was done to it.
    pub change: KeyDeed,
    /// Slots that were written and seen to open the repository, lower hex.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub added: Vec<String>,
    /// Slots that are gone, lower hex.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub removed: Vec<String>,
    /// For a master key: the vault that holds the same points under another one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub successor: Option<Successor>,
    /// Which obligations it fulfils.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub obligations: Vec<ObligationId>,
    /// What wraps the passphrase in force since then, if it is wrapped.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub wrapped_by: Option<String>,
    /// Key files of removed slots that stay, hidden, because a lock keeps their bytes.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub hidden: Vec<HiddenObject>,
    /// When it was done.
    pub completed: Time,
}

/// A vault with another master key that holds the points of one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Successor {
    /// Its name.
    pub vault: VaultName,
    /// Its repository's id, lower hex.
    pub repository: String,
    /// How many points were copied and shown to be equal by the root of their tree.
    pub points: u64,
}

/// One copy that was let go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpiredCopy {
    /// Of which point.
    pub point: PointId,
    /// Of which protection.
    pub protection: ProtectionId,
    /// The repository's snapshot, lower hex.
    pub snapshot: String,
    /// The root of its tree, lower hex.
    pub tree: String,
    /// Why, as a sentence.
    pub reason: String,
    /// Whether what only it holds must be gone from the vault, for the policy says `at_most`.
    pub erase: bool,
}

/// Copies in one vault were let go. Written before anything is removed: from here on they do not count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expiry {
    /// Which vault.
    pub vault: VaultName,
    /// The run that decided.
    pub run: RunId,
    /// Which copies.
    pub copies: Vec<ExpiredCopy>,
}

/// A vault was pruned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruning {
    /// Which vault.
    pub vault: VaultName,
    /// The run that did it.
    pub run: RunId,
    /// The obligations it answers; none if the store refused to remove anything of it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub obligations: Vec<ObligationId>,
    /// When it ended.
    pub completed: Time,
    /// `locked` or `write-once`.
    pub mode: String,
    /// Snapshots that are gone, lower hex.
    pub snapshots: Vec<String>,
    /// Packs that were removed.
    pub packs_removed: u64,
    /// Bytes that are free now, less those that were stored anew.
    pub bytes_freed: u64,
    /// Bytes that were read and stored anew.
    pub bytes_rewritten: u64,
    /// Packs that no index lists any more and that wait for their removal, lower hex.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub pending: Vec<String>,
    /// Snapshots that the ledger does not know; they were kept.
    pub unknown_kept: u64,
    /// What the store refused to remove.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub refused: Vec<Issue>,
    /// What was removed now and stays, hidden, because a lock keeps its bytes.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub hidden: Vec<HiddenObject>,
    /// What earlier prunes have hidden and is gone now.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub erased: Vec<String>,
}

/// How much of a vault's bytes has been read back, and how long ago, by all verifications that are remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultCoverage {
    /// Which vault.
    pub vault: VaultName,
    /// The run after which it was so.
    pub run: RunId,
    /// SHA-256 of the memory that it was counted from, lower hex: a memory with another digest is not this one.
    pub memory: String,
    /// Bytes of all packs that the index lists.
    pub bytes_total: u64,
    /// The time that `bytes_within` is about.
    pub within: Span,
    /// Bytes of packs that were read and whole within that time.
    pub bytes_within: u64,
    /// The oldest result that still counts.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub oldest: Option<Time>,
    /// Packs that no remembered verification has read.
    pub packs_never: u64,
    /// Packs whose newest result is damage.
    pub packs_damaged: u64,
}

impl VaultCoverage {
    /// Whether every pack has been read, and was whole when it was read last.
    pub fn is_whole(&self) -> bool {
        self.packs_never == 0 && self.packs_damaged == 0
    }

    /// `87 % of bytes read within the last 28d`, rounded down: 100 % is all.
    pub fn share(&self) -> String {
        let percent = (u128::from(self.bytes_within) * 100)
            .checked_div(u128::from(self.bytes_total))
            .unwrap_or(100);
        format!("{percent} % of bytes read within the last {}", self.within)
    }
}

/// A copy was found to have lost data: from here on it is no whole copy, until a later fact says that it was read back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyLoss {
    /// Which point.
    pub point: PointId,
    /// Of which protection.
    pub protection: ProtectionId,
    /// In which vault.
    pub vault: VaultName,
    /// The repository's snapshot there, lower hex.
    pub snapshot: String,
    /// The run that found it.
    pub run: RunId,
    /// When.
    pub found: Time,
    /// How many files and directories cannot be read.
    pub lost: u64,
    /// Which: the first hundred.
    pub issues: Vec<Issue>,
}

/// A vault was repaired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repair {
    /// Which vault.
    pub vault: VaultName,
    /// The run that did it.
    pub run: RunId,
    /// `index`, `packs` or `snapshots`.
    pub part: String,
    /// When it began.
    pub started: Time,
    /// When it ended.
    pub completed: Time,
    /// New packs.
    pub packs_added: u64,
    /// Damaged packs that were removed, by their names.
    pub packs_removed: Vec<String>,
    /// New index files.
    pub indexes_added: u64,
    /// Index files that were removed.
    pub indexes_removed: u64,
    /// Blobs that were saved from damaged packs.
    pub blobs_salvaged: u64,
    /// Blobs that were fetched from other vaults.
    pub blobs_healed: u64,
    /// These vaults.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub healed_from: Vec<VaultName>,
    /// Blobs that were nowhere to be had.
    pub blobs_lost: u64,
    /// Snapshots that were written without what was lost.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub snapshots_added: Vec<String>,
    /// Broken snapshots that were removed.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub snapshots_removed: Vec<String>,
    /// What was removed and stays, hidden: because a lock keeps its bytes, or because an older version of it may hold
    /// what was lost.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub hidden: Vec<HiddenObject>,
    /// What could not be repaired.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub issues: Vec<Issue>,
}

/// One fact. The `fact` key of its JSON names the kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "kebab-case")]
pub enum Fact {
    /// This text of the policy is in force from here on.
    PolicyInForce {
        /// SHA-256 of the file, lower hex.
        digest: String,
        /// The version it gives itself.
        version: Option<String>,
        /// Length of the file in bytes.
        bytes: u64,
        /// Whether the digest is the approved one; nothing if no approval is stated.
        approved: Option<bool>,
    },
    /// The policy differs from those that bind: what it weakens waits for a decision.
    PolicyChanged(PolicyChange),
    /// Somebody has decided on such a change.
    ChangeDecided(ChangeDecision),
    /// An obligation, written ahead.
    ObligationDue(Obligation),
    /// Every obligation up to this time is in the ledger.
    Horizon {
        /// Silence after this time proves nothing but silence.
        until: Time,
    },
    /// Obligations that a changed policy no longer asks for; nobody has to answer them.
    ObligationsWithdrawn {
        /// Which.
        obligations: Vec<ObligationId>,
        /// Why: the digest of the policy that replaced the one they came from.
        policy: String,
    },
    /// A run began.
    RunOpened {
        /// Its id.
        run: RunId,
        /// What it does: `capture`, `drill`, `verify` …
        deed: String,
        /// What it concerns.
        subject: String,
        /// Why, where a person gave a reason.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        reason: Option<String>,
    },
    /// A run ended.
    RunClosed {
        /// Its id.
        run: RunId,
        /// How.
        outcome: Outcome,
        /// What went wrong.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        issues: Vec<Issue>,
    },
    /// A run was found open with no process behind it.
    RunAbandoned {
        /// Its id.
        run: RunId,
    },
    /// A capture yielded a point.
    RecoveryPoint(RecoveryPoint),
    /// A point lies in a vault and was read back from there.
    Copy(CopyFact),
    /// A vault was read back.
    Verification(Verification),
    /// What of a vault has been read back by now.
    Coverage(VaultCoverage),
    /// A copy has lost data.
    CopyLost(CopyLoss),
    /// A vault was repaired.
    Repaired(Repair),
    /// A restore was rehearsed.
    Drill(DrillResult),
    /// The register of erasures was replayed over what a restore wrote, or that was left out.
    ErasuresReplayed(ErasureReplay),
    /// The locks of a vault were read back.
    Locks(VaultLocks),
    /// A vault's store said how full it is.
    Space(VaultSpace),
    /// What opens a vault was changed.
    KeyChange(KeyChange),
    /// Points are to be kept by somebody's order.
    Held(Hold),
    /// Such an order was lifted.
    HoldReleased(HoldRelease),
    /// A person did something, or people were told.
    People(PeopleFact),
    /// Copies were let go.
    Expired(Expiry),
    /// A vault was pruned.
    Pruned(Pruning),
    /// What was shipped of a transaction log.
    LogShipped(LogShipped),
    /// A part of a transaction log will never come.
    LogGap(LogGap),
    /// A vault was created or opened for the first time by this ledger.
    VaultKnown {
        /// Which.
        vault: VaultName,
        /// The repository's id.
        repository: String,
        /// Whether it was created now.
        created: bool,
    },
    /// Entries and head were published to a vault.
    Published {
        /// Which.
        vault: VaultName,
        /// How many entries the head covers.
        tree_size: u64,
        /// The head's root, lower hex.
        root: String,
        /// The snapshot that holds them where nothing can lie beside the repository, lower hex.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        snapshot: Option<String>,
    },
    /// This ledger goes on from heads found in a vault.
    Joined {
        /// Which.
        vault: VaultName,
        /// The head that was found.
        tree_size: u64,
        /// Its root, lower hex.
        root: String,
    },
    /// Another key signs the record from here on.
    LedgerKeyRotated(SigningKeyChange),
    /// A party outside has seen the record.
    Witnessed(Witnessing),
    /// An authority has stamped a head of the record with its time.
    Timestamped(Timestamping),
    /// The record is broken here: what was before cannot be continued. Every report shows it.
    Break {
        /// Why.
        reason: String,
        /// The vault with the foreign head, if that is the reason.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        vault: Option<VaultName>,
        /// The foreign head's size.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        tree_size: Option<u64>,
    },
}

/// What one ledger leaf holds, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Version of this form: 1.
    pub v: u32,
    /// When it was recorded, by the host's clock.
    pub at: Time,
    /// Who recorded it: `vouchsafe@host`, or a person.
    pub actor: String,
    /// The tool and its version.
    pub tool: String,
    /// What happened.
    #[serde(flatten)]
    pub fact: Fact,
}

/// An entry with its place in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// Its leaf index, from 0.
    pub seq: u64,
    /// The entry.
    pub entry: Entry,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_down() {
        let mut coverage = VaultCoverage {
            vault: VaultName::new("v").unwrap(),
            run: RunId::new("r-1").unwrap(),
            memory: String::new(),
            bytes_total: 1000,
            within: Span::from_days(28),
            bytes_within: 999,
            oldest: None,
            packs_never: 0,
            packs_damaged: 0,
        };
        assert_eq!(coverage.share(), "99 % of bytes read within the last 28d");
        coverage.bytes_total = 0;
        assert!(coverage.share().starts_with("100 %"));
    }

    #[test]
    fn entries_round_trip_as_json() {
        let entry = Entry {
            v: 1,
            at: Time::from_secs(0),
            actor: "vouchsafe@host".into(),
            tool: "vouchsafe 0.1.0".into(),
            fact: Fact::Horizon {
                until: Time::from_secs(60),
            },
        };
        let json = serde_json::to_string(&entry).unwrap();
        assert!(json.contains("\"fact\":\"horizon\""), "{json}");
        assert_eq!(serde_json::from_str::<Entry>(&json).unwrap(), entry);
    }
}
