//! Why a vault could not be mounted.

use std::io;
use std::path::PathBuf;

use vouchsafe_vault::RepoError;

/// A vault could not be mounted, or its mount did not end well.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// There is no such directory.
    #[error("{} is not a directory; create it, or name another one", at.display())]
    NoDirectory {
        /// The place.
        at: PathBuf,
    },
    /// The system refused.
    #[error(
        "{} cannot be mounted on; see that /dev/fuse is there, and for others than root the package fuse3", at.display()
    )]
    Refused {
        /// The place.
        at: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The mount broke off.
    #[error("the mount on {} broke off", at.display())]
    Broken {
        /// The place.
        at: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The repository cannot be read.
    #[error(transparent)]
    Repository(#[from] RepoError),
}
