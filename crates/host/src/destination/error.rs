//! Why something could not be restored.

use std::io;
use std::path::PathBuf;

use crate::inode::os;

/// Why something could not be done below the destination.
#[derive(Debug, thiserror::Error)]
pub enum DestError {
    /// The path is not one that may be restored.
    #[error("the path {} is refused: {reason}", path.display())]
    Rejected {
        /// The path as given.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A directory on the way is a link or leads out of the destination.
    #[error(
        "the path {} passes through a link or leaves the destination; \
         restore into a directory that nobody else writes to",
        path.display()
    )]
    Escape {
        /// The path as given, below the destination.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot {operation} {}", path.display())]
    Failed {
        /// Where, including the destination.
        path: PathBuf,
        /// The operation, as a verb phrase that fits after "cannot".
        operation: &'static str,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

impl DestError {
    /// The kind of the underlying error, when the operating system gave one.
    pub fn kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Failed { source, .. } => Some(source.kind()),
            Self::Rejected { .. } | Self::Escape { .. } => None,
        }
    }

    /// Whether rights are missing, as for devices and foreign owners without being root.
    pub fn is_permission_denied(&self) -> bool {
        self.kind() == Some(io::ErrorKind::PermissionDenied)
    }

    /// Whether the name is taken.
    pub fn is_already_exists(&self) -> bool {
        self.kind() == Some(io::ErrorKind::AlreadyExists)
    }

    /// Whether the name does not exist.
    pub fn is_not_found(&self) -> bool {
        self.kind() == Some(io::ErrorKind::NotFound)
    }
}

pub(super) fn rejected(rel: &[u8], reason: &'static str) -> DestError {
    DestError::Rejected {
        path: PathBuf::from(os(rel)),
        reason,
    }
}
