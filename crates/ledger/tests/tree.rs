//! The Merkle tree against RFC 6962: known roots, and the definition written out.

use proptest::prelude::*;
use sha2::{Digest, Sha256};
use vouchsafe_ledger::{Frontier, TreeHash, leaf_hash};

/// The leaves and roots that the Certificate Transparency implementations test each other with.
const LEAVES: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

/// RFC 6962, section 2.1, as it stands there.
fn defined(leaves: &[Vec<u8>]) -> [u8; 32] {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => Sha256::new()
            .chain_update([0])
            .chain_update(leaf)
            .finalize()
            .into(),
        _ => {
            let mut k = 1;
            while k * 2 < leaves.len() {
                k *= 2;
            }
            Sha256::new()
                .chain_update([1])
                .chain_update(defined(&leaves[..k]))
                .chain_update(defined(&leaves[k..]))
                .finalize()
                .into()
        }
    }
}

#[test]
fn known_roots() {
    let mut tree = Frontier::new();
    assert_eq!(tree.root().to_string(), ROOTS[0]);
    for (leaf, root) in LEAVES.iter().zip(&ROOTS[1..]) {
        tree.push(leaf_hash(&hex::decode(leaf).unwrap()));
        assert_eq!(tree.root().to_string(), *root);
    }
}

#[test]
fn a_leaf_is_no_node() {
    // The leaf whose bytes are a node's must not hash to that node.
    let (a, b) = (leaf_hash(b"a"), leaf_hash(b"b"));
    let mut tree = Frontier::new();
    tree.push(a);
    tree.push(b);
    let forged = [&[1], a.0.as_slice(), b.0.as_slice()].concat();
    assert_ne!(leaf_hash(&forged), tree.root());
    assert_ne!(leaf_hash(&forged[1..]), tree.root());
}

#[test]
fn hashes_have_one_text() {
    let text = ROOTS[3];
    assert_eq!(text.parse::<TreeHash>().unwrap().to_string(), text);
    for bad in [
        &text.to_uppercase(),
        &text[1..],
        "",
        &text.replace('a', "g"),
    ] {
        assert!(bad.parse::<TreeHash>().is_err(), "{bad} was accepted");
    }
}

proptest! {
    #[test]
    fn the_grown_tree_is_the_defined_one(leaves in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..70)) {
        let mut tree = Frontier::new();
        for n in 0..=leaves.len() {
            prop_assert_eq!(tree.root().0, defined(&leaves[..n]));
            let stored = Frontier::from_bytes(n as u64, &tree.to_bytes());
            prop_assert_eq!(stored.as_ref(), Some(&tree));
            if let Some(leaf) = leaves.get(n) {
                tree.push(leaf_hash(leaf));
            }
        }
    }

    #[test]
    fn a_frontier_of_another_size_is_refused(size in 0u64..1000, nodes in 0usize..12, odd in 0usize..32) {
        let fits = size.count_ones() as usize == nodes && odd == 0;
        let stored = Frontier::from_bytes(size, &vec![0; nodes * 32 + odd]);
        prop_assert_eq!(stored.is_some(), fits);
    }
}
