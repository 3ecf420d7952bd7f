//! Why nothing may be removed, or why removing ended early.

use vouchsafe_format::Id;
use vouchsafe_model::{Span, Time};
use vouchsafe_store::StoreError;

use crate::error::{Damage, LockError, RepoError, TreeProblem, WorkError};

/// Removing was not cleared; nothing was removed.
#[derive(Debug, thiserror::Error)]
pub enum ClearanceError {
    /// The lock does not keep others out.
    #[error("removing from {store} needs an exclusive lock; take one of that kind")]
    NotExclusive {
        /// The store.
        store: String,
    },
    /// The lock was lost since it was taken.
    #[error("the lock on {store} is not held any more; run it again")]
    LockLost {
        /// The store.
        store: String,
    },
    /// The record holds nothing.
    #[error("the record is empty, so nothing in {store} is known; nothing is removed")]
    EmptyRecord {
        /// The store.
        store: String,
    },
    /// The record's newest entry is later than this machine's clock.
    #[error(
        "the record's newest entry is of {newest}, but this machine's clock says {now}; \
         set the clock right, nothing is removed"
    )]
    RecordAhead {
        /// The newest entry's time.
        newest: Time,
        /// This machine's.
        now: Time,
    },
    /// The store does not date its objects.
    #[error(
        "{store} does not say when an object was stored, so the clock cannot be compared; nothing is removed"
    )]
    NoDate {
        /// The store.
        store: String,
    },
    /// The store's date and this machine's differ.
    #[error(
        "this machine's clock said {ours} when {store} said {theirs}; \
         set the wrong one right, nothing is removed"
    )]
    ClocksDisagree {
        /// The store.
        store: String,
        /// This machine's.
        ours: Time,
        /// The store's.
        theirs: Time,
    },
    /// This machine's wall clock did not move with its monotonic one.
    #[error(
        "this machine's clock moved by {by} beside the time that passed; \
         let it settle, nothing more is removed"
    )]
    ClockJumped {
        /// By how much.
        by: Span,
    },
    /// The store's date could not be learnt, because the lock for it could not be had.
    #[error(transparent)]
    Locked(Box<LockError>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A prune could not be planned, or ended early. All kept snapshots are whole; running it again goes on.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// The repository cannot be read.
    #[error(transparent)]
    Repository(#[from] RepoError),
    /// The store does not let us remove.
    #[error(
        "{store} refuses to remove {object}; if it only takes what comes, as an append-only server does, it is pruned \
         by whoever runs it, or with credentials that may delete; all points are whole"
    )]
    Refused {
        /// The object.
        object: String,
        /// The store.
        store: String,
    },
    /// A snapshot that must be there is not.
    #[error(
        "the snapshot {snapshot} is known and not in {store}; \
         copy it back from another vault, or expire it; nothing is removed"
    )]
    Missing {
        /// Which.
        snapshot: Id,
        /// The store.
        store: String,
    },
    /// A snapshot that stays cannot be read, so what it needs is not known.
    #[error(
        "the snapshot {snapshot} in {store} cannot be read, so what it needs is not known; \
         repair it or remove it by name; nothing is removed"
    )]
    Unreadable {
        /// Which.
        snapshot: Id,
        /// The store.
        store: String,
        /// What is wrong.
        source: Box<RepoError>,
    },
    /// A directory of a snapshot that stays cannot be read, so what it needs is not known.
    #[error(
        "the directory {tree} in {store} cannot be read, so what it needs is not known; \
         heal the vault from another copy; nothing is removed"
    )]
    Tree {
        /// Its id.
        tree: Id,
        /// The store.
        store: String,
        /// What is wrong.
        source: Box<TreeProblem>,
    },
    /// A pack that is needed is missing or cut short.
    #[error(
        "the pack {pack} in {store} is damaged and needed; \
         heal the vault from another copy; nothing is removed"
    )]
    Pack {
        /// Which.
        pack: Id,
        /// The store.
        store: String,
        /// What is wrong.
        source: Box<Damage>,
    },
    /// A snapshot that somebody has just written may not be listed yet, and what it needs would be removed.
    #[error(
        "the listings of {store} may be late, and what they do not show yet would not be kept;          prune it in write-once mode, which removes a pack only a day after it left the index; nothing is removed"
    )]
    LateListings {
        /// The store.
        store: String,
    },
    /// The repository is not as it was when the worklist was made.
    #[error("{store} has changed since the worklist was made; nothing was removed: run it again")]
    Changed {
        /// The store.
        store: String,
    },
    /// The clearance is for another repository, or for another way of removing.
    #[error("the clearance is not for this worklist on {store}")]
    OtherClearance {
        /// The store.
        store: String,
    },
    /// The clearance does not hold any more.
    #[error("removing was stopped")]
    NotCleared(#[from] ClearanceError),
    /// What is needed of a pack could not be stored anew.
    #[error("what is still needed could not be stored anew; no pack was removed")]
    Work(#[source] WorkError),
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl From<StoreError> for PruneError {
    fn from(error: StoreError) -> PruneError {
        PruneError::Repository(error.into())
    }
}

/// An interruption is one, wherever it was noticed.
pub(super) fn prune_error(error: RepoError) -> PruneError {
    match error {
        RepoError::Interrupted => PruneError::Interrupted,
        error => PruneError::Repository(error),
    }
}
