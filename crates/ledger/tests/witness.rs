//! What witnesses have seen is held against the record.

use crate::common::{
    at, composed, entry, exported, key, said_by_python, said_by_us, series, sqlite,
};
use vouchsafe_ledger::verify::{Expected, verify_export_by};
use vouchsafe_ledger::{ProblemKind, WitnessSigner};
use vouchsafe_model::{Fact, Witnessing};

fn auditor() -> WitnessSigner {
    WitnessSigner::from_seed("example.com/auditor", [21; 32]).unwrap()
}

#[test]
fn the_record_says_who_has_seen_it_up_to_where() {
    let place = sqlite();
    let ledger = place.open();
    ledger.append(&series(0..10)).unwrap();
    let auditor = auditor();
    let first = auditor.cosign(&ledger.head_at(4).unwrap(), at(20));
    let second = auditor.cosign(&ledger.head_at(9).unwrap(), at(30));
    for (secs, note) in [(21, &first), (31, &second)] {
        let fact = auditor.public().fact(note).unwrap();
        ledger
            .append(&[entry(secs, Fact::Witnessed(fact))])
            .unwrap();
    }
    let export = exported(&ledger);
    let later = auditor.cosign(&ledger.head().unwrap(), at(40));
    let vkey = auditor.public().to_string();
    let known = [auditor.public().clone()];
    let ours = |witnesses, heads: &[String]| {
        let expected = Expected {
            witnesses,
            heads,
            ..Expected::default()
        };
        verify_export_by(export.as_slice(), &expected).unwrap()
    };
    let report = ours(&[], &[]);
    assert!(report.is_sound(), "{report:#?}");
    let [seen] = report.witnesses.as_slice() else {
        panic!("{report:#?}");
    };
    assert_eq!((seen.size, seen.at, seen.entry), (9, at(30), Some(11)));
    assert!(!seen.is_known && seen.witness == vkey);
    assert!(ours(&known, &[]).witnesses[0].is_known);
    assert!(ledger.verify(&[]).unwrap().witnesses[0].size == 9);
    let heads = [later.clone()];
    let report = ours(&known, &heads);
    assert_eq!(
        (report.witnesses[0].size, report.witnesses[0].entry),
        (12, None)
    );
    let (said, text) = said_by_python(&export, None, &heads, &["--witness", &vkey]);
    assert_eq!(said.0, "sound", "{text}");
    assert!(text.contains("witnessed up to 12 entries"), "{text}");
    let (_, text) = said_by_python(&export, None, &[], &[]);
    assert!(
        text.contains("witnessed up to 9 entries") && text.contains("give --witness"),
        "{text}"
    );
}

#[test]
fn what_a_witness_has_not_signed_or_has_seen_otherwise_is_wrong() {
    let place = sqlite();
    let ledger = place.open();
    ledger.append(&series(0..10)).unwrap();
    let other = sqlite().open();
    other.append(&series(1..11)).unwrap();
    let auditor = auditor();
    let good = auditor.cosign(&ledger.head_at(9).unwrap(), at(30));
    let fact = || auditor.public().fact(&good).unwrap();
    let wrong = |name: &str, fact: Witnessing| {
        let mut entries = series(0..10);
        entries.push(entry(31, Fact::Witnessed(fact)));
        let bodies: Vec<_> = entries
            .iter()
            .map(|e| serde_json::to_vec(e).unwrap())
            .collect();
        let export = composed(&key(), &bodies);
        let report = verify_export_by(export.as_slice(), &Expected::default()).unwrap();
        assert_eq!(report.first_wrong(), Some(10), "{name}");
        assert_eq!(
            report.problems[0].kind,
            ProblemKind::Witness,
            "{name}: {report:#?}"
        );
        let (said, text) = said_by_python(&export, None, &[], &[]);
        assert_eq!(said, said_by_us(&report), "{name}: {text}");
    };
    let elsewhere = auditor.cosign(&other.head_at(9).unwrap(), at(30));
    wrong("another record", auditor.public().fact(&elsewhere).unwrap());
    wrong(
        "a head alone",
        Witnessing {
            note: ledger.head_at(9).unwrap().note,
            ..fact()
        },
    );
    let stranger = WitnessSigner::from_seed("example.com/auditor", [22; 32]).unwrap();
    wrong(
        "another key of the same name",
        Witnessing {
            witness: stranger.public().to_string(),
            ..fact()
        },
    );
    wrong(
        "another size",
        Witnessing {
            note: good.replacen("\n9\n", "\n8\n", 1),
            tree_size: 8,
            ..fact()
        },
    );
    let ahead = composed_head(12);
    wrong(
        "what is not there yet",
        auditor
            .public()
            .fact(&auditor.cosign(&ahead, at(30)))
            .unwrap(),
    );
}

fn composed_head(size: u64) -> vouchsafe_ledger::SignedHead {
    vouchsafe_ledger::SignedHead::sign(&key(), size, vouchsafe_ledger::leaf_hash(b"x"))
}
