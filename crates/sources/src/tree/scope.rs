//! Which part of a point is meant, and where it lies below a directory on disk.

use vouchsafe_capture::{CaptureError, PointReader, TreePath, Visit};
use vouchsafe_format::{Node, NodeKind};

/// The part of a point below one place, perhaps only some of it.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    root: TreePath,
    only: Option<TreePath>,
}

/// Where an entry lies in relation to a scope.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Where {
    /// A directory on the way to the scope's root.
    Above,
    /// The scope's root, which is a directory.
    Root,
    /// Within the scope, at this path below the directory on disk.
    Inside(Vec<u8>),
    /// Not meant.
    Outside,
}

impl Scope {
    /// Everything below this place.
    pub(crate) fn below(root: TreePath) -> Scope {
        Scope { root, only: None }
    }

    /// Restricted to `include`: a path below the scope's root, or if there is none, a whole path inside of it.
    pub(crate) fn narrowed(
        self,
        point: &dyn PointReader,
        include: Option<&TreePath>,
    ) -> Result<Scope, CaptureError> {
        if find(point, &self.root)?.is_none() {
            return Err(self.absent(&self.root));
        }
        let Some(include) = include.filter(|i| !i.names().is_empty()) else {
            return Ok(self);
        };
        let below = concat(&self.root, include);
        let found = if find(point, &below)?.is_some() {
            below
        } else if include.is_at_or_below(&self.root) && find(point, include)?.is_some() {
            include.clone()
        } else {
            return Err(self.absent(include));
        };
        Ok(Scope {
            root: self.root,
            only: Some(found),
        })
    }

    /// Where this entry lies.
    pub(crate) fn place(&self, path: &TreePath, node: &Node) -> Where {
        if !path.is_at_or_below(&self.root) {
            return if self.root.is_at_or_below(path) {
                Where::Above
            } else {
                Where::Outside
            };
        }
        if let Some(only) = &self.only
            && !path.is_at_or_below(only)
            && !only.is_at_or_below(path)
        {
            return Where::Outside;
        }
        let below = path
            .names()
            .get(self.root.names().len()..)
            .unwrap_or_default();
        match below {
            [] if node.kind == NodeKind::Dir => Where::Root,
            // A root that is no directory lies on disk under its own name.
            [] => Where::Inside(node.name.clone()),
            below => Where::Inside(below.join(&b'/')),
        }
    }

    /// Walks the entries of the scope: its root (if it is a directory) and what is inside.
    pub(crate) fn walk(
        &self,
        point: &dyn PointReader,
        visit: &mut dyn FnMut(&Where, &Node) -> Result<Visit, CaptureError>,
    ) -> Result<(), CaptureError> {
        point.walk(&mut |path, node| match self.place(path, node) {
            Where::Above => Ok(Visit::Into),
            Where::Outside => Ok(Visit::Over),
            inside => visit(&inside, node),
        })
    }

    fn absent(&self, path: &TreePath) -> CaptureError {
        CaptureError::Unreadable {
            place: path.to_string(),
            message: format!(
                "the point does not hold it (it was captured from {})",
                self.root
            ),
            remedy: "look at what is in the point, and name a path below its root".to_owned(),
        }
    }
}

/// The node at a place of a point; for the point's root, which has none, a directory without metadata.
pub(crate) fn find(
    point: &dyn PointReader,
    wanted: &TreePath,
) -> Result<Option<Node>, CaptureError> {
    let mut found = wanted.names().is_empty().then(|| Node {
        kind: NodeKind::Dir,
        ..Node::default()
    });
    if found.is_some() {
        return Ok(found);
    }
    point.walk(&mut |path, node| {
        if path == wanted {
            found = Some(node.clone());
            return Ok(Visit::Stop);
        }
        Ok(if wanted.is_at_or_below(path) {
            Visit::Into
        } else {
            Visit::Over
        })
    })?;
    Ok(found)
}

fn concat(a: &TreePath, b: &TreePath) -> TreePath {
    let mut out = a.clone();
    for name in b.names() {
        // Names of a path are names already.
        let _ = out.push(name);
    }
    out
}
