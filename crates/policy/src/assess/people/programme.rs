//! Tests of the programme that a drill answers without anybody having to say so.

use std::collections::HashSet;

use vouchsafe_model::fact::Recorded;
use vouchsafe_model::people::{About, ByDrill};
use vouchsafe_model::{
    DrillResult, Fact, Obligation, ObligationId, Policy, ProtectionId, SystemName, Time,
};

use crate::assess::owed::Ledgered;
use crate::assess::projection::Projection;

/// The tests that a green drill of `protection`, ended at `now`, answers: those of any of several systems at once,
/// and those of each of several once the others were drilled in the same period.
///
/// A system counts as drilled when each of its protections that can be was. Of what is past its time only the newest
/// is answered, late.
pub fn tests_answered(
    policy: &Policy,
    facts: &[Recorded],
    protection: &ProtectionId,
    now: Time,
) -> Vec<ObligationId> {
    let with_drill: Vec<_> = policy
        .people
        .duties
        .values()
        .filter_map(|d| Some((d, d.by_drill?)))
        .collect();
    if with_drill.is_empty() {
        return Vec::new();
    }
    let projection = Projection::of(facts, now);
    let ledgered = Ledgered::of(policy, &projection, now);
    let drills: Vec<&DrillResult> = facts
        .iter()
        .filter_map(|r| match &r.entry.fact {
            Fact::Drill(drill) if drill.is_green() && r.entry.at <= now => Some(drill),
            _ => None,
        })
        .collect();
    let mut out = Vec::new();
    for (duty, by) in with_drill {
        for about in duty
            .about
            .iter()
            .filter(|a| a.systems.contains(&protection.system))
        {
            let mine = |o: &&Obligation| o.about == about.name && o.opens <= now;
            let mut open: Vec<&Obligation> = ledgered
                .unanswered_of_duty(&duty.name)
                .filter(mine)
                .collect();
            open.sort();
            for (n, owed) in open.into_iter().rev().enumerate() {
                let in_time = n == 0 || owed.due >= now;
                let done = match by {
                    ByDrill::Any => true,
                    ByDrill::Each => each_drilled(policy, about, &drills, protection, owed.opens),
                };
                if in_time && done {
                    out.push(owed.id.clone());
                }
            }
        }
    }
    out
}

fn each_drilled(
    policy: &Policy,
    about: &About,
    drills: &[&DrillResult],
    now: &ProtectionId,
    since: Time,
) -> bool {
    let mut drilled: HashSet<&ProtectionId> = drills
        .iter()
        .filter(|d| d.started >= since)
        .map(|d| &d.protection)
        .collect();
    drilled.insert(now);
    let whole = |system: &SystemName| {
        let Some(system) = policy.systems.get(system) else {
            return false;
        };
        let mut can = system
            .protections
            .values()
            .filter(|p| p.way.is_connected())
            .peekable();
        can.peek().is_some() && can.all(|p| drilled.contains(&p.id))
    };
    about.systems.iter().all(whole)
}
