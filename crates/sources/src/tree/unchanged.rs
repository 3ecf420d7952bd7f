//! Whether what is on disk is what a point holds, so that it need not be written.

use std::fs::File;
use std::io::{self, Read};

use vouchsafe_capture::{Compare, PointReader};
use vouchsafe_format::{Id, Node, NodeKind};
use vouchsafe_host::DestDir;
use vouchsafe_host::inode::Kind;

use crate::node;

/// Compares entries below a directory with those of a point.
pub(crate) struct Unchanged<'a> {
    pub(crate) dest: &'a DestDir,
    pub(crate) point: &'a dyn PointReader,
    pub(crate) compare: Compare,
}

impl Unchanged<'_> {
    /// Whether the content at `rel` is the node's. What cannot be looked at counts as changed.
    pub(crate) fn is(&self, rel: &[u8], node: &Node) -> bool {
        let Ok(seen) = self.dest.lstat(rel) else {
            return false;
        };
        match (&node.kind, seen.kind) {
            (NodeKind::File, Kind::File) if seen.size != node.size => false,
            (NodeKind::File, Kind::File) => match self.compare {
                Compare::SizeAndTime => seen.mtime == node::host_time(node.mtime),
                Compare::Content => self.same_content(rel, node).unwrap_or(false),
            },
            (NodeKind::Symlink, Kind::Symlink) => {
                let target = self.dest.read_link(rel);
                target.is_ok_and(|target| target == node.linktarget)
            }
            _ => false,
        }
    }

    /// Whether two names below the directory are one file.
    pub(crate) fn is_one_file(&self, a: &[u8], b: &[u8]) -> bool {
        match (self.dest.lstat(a), self.dest.lstat(b)) {
            (Ok(a), Ok(b)) => a.kind == Kind::File && (a.dev, a.ino) == (b.dev, b.ino),
            _ => false,
        }
    }

    /// Cuts the file as the point's is cut, and compares the digests of the parts.
    fn same_content(&self, rel: &[u8], node: &Node) -> io::Result<bool> {
        let Some(lengths) = self.point.chunk_lengths(node) else {
            return Ok(false);
        };
        let chunks = node.content.as_deref().unwrap_or_default();
        if lengths.iter().sum::<u64>() != node.size || lengths.len() != chunks.len() {
            return Ok(false);
        }
        let opened = self.dest.open_read(rel);
        let mut file: File = opened.map_err(|error| io::Error::other(error.to_string()))?;
        let mut part = Vec::new();
        for (chunk, length) in chunks.iter().zip(lengths) {
            part.clear();
            file.by_ref().take(length).read_to_end(&mut part)?;
            if part.len() as u64 != length || Id::of(&part) != *chunk {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
