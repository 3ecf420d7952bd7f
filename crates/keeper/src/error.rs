//! What stops a deed, sorted by what the caller can do about it.

use vouchsafe_capture::{CaptureError, ReplayError};
use vouchsafe_host::files::FileError;
use vouchsafe_host::lockfile::LockError;
use vouchsafe_host::sandbox::SandboxError;
use vouchsafe_host::secret::SecretError;
use vouchsafe_ledger::{LedgerError, StampError, WitnessError};
use vouchsafe_model::{HoldName, PointId, ProtectionId, SystemName, VaultName};
use vouchsafe_store::StoreError;
use vouchsafe_store::kms::KmsError;
use vouchsafe_store::post::PostError;
use vouchsafe_vault::logs::LogError;
use vouchsafe_vault::{
    BackupError, CopyError, DumpError, KeyChangeError, LookupError, OpenError, PruneError,
    RepairError, RepoError, SelectError,
};

/// The classes of errors that have an exit code of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// The command could not start: arguments, policy, state.
    CannotStart,
    /// There is no repository in a vault.
    NoRepository,
    /// Somebody else is at work.
    Locked,
    /// A passphrase does not fit.
    WrongKey,
    /// The user asked to stop.
    Interrupted,
    /// The deed began and did not succeed.
    Failed,
}

/// What stops a deed. What concerns one file, one vault or one system only is an issue in the report instead.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The state directory has not been made yet.
    #[error("{place} has not been initialised; run `vouchsafe init` first")]
    NotInitialised {
        /// The state directory.
        place: String,
    },
    /// The policy names no such system or protection.
    #[error("the policy has no `{name}`; it has {known}")]
    UnknownSystem {
        /// As asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The policy names no such vault.
    #[error("the policy has no vault `{name}`; it has {known}")]
    UnknownVault {
        /// As asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// Declared, not yet connected.
    #[error("{protection} is declared, not yet connected: this version cannot {way} {source_kind}")]
    NotConnected {
        /// Which.
        protection: ProtectionId,
        /// Capture, observe …
        way: &'static str,
        /// The kind of source.
        source_kind: String,
    },
    /// A protection has no vault to go to.
    #[error("{protection} has no copies; name at least one vault under `copies:` of its plan")]
    NoCopies {
        /// Which.
        protection: ProtectionId,
    },
    /// There is no point that fits.
    #[error("{system} has no recovery point {wanted}; {remedy}")]
    NoPoint {
        /// Of which system.
        system: SystemName,
        /// What was asked for.
        wanted: String,
        /// What to do.
        remedy: String,
    },
    /// No log leads from a point to the moment that was asked for.
    #[error("{protection} cannot be brought to {until}: {possible}")]
    OutsideLog {
        /// Which.
        protection: ProtectionId,
        /// The moment.
        until: String,
        /// What is possible instead, and why this is not.
        possible: String,
    },
    /// A point has no copy in the vault that was asked for.
    #[error("point {point} has no copy in vault `{vault}`; copies are in {known}")]
    NoCopy {
        /// Which point.
        point: PointId,
        /// The vault that was asked for.
        vault: String,
        /// Where copies are.
        known: String,
    },
    /// The passphrase of a vault is not to be had.
    #[error(
        "the passphrase of vault `{vault}` is not in {place}; put it there (mode 0600) from the recovery sheet, or name it with `password:` in the policy"
    )]
    NoPassphrase {
        /// Which vault.
        vault: VaultName,
        /// Where it was looked for.
        place: String,
    },
    /// The key service of a vault did not do it.
    #[error(
        "vault `{vault}`: {source}; whoever has the passphrase of another key opens it meanwhile by `password:` in place of `kms:`"
    )]
    Kms {
        /// Which vault.
        vault: VaultName,
        /// Why.
        source: Box<KmsError>,
    },
    /// The policy names a key service, and nothing lies wrapped in the vault.
    #[error(
        "the passphrase of vault `{vault}` does not lie wrapped in it ({place}); wrap it with `vouchsafe key wrap {vault}`"
    )]
    NotWrapped {
        /// Which vault.
        vault: VaultName,
        /// Where it was looked for.
        place: String,
    },
    /// What was unwrapped is not the passphrase.
    #[error(
        "what the {key} unwrapped opens no key of vault `{vault}`: the wrapped passphrase was changed or is another vault's; put a whole copy back, or wrap it anew with `vouchsafe key wrap {vault} --passphrase-file FILE` and the passphrase of another key"
    )]
    UnwrappedOpensNothing {
        /// Which vault.
        vault: VaultName,
        /// By what it was unwrapped.
        key: String,
    },
    /// A vault holds heads of another ledger.
    #[error(
        "vault `{vault}` already holds the ledger {origin}; recover it with `vouchsafe recover-state --vault {url}`, or begin a new one beside it with `vouchsafe init --new-ledger`, which every report will show as a break"
    )]
    ForeignLedger {
        /// Which vault.
        vault: VaultName,
        /// The ledger's name.
        origin: String,
        /// The vault's URL.
        url: String,
    },
    /// A target must not be written to.
    #[error("{place} must not be written to: {reason}")]
    Target {
        /// The place.
        place: String,
        /// Why, and what to do.
        reason: String,
    },
    /// The register of erasures cannot be used.
    #[error("the register of erasures {file}: {message}")]
    Register {
        /// The file.
        file: String,
        /// What is wrong, and what to do. Names lines and no subject.
        message: String,
    },
    /// The policy cannot be used.
    #[error("{message}")]
    Policy {
        /// What is wrong and what to do.
        message: String,
    },
    /// A vault could not be opened or created.
    #[error("vault `{vault}`: {source}")]
    Open {
        /// Which.
        vault: String,
        /// Why.
        source: OpenError,
    },
    /// A vault could not be read.
    #[error("vault `{vault}`: {source}")]
    Repository {
        /// Which.
        vault: String,
        /// Why.
        source: Box<RepoError>,
    },
    /// Work on a log in a vault failed.
    #[error("vault `{vault}`: {source}")]
    Log {
        /// Which.
        vault: String,
        /// Why.
        source: Box<LogError>,
    },
    /// A snapshot could not be chosen.
    #[error("vault `{vault}`: {source}")]
    Select {
        /// In which vault.
        vault: String,
        /// Why.
        source: Box<SelectError>,
    },
    /// A pattern to look for cannot be understood.
    #[error("the pattern `{pattern}` cannot be used: {reason}")]
    Pattern {
        /// As given.
        pattern: String,
        /// What is wrong, and what to do.
        reason: &'static str,
    },
    /// Nothing can be handed out of a place in a vault.
    #[error("vault `{vault}`: {source}")]
    Dump {
        /// Which.
        vault: String,
        /// Why.
        source: Box<DumpError>,
    },
    /// What opens a vault could not be changed.
    #[error("vault `{vault}`: {source}")]
    KeyChange {
        /// Which.
        vault: String,
        /// Why.
        source: Box<KeyChangeError>,
    },
    /// A passphrase cannot be replaced from here.
    #[error(
        "the passphrase of vault `{vault}` is kept in {place}, where it cannot be replaced from here; put a new one \
         there yourself: `vouchsafe key add {vault} --new-passphrase-file FILE`, then change what is kept, then \
         `vouchsafe key remove {vault} OLD-KEY`"
    )]
    KeptElsewhere {
        /// Which vault.
        vault: VaultName,
        /// Where.
        place: String,
    },
    /// A capture failed.
    #[error("{protection}: {source}")]
    Backup {
        /// What was captured.
        protection: ProtectionId,
        /// Why.
        source: Box<BackupError>,
    },
    /// A hold cannot be placed or lifted.
    #[error("hold `{name}`: {reason}")]
    Hold {
        /// Which.
        name: HoldName,
        /// Why not, and what to do.
        reason: String,
    },
    /// A decision on a change of the policy is not taken.
    #[error("change {change}: {reason}")]
    Change {
        /// Which.
        change: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// A person may not do what was asked for, or it makes no sense.
    #[error("`{subject}`: {reason}")]
    Refused {
        /// The duty, the incident, the exemption.
        subject: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// A copy failed.
    #[error("copy to vault `{vault}`: {source}")]
    Copy {
        /// The target.
        vault: String,
        /// Why.
        source: Box<CopyError>,
    },
    /// Nothing was removed, or removing ended early.
    #[error("vault `{vault}`: {source}")]
    Prune {
        /// Which.
        vault: String,
        /// Why.
        source: Box<PruneError>,
    },
    /// The record knows no copy in a vault that has snapshots.
    #[error(
        "the record knows none of the {snapshots} snapshots in vault `{vault}`, so nothing is removed from it; if the record was lost, bring it back with `vouchsafe recover-state`"
    )]
    NothingKnown {
        /// Which vault.
        vault: VaultName,
        /// How many there are.
        snapshots: usize,
    },
    /// The record is not whole, so nothing that rests on it is removed.
    #[error(
        "the record is not whole{}, so {deed}; see `vouchsafe ledger verify`",
        entry.map(|n| format!(" at entry {n}")).unwrap_or_default()
    )]
    RecordUnsound {
        /// What is therefore not done: `nothing is removed`.
        deed: &'static str,
        /// The first wrong entry, if it is one.
        entry: Option<u64>,
    },
    /// There is no room for anything.
    #[error(
        "the disk of vault `{vault}` is full, with only {free} left at {place}; make room, and run again: what is stored already is used"
    )]
    NoSpace {
        /// Which vault.
        vault: VaultName,
        /// Its directory.
        place: String,
        /// What is left.
        free: String,
    },
    /// A vault could not be repaired.
    #[error("repair of vault `{vault}`: {source}")]
    Repair {
        /// Which.
        vault: String,
        /// Why.
        source: Box<RepairError>,
    },
    /// A vault's lock is held by somebody else.
    #[error("vault `{vault}`: {source}")]
    VaultLock {
        /// Which.
        vault: String,
        /// By whom.
        source: vouchsafe_vault::LockError,
    },
    /// The state directory is in use.
    #[error(transparent)]
    StateLock(#[from] LockError),
    /// A source could not be captured or restored.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A log could not be replayed.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// A source cannot be opened.
    #[error(transparent)]
    Source(#[from] vouchsafe_sources::OpenSourceError),
    /// The ledger could not be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A witness's key or signature is none.
    #[error(transparent)]
    Witness(#[from] WitnessError),
    /// What an authority answered is no time stamp of the head.
    #[error(transparent)]
    Stamp(#[from] StampError),
    /// An authority could not be asked.
    #[error(transparent)]
    Post(#[from] PostError),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A vault's store failed outside the repository.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A vault's URL names no store that this version can use.
    #[error(transparent)]
    VaultUrl(#[from] vouchsafe_store::OpenError),
    /// A secret could not be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// No sandbox could be made.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// What a vault holds beside the repository cannot be understood.
    #[error("{place}: {message}")]
    Damaged {
        /// Where.
        place: String,
        /// What is wrong, and what to do.
        message: String,
    },
    /// The user asked to stop.
    #[error("interrupted; what was finished is kept, and the next run goes on from there")]
    Interrupted,
}

impl KeeperError {
    /// Which exit code it has.
    pub fn category(&self) -> Category {
        match self {
            KeeperError::NotInitialised { .. }
            | KeeperError::UnknownSystem { .. }
            | KeeperError::UnknownVault { .. }
            | KeeperError::NotConnected { .. }
            | KeeperError::NoCopies { .. }
            | KeeperError::NoPoint { .. }
            | KeeperError::NoCopy { .. }
            | KeeperError::OutsideLog { .. }
            | KeeperError::Replay(
                ReplayError::NoLog { .. }
                | ReplayError::NotCovered { .. }
                | ReplayError::TooEarly { .. }
                | ReplayError::TooLate { .. }
                | ReplayError::Capture(CaptureError::Target { .. }),
            )
            | KeeperError::NoPassphrase { .. }
            | KeeperError::NotWrapped { .. }
            | KeeperError::ForeignLedger { .. }
            | KeeperError::Target { .. }
            | KeeperError::Capture(CaptureError::Target { .. })
            | KeeperError::Policy { .. }
            | KeeperError::Register { .. }
            | KeeperError::Source(_)
            | KeeperError::VaultUrl(_)
            | KeeperError::Pattern { .. }
            | KeeperError::KeptElsewhere { .. }
            | KeeperError::NothingKnown { .. }
            | KeeperError::Hold { .. }
            | KeeperError::Witness(_)
            | KeeperError::Stamp(StampError::Roots)
            | KeeperError::Post(PostError::Plain { .. } | PostError::NotBuilt { .. })
            | KeeperError::Change { .. }
            | KeeperError::Refused { .. }
            | KeeperError::Secret(_) => Category::CannotStart,
            KeeperError::Open {
                source: OpenError::NoRepository { .. },
                ..
            } => Category::NoRepository,
            KeeperError::Open {
                source: OpenError::WrongKey { .. },
                ..
            }
            | KeeperError::UnwrappedOpensNothing { .. } => Category::WrongKey,
            KeeperError::Kms { source, .. } => match source.as_ref() {
                KmsError::Altered { .. } | KmsError::OtherKey { .. } => Category::WrongKey,
                KmsError::Denied { .. }
                | KmsError::Absent { .. }
                | KmsError::TooLong { .. }
                | KmsError::Access { .. }
                | KmsError::NotBuilt { .. } => Category::CannotStart,
                _ => Category::Failed,
            },
            KeeperError::VaultLock { .. } | KeeperError::StateLock(LockError::Held { .. }) => {
                Category::Locked
            }
            KeeperError::Select { source, .. } => match source.as_ref() {
                SelectError::Repository(_) => Category::Failed,
                _ => Category::CannotStart,
            },
            KeeperError::KeyChange { source, .. } => match source.as_ref() {
                KeyChangeError::Unknown { .. }
                | KeyChangeError::Ambiguous { .. }
                | KeyChangeError::InUse { .. } => Category::CannotStart,
                KeyChangeError::OpensNothing { .. } => Category::WrongKey,
                KeyChangeError::Interrupted => Category::Interrupted,
                _ => Category::Failed,
            },
            KeeperError::Dump { source, .. } => match source.as_ref() {
                DumpError::Lookup(LookupError::Absent { .. }) | DumpError::NoContent { .. } => {
                    Category::CannotStart
                }
                DumpError::Interrupted => Category::Interrupted,
                _ => Category::Failed,
            },
            KeeperError::Repository { source, .. }
                if matches!(source.as_ref(), RepoError::Interrupted) =>
            {
                Category::Interrupted
            }
            KeeperError::Log { source, .. } if matches!(source.as_ref(), LogError::Interrupted) => {
                Category::Interrupted
            }
            KeeperError::Interrupted
            | KeeperError::Capture(CaptureError::Interrupted)
            | KeeperError::Replay(ReplayError::Capture(CaptureError::Interrupted)) => {
                Category::Interrupted
            }
            _ => Category::Failed,
        }
    }
}

/// An error with its causes, each once, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = inner.source();
    }
    text
}
