//! The parent snapshot, walked alongside a capture to find what is unchanged.

use vouchsafe_format::{BlobKind, Id, Node, NodeKind, Xattr};
use vouchsafe_model::Issue;

use crate::index::BlobIndex;
use crate::repository::in_words;
use crate::trees::Trees;

/// Where the capture is in the parent's tree. A directory of the parent that cannot be read is as if it were not
/// there: its files are read again, and an issue says so.
pub(crate) struct Parent {
    trees: Option<Trees>,
    /// The entries of the directories from the root down, by name; empty where the parent has none.
    path: Vec<Vec<Node>>,
    issues: Vec<Issue>,
}

/// What the parent has where a file is.
pub(crate) enum Before {
    /// The same file, whose content is stored, and the extended attributes that it had.
    Same(Vec<Id>, Vec<Xattr>),
    /// Another version of the file.
    Other,
    /// Nothing.
    Absent,
}

impl Parent {
    /// Nothing is unchanged.
    pub(crate) fn none() -> Parent {
        Parent {
            trees: None,
            path: Vec::new(),
            issues: Vec::new(),
        }
    }

    pub(crate) fn new(trees: Trees, root: &Id) -> Parent {
        let mut parent = Parent {
            trees: Some(trees),
            path: Vec::new(),
            issues: Vec::new(),
        };
        let entries = parent.load(Some(*root));
        parent.path.push(entries);
        parent
    }

    pub(crate) fn enter(&mut self, name: &[u8]) {
        if self.trees.is_some() {
            let subtree = self
                .find(name)
                .filter(|n| n.kind == NodeKind::Dir)
                .and_then(|n| n.subtree);
            let entries = self.load(subtree);
            self.path.push(entries);
        }
    }

    pub(crate) fn leave(&mut self) {
        self.path.pop();
    }

    /// Compares as restic does: size, times of content and metadata, inode.
    pub(crate) fn before(&self, node: &Node, index: &BlobIndex) -> Before {
        let Some(old) = self
            .find(&node.name)
            .filter(|old| old.kind == NodeKind::File)
        else {
            return Before::Absent;
        };
        // What has no inode lies on no file system (a manifest, say), so that its times tell nothing.
        let same = node.inode != 0
            && old.size == node.size
            && old.inode == node.inode
            && old.mtime.unix_nanos() == node.mtime.unix_nanos()
            && old.ctime.unix_nanos() == node.ctime.unix_nanos();
        match &old.content {
            Some(content) if same && is_whole(content, node.size, index) => {
                Before::Same(content.clone(), old.extended_attributes.clone())
            }
            _ => Before::Other,
        }
    }

    pub(crate) fn into_issues(self) -> Vec<Issue> {
        self.issues
    }

    fn find(&self, name: &[u8]) -> Option<&Node> {
        let entries = self.path.last()?;
        let at = entries
            .binary_search_by(|node| node.name.as_slice().cmp(name))
            .ok()?;
        entries.get(at)
    }

    fn load(&mut self, tree: Option<Id>) -> Vec<Node> {
        let (Some(trees), Some(tree)) = (&self.trees, tree) else {
            return Vec::new();
        };
        match trees.load(&tree) {
            Ok(mut nodes) => {
                nodes.sort_by(|a, b| a.name.cmp(&b.name));
                nodes
            }
            Err(error) => {
                let message = format!(
                    "the parent's directory cannot be read: {}",
                    in_words(&error)
                );
                self.issues.push(Issue {
                    place: format!("tree {tree}"),
                    message,
                });
                Vec::new()
            }
        }
    }
}

/// Whether all chunks are stored, and are together as long as the file.
fn is_whole(content: &[Id], size: u64, index: &BlobIndex) -> bool {
    let lengths = content.iter().map(|id| {
        index
            .place(BlobKind::Data, id)
            .map(|place| place.plain_length())
    });
    lengths.sum::<Option<u64>>() == Some(size)
}
