//! What a directory refers to, without decoding the rest of it.

use std::borrow::Cow;

use serde::Deserialize;

use crate::id::Id;
use crate::tree::TreeError;

/// The blobs that one directory needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// The trees of its directories.
    pub subtrees: Vec<Id>,
    /// The chunks of its files, in the order of the entries.
    pub chunks: Vec<Id>,
    /// Entries that are directories and name no tree: what lies below them is not known.
    pub orphans: usize,
}

/// The blobs that a tree refers to: at least all those of [`decode_tree`](crate::decode_tree), at a fraction of its
/// price. Names and times are not looked at, and may be wrong.
///
/// # Errors
/// [`TreeError::Malformed`]. Memory stays in proportion to the bytes given.
pub fn decode_references(json: &[u8]) -> Result<References, TreeError> {
    let tree: TreeJson<'_> = serde_json::from_slice(json)?;
    let mut out = References::default();
    for node in tree.nodes {
        if node.kind == "dir" && node.subtree.is_none() {
            out.orphans += 1;
        }
        out.subtrees.extend(node.subtree);
        out.chunks.extend(node.content.into_iter().flatten());
    }
    Ok(out)
}

#[derive(Deserialize)]
struct TreeJson<'a> {
    #[serde(borrow)]
    nodes: Vec<NodeJson<'a>>,
}

#[derive(Deserialize)]
struct NodeJson<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default)]
    content: Option<Vec<Id>>,
    #[serde(default)]
    subtree: Option<Id>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Node, NodeKind, decode_tree, encode_tree};
    use proptest::prelude::*;

    fn id(n: u8) -> Id {
        Id::of(&[n])
    }

    proptest! {
        #[test]
        fn nothing_that_a_directory_refers_to_is_missed(
            entries in proptest::collection::btree_map(
                proptest::collection::vec(1u8..=255, 1..8),
                (any::<bool>(), proptest::option::of(any::<u8>()), proptest::collection::vec(any::<u8>(), 0..5)),
                0..12,
            )
        ) {
            let nodes: Vec<Node> = entries.into_iter().map(|(name, (dir, subtree, content))| Node {
                name,
                kind: if dir { NodeKind::Dir } else { NodeKind::File },
                subtree: subtree.map(id),
                content: Some(content.into_iter().map(id).collect()),
                ..Node::default()
            }).filter(Node::has_safe_name).collect();
            let json = encode_tree(&nodes).unwrap();
            let found = decode_references(&json).unwrap();
            let whole = decode_tree(&json).unwrap();
            prop_assert_eq!(found.subtrees, whole.iter().filter_map(|n| n.subtree).collect::<Vec<_>>());
            prop_assert_eq!(
                found.chunks,
                whole.iter().flat_map(|n| n.content.clone().unwrap_or_default()).collect::<Vec<_>>()
            );
            let lost = whole.iter().filter(|n| n.kind == NodeKind::Dir && n.subtree.is_none()).count();
            prop_assert_eq!(found.orphans, lost);
        }

        #[test]
        fn what_is_no_tree_is_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if decode_references(&bytes).is_err() {
                prop_assert!(decode_tree(&bytes).is_err());
            }
        }
    }

    #[test]
    fn a_tree_without_nodes_is_not_an_empty_one() {
        assert!(decode_references(b"{}").is_err());
        assert!(decode_references(br#"{"nodes":[{"name":"x"}]}"#).is_err());
        assert!(decode_references(br#"{"nodes":[]}"#).is_ok());
    }
}
