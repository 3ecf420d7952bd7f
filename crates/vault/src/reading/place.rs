//! A place in a snapshot: its entry, and what a directory holds.

use vouchsafe_capture::TreePath;
use vouchsafe_format::{Id, Node, NodeKind};

use super::error::LookupError;
use crate::error::{RepoError, TreeProblem};
use crate::point::Point;

impl Point {
    /// The entry at a place, and the place itself; the root is a directory without a name.
    ///
    /// A place that is not there is also looked for below the path that the snapshot was captured from, if that is
    /// one: so `index.html` finds `/srv/site/index.html`.
    ///
    /// # Errors
    /// [`LookupError::Absent`]; [`LookupError::Repository`] if a directory on the way cannot be read.
    pub fn locate(&self, path: &TreePath) -> Result<(TreePath, Node), LookupError> {
        if let Some(node) = self.descend(path)? {
            return Ok((path.clone(), node));
        }
        if let [captured] = self.snapshot().paths.as_slice()
            && let Ok(mut below) = TreePath::parse(captured.as_bytes())
            && path.names().iter().all(|name| below.push(name).is_ok())
            && let Some(node) = self.descend(&below)?
        {
            return Ok((below, node));
        }
        Err(LookupError::Absent {
            path: path.to_string(),
            snapshot: self.id(),
            captured: self.snapshot().paths.join(", "),
        })
    }

    /// The entries of a directory, by raw name.
    ///
    /// # Errors
    /// [`RepoError::Tree`]; [`RepoError::Interrupted`].
    pub fn entries(&self, directory: &Node) -> Result<Vec<Node>, RepoError> {
        let Some(tree) = directory.subtree else {
            let name = directory.name.escape_ascii().to_string();
            return Err(self.broken(self.snapshot().tree, TreeProblem::NoSubtree { name }));
        };
        if self.blobs.objects.env().interrupt.requested() {
            return Err(RepoError::Interrupted);
        }
        self.trees
            .load(&tree)
            .map_err(|source| self.broken(tree, source))
    }

    /// The root as a directory.
    pub fn root(&self) -> Node {
        Node {
            kind: NodeKind::Dir,
            subtree: Some(self.snapshot().tree),
            ..Node::default()
        }
    }

    fn descend(&self, path: &TreePath) -> Result<Option<Node>, RepoError> {
        let mut at = self.root();
        for name in path.names() {
            if at.kind != NodeKind::Dir {
                return Ok(None);
            }
            match self.entries(&at)?.into_iter().find(|n| n.name == *name) {
                Some(node) => at = node,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    fn broken(&self, tree: Id, source: TreeProblem) -> RepoError {
        RepoError::Tree {
            tree,
            store: self.blobs.objects.place(),
            source: Box::new(source),
        }
    }
}
