//! Proofs of entries and of growth, and the record as tiles.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::common::{Place, at, key, other_key, series, sqlite};
use proptest::prelude::*;
use vouchsafe_ledger::{
    Frontier, Ledger, LedgerError, ProofError, Proven, TilesError, TreeHash, WitnessSigner,
    check_proof, leaf_hash,
};

fn ledger(size: u64) -> (Place, Ledger) {
    let place = sqlite();
    let ledger = place.open();
    ledger.append(&series(0..size)).unwrap();
    (place, ledger)
}

/// What the other program says of a proof.
fn said_by_python(proof: &str, older: Option<&str>) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("proof");
    std::fs::write(&file, proof).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/tools/verify_proof.py");
    let mut command = Command::new("python3");
    command.arg("-B").arg(script).arg(&file);
    command.args(["--key", &key().public_key_text()]);
    if let Some(older) = older {
        let head = dir.path().join("head");
        std::fs::write(&head, older).unwrap();
        command.arg("--head").arg(head);
    }
    let output = command
        .output()
        .expect("python3 is needed: apt-get install python3");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = text.lines().last().unwrap_or_default();
    assert!(
        !last.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    last.split(':').next().unwrap_or_default().to_owned()
}

#[test]
fn every_entry_is_proven_to_every_head() {
    let (_place, ledger) = ledger(20);
    let bodies = ledger.read_bytes(0..20).unwrap();
    for size in 1..=20 {
        for index in 0..size {
            let proof = ledger.prove_entry(index, Some(size)).unwrap();
            let proven = check_proof(&proof, key().public(), None, &[]).unwrap();
            let Proven::Entry {
                index: found,
                entry,
                head,
                ..
            } = proven
            else {
                panic!("{proof}");
            };
            assert_eq!((found, head.size), (index, size));
            assert_eq!(entry, bodies[index as usize]);
        }
    }
    let refused = ledger.prove_entry(20, None).unwrap_err();
    assert!(matches!(refused, LedgerError::Range { .. }), "{refused}");
}

#[test]
fn every_head_is_proven_to_go_on_from_every_older_one() {
    let (_place, ledger) = ledger(20);
    let heads: Vec<String> = (0..=20).map(|n| ledger.head_at(n).unwrap().note).collect();
    for size in 0..=20u64 {
        for from in 0..=size {
            let proof = ledger.prove_growth(from, Some(size)).unwrap();
            let older = Some(heads[from as usize].as_str());
            check_proof(&proof, key().public(), older, &[]).unwrap();
            let other = Some(heads[(from as usize + 1) % 21].as_str());
            let refused = check_proof(&proof, key().public(), other, &[]).unwrap_err();
            assert!(matches!(refused, ProofError::OlderHead { .. }), "{refused}");
        }
    }
    assert!(ledger.prove_growth(21, None).is_err());
    // A record that was written anew does not go on from what was seen of the one before.
    let rewritten = sqlite().open();
    rewritten
        .append(&[series(0..4), series(5..21)].concat())
        .unwrap();
    for from in 1..20 {
        let proof = rewritten.prove_growth(from, None).unwrap();
        let older = Some(heads[from as usize].as_str());
        let checked = check_proof(&proof, key().public(), older, &[]);
        assert_eq!(checked.is_ok(), from <= 4, "from {from}");
    }
}

#[test]
fn a_proof_tells_who_has_seen_the_head() {
    let (_place, ledger) = ledger(7);
    let witness = WitnessSigner::from_seed("example.com/auditor", [5; 32]).unwrap();
    let proof = ledger.prove_entry(3, None).unwrap();
    let note = ledger.head().unwrap().note;
    let cosigned = witness.cosign(&ledger.head().unwrap(), at(9));
    let proof = proof.replace(&note, &cosigned);
    let known = [witness.public().clone()];
    let proven = check_proof(&proof, key().public(), None, &known).unwrap();
    let Proven::Entry { witnesses, .. } = proven else {
        panic!("{proof}");
    };
    assert_eq!(
        (witnesses.len(), witnesses[0].size, witnesses[0].at),
        (1, 7, at(9))
    );
}

#[test]
fn another_program_checks_proofs_too() {
    let (_place, ledger) = ledger(11);
    for index in [0, 7, 10] {
        let proof = ledger.prove_entry(index, None).unwrap();
        assert_eq!(said_by_python(&proof, None), "sound");
        let other = proof.replacen(
            &format!("index {index}"),
            &format!("index {}", index ^ 1),
            1,
        );
        assert_eq!(said_by_python(&other, None), "wrong");
    }
    for (from, size) in [(1, 11), (4, 11), (7, 10), (8, 11), (11, 11)] {
        let proof = ledger.prove_growth(from, Some(size)).unwrap();
        let older = ledger.head_at(from).unwrap().note;
        assert_eq!(
            said_by_python(&proof, Some(&older)),
            "sound",
            "{from} {size}"
        );
        let other = ledger.head_at(from - 1).unwrap().note;
        assert_eq!(said_by_python(&proof, Some(&other)), "wrong");
    }
    assert_eq!(said_by_python("rubbish", None), "refused");
}

#[test]
fn what_is_no_proof_is_refused() {
    let (_place, ledger) = ledger(5);
    let good = ledger.prove_entry(2, None).unwrap();
    for bad in [
        String::new(),
        "old".to_owned(),
        good.replacen("index 2", "index 02", 1),
        good.replacen("index 2\n", "", 1),
        good.replacen("extra ", "other ", 1),
        good.replacen("@v1", "@v2", 1),
        good.replacen("index 2\n", &format!("index 2\n{}", "!\n".repeat(70)), 1),
    ] {
        let refused = check_proof(&bad, key().public(), None, &[]).unwrap_err();
        assert!(matches!(refused, ProofError::Form), "{bad}: {refused}");
    }
    let refused = check_proof(&good, other_key().public(), None, &[]).unwrap_err();
    assert!(matches!(refused, ProofError::Head(_)), "{refused}");
    let growth = ledger.prove_growth(2, None).unwrap();
    let refused = check_proof(&growth, key().public(), None, &[]).unwrap_err();
    assert!(
        matches!(refused, ProofError::OlderHead { size: 2 }),
        "{refused}"
    );
}

proptest! {
    #[test]
    fn any_changed_byte_of_a_proof_is_seen(at in 0usize..4000, flip in 1u8..=255) {
        let mut bytes = PROOF.with(Clone::clone).into_bytes();
        let at = at % bytes.len();
        bytes[at] ^= flip;
        if let Ok(text) = String::from_utf8(bytes) {
            prop_assert!(check_proof(&text, key().public(), None, &[]).is_err(), "{text}");
        }
    }
}

thread_local! {
    static PROOF: String = ledger(23).1.prove_entry(13, None).unwrap();
}

#[test]
fn tiles_hold_the_tree_and_every_entry() {
    let (_place, ledger) = ledger(600);
    let mut files = BTreeMap::new();
    let mut order = Vec::new();
    let size = ledger
        .tiles(&mut |name, bytes| {
            files.insert(name.to_owned(), bytes.to_vec());
            order.push(name.to_owned());
            Ok(())
        })
        .unwrap();
    assert_eq!(size, 600);
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    let expected = [
        "checkpoint",
        "tile/0/000",
        "tile/0/001",
        "tile/0/002.p/88",
        "tile/1/000.p/2",
        "tile/entries/000",
        "tile/entries/001",
        "tile/entries/002.p/88",
    ];
    assert_eq!(names, expected);
    assert_eq!(order.last().map(String::as_str), Some("checkpoint"));
    assert_eq!(
        files["checkpoint"],
        ledger.head().unwrap().note.into_bytes()
    );
    let root = |bytes: &[u8]| {
        let mut tree = Frontier::new();
        for hash in bytes.chunks(32) {
            tree.push(TreeHash::from_slice(hash).unwrap());
        }
        tree.root()
    };
    let level_1: Vec<u8> = [&files["tile/0/000"], &files["tile/0/001"]]
        .iter()
        .flat_map(|tile| root(tile).0)
        .collect();
    assert_eq!(files["tile/1/000.p/2"], level_1);
    let leaves: Vec<u8> = names[1..4]
        .iter()
        .flat_map(|name| files[*name].clone())
        .collect();
    assert_eq!(root(&leaves), ledger.head().unwrap().root);
    let mut bodies = Vec::new();
    for name in &names[5..] {
        let mut rest = files[*name].as_slice();
        while let Some((length, after)) = rest.split_first_chunk::<2>() {
            let (body, after) = after.split_at(usize::from(u16::from_be_bytes(*length)));
            bodies.push(body.to_vec());
            rest = after;
        }
    }
    assert_eq!(bodies, ledger.read_bytes(0..600).unwrap());
    assert_eq!(leaf_hash(&bodies[599]).0, leaves[599 * 32..]);
}

#[test]
fn an_entry_that_no_tile_can_hold_is_named() {
    let (_place, ledger) = ledger(2);
    let mut long = series(2..3);
    long[0].actor = "x".repeat(70_000);
    ledger.append(&long).unwrap();
    let refused = ledger.tiles(&mut |_, _| Ok(())).unwrap_err();
    assert!(
        matches!(refused, TilesError::TooLong { seq: 2, .. }),
        "{refused}"
    );
}
