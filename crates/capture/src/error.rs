//! Why a capture or a restore could not go on.

use std::io;

/// An error that ends a capture or a restore; what concerns a single file is an issue instead.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The source cannot be reached or understood.
    #[error("cannot read {place}: {message}; {remedy}")]
    Unreadable {
        /// The source's place, redacted.
        place: String,
        /// What is wrong.
        message: String,
        /// What to do.
        remedy: String,
    },
    /// A program that the source needs failed.
    #[error("{program} failed: {message}; {remedy}")]
    Program {
        /// Its name.
        program: String,
        /// Its exit and the end of what it wrote on standard error, secrets hidden.
        message: String,
        /// What to do.
        remedy: String,
    },
    /// Reading or writing failed at a place.
    #[error("{operation} {place}: {source}")]
    Io {
        /// What was being done.
        operation: &'static str,
        /// Where.
        place: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The vault could not take or give the data.
    #[error("{0}")]
    Vault(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The target of a restore must not be written to.
    #[error("{place} is not a place to restore to: {message}")]
    Target {
        /// The target.
        place: String,
        /// Why not, and what to do.
        message: String,
    },
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl CaptureError {
    /// Wraps the vault's own error.
    pub fn vault(error: impl std::error::Error + Send + Sync + 'static) -> CaptureError {
        CaptureError::Vault(Box::new(error))
    }
    /// Wraps a system error with what was being done, and where.
    pub fn io(
        operation: &'static str,
        place: impl Into<String>,
        source: io::Error,
    ) -> CaptureError {
        CaptureError::Io {
            operation,
            place: place.into(),
            source,
        }
    }
}
