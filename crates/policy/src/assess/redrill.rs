//! A database whose schema changed is drilled anew: within a week, whatever its rhythm says.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use vouchsafe_model::fact::{Outcome, Recorded, RecoveryPoint};
use vouchsafe_model::{
    DrillResult, Fact, Obligation, ObligationKind, PointId, Policy, ProtectionId, Span, Time,
};

/// How long after the change the drill may take.
const WITHIN: Span = Span::from_days(7);

/// The drills that a changed schema asks for, by the facts recorded up to `now`; each has the same id whenever it is
/// computed. Protections that the policy does not drill owe none.
pub fn redrills(policy: &Policy, facts: &[Recorded], now: Time) -> Vec<Obligation> {
    let mut points: HashMap<&ProtectionId, Vec<&RecoveryPoint>> = HashMap::new();
    let mut drills: HashMap<&ProtectionId, Vec<&DrillResult>> = HashMap::new();
    for recorded in facts.iter().filter(|r| r.entry.at <= now) {
        match &recorded.entry.fact {
            Fact::RecoveryPoint(p) if p.schema.is_some() && p.outcome == Outcome::Done => {
                points.entry(&p.protection).or_default().push(p);
            }
            Fact::Drill(d) if d.is_green() => drills.entry(&d.protection).or_default().push(d),
            _ => {}
        }
    }
    let mut out = Vec::new();
    for (system, protection) in policy.protections() {
        let id = &protection.id;
        let (Some(points), Some(drills)) = (points.get(id), drills.get(id)) else {
            continue;
        };
        if system.exempt.is_some() || protection.drill.is_none() {
            continue;
        }
        let rules = protection.rules_digest();
        let valid = drills.iter().copied().filter(|d| d.rules_digest == rules);
        let points = points.iter().map(|point| captured(point));
        if let Some(changed) = changed(points, valid.map(|d| &d.point)) {
            let (kind, due) = (ObligationKind::Drill, changed.plus(WITHIN));
            out.push(Obligation::new(
                kind,
                Some(id.clone()),
                None,
                None,
                changed,
                due,
            ));
        }
    }
    out
}

/// A complete point, as far as its schema goes.
pub(super) struct Captured<P, S> {
    pub(super) point: P,
    pub(super) content_time: Time,
    pub(super) completed: Time,
    pub(super) schema: Option<S>,
}

/// By when a drill is due because the schema changed; nothing if it did not since it was drilled.
pub(super) fn due<P: Eq + Hash, S: Eq>(
    points: impl Iterator<Item = Captured<P, S>>,
    green: impl Iterator<Item = P>,
) -> Option<Time> {
    changed(points, green).map(|at| at.plus(WITHIN))
}

/// When the first point was complete that has the schema of now, if no drill of the points `green` has seen that schema
/// and one has seen another.
fn changed<P: Eq + Hash, S: Eq>(
    points: impl Iterator<Item = Captured<P, S>>,
    green: impl Iterator<Item = P>,
) -> Option<Time> {
    let mut points: Vec<Captured<P, S>> = points.collect();
    points.sort_by_key(|p| (p.content_time, p.completed));
    let schema = points.last()?.schema.as_ref()?;
    let drilled: HashSet<P> = green.collect();
    let seen: Vec<&S> = points
        .iter()
        .filter(|p| drilled.contains(&p.point))
        .filter_map(|p| p.schema.as_ref())
        .collect();
    if seen.is_empty() || seen.contains(&schema) {
        return None;
    }
    let same = points
        .iter()
        .rev()
        .take_while(|p| p.schema.as_ref() == Some(schema));
    same.last().map(|p| p.completed)
}

fn captured(point: &RecoveryPoint) -> Captured<&PointId, &String> {
    Captured {
        point: &point.point,
        content_time: point.content_time,
        completed: point.completed,
        schema: point.schema.as_ref(),
    }
}
