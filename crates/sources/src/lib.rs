//! What Vouchsafe captures itself: files, SQLite, git.
//!
//! Each kind is a [`vouchsafe_capture::Source`] bound to one place; [`open`] makes it from what the policy says.

mod exclude;
mod failure;
mod files;
mod git;
mod node;
mod place;
mod rung;
mod sample;
mod sqlite;
mod tree;

use std::path::{Path, PathBuf};

use vouchsafe_capture::Source;
use vouchsafe_model::{SourceKind, SourceUrl};

pub use exclude::{ExcludeError, Excludes};
pub use files::FilesSource;
pub use git::GitSource;
pub use sample::write_sample_database;
pub use sqlite::SqliteSource;

/// Why a source of the policy cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenSourceError {
    /// The kind is known to the policy, but this version cannot capture it.
    #[error(
        "{source_url}: the kind `{kind}` is declared, not yet connected; this version captures files, sqlite and git"
    )]
    NotConnected {
        /// The kind's name.
        kind: String,
        /// The source, passwords hidden.
        source_url: String,
    },
    /// The place is not one that this kind of source can read.
    #[error("{source_url}: {message}; {remedy}")]
    Place {
        /// The source, passwords hidden.
        source_url: String,
        /// What is wrong with it.
        message: String,
        /// What to write instead.
        remedy: String,
    },
    /// An exclude pattern cannot be understood.
    #[error(transparent)]
    Exclude(#[from] ExcludeError),
    /// Excludes were given to a kind that is captured whole.
    #[error(
        "{source_url}: `exclude` has no meaning for the kind `{kind}`, which is captured whole; remove it"
    )]
    ExcludeMeaningless {
        /// The kind's name.
        kind: String,
        /// The source, passwords hidden.
        source_url: String,
    },
}

/// The source that `url` names. Relative places start at `base`, the policy's folder.
///
/// Nothing is touched: whether the place exists is seen by [`Source::discover`].
pub fn open(
    url: &SourceUrl,
    exclude: &[String],
    base: &Path,
) -> Result<Box<dyn Source>, OpenSourceError> {
    open_reading(url, exclude, base, None)
}

/// The same source, but reading a copy of its data at `copy`.
///
/// What is captured has the names of the original, so that two points can be compared: this is how a copy that was
/// damaged on purpose becomes a point.
pub fn open_copy(
    url: &SourceUrl,
    exclude: &[String],
    base: &Path,
    copy: &Path,
) -> Result<Box<dyn Source>, OpenSourceError> {
    open_reading(url, exclude, base, Some(copy))
}

fn open_reading(
    url: &SourceUrl,
    exclude: &[String],
    base: &Path,
    copy: Option<&Path>,
) -> Result<Box<dyn Source>, OpenSourceError> {
    let copy = copy.map(Path::to_path_buf);
    match url.kind() {
        SourceKind::Files => Ok(Box::new(FilesSource::open(url, exclude, base, copy)?)),
        SourceKind::Sqlite => {
            whole(url, exclude)?;
            Ok(Box::new(SqliteSource::open(url, base, copy)?))
        }
        SourceKind::Git => {
            whole(url, exclude)?;
            Ok(Box::new(GitSource::open(url, base, copy)?))
        }
        SourceKind::Other(kind) => Err(OpenSourceError::NotConnected {
            kind: kind.clone(),
            source_url: url.to_string(),
        }),
    }
}

fn whole(url: &SourceUrl, exclude: &[String]) -> Result<(), OpenSourceError> {
    if exclude.is_empty() {
        return Ok(());
    }
    Err(OpenSourceError::ExcludeMeaningless {
        kind: url.kind().to_string(),
        source_url: url.to_string(),
    })
}

/// The absolute path of a local source, without `.` and `..`.
fn absolute(url: &SourceUrl, base: &Path) -> Result<PathBuf, OpenSourceError> {
    place::absolute(Path::new(url.local_path()), base).map_err(|message| OpenSourceError::Place {
        source_url: url.to_string(),
        message,
        remedy: "write an absolute path, or one relative to the policy's folder".to_owned(),
    })
}
