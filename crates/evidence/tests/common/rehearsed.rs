//! The drills of the fixture.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use vouchsafe_model::drill::SandboxRecord;
use vouchsafe_model::fact::RecoveryPoint;
use vouchsafe_model::*;

use super::{run_id, sha, t, vault};

pub fn rung(
    name: &str,
    question: &str,
    expected: &str,
    actual: &str,
    outcome: RungOutcome,
) -> Rung {
    Rung {
        name: name.into(),
        question: question.into(),
        expected: expected.into(),
        actual: actual.into(),
        outcome,
    }
}

fn ladder(red: bool) -> Ladder {
    use RungOutcome::{Green, Red, Skipped};
    let content = if red {
        rung(
            "content",
            "Does every table hold the rows of the capture?",
            "table:orders: 48,210 rows, 91c04d",
            "table:orders: 48,209 rows, 5f22ab",
            Red,
        )
    } else {
        rung(
            "content",
            "Does every table hold the rows of the capture?",
            "14 of 14 tables as in the manifest",
            "14 of 14 tables as in the manifest",
            Green,
        )
    };
    let last = if red { Skipped } else { Green };
    Ladder {
        rungs: vec![
            rung(
                "key",
                "Does the passphrase open the repository?",
                "a master key",
                "a master key",
                Green,
            ),
            rung(
                "sealed",
                "Do the packs open under that key?",
                "18 packs open",
                "18 packs open",
                Green,
            ),
            rung(
                "bytes",
                "Does every blob hash to its id?",
                "312 blobs match",
                "312 blobs match",
                Green,
            ),
            rung(
                "identity",
                "Is this the point that the ledger recorded?",
                "tree 4be1…",
                "tree 4be1…",
                Green,
            ),
            rung(
                "opens",
                "Does the engine open it?",
                "integrity_check: ok",
                "integrity_check: ok",
                Green,
            ),
            content,
            rung(
                "links",
                "Do references between tables hold?",
                "0 dangling",
                if red { "not climbed" } else { "0 dangling" },
                last,
            ),
        ],
    }
}

fn control(
    name: &str,
    detail: &str,
    must: &str,
    first: Option<&str>,
    actual: &str,
) -> NegativeControl {
    NegativeControl {
        damage: Damage {
            name: name.into(),
            detail: detail.into(),
            must_redden: must.into(),
        },
        first_red: first.map(str::to_owned),
        actual: actual.into(),
        pair_green: true,
    }
}

pub fn drill(p: &RecoveryPoint, day: u64, red: bool, controls: bool) -> DrillResult {
    let ms = |name: &str, millis| Phase {
        name: name.into(),
        took: Span::from_millis(millis),
    };
    let mut negative_controls = Vec::new();
    if controls {
        negative_controls = vec![
            control(
                "flipped-byte",
                "one byte of pack 7c1e… flipped",
                "sealed",
                Some("sealed"),
                "pack 7c1e… does not open",
            ),
            control(
                "missing-pack",
                "pack 7c1e… taken away",
                "sealed",
                Some("sealed"),
                "pack 7c1e… is missing",
            ),
            control(
                "wrong-key",
                "another passphrase",
                "key",
                Some("key"),
                "no key opens",
            ),
            control(
                "wrong-row",
                "one row of table:orders changed and sealed validly",
                "content",
                Some("content"),
                "table:orders differs",
            ),
        ];
        if red {
            negative_controls.push(control(
                "stale-manifest",
                "the manifest of the day before",
                "identity",
                None,
                "every rung was green",
            ));
        }
    }
    DrillResult {
        run: run_id(9_000 + day),
        protection: p.protection.clone(),
        point: p.point.clone(),
        vault: vault(if red { "offsite" } else { "local" }),
        obligations: Vec::new(),
        started: t(day, 9, 0),
        ended: t(day, 9, 1),
        seed: Some(42),
        moment: None,
        equality: None,
        ladder: ladder(red),
        phases: vec![
            ms("open", 412),
            ms("fetch", 3_870),
            ms("restore", 6_204),
            ms("start", 350),
            ms("compare", 1_480),
        ],
        achieved_rto: Span::from_millis(10_836),
        target_rto: Some(if red {
            Span::from_secs(9)
        } else {
            Span::from_hours(2)
        }),
        bytes: 1_567_000_000,
        sandbox: SandboxRecord {
            isolation: "network namespace without egress, own directory".into(),
            destroyed: !red,
        },
        negative_controls,
        rules_digest: sha("rules"),
        engine: Some(Engine {
            name: "sqlite".into(),
            version: "3.51.1".into(),
        }),
    }
}
