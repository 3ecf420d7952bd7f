//! How a point is read back.

use std::io::Read;

use vouchsafe_format::{Id, Node};
use vouchsafe_model::Issue;

use crate::error::CaptureError;
use crate::path::TreePath;

/// What a visitor wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit {
    /// Go on, into this directory too.
    Into,
    /// Go on, but not into this directory.
    Over,
    /// End the walk.
    Stop,
}

/// One point in one vault. Every blob is re-hashed against its id before a byte of it is handed out.
pub trait PointReader: Send + Sync {
    /// The root of the tree.
    fn tree(&self) -> Id;

    /// Visits every entry below the root, parents before children, siblings by raw name.
    fn walk(
        &self,
        visit: &mut dyn FnMut(&TreePath, &Node) -> Result<Visit, CaptureError>,
    ) -> Result<(), CaptureError>;

    /// Fetches the content of many files in whichever order is best for the vault; `files[i]`'s bytes reach `out`
    /// under the number `i`, in any order of offsets, from several threads.
    fn fetch(&self, files: &[Node], out: &dyn ContentSink) -> Result<(), CaptureError>;

    /// How many bytes each part of a file's content has, in order; nothing if that is not known.
    fn chunk_lengths(&self, file: &Node) -> Option<Vec<u64>> {
        let _ = file;
        None
    }

    /// The content of one file, in order.
    fn open<'a>(&'a self, file: &Node) -> Result<Box<dyn Read + Send + 'a>, CaptureError>;
}

/// Receives the content of files from [`PointReader::fetch`].
pub trait ContentSink: Sync {
    /// These bytes belong at this offset of file `file`.
    fn write(&self, file: usize, offset: u64, bytes: &[u8]) -> Result<(), CaptureError>;
    /// All of file `file` has been written; called also for empty files.
    fn finished(&self, file: usize) -> Result<(), CaptureError>;
    /// File `file` cannot be had whole; nothing more comes for it.
    fn failed(&self, file: usize, issue: Issue);
}
