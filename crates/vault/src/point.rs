//! A point, read back.

use std::fmt;
use std::io::{self, Read};
use std::vec;

use vouchsafe_capture::{CaptureError, ContentSink, PointReader, TreePath, Visit};
use vouchsafe_format::{BlobKind, Id, Node, NodeKind, Snapshot};
use vouchsafe_model::Issue;

use crate::error::{RepoError, TreeProblem};
use crate::fetch::Blobs;
use crate::repository::Repository;
use crate::trees::Trees;

/// One snapshot of one repository, for reading.
pub struct Point {
    id: Id,
    snapshot: Snapshot,
    pub(crate) blobs: Blobs,
    pub(crate) trees: Trees,
    index_issues: Vec<Issue>,
}

impl Repository {
    /// Opens a snapshot for reading.
    ///
    /// Damaged index files do not hinder it: what only they list is reported by whatever needs it, and they
    /// themselves by [`Point::index_issues`].
    ///
    /// # Errors
    /// [`RepoError::NoSnapshot`], [`RepoError::Damaged`], [`RepoError::Store`].
    pub fn reader(&self, snapshot: &Id) -> Result<Point, RepoError> {
        let found = self.snapshot(snapshot)?;
        let (index, index_issues) = self.index()?;
        let blobs = Blobs {
            objects: self.objects.clone(),
            key: self.key.clone(),
            index: index.clone(),
            threads: self.hands(),
        };
        let trees = Trees::new(self.objects.clone(), self.key.clone(), index);
        Ok(Point {
            id: *snapshot,
            snapshot: found,
            blobs,
            trees,
            index_issues,
        })
    }
}

impl Point {
    /// The snapshot's id.
    pub fn id(&self) -> Id {
        self.id
    }

    /// The snapshot.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// What is wrong with the index; files may be missing because of it.
    pub fn index_issues(&self) -> &[Issue] {
        &self.index_issues
    }

    fn tree_error(&self, tree: Id, source: TreeProblem) -> CaptureError {
        CaptureError::vault(RepoError::Tree {
            tree,
            store: self.blobs.objects.place(),
            source: Box::new(source),
        })
    }
}

impl PointReader for Point {
    fn tree(&self) -> Id {
        self.snapshot.tree
    }

    /// A directory that cannot be read does not hinder the walk through the others; the first such one is the error
    /// at the end.
    fn walk(
        &self,
        visit: &mut dyn FnMut(&TreePath, &Node) -> Result<Visit, CaptureError>,
    ) -> Result<(), CaptureError> {
        let root = self.snapshot.tree;
        let entries = self
            .trees
            .load(&root)
            .map_err(|source| self.tree_error(root, source))?;
        let mut path = TreePath::root();
        let mut above: Vec<vec::IntoIter<Node>> = vec![entries.into_iter()];
        let mut broken = None;
        while let Some(entries) = above.last_mut() {
            let Some(node) = entries.next() else {
                above.pop();
                path.pop();
                continue;
            };
            if self.blobs.objects.env().interrupt.requested() {
                return Err(CaptureError::Interrupted);
            }
            if path.push(&node.name).is_err() {
                let name = node.name.escape_ascii().to_string();
                broken.get_or_insert(self.tree_error(root, TreeProblem::UnsafeName { name }));
                continue;
            }
            let answer = visit(&path, &node)?;
            if answer == Visit::Stop {
                return broken.map_or(Ok(()), Err);
            }
            if node.kind == NodeKind::Dir && answer == Visit::Into {
                match self.entries_of(&node) {
                    Ok(entries) => {
                        above.push(entries.into_iter());
                        continue;
                    }
                    Err(error) => {
                        broken.get_or_insert(error);
                    }
                }
            }
            path.pop();
        }
        broken.map_or(Ok(()), Err)
    }

    fn fetch(&self, files: &[Node], out: &dyn ContentSink) -> Result<(), CaptureError> {
        self.blobs.fetch(files, out)
    }

    fn chunk_lengths(&self, file: &Node) -> Option<Vec<u64>> {
        let chunks = file.content.iter().flatten();
        chunks.map(|chunk| self.chunk_length(chunk)).collect()
    }

    fn open<'a>(&'a self, file: &Node) -> Result<Box<dyn Read + Send + 'a>, CaptureError> {
        let content = file.content.clone().unwrap_or_default();
        Ok(Box::new(FileReader {
            blobs: &self.blobs,
            content: content.into_iter(),
            current: io::Cursor::default(),
        }))
    }
}

impl Point {
    fn entries_of(&self, directory: &Node) -> Result<Vec<Node>, CaptureError> {
        let name = || directory.name.escape_ascii().to_string();
        match directory.subtree {
            Some(tree) => self
                .trees
                .load(&tree)
                .map_err(|source| self.tree_error(tree, source)),
            None => {
                Err(self.tree_error(self.snapshot.tree, TreeProblem::NoSubtree { name: name() }))
            }
        }
    }
}

impl fmt::Debug for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Point")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

struct FileReader<'a> {
    blobs: &'a Blobs,
    content: vec::IntoIter<Id>,
    current: io::Cursor<Vec<u8>>,
}

impl Read for FileReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let got = self.current.read(buf)?;
            if got > 0 || buf.is_empty() {
                return Ok(got);
            }
            let Some(id) = self.content.next() else {
                return Ok(0);
            };
            let blob = self
                .blobs
                .read(BlobKind::Data, &id)
                .map_err(io::Error::other)?;
            self.current = io::Cursor::new(blob);
        }
    }
}
