//! Why something could not be looked up or handed out.

use std::io;

use vouchsafe_format::Id;
use vouchsafe_model::Issue;

use crate::error::RepoError;

/// A snapshot could not be chosen.
#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    /// Nothing begins so.
    #[error(
        "no snapshot in {store} begins with `{wanted}`; list them, and name one by `latest` or by the beginning of its id"
    )]
    Unknown {
        /// As asked for.
        wanted: String,
        /// The store.
        store: String,
    },
    /// Several begin so.
    #[error(
        "several snapshots in {store} begin with `{wanted}`: {candidates}; write more of the id"
    )]
    Ambiguous {
        /// As asked for.
        wanted: String,
        /// The store.
        store: String,
        /// Some of them.
        candidates: String,
    },
    /// There is none at all.
    #[error("there is no snapshot in {store} yet")]
    Empty {
        /// The store.
        store: String,
    },
    /// The repository cannot be read.
    #[error(transparent)]
    Repository(#[from] RepoError),
}

/// A place in a snapshot could not be found.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// There is nothing of that name.
    #[error(
        "the snapshot {} holds nothing at `{path}` (it was captured from {captured}); list it, and name a path below that",
        snapshot.short()
    )]
    Absent {
        /// The place.
        path: String,
        /// The snapshot.
        snapshot: Id,
        /// The paths that the snapshot names.
        captured: String,
    },
    /// The repository cannot be read.
    #[error(transparent)]
    Repository(#[from] RepoError),
}

/// Content could not be handed out.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// There is nothing at that place.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// It has no content.
    #[error("`{path}` is a {kind}, which has no content of its own; write it out as an archive")]
    NoContent {
        /// The place.
        path: String,
        /// What it is.
        kind: String,
    },
    /// A part of it cannot be read; what was handed out before that is right.
    #[error("{} cannot be read whole: {}; use another copy of the vault", issue.place, issue.message)]
    Broken {
        /// Which file, and what is wrong.
        issue: Issue,
    },
    /// The receiver took no more.
    #[error("the content could not be handed out")]
    Output(#[source] io::Error),
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl From<RepoError> for DumpError {
    fn from(error: RepoError) -> DumpError {
        match error {
            RepoError::Interrupted => DumpError::Interrupted,
            error => DumpError::Lookup(LookupError::Repository(error)),
        }
    }
}
