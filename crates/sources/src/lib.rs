//! What Vouchsafe captures itself: files, SQLite, git, PostgreSQL, MariaDB, MySQL and MongoDB.
//!
//! Each kind is a [`vouchsafe_capture::Source`] bound to one place; [`open`] makes it from what the policy says.

mod authority;
mod beside;
mod checks;
mod confine;
mod erasing;
mod exclude;
mod failure;
mod fetching;
mod files;
mod git;
mod handed;
mod heartbeat;
mod log;
mod mongodb;
mod mysql;
mod node;
mod place;
mod postgres;
mod rung;
mod sample;
mod spooled;
mod sqlite;
mod sum;
mod surroundings;
mod tokens;
mod tree;

use std::path::{Path, PathBuf};

use vouchsafe_capture::Source;
use vouchsafe_model::policy::Digests;
use vouchsafe_model::{SecretRef, SourceKind, SourceUrl};

pub use self::mongodb::{MongoDbLog, MongoDbSource};
pub use exclude::{ExcludeError, Excludes};
pub use files::FilesSource;
pub use git::GitSource;
pub use handed::{
    HANDED_IN, HandedError, HandedSource, LONGEST_TEXT, changed_lines, is_content_of, look_into,
};
pub use log::{
    FollowLog, FoundGap, LogCut, LogKind, LogStep, LogTick, ReadLog, ServerLog, open_log,
};
pub use mysql::{MySqlBaseSource, MySqlLog, MySqlSource};
pub use postgres::{
    LogFollower, PostgresAllSource, PostgresBaseSource, PostgresLog, PostgresSource,
    PostgresStandby, StandbyHeld,
};
pub use sample::write_sample_database;
pub use sqlite::{SqliteLog, SqliteSource};
pub use surroundings::{Found, FoundKind, Reads, Surroundings, reads, surroundings};

/// Why a source of the policy cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenSourceError {
    /// The kind is known to the policy, but this version cannot capture it.
    #[error(
        "{source_url}: the kind `{kind}` is declared, not yet connected; this version captures files, sqlite, git, postgres, mysql and mongodb"
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
    /// A data directory was given to something that is not a whole PostgreSQL server.
    #[error(
        "{source_url}: `data_directory` has a meaning only for a whole PostgreSQL server (postgres://user@host, without a database); remove it"
    )]
    DataDirectoryMeaningless {
        /// The source, passwords hidden.
        source_url: String,
    },
}

/// What a policy says of a source beside its URL.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// Patterns of what is left out.
    pub exclude: &'a [String],
    /// The password, by reference; fetched only when a connection is made.
    pub password: Option<&'a SecretRef>,
    /// How much of a database's rows is digested.
    pub digests: Digests,
    /// Queries that must give one true value each in the restored database.
    pub checks: &'a [String],
    /// The data directory of a server on this host, to be read instead of asking the server for its files.
    pub data_directory: Option<&'a Path>,
    /// How many processes dump a PostgreSQL database at once, if more than one; of no account for other kinds.
    pub dump_jobs: Option<u32>,
    /// Whether the log is shipped: then a point says where in it it lies, where that is not so anyway.
    pub ships_log: bool,
    /// Where relative places start: the policy's folder.
    pub base: &'a Path,
}

impl<'a> Settings<'a> {
    /// No more than where relative places start.
    pub fn below(base: &'a Path) -> Settings<'a> {
        Settings {
            exclude: &[],
            password: None,
            digests: Digests::Full,
            checks: &[],
            data_directory: None,
            dump_jobs: None,
            ships_log: false,
            base,
        }
    }
}

/// The source that `url` names.
///
/// Nothing is touched: whether the place exists is seen by [`Source::discover`].
pub fn open(url: &SourceUrl, settings: &Settings<'_>) -> Result<Box<dyn Source>, OpenSourceError> {
    open_reading(url, settings, None)
}

/// The same source, but reading a copy of its data at `copy`.
///
/// What is captured has the names of the original, so that two points can be compared: this is how a copy that was
/// damaged on purpose becomes a point.
pub fn open_copy(
    url: &SourceUrl,
    settings: &Settings<'_>,
    copy: &Path,
) -> Result<Box<dyn Source>, OpenSourceError> {
    open_reading(url, settings, Some(copy))
}

fn open_reading(
    url: &SourceUrl,
    settings: &Settings<'_>,
    copy: Option<&Path>,
) -> Result<Box<dyn Source>, OpenSourceError> {
    let copy = copy.map(Path::to_path_buf);
    let Settings {
        exclude,
        password,
        digests,
        checks,
        data_directory,
        dump_jobs,
        ships_log,
        base,
    } = *settings;
    let is_base = url.kind() == &SourceKind::Postgres && !postgres::names_database(url);
    if data_directory.is_some() && !is_base {
        return Err(OpenSourceError::DataDirectoryMeaningless {
            source_url: url.to_string(),
        });
    }
    match url.kind() {
        SourceKind::Files => Ok(Box::new(FilesSource::open(url, exclude, base, copy)?)),
        SourceKind::Sqlite => {
            whole(url, exclude)?;
            let source = SqliteSource::open(url, base, copy)?;
            Ok(Box::new(source.checked_by(checks).logged(ships_log)))
        }
        SourceKind::Git => {
            whole(url, exclude)?;
            Ok(Box::new(GitSource::open(url, base, copy)?))
        }
        SourceKind::Postgres => {
            whole(url, exclude)?;
            if postgres::names_all(url) {
                let source = PostgresAllSource::open(url, password, base, copy)?;
                let source = source.digesting(digests).checked_by(checks);
                let source = source.dumped_by(dump_jobs.unwrap_or(1));
                return Ok(Box::new(source));
            }
            if postgres::names_database(url) {
                let source = PostgresSource::open(url, password, base, copy)?;
                let source = source.digesting(digests).checked_by(checks);
                let source = source.dumped_by(dump_jobs.unwrap_or(1));
                return Ok(Box::new(source));
            }
            let source = PostgresBaseSource::open(url, password, base, copy)?;
            let source = source.reading_directory(data_directory);
            Ok(Box::new(source.checked_by(checks)))
        }
        SourceKind::MySql => {
            whole(url, exclude)?;
            if mysql::names_database(url) {
                let source = MySqlSource::open(url, password, base, copy)?;
                let source = source.digesting(digests).checked_by(checks);
                return Ok(Box::new(source));
            }
            let source = MySqlBaseSource::open(url, password, base, copy)?;
            Ok(Box::new(source.checked_by(checks)))
        }
        SourceKind::MongoDb => {
            whole(url, exclude)?;
            let source = MongoDbSource::open(url, password, base, copy)?;
            Ok(Box::new(source.checked_by(checks).logged(ships_log)))
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
