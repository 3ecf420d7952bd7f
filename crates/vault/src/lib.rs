//! The engine: back up, restore, check, verify, copy, prune, keys, locks.
//!
//! A [`Repository`] is one restic repository of format version 2 in a [`Store`](vouchsafe_store::Store). Its data is
//! sealed by the `format` crate; this crate decides what is read and written, and when. It knows no policy, no
//! database and no ledger.
//!
//! The work of a backup and of a copy is done by state machines without input and output ([`machine`]), driven
//! either by threads or, in a simulation, by one thread in an order that follows from a seed ([`Driver`]).
//!
//! Order of writing: packs, then the index of them, then the snapshot; each only when what it refers to is durable.
//! A crash at any time leaves objects that nothing refers to, and never a snapshot that is not whole. Order of removing: the other way round, and nothing without a [`DeletionCleared`].

pub mod logs;
pub mod machine;

mod attempts;
mod backup;
mod check;
mod copy;
mod drive;
mod env;
mod error;
mod fetch;
mod gate;
mod index;
mod indexes;
mod keys;
mod lock;
mod memory;
mod objects;
mod packs;
mod parallel;
mod parent;
mod point;
mod probe;
mod prune;
mod read_back;
mod reading;
mod references;
mod repair;
mod repository;
mod snapshots;
mod stored;
mod trees;
mod verify;
mod verify_batches;

pub use backup::{BackupOptions, BackupReport};
pub use check::CheckReport;
pub use copy::{CopyReport, copy};
pub use drive::{Driver, Simulation, Threads};
pub use env::{Env, from_timestamp, to_timestamp};
pub use error::{
    BackupError, CopyError, Damage, LockError, OpenError, RepoError, TreeProblem, WorkError,
};
pub use index::{BlobIndex, IndexFileError, ListedPack, Place};
pub use indexes::IndexSettings;
pub use keys::{Begun, Keeping, KeepingError, KeyChangeError, KeyInfo, ProvenSlot, Rotation};
pub use lock::{LockGuard, LockKind};
pub use memory::{Coverage, MemoryError, VerifyMemory};
pub use point::Point;
pub use probe::EncryptionProbe;
pub use prune::{
    ClearanceError, DeletionCleared, Forget, KnownPoints, PackWork, PendingPack, PruneError,
    PruneFigures, PruneMode, PruneOptions, PruneReport, PruneWorklist, WholeRecord, Why,
};
pub use read_back::{ReadBack, ReadBackReport};
pub use reading::{
    ArchiveReport, Change, ChangeKind, Contents, DiffReport, DumpError, FindReport, Hit,
    LookupError, SelectError,
};
pub use repair::{
    Adopted, BrokenSnapshot, DamagedPack, IndexRepair, Loss, PackRepair, RepairError, RepairReport,
    SnapshotRepair,
};
pub use repository::{CreateOptions, Repository};
pub use snapshots::Snapshots;
pub use stored::StoredBlob;
pub use verify::{Budget, Reading, VerifyReport};
