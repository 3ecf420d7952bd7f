//! Why an operation on a repository could not be done.

use vouchsafe_capture::CaptureError;
use vouchsafe_format::SealError;
use vouchsafe_format::{
    BlobError, CompressError, ConfigError, CryptoError, Id, IndexError, KeyError, PackError,
    SnapshotError, TreeError, UnpackedError,
};
use vouchsafe_model::Time;
use vouchsafe_store::StoreError;

use crate::fetch::BlobProblem;
use crate::index::IndexFileError;
use crate::machine::MachineError;

/// A repository could not be created or opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no repository at this place.
    #[error("there is no repository in {store}; create it, or check the vault's URL")]
    NoRepository {
        /// The store.
        store: String,
    },
    /// There is one already.
    #[error("there is already a repository in {store}; open it, or choose another place")]
    Exists {
        /// The store.
        store: String,
    },
    /// No key file opens with this password.
    #[error(
        "the password opens none of the {tried} keys of the repository in {store}; check the vault's password"
    )]
    WrongKey {
        /// The store.
        store: String,
        /// Key files that were tried.
        tried: usize,
    },
    /// A format that is not known here.
    #[error(
        "the repository in {store} has format version {version}; only versions 1 and 2 can be read here"
    )]
    Unsupported {
        /// The store.
        store: String,
        /// The version found.
        version: u64,
    },
    /// `config` or all key files are damaged or missing.
    #[error("{object} of the repository in {store} is damaged; restore it from another copy")]
    Damaged {
        /// The object.
        object: String,
        /// The store.
        store: String,
        /// What is wrong.
        source: Box<Damage>,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Keys could not be made.
    #[error("a key for the repository could not be made")]
    Key(#[from] KeyError),
}

/// A lock could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else holds one that excludes ours.
    #[error(
        "the repository in {store} is locked by process {pid} on {host} since {}; \
         wait for it, or remove the lock if that process is gone", since.minute()
    )]
    Held {
        /// The store.
        store: String,
        /// The machine of whoever holds it.
        host: String,
        /// Its process.
        pid: u32,
        /// Since when, or last refreshed.
        since: Time,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The lock could not be encoded.
    #[error("the lock could not be sealed")]
    Seal(#[source] Damage),
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// Reading a repository failed.
#[derive(Debug, thiserror::Error)]
pub enum RepoError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An object is not what it should be.
    #[error(
        "{object} in {store} is damaged; use another copy of the vault, and `check` to see what else is"
    )]
    Damaged {
        /// The object.
        object: String,
        /// The store.
        store: String,
        /// What is wrong.
        source: Box<Damage>,
    },
    /// There is no such snapshot.
    #[error("there is no snapshot {snapshot} in {store}; it may have been removed")]
    NoSnapshot {
        /// The snapshot.
        snapshot: Id,
        /// The store.
        store: String,
    },
    /// A directory cannot be read.
    #[error("the directory {tree} cannot be read from {store}; use another copy of the vault")]
    Tree {
        /// Its id.
        tree: Id,
        /// The store.
        store: String,
        /// What is wrong.
        source: Box<TreeProblem>,
    },
    /// A chunk cannot be read.
    #[error("the chunk {chunk} cannot be read from {store}; use another copy of the vault")]
    Chunk {
        /// Its id.
        chunk: Id,
        /// The store.
        store: String,
        /// What is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A repository that is only read.
    #[error(
        "the repository in {store} has format version 1, which is only read here; upgrade it with `restic migrate upgrade_repo_v2`"
    )]
    OldVersion {
        /// The store.
        store: String,
    },
    /// The snapshot has no blob of its own that could be looked at.
    #[error("the snapshot {snapshot} in {store} holds no blob that can be probed")]
    NothingToProbe {
        /// The snapshot.
        snapshot: Id,
        /// The store.
        store: String,
    },
    /// The index is too large for the memory, and cannot be kept in a file.
    #[error(transparent)]
    IndexFile(#[from] IndexFileError),
    /// Something could not be sealed.
    #[error("data could not be sealed")]
    Seal(#[source] Damage),
    /// A key could not be made.
    #[error("a key could not be made")]
    Key(#[from] KeyError),
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// What is wrong with a stored object.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// Its bytes are not those that it is named after.
    #[error("its bytes have the digest {found}, not the one it is named after")]
    Name {
        /// The digest of what is there.
        found: Id,
    },
    /// It is not there.
    #[error("it is missing")]
    Missing,
    /// It has another length.
    #[error("it has {found} bytes instead of {expected}")]
    Size {
        /// Bytes it should have.
        expected: u64,
        /// Bytes it has.
        found: u64,
    },
    /// It is longer than an object of its kind may be, and was not read to its end.
    #[error("it has more than the {most} bytes that it may have")]
    TooLong {
        /// The most bytes.
        most: u64,
    },
    /// Its header lists other blobs than the index.
    #[error("its header and the index disagree about its blobs")]
    HeaderAndIndex,
    /// It cannot be opened.
    #[error("it cannot be opened: {0}")]
    Sealed(#[from] CryptoError),
    /// Its plaintext cannot be decompressed.
    #[error("it opens, but cannot be read: {0}")]
    Unpacked(#[from] UnpackedError),
    /// It could not be compressed.
    #[error("{0}")]
    Compress(#[from] CompressError),
    /// Not a configuration.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// Not a key file.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// Not an index.
    #[error("{0}")]
    Index(#[from] IndexError),
    /// Not a snapshot.
    #[error("{0}")]
    Snapshot(#[from] SnapshotError),
    /// Not a lock.
    #[error("{0}")]
    Lock(#[from] vouchsafe_format::LockError),
    /// Not a pack.
    #[error("{0}")]
    Pack(#[from] PackError),
    /// A blob in it is damaged.
    #[error("{0}")]
    Blob(#[from] BlobError),
}

impl RepoError {
    /// Whether the store did not answer or refused, so that nothing is known of the object itself: another time, or
    /// with other rights, it may be whole.
    pub fn is_out_of_reach(&self) -> bool {
        let store = match self {
            RepoError::Store(error) => Some(error),
            RepoError::Tree { source, .. } => match source.as_ref() {
                TreeProblem::Store(error) => Some(error),
                _ => None,
            },
            RepoError::Chunk { source, .. } => match source.downcast_ref::<BlobProblem>() {
                Some(BlobProblem::Store(error)) => Some(error),
                _ => None,
            },
            _ => None,
        };
        store.is_some_and(|error| {
            matches!(
                error,
                StoreError::Unavailable { .. } | StoreError::Denied { .. }
            )
        })
    }
}

/// A directory cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TreeProblem {
    /// No index lists its blob.
    #[error("no index lists the directory {tree}")]
    NotListed {
        /// Its id.
        tree: Id,
    },
    /// No index lists a chunk of a file.
    #[error("no index lists the chunk {chunk} of the file {name:?}")]
    ChunkNotListed {
        /// The chunk.
        chunk: Id,
        /// The file's name.
        name: String,
    },
    /// A directory without a tree.
    #[error("the directory {name:?} has no tree")]
    NoSubtree {
        /// Its name.
        name: String,
    },
    /// An entry's name leads out of the directory.
    #[error("an entry has the dangerous name {name:?}")]
    UnsafeName {
        /// The name, made printable.
        name: String,
    },
    /// Its blob is damaged.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// Its blob is not a directory.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// Its blob cannot be fetched.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its blob cannot be looked up.
    #[error(transparent)]
    IndexFile(#[from] IndexFileError),
}

/// Work of a backup or a copy failed; whatever of it is stored does no harm, and no snapshot was written.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A blob could not be sealed.
    #[error("a blob could not be sealed")]
    Seal(#[from] SealError),
    /// What was sealed does not open to what was hashed.
    #[error(
        "a blob was spoilt between reading and storing; nothing of it was stored. Test this machine's memory"
    )]
    Spoilt(#[source] BlobError),
    /// A pack could not be finished.
    #[error("a pack could not be finished")]
    Pack(#[from] PackError),
    /// An index or a snapshot could not be sealed.
    #[error("an index or a snapshot could not be sealed")]
    File(#[from] Damage),
    /// A blob of the repository that is copied from is damaged.
    #[error("a blob of the source is damaged; use another copy of the vault")]
    Source(#[from] BlobError),
    /// A directory is impossible.
    #[error("a directory cannot be stored or read")]
    Tree(#[from] TreeError),
    /// The steps do not fit together.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// A stream did not end well.
    #[error("the stream {name:?} did not end well; nothing of this capture counts")]
    Stream {
        /// Its name.
        name: String,
        /// What happened.
        source: CaptureError,
    },
    /// A thread died.
    #[error("a thread of the engine died; this is a defect: please report it")]
    Died,
    /// The work stands still although nothing is under way.
    #[error("the work stands still; this is a defect: please report it")]
    Stuck,
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// A backup failed: there is no new snapshot.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The repository, or the parent, cannot be read.
    #[error(transparent)]
    Repository(#[from] RepoError),
    /// The source failed.
    #[error(transparent)]
    Capture(CaptureError),
    /// Storing failed.
    #[error("the backup failed and left no snapshot")]
    Work(#[source] WorkError),
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// A copy failed: there is no new snapshot at the target. Running it again goes on where it stopped.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The repository that is copied from cannot be read.
    #[error("the source of the copy cannot be read")]
    From(#[source] RepoError),
    /// The repository that is copied to cannot be read.
    #[error("the target of the copy cannot be read")]
    To(#[source] RepoError),
    /// Fetching or storing failed.
    #[error("the copy failed and left no snapshot")]
    Work(#[source] WorkError),
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
}
