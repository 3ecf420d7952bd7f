//! Restoring what others owned.

use std::io::Read;

use vouchsafe_capture::{CaptureError, ContentSink, PointReader, TreePath, Visit};
use vouchsafe_format::{Id, Node};
use vouchsafe_host::machine;

/// A point whose entries belong to us, whoever owned the originals.
pub(crate) struct Ours<'p> {
    point: &'p dyn PointReader,
    uid: u32,
    gid: u32,
}

impl<'p> Ours<'p> {
    /// The same point, owned by whoever runs us.
    pub(crate) fn of(point: &'p dyn PointReader) -> Ours<'p> {
        Ours {
            point,
            uid: machine::uid(),
            gid: machine::gid(),
        }
    }
}

impl PointReader for Ours<'_> {
    fn tree(&self) -> Id {
        self.point.tree()
    }

    fn walk(
        &self,
        visit: &mut dyn FnMut(&TreePath, &Node) -> Result<Visit, CaptureError>,
    ) -> Result<(), CaptureError> {
        self.point.walk(&mut |path, node| {
            let node = Node {
                uid: self.uid,
                gid: self.gid,
                ..node.clone()
            };
            visit(path, &node)
        })
    }

    fn fetch(&self, files: &[Node], out: &dyn ContentSink) -> Result<(), CaptureError> {
        self.point.fetch(files, out)
    }

    fn chunk_lengths(&self, file: &Node) -> Option<Vec<u64>> {
        self.point.chunk_lengths(file)
    }

    fn open<'a>(&'a self, file: &Node) -> Result<Box<dyn Read + Send + 'a>, CaptureError> {
        self.point.open(file)
    }
}
