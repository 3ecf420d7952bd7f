//! The arguments of what looks into a vault.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `vault ls`
#[derive(Debug, Args)]
pub(crate) struct Ls {
    /// The vault's name.
    pub(crate) vault: String,
    /// `latest`, a point's name, or the beginning of a snapshot's id; without it the snapshots are listed.
    pub(crate) snapshot: Option<String>,
    /// Only this place; without it everything, with it a directory's own entries.
    pub(crate) path: Option<OsString>,
    /// Show modes, owners, sizes and times.
    #[arg(long, short)]
    pub(crate) long: bool,
    /// Also everything below the place.
    #[arg(long, short, requires = "path")]
    pub(crate) recursive: bool,
}

/// `vault find`
#[derive(Debug, Args)]
pub(crate) struct Find {
    /// The vault's name.
    pub(crate) vault: String,
    /// What to look for: *.txt, site/**/*.jpg, /srv/site/index.html
    #[arg(required = true)]
    pub(crate) patterns: Vec<String>,
    /// Only in this one; may be given several times.
    #[arg(long, value_name = "SNAPSHOT|POINT|latest")]
    pub(crate) snapshot: Vec<String>,
    /// Only what changed after this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    pub(crate) newer: Option<String>,
    /// Only what changed before this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    pub(crate) older: Option<String>,
    /// Upper case as lower case.
    #[arg(long, short)]
    pub(crate) ignore_case: bool,
    /// Show modes, owners, sizes and times.
    #[arg(long, short)]
    pub(crate) long: bool,
}

/// `vault diff`
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The vault's name.
    pub(crate) vault: String,
    /// The one before: `latest`, a point's name, or the beginning of a snapshot's id.
    pub(crate) before: String,
    /// The one after.
    pub(crate) after: String,
    /// Only this place and what lies below it.
    pub(crate) path: Option<OsString>,
    /// Also what differs in its metadata only.
    #[arg(long)]
    pub(crate) metadata: bool,
}

/// `vault mount`
#[derive(Debug, Args)]
pub(crate) struct Mount {
    /// The vault's name.
    pub(crate) vault: String,
    /// An existing directory; below it come snapshots/ID, points/POINT and systems/SYSTEM/TIME.
    pub(crate) dir: PathBuf,
}

/// `vault dump`
#[derive(Debug, Args)]
pub(crate) struct Dump {
    /// The vault's name.
    pub(crate) vault: String,
    /// `latest`, a point's name, or the beginning of a snapshot's id.
    pub(crate) snapshot: String,
    /// The file, or with --archive the tree.
    pub(crate) path: OsString,
    /// Write a tree as an archive of this kind.
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) archive: Option<Archive>,
}

/// Kinds of archives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Archive {
    /// As GNU tar, bsdtar and Python read it.
    Tar,
}

/// How files that are there are told from those of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompareBy {
    /// By size and time of change.
    Time,
    /// By what is in them.
    Content,
}
