//! Exports of released forms are read for ever.

use std::path::Path;

use crate::common::{
    answer, at, composed, due, entry, exported, horizon, key, numbered, obligation, said_by_python,
    sqlite,
};
use vouchsafe_ledger::{Ledger, Silence, leaf_hash, verify_export};
use vouchsafe_model::drill::SandboxRecord;
use vouchsafe_model::fact::{CopyFact, Encryption, RecoveryPoint};
use vouchsafe_model::{
    Damage, DrillResult, Entry, Fact, Issue, Ladder, NegativeControl, Outcome, Phase, PointId,
    ProtectionId, RunId, Rung, RungOutcome, Span, VaultName,
};

const GOLDEN: &[u8] = include_bytes!("golden/export-1.jsonl");
const GOLDEN_HEAD: &str = include_str!("golden/export-1.head");
/// Set this to write the golden files anew, which is right only for a new form under a new name.
const WRITE: &str = "VOUCHSAFE_WRITE_GOLDEN";

#[test]
fn form_1_is_read() {
    let published = [GOLDEN_HEAD.to_owned()];
    let vkey = key().public_key_text();
    let report = verify_export(GOLDEN, Some(&vkey), &published).unwrap();
    assert!(report.is_sound(), "{report:#?}");
    assert_eq!((report.entries, report.published_matched), (18, 1));
    assert_eq!(report.head.unwrap().note, GOLDEN_HEAD);
    let late: Vec<_> = report
        .obligations_without_facts
        .iter()
        .map(|o| o.due)
        .collect();
    assert_eq!(late, [at(3600)]);
    let silence = Silence {
        from: at(9000),
        to: at(9100),
    };
    assert_eq!(report.silence, [silence]);
    assert_eq!(report.breaks[0].reason, "foreign head in `offsite`");
    assert_eq!(
        (report.first_at, report.last_at),
        (Some(at(0)), Some(at(9200)))
    );
}

#[test]
fn form_1_is_still_written() {
    if std::env::var_os(WRITE).is_some() {
        return write_golden();
    }
    let bodies = bodies();
    assert_eq!(composed(&key(), &bodies), GOLDEN);
    let entries: Vec<Entry> = bodies
        .iter()
        .map(|b| serde_json::from_slice(b).unwrap())
        .collect();
    assert_eq!(entries, golden_entries());
}

/// The examination that `docs/ledger-format.md` describes, written in another language.
#[test]
fn another_program_reads_form_1() {
    let vkey = key().public_key_text();
    let published = [GOLDEN_HEAD.to_owned()];
    let (said, text) = said_by_python(GOLDEN, Some(&vkey), &published, &[]);
    assert_eq!(said, ("gaps".to_owned(), None));
    for line in [
        "! silence from 2026-01-31T06:30:00.000000Z",
        "! break at entry 17: foreign head in `offsite`",
        "was due 2026-01-31T05:00:00.000000Z and has no fact",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let shorter = composed(&key(), &bodies()[..12]);
    let (said, _) = said_by_python(&shorter, Some(&vkey), &published, &[]);
    assert_eq!(said, ("wrong".to_owned(), Some(12)));
}

/// The exact bytes of the golden entries.
fn bodies() -> Vec<Vec<u8>> {
    let lines = GOLDEN
        .split(|b| *b == b'\n')
        .filter(|l| l.starts_with(b"{\"seq\""));
    let text = |line: &[u8]| String::from_utf8(line.to_vec()).unwrap();
    lines
        .map(|line| {
            let line = text(line);
            let body = line.split_once("\"entry\":").unwrap().1;
            body.strip_suffix('}').unwrap().as_bytes().to_vec()
        })
        .collect()
}

fn write_golden() {
    let ledger = Ledger::open(&sqlite().url, key()).unwrap();
    ledger.append(&golden_entries()).unwrap();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    std::fs::write(dir.join("export-1.jsonl"), exported(&ledger)).unwrap();
    std::fs::write(dir.join("export-1.head"), ledger.head().unwrap().note).unwrap();
}

fn golden_entries() -> Vec<Entry> {
    let vault = || VaultName::new("local").unwrap();
    let run = || RunId::new("r-0123456789abcdef").unwrap();
    let root = leaf_hash(b"root").to_string();
    let (kept, missed, gone) = (
        obligation(0, 1800),
        obligation(60, 3600),
        obligation(90, 9999),
    );
    let policy = Fact::PolicyInForce {
        digest: leaf_hash(b"policy").to_string(),
        version: Some("1.2".into()),
        bytes: 1234,
        approved: Some(true),
    };
    let withdrawn = Fact::ObligationsWithdrawn {
        obligations: vec![gone.id.clone()],
        policy: leaf_hash(b"policy").to_string(),
    };
    let known = Fact::VaultKnown {
        vault: vault(),
        repository: leaf_hash(b"repository").to_string(),
        created: true,
    };
    let closed = Fact::RunClosed {
        run: run(),
        outcome: Outcome::Incomplete,
        issues: vec![Issue {
            place: "/srv/\u{e9}t\u{e9} \"x\"\n".into(),
            message: "permission denied".into(),
        }],
    };
    let published = Fact::Published {
        vault: vault(),
        tree_size: 12,
        root: root.clone(),
        snapshot: None,
    };
    let joined = Fact::Joined {
        vault: vault(),
        tree_size: 12,
        root,
    };
    let broken = Fact::Break {
        reason: "foreign head in `offsite`".into(),
        vault: Some(VaultName::new("offsite").unwrap()),
        tree_size: Some(99),
    };
    vec![
        entry(0, policy),
        entry(1, known),
        due(2, &kept),
        due(2, &missed),
        due(2, &gone),
        horizon(2, 9000),
        numbered(3),
        entry(30, Fact::RecoveryPoint(point(run()))),
        entry(40, Fact::Copy(copy(run()))),
        entry(45, Fact::Drill(drill(run()))),
        entry(50, closed),
        answer(60, &[&kept.id]),
        entry(70, withdrawn),
        entry(80, Fact::RunAbandoned { run: run() }),
        entry(90, published),
        entry(8000, joined),
        horizon(9100, 20_000),
        entry(9200, broken),
    ]
}

fn point(run: RunId) -> RecoveryPoint {
    RecoveryPoint {
        point: PointId::from_random([1; 8]),
        protection: ProtectionId::try_from("shop-db/main".to_owned()).unwrap(),
        run,
        obligations: vec![],
        started: at(10),
        content_time: at(10),
        completed: at(20),
        outcome: Outcome::Done,
        issues: vec![],
        issue_count: 0,
        items: 12,
        bytes: 34_567,
        tree: leaf_hash(b"tree").to_string(),
        manifest: None,
        schema: None,
        engine: None,
    }
}

fn copy(run: RunId) -> CopyFact {
    CopyFact {
        point: PointId::from_random([1; 8]),
        protection: ProtectionId::try_from("shop-db/main".to_owned()).unwrap(),
        vault: VaultName::new("local").unwrap(),
        snapshot: leaf_hash(b"snapshot").to_string(),
        tree: leaf_hash(b"tree").to_string(),
        run,
        obligations: vec![],
        completed: at(35),
        added_bytes: 4567,
        blobs_read_back: 89,
        encryption: Encryption {
            cipher: "AES-256-CTR + Poly1305-AES".into(),
            key: leaf_hash(b"repository").to_string(),
            probed: true,
        },
        lock: None,
        region: Some("hq".into()),
        country: Some("GB".into()),
    }
}

fn drill(run: RunId) -> DrillResult {
    DrillResult {
        run,
        protection: ProtectionId::try_from("shop-db/main".to_owned()).unwrap(),
        point: PointId::from_random([1; 8]),
        vault: VaultName::new("local").unwrap(),
        obligations: vec![],
        started: at(41),
        ended: at(44),
        seed: Some(42),
        moment: None,
        equality: None,
        ladder: Ladder {
            rungs: vec![Rung {
                name: "rows".into(),
                question: "Are the rows those of the capture?".into(),
                expected: "3 rows".into(),
                actual: "3 rows".into(),
                outcome: RungOutcome::Green,
            }],
        },
        phases: vec![Phase {
            name: "restore".into(),
            took: Span::from_millis(1234),
        }],
        achieved_rto: Span::from_millis(1234),
        target_rto: Some(Span::from_hours(2)),
        bytes: 34_567,
        sandbox: SandboxRecord {
            isolation: "network namespace".into(),
            destroyed: true,
        },
        negative_controls: vec![NegativeControl {
            damage: Damage {
                name: "flipped byte".into(),
                detail: "in a pack".into(),
                must_redden: "read".into(),
            },
            first_red: Some("read".into()),
            actual: "a pack does not match its digest".into(),
            pair_green: true,
        }],
        rules_digest: leaf_hash(b"rules").to_string(),
        engine: None,
    }
}
