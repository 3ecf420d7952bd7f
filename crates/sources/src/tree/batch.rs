//! Files whose content is fetched together.

use vouchsafe_format::Node;

/// Files and their paths below the directory on disk; a vault fetches them in the order that suits it.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    nodes: Vec<Node>,
    paths: Vec<Vec<u8>>,
    chunks: usize,
}

/// Large, because a vault reads each pack once for each batch; bounded, because nodes are kept in memory, and because the
/// first batch has to be full before anything is fetched.
const MOST_FILES: usize = 8_192;
const MOST_CHUNKS: usize = 131_072;

impl Batch {
    /// Adds one file.
    pub(crate) fn push(&mut self, node: Node, path: Vec<u8>) {
        self.chunks += node.content.as_ref().map_or(0, Vec::len);
        self.nodes.push(node);
        self.paths.push(path);
    }

    /// Whether it should be fetched before more is added.
    pub(crate) fn is_full(&self) -> bool {
        self.nodes.len() >= MOST_FILES || self.chunks >= MOST_CHUNKS
    }

    /// How many files.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The files' nodes.
    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// One file: its path below the directory on disk, and its node.
    pub(crate) fn file(&self, at: usize) -> Option<(&[u8], &Node)> {
        Some((self.paths.get(at)?.as_slice(), self.nodes.get(at)?))
    }
}
