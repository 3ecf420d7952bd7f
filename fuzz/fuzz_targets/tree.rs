//! Trees: what is read can be written, and is read again the same; and what only the references are read of refers to
//! nothing less.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_format::{NodeKind, decode_references, decode_tree, encode_tree};

fuzz_target!(|bytes: &[u8]| {
    let Ok(nodes) = decode_tree(bytes) else {
        return;
    };
    // What is pruned is decided by these alone.
    let found = decode_references(bytes).unwrap();
    let subtrees = nodes.iter().filter_map(|node| node.subtree);
    assert!(found.subtrees.iter().copied().eq(subtrees));
    let chunks = nodes.iter().flat_map(|node| node.content.iter().flatten());
    assert!(found.chunks.iter().eq(chunks));
    let lost = nodes
        .iter()
        .filter(|node| node.kind == NodeKind::Dir && node.subtree.is_none());
    assert_eq!(found.orphans, lost.count());
    if let Ok(again) = encode_tree(&nodes) {
        let twice = encode_tree(&decode_tree(&again).unwrap()).unwrap();
        assert_eq!(twice, again);
    }
});
