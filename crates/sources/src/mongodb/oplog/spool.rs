//! The spool: pieces of an oplog, until every vault has them.

use std::path::{Path, PathBuf};

use vouchsafe_capture::{CaptureError, LogPiece};
use vouchsafe_format::fragment::Position;
use vouchsafe_host::files;

use crate::failure;
use crate::log::ReadLog;

/// A directory of files, each a piece, named by the marks from which and up to which it goes.
#[derive(Clone, Debug)]
pub(super) struct Spool {
    directory: PathBuf,
}

/// One piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Held {
    pub(super) from: u64,
    pub(super) to: u64,
}

/// The longest piece that is read.
const LONGEST: u64 = 32 << 20;

impl Spool {
    pub(super) fn open(directory: &Path) -> Result<Spool, CaptureError> {
        files::create_dir_all(directory, files::PRIVATE_DIR).map_err(failure::file)?;
        Ok(Spool {
            directory: directory.to_path_buf(),
        })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// All pieces, the oldest first.
    pub(super) fn held(&self) -> Result<Vec<Held>, CaptureError> {
        let names = files::list_dir(&self.directory).map_err(failure::file)?;
        let held = |name: &std::ffi::OsString| {
            let (from, to) = name.to_str()?.strip_suffix(".bson")?.split_once('-')?;
            Some(Held {
                from: from.parse().ok()?,
                to: to.parse().ok()?,
            })
        };
        let mut out: Vec<Held> = names.iter().filter_map(held).collect();
        out.sort();
        Ok(out)
    }

    /// Adds a piece; it is durable when this returns.
    pub(super) fn put(&self, held: Held, entries: &[u8]) -> Result<(), CaptureError> {
        files::write_atomic(self.path(held), entries, files::PRIVATE_FILE).map_err(failure::file)
    }

    pub(super) fn get(&self, held: Held) -> Result<Vec<u8>, CaptureError> {
        files::read(self.path(held), LONGEST).map_err(failure::file)
    }

    pub(super) fn remove(&self, held: Held) -> Result<(), CaptureError> {
        files::remove_file(self.path(held)).map_err(failure::file)
    }

    fn path(&self, held: Held) -> PathBuf {
        self.directory
            .join(format!("{:020}-{:020}.bson", held.from, held.to))
    }
}

impl ReadLog for Spool {
    fn read(&self, piece: &LogPiece) -> Result<Vec<u8>, CaptureError> {
        match (piece.span.from(), piece.span.to()) {
            (Position::Mark(from), Position::Mark(to)) => self.get(Held { from, to }),
            _ => Ok(Vec::new()),
        }
    }
}
