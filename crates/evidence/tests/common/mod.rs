//! A workspace with something of everything: met, not met, unproven, planned, exempt; failures of every kind.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

pub mod declared;
pub mod period;
pub mod rehearsed;
pub mod story;
pub mod verdicts;

use std::collections::BTreeMap;

use vouchsafe_evidence::sample::Sampling;
use vouchsafe_evidence::{Approval, LedgerFacts, ReportInput, Witness};
use vouchsafe_model::assessment::{ObligationCounts, Silence};
use vouchsafe_model::fact::{CopyFact, Encryption, Recorded, RecoveryPoint};
use vouchsafe_model::*;

pub use declared::policy;
pub use rehearsed::drill;
pub use verdicts::assessment;

pub const DAY: u64 = 86_400;
/// 2026-11-01T00:00:00Z.
pub const BEGIN: i64 = 1_793_491_200;

pub fn t(day: u64, hour: u64, minute: u64) -> Time {
    Time::from_secs(BEGIN).plus(Span::from_secs(day * DAY + hour * 3_600 + minute * 60))
}

pub fn id(text: &str) -> ProtectionId {
    text.parse().unwrap()
}

pub fn vault(name: &str) -> VaultName {
    VaultName::new(name).unwrap()
}

fn sha(text: &str) -> String {
    use sha2::{Digest, Sha256};
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// Entries in their order, numbered from 0.
#[derive(Default)]
pub struct Log(pub Vec<Recorded>);

impl Log {
    pub fn put(&mut self, at: Time, fact: Fact) -> u64 {
        let seq = self.0.len() as u64;
        let entry = Entry {
            v: 1,
            at,
            actor: "vouchsafe@backup-1".into(),
            tool: "vouchsafe 0.1.0".into(),
            fact,
        };
        self.0.push(Recorded { seq, entry });
        seq
    }
}

pub fn due(
    kind: ObligationKind,
    of: Option<&str>,
    at: Option<&str>,
    duty: Option<&str>,
    opens: Time,
    due: Time,
) -> Obligation {
    Obligation::new(
        kind,
        of.map(id),
        at.map(vault),
        duty.map(str::to_owned),
        opens,
        due,
    )
}

fn capture_due(of: &str, day: u64) -> Obligation {
    due(
        ObligationKind::Capture,
        Some(of),
        None,
        None,
        t(day, 2, 0),
        t(day, 4, 0),
    )
}

pub fn run_id(n: u64) -> RunId {
    RunId::from_random(n.to_be_bytes())
}

pub fn point(
    of: &str,
    day: u64,
    outcome: Outcome,
    obligations: Vec<ObligationId>,
) -> RecoveryPoint {
    let n = sha(&format!("{of} {day}"));
    let bytes = u64::from_str_radix(&n[..16], 16).unwrap().to_be_bytes();
    RecoveryPoint {
        point: PointId::from_random(bytes),
        protection: id(of),
        run: RunId::from_random(bytes),
        obligations,
        started: t(day, 2, 0),
        content_time: t(day, 2, 0),
        completed: t(day, 2, 7),
        outcome,
        issues: Vec::new(),
        issue_count: 0,
        items: 1_204 + day,
        bytes: 1_567_000_000 + day * 12_345_678,
        tree: sha(&format!("tree {of} {day}")),
        manifest: Some(sha(&format!("manifest {of} {day}"))),
        schema: None,
        engine: None,
    }
}

pub fn copy(p: &RecoveryPoint, in_vault: &str, region: &str) -> CopyFact {
    CopyFact {
        point: p.point.clone(),
        protection: p.protection.clone(),
        vault: vault(in_vault),
        snapshot: sha(&format!("snapshot {} {in_vault}", p.point)),
        tree: p.tree.clone(),
        run: p.run.clone(),
        obligations: Vec::new(),
        completed: p.completed,
        added_bytes: 23_456_789,
        blobs_read_back: 312,
        encryption: Encryption {
            cipher: "AES-256-CTR + Poly1305-AES".into(),
            key: sha(in_vault),
            probed: true,
        },
        lock: None,
        region: Some(region.into()),
        country: Some("GB".into()),
    }
}

/// What the fixture's facts are, with the sequence numbers that verdicts cite.
pub struct World {
    pub policy: Policy,
    pub facts: Vec<Recorded>,
    pub assessment: Assessment,
    pub cited: BTreeMap<&'static str, u64>,
    pub period: PeriodAssessment,
    pub obligations: Vec<Fulfilment>,
}

pub fn world() -> World {
    let policy = policy();
    let mut log = Log::default();
    let mut cited = BTreeMap::new();
    story::beginning(&mut log, &policy);
    for day in 0..21 {
        story::shop_day(&mut log, day, &mut cited);
        story::website_day(&mut log, day, &mut cited);
    }
    story::rehearsals(&mut log, &mut cited);
    story::failures(&mut log, &mut cited);
    let assessment = assessment(&policy, &cited);
    let period = period::period(&policy, &log.0);
    let obligations = period::obligations(&log.0);
    World {
        period,
        obligations,
        policy,
        facts: log.0,
        assessment,
        cited,
    }
}

/// Only what is good.
pub fn calm() -> Assessment {
    let policy = policy();
    let cited = BTreeMap::new();
    let mut a = assessment(&policy, &cited);
    a.protections.truncate(1);
    a.missed.clear();
    a.exempt.clear();
    a.verdict = Verdict::Met;
    for c in &mut a.controls {
        c.verdict = Verdict::Met;
    }
    a.obligations = ObligationCounts {
        on_time: 42,
        late: 0,
        missed: 0,
        open: 2,
    };
    a
}

pub fn silent(a: &mut Assessment) {
    a.silence.push(Silence {
        from: t(15, 0, 0),
        to: t(18, 4, 0),
    });
}

pub fn broken(a: &mut Assessment) {
    a.breaks.push((
        12,
        "vault offsite holds a head that this ledger does not continue".into(),
    ));
}

impl World {
    pub fn input(&self) -> ReportInput<'_> {
        let size = self.facts.len() as u64;
        let root = sha("head");
        let seen = |name: &str, behind: u64, at: Time| Witness {
            vault: vault(name),
            tree_size: size.saturating_sub(behind),
            at,
        };
        ReportInput {
            policy: &self.policy,
            policy_text: b"policy: {}\n",
            judged_by: None,
            assessment: &self.assessment,
            facts: &self.facts,
            period: &self.period,
            obligations: &self.obligations,
            sampling: Sampling {
                size: None,
                seed: "2026-Q4".into(),
            },
            from: t(0, 0, 0),
            to: t(21, 3, 0),
            ledger: LedgerFacts {
                size,
                checkpoint: format!(
                    "vouchsafe/3f0c9a\n{size}\nrTq0mPpkSs7nZ0W3oQxg3bC1sQ5tYtH5b2m5o7n1y2k=\n\n\u{2014} vouchsafe/3f0c9a 7m3Yp0b1c2VhbGVkLi4uLg==\n"
                ),
                root,
                vkey: "vouchsafe/3f0c9a+ee6dd8a7+AWq0mPpkSs7nZ0W3oQxg3bC1sQ5tYtH5b2m5o7n1y2k".into(),
                fingerprint: "3f0c 9a11 52de 77b0 91aa 0c4f 6d2e 18b3 3f0c 9a11 52de 77b0 91aa 0c4f 6d2e 18b3".into(),
                witnesses: vec![seen("local", 12, t(20, 13, 0)), seen("offsite", 40, t(20, 2, 7))],
                breaks: Vec::new(),
            },
            approval: Approval {
                stated: Some("2026-01-12".into()),
                digest_matches: Some(true),
                text: "this text is the approved one".into(),
            },
            generated_at: t(21, 3, 5),
            tool: "vouchsafe 0.1.0".into(),
            redact_places: false,
            names_key: None,
        }
    }
}
