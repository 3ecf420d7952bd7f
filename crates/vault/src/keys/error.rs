//! Why the slots of a repository could not be changed.

use vouchsafe_format::{Id, KeyError};
use vouchsafe_store::StoreError;

use crate::error::RepoError;

/// What the keeper of a passphrase says when it cannot keep it.
pub type KeepingError = Box<dyn std::error::Error + Send + Sync>;

/// A slot could not be added, removed or replaced. Some passphrase that opened the repository before still opens it.
#[derive(Debug, thiserror::Error)]
pub enum KeyChangeError {
    /// No slot begins so.
    #[error("no key of the repository in {store} begins with `{wanted}`; see `vouchsafe key list`")]
    Unknown {
        /// As asked for.
        wanted: String,
        /// The store.
        store: String,
    },
    /// Several slots begin so.
    #[error(
        "several keys of the repository in {store} begin with `{wanted}`; write more of the id"
    )]
    Ambiguous {
        /// As asked for.
        wanted: String,
        /// The store.
        store: String,
    },
    /// It is what keeps the repository open for us.
    #[error(
        "the key {} is the only one of the repository in {store} that our passphrase opens; \
         rotate it, or first prove with another key's passphrase that the repository stays open", slot.short()
    )]
    InUse {
        /// The slot.
        slot: Id,
        /// The store.
        store: String,
    },
    /// A slot was not seen to open the repository.
    #[error(
        "the key {} in {store} was not seen to open the repository when it was read back; nothing was removed: try again",
        slot.short()
    )]
    NotProven {
        /// The slot.
        slot: Id,
        /// The store.
        store: String,
        /// What was seen instead.
        source: Box<RepoError>,
    },
    /// The passphrase opens nothing.
    #[error(
        "the passphrase opens no key of the repository in {store}; check the file it comes from"
    )]
    OpensNothing {
        /// The store.
        store: String,
    },
    /// The store still shows what was removed.
    #[error(
        "the key {} in {store} was removed, but the store still shows it: its passphrase still opens the repository; \
         try again, and see whether the store may delete", slot.short()
    )]
    StillThere {
        /// The slot.
        slot: Id,
        /// The store.
        store: String,
    },
    /// The place that holds our passphrase failed.
    #[error("the passphrase could not be kept; the one in force still opens the vault")]
    Keeping(#[source] KeepingError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key file could not be made.
    #[error("a key for the repository could not be made")]
    Key(#[from] KeyError),
    /// The repository cannot be read.
    #[error(transparent)]
    Repository(RepoError),
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl From<RepoError> for KeyChangeError {
    fn from(error: RepoError) -> KeyChangeError {
        match error {
            RepoError::Store(error) => KeyChangeError::Store(error),
            RepoError::Interrupted => KeyChangeError::Interrupted,
            error => KeyChangeError::Repository(error),
        }
    }
}
