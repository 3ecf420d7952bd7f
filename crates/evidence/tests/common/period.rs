//! How the fixture's three weeks went.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::collections::BTreeMap;

use vouchsafe_model::fact::{Recorded, RecoveryPoint};
use vouchsafe_model::period::*;
use vouchsafe_model::*;

use super::{id, t};

pub fn from() -> Time {
    t(0, 0, 0)
}

pub fn to() -> Time {
    t(21, 3, 0)
}

fn points(facts: &[Recorded]) -> Vec<(u64, &RecoveryPoint)> {
    let all = facts.iter().filter_map(|r| match &r.entry.fact {
        Fact::RecoveryPoint(p) => Some((r.seq, p)),
        _ => None,
    });
    all.collect()
}

/// Every obligation that was due, with how it came out.
pub fn obligations(facts: &[Recorded]) -> Vec<Fulfilment> {
    let points = points(facts);
    let mut all: Vec<Fulfilment> = facts
        .iter()
        .filter_map(|r| match &r.entry.fact {
            Fact::ObligationDue(o) if o.due >= from() && o.due < to() => Some(o),
            _ => None,
        })
        .map(|o| {
            let point = points.iter().find(|(_, p)| p.obligations.contains(&o.id));
            let standing = match point {
                Some((_, p)) if p.outcome != Outcome::Done => Standing::Unproven,
                Some((_, p)) if p.completed <= o.due => Standing::OnTime,
                Some(_) => Standing::Late,
                None => Standing::Missed,
            };
            Fulfilment {
                obligation: o.clone(),
                standing,
                answered_at: point
                    .filter(|_| standing != Standing::Unproven)
                    .map(|(_, p)| p.completed),
                answered_by: point.map(|(seq, _)| *seq),
                closure: (standing == Standing::Missed && o.due < t(10, 0, 0)).then(|| Closure {
                    of: Closes::Obligation(o.id.clone()),
                    at: t(6, 9, 0),
                    by: "platform@example.com".into(),
                    strength: Strength::Stated,
                    text: "cause: the disk was full; fixed: enlarged; captured again the next day"
                        .into(),
                    seq: 101,
                }),
            }
        })
        .collect();
    all.sort_by_key(|f| (f.obligation.due, f.obligation.id.clone()));
    all
}

pub fn period(policy: &Policy, facts: &[Recorded]) -> PeriodAssessment {
    let all = obligations(facts);
    let protections: Vec<ProtectionPeriod> = policy
        .protections()
        .filter(|(s, _)| s.exempt.is_none())
        .map(|(s, p)| one(s, &p.id, facts, &all))
        .collect();
    let mut counts = PeriodCounts::default();
    all.iter().for_each(|f| counts.count(f.standing));
    let control = |framework: &str, control: &str, verdict| ControlPeriod {
        framework: framework.into(),
        control: control.into(),
        counts,
        closed: 1,
        verdict,
    };
    PeriodAssessment {
        from: from(),
        to: to(),
        as_of: to(),
        verdict: PeriodVerdict::NotMet,
        counts,
        closed: 1,
        protections,
        others: Vec::new(),
        controls: vec![
            control("SOC 2", "A1.2", PeriodVerdict::NotMet),
            control("SOC 2", "A1.3", PeriodVerdict::NotMet),
            control("SOC 2", "CC9.1", PeriodVerdict::MetWithDeviations),
            control("ISO 27001", "A.8.13", PeriodVerdict::Unproven),
        ],
        deviations: all
            .into_iter()
            .filter(|f| !matches!(f.standing, Standing::OnTime | Standing::Open))
            .collect(),
        silence: Vec::new(),
    }
}

fn one(
    system: &System,
    of: &ProtectionId,
    facts: &[Recorded],
    all: &[Fulfilment],
) -> ProtectionPeriod {
    let mine: Vec<&Fulfilment> = all
        .iter()
        .filter(|f| f.obligation.protection.as_ref() == Some(of))
        .collect();
    let mut counts = PeriodCounts::default();
    mine.iter().for_each(|f| counts.count(f.standing));
    let closed = mine.iter().filter(|f| f.closure.is_some()).count() as u64;
    let verdict = match () {
        () if counts.missed > closed => PeriodVerdict::NotMet,
        () if counts.unproven > 0 || counts.total() == 0 => PeriodVerdict::Unproven,
        () if counts.late + counts.missed > 0 => PeriodVerdict::MetWithDeviations,
        () => PeriodVerdict::Met,
    };
    let rpo = turns(of, facts);
    let worst = rpo
        .iter()
        .filter_map(|turn| turn.before.map(|b| (b, turn.at)))
        .max();
    let tier = system.tier.as_ref();
    ProtectionPeriod {
        id: of.clone(),
        verdict,
        because: match verdict {
            PeriodVerdict::Met => Vec::new(),
            _ => vec![format!(
                "capture: {} missed, of {} obligations",
                counts.missed,
                counts.total()
            )],
        },
        counts,
        closed,
        rules: match mine.is_empty() {
            true => Vec::new(),
            false => vec![RulePeriod {
                kind: ObligationKind::Capture,
                protection: Some(of.clone()),
                vault: None,
                duty: None,
                counts,
                closed,
                verdict,
            }],
        },
        measured_from: rpo.first().map(|turn| turn.at),
        worst_rpo: worst.map(|(span, _)| span),
        worst_rpo_at: worst.map(|(_, at)| at),
        without_copy: Span::default(),
        target_rpo: tier.and_then(|t| t.rpo),
        rpo,
        worst_log_rpo: None,
        target_log_rpo: None,
        drills: drills(of, facts),
        target_rto: tier.and_then(|t| t.rto),
    }
}

fn turns(of: &ProtectionId, facts: &[Recorded]) -> Vec<RpoTurn> {
    let contents: BTreeMap<Time, Time> = points(facts)
        .into_iter()
        .filter(|(_, p)| p.protection == *of && p.outcome == Outcome::Done)
        .map(|(_, p)| (p.completed, p.content_time))
        .collect();
    let mut best: Option<Time> = None;
    let mut turns = Vec::new();
    for (at, content) in contents {
        turns.push(RpoTurn {
            at,
            before: best.map(|b| at.since(b)),
            after: Some(at.since(content)),
        });
        best = Some(content);
    }
    let last = best.map(|b| to().since(b));
    if last.is_some() {
        turns.push(RpoTurn {
            at: to(),
            before: last,
            after: last,
        });
    }
    turns
}

fn drills(of: &ProtectionId, facts: &[Recorded]) -> Vec<DrillPeriod> {
    let all = facts.iter().filter_map(|r| match &r.entry.fact {
        Fact::Drill(d) if d.protection == *of => Some((r.seq, d)),
        _ => None,
    });
    all.map(|(seq, d)| DrillPeriod {
        seq,
        ended: d.ended,
        vault: d.vault.clone(),
        achieved_rto: d.achieved_rto,
        target_rto: d.target_rto,
        green: d.is_green(),
        retested_by: None,
        closure: None,
    })
    .collect()
}

/// A name that the fixture knows.
pub fn shop() -> ProtectionId {
    id("shop-db/main")
}
