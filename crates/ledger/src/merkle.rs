//! The Merkle tree of RFC 6962, grown from the right edge.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tlog_tiles::tlog::{EMPTY_HASH, Hash, node_hash, record_hash};

/// A leaf's, a node's or a root's SHA-256; shown as 64 lower hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TreeHash(pub [u8; 32]);

/// A text that is not 64 lower hex digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a hash: 64 digits of 0-9 and a-f are needed")]
pub struct TreeHashError {
    /// The text as given.
    pub text: String,
}

/// The hash of the leaf that holds these bytes: SHA-256 of a zero byte and the bytes (RFC 6962, 2.1).
pub fn leaf_hash(bytes: &[u8]) -> TreeHash {
    TreeHash(record_hash(bytes).0)
}

/// The right edge of a tree: the roots of its complete subtrees, the largest first.
///
/// It is all that is needed to go on growing the tree and to know its root; its size in bytes is at
/// most 32 for each binary digit of the count of leaves.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    nodes: Vec<TreeHash>,
}

impl Frontier {
    /// The tree without leaves.
    pub fn new() -> Frontier {
        Frontier::default()
    }

    /// How many leaves the tree has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf at the right.
    pub fn push(&mut self, leaf: TreeHash) {
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            let Some(left) = self.nodes.pop() else { break };
            node = join(left, node);
        }
        self.nodes.push(node);
        self.size += 1;
    }

    /// The Merkle tree hash of all leaves; that of the empty tree is SHA-256 of nothing.
    pub fn root(&self) -> TreeHash {
        let mut nodes = self.nodes.iter().rev();
        match nodes.next() {
            None => TreeHash(EMPTY_HASH.0),
            Some(last) => nodes.fold(*last, |right, left| join(*left, right)),
        }
    }

    /// The nodes one after another, the largest subtree first: 32 bytes for each.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.nodes.iter().flat_map(|node| node.0).collect()
    }

    /// Reads [`Frontier::to_bytes`] back; nothing if the length does not fit a tree of `size` leaves.
    pub fn from_bytes(size: u64, bytes: &[u8]) -> Option<Frontier> {
        let (nodes, rest) = bytes.as_chunks::<32>();
        let fits = rest.is_empty() && nodes.len() == size.count_ones() as usize;
        fits.then(|| Frontier {
            size,
            nodes: nodes.iter().copied().map(TreeHash).collect(),
        })
    }
}

impl TreeHash {
    /// From 32 bytes; nothing for another length.
    pub fn from_slice(bytes: &[u8]) -> Option<TreeHash> {
        bytes.try_into().ok().map(TreeHash)
    }
}

impl fmt::Display for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TreeHash({self})")
    }
}

impl FromStr for TreeHash {
    type Err = TreeHashError;

    fn from_str(text: &str) -> Result<TreeHash, TreeHashError> {
        let error = || TreeHashError {
            text: text.to_owned(),
        };
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| error())?;
        // Upper-case digits would make two texts of one hash.
        let upper = text.bytes().any(|b| b.is_ascii_uppercase());
        if upper {
            Err(error())
        } else {
            Ok(TreeHash(bytes))
        }
    }
}

impl TryFrom<String> for TreeHash {
    type Error = TreeHashError;
    fn try_from(text: String) -> Result<TreeHash, TreeHashError> {
        text.parse()
    }
}

impl From<TreeHash> for String {
    fn from(hash: TreeHash) -> String {
        hash.to_string()
    }
}

fn join(left: TreeHash, right: TreeHash) -> TreeHash {
    TreeHash(node_hash(Hash(left.0), Hash(right.0)).0)
}
