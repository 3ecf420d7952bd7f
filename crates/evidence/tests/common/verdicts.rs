//! The verdicts of the fixture.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::collections::BTreeMap;

use vouchsafe_model::assessment::ObligationCounts;
use vouchsafe_model::*;

use super::{capture_due, due, id, t};

fn judged(question: Question, verdict: Verdict, because: &str, facts: &[u64]) -> Judgement {
    Judgement {
        question,
        verdict,
        strength: (!facts.is_empty()).then_some(Strength::Measured),
        because: because.into(),
        facts: facts.to_vec(),
    }
}

pub fn protection_assessment(name: &str, judgements: Vec<Judgement>) -> ProtectionAssessment {
    let verdict = judgements
        .iter()
        .map(|j| j.verdict)
        .max()
        .unwrap_or(Verdict::Unproven);
    ProtectionAssessment {
        id: id(name),
        way: "capture".into(),
        connected: true,
        source: "files:/x".into(),
        owner: Some("platform@example.com".into()),
        tier: Some("critical".into()),
        verdict,
        judgements,
        newest_point: None,
        points: 0,
        achieved_rpo: None,
        target_rpo: None,
        achieved_log_rpo: None,
        target_log_rpo: None,
        achieved_rto: None,
        target_rto: None,
        proven_at: None,
        overdue: Vec::new(),
        next: None,
    }
}

pub fn assessment(policy: &Policy, cited: &BTreeMap<&'static str, u64>) -> Assessment {
    let all = vec![
        shop_verdict(cited),
        website_verdict(cited),
        code_verdict(cited),
        moneta_verdict(),
    ];
    let mut missed: Vec<Obligation> = all.iter().flat_map(|p| p.overdue.clone()).collect();
    missed.push(capture_due("website/main", 5));
    missed.push(due(
        ObligationKind::Duty,
        None,
        None,
        Some("metrics-review"),
        t(0, 0, 0),
        t(14, 0, 0),
    ));
    missed.sort_by_key(|o| std::cmp::Reverse(o.due));
    Assessment {
        at: t(21, 3, 0),
        policy_digest: policy.digest.clone(),
        verdict: Verdict::NotMet,
        protections: all,
        exempt: vec![(
            "scratch".into(),
            "holds nothing that cannot be computed again".into(),
        )],
        controls: controls(),
        obligations: ObligationCounts {
            on_time: 38,
            late: 1,
            missed: 4,
            open: 2,
        },
        missed,
        silence: Vec::new(),
        breaks: Vec::new(),
        duties: Vec::new(),
        owed_by_people: Vec::new(),
        incidents: Vec::new(),
        exemptions: Vec::new(),
        access: Vec::new(),
        paused: Vec::new(),
        storage: Vec::new(),
    }
}

fn controls() -> Vec<ControlAssessment> {
    let control = |framework: &str,
                   control: &str,
                   title: &str,
                   verdict,
                   because: &str,
                   questions: &[Question]| {
        ControlAssessment {
            framework: framework.into(),
            control: control.into(),
            title: title.into(),
            verdict,
            because: because.into(),
            questions: questions.to_vec(),
        }
    };
    use Question::*;
    vec![
        control(
            "SOC 2",
            "A1.2",
            "Backups are made, kept elsewhere, and protected.",
            Verdict::NotMet,
            "website/main has no point younger than its RPO.",
            &[Covered, Fresh, Copies, Encrypted],
        ),
        control(
            "SOC 2",
            "A1.3",
            "Recovery is tested.",
            Verdict::NotMet,
            "The newest drill of website/main came out red.",
            &[Proven],
        ),
        control(
            "SOC 2",
            "CC9.1",
            "Risks of disruption are met by measures that are known to work.",
            Verdict::NotMet,
            "website/main is not met.",
            &[Covered, Proven],
        ),
        control(
            "ISO 27001",
            "A.8.13",
            "Copies of information are kept and tested by the agreed policy.",
            Verdict::NotMet,
            "2 of 4 protections are not met.",
            &Question::ALL,
        ),
    ]
}

fn shop_verdict(cited: &BTreeMap<&'static str, u64>) -> ProtectionAssessment {
    use Question::*;
    let at = |key: &str| cited.get(key).copied().unwrap_or(0);
    let shop = protection_assessment(
        "shop-db/main",
        vec![
            judged(
                Covered,
                Verdict::Met,
                "21 complete points are kept.",
                &[at("shop point")],
            ),
            judged(
                Fresh,
                Verdict::Met,
                "The newest point holds the state of 1d 1h ago, as the schedule asks.",
                &[at("shop point")],
            ),
            judged(
                Copies,
                Verdict::Met,
                "2 of 2 vaults hold what they should.",
                &[at("shop copy"), at("shop offsite")],
            ),
            judged(
                Verified,
                Verdict::Met,
                "All stored bytes were read back within the last week.",
                &[at("local verification")],
            ),
            judged(
                Proven,
                Verdict::Met,
                "A drill on 2026-11-19 was green, in 10s of the 2h allowed.",
                &[at("shop drill")],
            ),
            judged(
                Encrypted,
                Verdict::Met,
                "Stored bytes were opened under the key, and are not the plaintext.",
                &[at("shop copy")],
            ),
            judged(
                Retained,
                Verdict::Met,
                "Nothing is gone before 35d, nothing is kept longer.",
                &[at("shop point")],
            ),
        ],
    );
    ProtectionAssessment {
        source: "sqlite:/srv/shop/shop.db".into(),
        newest_point: Some(t(20, 2, 0)),
        points: 21,
        achieved_rpo: Some(Span::from_hours(24)),
        target_rpo: Some(Span::from_hours(24)),
        achieved_log_rpo: None,
        target_log_rpo: None,
        achieved_rto: Some(Span::from_millis(10_836)),
        target_rto: Some(Span::from_hours(2)),
        proven_at: Some(t(18, 9, 1)),
        next: Some(capture_due("shop-db/main", 21)),
        ..shop
    }
}

fn website_verdict(cited: &BTreeMap<&'static str, u64>) -> ProtectionAssessment {
    use Question::*;
    let at = |key: &str| cited.get(key).copied().unwrap_or(0);
    let web = protection_assessment(
        "website/main",
        vec![
            judged(
                Covered,
                Verdict::Met,
                "17 complete points are kept.",
                &[at("web point")],
            ),
            judged(
                Fresh,
                Verdict::NotMet,
                "The newest complete point is 3d 1h old, and the RPO is 24h.",
                &[at("web point")],
            ),
            judged(
                Copies,
                Verdict::NotMet,
                "1 of 2 vaults holds a copy; offsite has none.",
                &[at("web point")],
            ),
            judged(
                Verified,
                Verdict::Unproven,
                "The newest verification of offsite did not read everything.",
                &[at("offsite verification")],
            ),
            judged(
                Proven,
                Verdict::NotMet,
                "The newest drill was red at rung `content`: table:orders has 48,209 rows, not 48,210.",
                &[at("web drill")],
            ),
            judged(
                Encrypted,
                Verdict::Met,
                "Stored bytes were opened under the key, and are not the plaintext.",
                &[at("web point")],
            ),
            judged(
                Retained,
                Verdict::Met,
                "Nothing is gone before 35d, nothing is kept longer.",
                &[at("web point")],
            ),
        ],
    );
    ProtectionAssessment {
        source: "files:/var/www".into(),
        newest_point: Some(t(18, 2, 0)),
        points: 17,
        target_rto: Some(Span::from_hours(2)),
        target_rpo: Some(Span::from_hours(24)),
        achieved_log_rpo: None,
        target_log_rpo: None,
        achieved_rto: Some(Span::from_millis(10_836)),
        overdue: vec![
            capture_due("website/main", 20),
            due(
                ObligationKind::Verify,
                Some("website/main"),
                Some("offsite"),
                None,
                t(13, 0, 0),
                t(20, 0, 0),
            ),
        ],
        next: Some(capture_due("website/main", 21)),
        ..web
    }
}

fn code_verdict(cited: &BTreeMap<&'static str, u64>) -> ProtectionAssessment {
    use Question::*;
    let at = |key: &str| cited.get(key).copied().unwrap_or(0);
    let code = protection_assessment(
        "code/main",
        vec![
            judged(
                Covered,
                Verdict::Met,
                "1 complete point is kept.",
                &[at("code point")],
            ),
            judged(
                Fresh,
                Verdict::Met,
                "The newest point holds the state of 1d 1h ago.",
                &[at("code point")],
            ),
            judged(
                Copies,
                Verdict::NotMet,
                "The copy in local has another tree than the point.",
                &[at("code copy")],
            ),
            judged(
                Verified,
                Verdict::Unproven,
                "No copy has been verified yet.",
                &[],
            ),
            judged(
                Proven,
                Verdict::Unproven,
                "No restore was ever rehearsed.",
                &[],
            ),
            judged(
                Encrypted,
                Verdict::Unproven,
                "No stored bytes were looked at.",
                &[at("code copy")],
            ),
            judged(
                Retained,
                Verdict::Met,
                "Nothing is gone before 35d.",
                &[at("code point")],
            ),
        ],
    );
    ProtectionAssessment {
        newest_point: Some(t(20, 2, 0)),
        points: 1,
        ..code
    }
}

fn moneta_verdict() -> ProtectionAssessment {
    let planned = Question::ALL
        .into_iter()
        .map(|q| judged(q, Verdict::Planned, "Declared, and not yet connected.", &[]))
        .collect();
    let p = protection_assessment("moneta-db/rds", planned);
    ProtectionAssessment {
        way: "observe".into(),
        connected: true,
        source: "rds:us-east-2/moneta".into(),
        ..p
    }
}
