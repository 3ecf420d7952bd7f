//! Repairing: first a worklist, which is a value and changes nothing, then the deed.
//!
//! Nothing is removed before what takes its place is durable and was read back. A repair that breaks off at any step
//! leaves everything readable that was readable before, and can be planned and done anew.

mod adopt;
mod examine;
mod index;
mod losses;
mod packs;
mod rewrite;
mod snapshots;
mod writer;

pub use adopt::Adopted;
pub use index::IndexRepair;
pub use losses::Loss;
pub use packs::{DamagedPack, PackRepair};
pub use snapshots::{BrokenSnapshot, SnapshotRepair};

use vouchsafe_format::SealError;
use vouchsafe_format::{CompressError, Id, PackError};
use vouchsafe_model::{Issue, Time};
use vouchsafe_store::StoreError;

use crate::error::{Damage, RepoError};

/// A repair could not be planned or done.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// The repository, or one that it is healed from, cannot be read.
    #[error(transparent)]
    Repository(#[from] RepoError),
    /// The store failed. What is stored by then does no harm; repeat the repair.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Somebody may have taken our lock for stale.
    #[error("the lock on {store} was lost; nothing more was changed: repeat the repair")]
    LockLost {
        /// The store.
        store: String,
    },
    /// A pack could not be made.
    #[error("a pack could not be made")]
    Pack(#[from] PackError),
    /// A blob could not be sealed.
    #[error("a blob could not be sealed")]
    Seal(#[from] SealError),
    /// The compressor failed.
    #[error("a blob could not be compressed")]
    Compress(#[from] CompressError),
    /// An index or a snapshot could not be sealed.
    #[error("an index or a snapshot could not be sealed")]
    File(#[source] Damage),
    /// What was just written does not read back: nothing was removed.
    #[error("{pack}, just written, does not read back ({reason}); nothing was removed")]
    ReadBack {
        /// The pack.
        pack: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The index is not whole, so it does not tell what may be removed.
    #[error("{object} cannot be read; run the repair of the index first")]
    Index {
        /// The index file.
        object: String,
    },
    /// The user asked to stop.
    #[error(
        "interrupted; what was done so far does no harm, and a repeated repair goes on from there"
    )]
    Interrupted,
}

/// What a repair did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepairReport {
    /// New packs.
    pub packs_added: Vec<Id>,
    /// Damaged packs that were removed.
    pub packs_removed: Vec<Id>,
    /// New index files.
    pub indexes_added: u64,
    /// Index files that were removed.
    pub indexes_removed: u64,
    /// Blobs that were saved from damaged packs.
    pub blobs_salvaged: u64,
    /// Blobs that were fetched from another repository.
    pub blobs_healed: u64,
    /// Blobs that are nowhere to be had.
    pub blobs_lost: Vec<Id>,
    /// Snapshots, each with the repaired one that was written beside it.
    pub snapshots_added: Vec<(Id, Id)>,
    /// Snapshots that were removed, as was asked for.
    pub snapshots_removed: Vec<Id>,
    /// Objects among those removed that the store keeps as older versions, seen by nobody: because a lock keeps them,
    /// or because an older version may hold what was lost. By their keys in the repository, and when the lock ends, if
    /// the store says so.
    pub hidden: Vec<(String, Option<Time>)>,
    /// What could not be done, and did not hinder the rest.
    pub issues: Vec<Issue>,
}
