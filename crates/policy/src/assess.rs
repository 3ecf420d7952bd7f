//! Policy, facts and now give verdicts, each with its reason and the facts it rests on.

mod controls;
mod copies;
mod keys;
mod late;
mod locked;
mod log;
mod owed;
pub mod people;
mod period;
mod points;
mod projection;
mod proof;
mod redrill;
mod retained;
mod storage;

pub use crate::assess::projection::Projection;
pub use crate::assess::redrill::redrills;
pub use crate::assess::storage::space_to_record;

pub(crate) use crate::assess::controls::is_known as is_known_framework;
pub use crate::assess::period::{assess_period, period_obligations};
pub(crate) use crate::assess::points::{is_outside, region};
pub(crate) use crate::assess::storage::tells;

use vouchsafe_model::fact::Recorded;
use vouchsafe_model::ids::ProtectionName;
use vouchsafe_model::people_assessment::{AccessStanding, ExemptionState};
use vouchsafe_model::policy::{Protection, System, Way};
use vouchsafe_model::{
    Assessment, Judgement, Policy, ProtectionAssessment, ProtectionId, Question, Strength, Time,
    Verdict,
};

use crate::assess::late::Late;
use crate::assess::owed::{Ledgered, Owed};
use crate::assess::people::Register;
use crate::assess::points::View;
use crate::holds::Holds;

/// Judges every protection of `policy` by the facts recorded up to `now`.
///
/// `facts` are in the order of the ledger; what was recorded after `now` is not looked at. Obligations are taken
/// from the ledger, not computed anew; what was withdrawn before it was due is not judged. Unproven is never met.
pub fn assess(policy: &Policy, facts: &[Recorded], now: Time) -> Assessment {
    judge(policy, &Projection::of(facts, now), now)
}

/// The same by what a projection has taken in, which is quicker by far where the projection is there already.
///
/// Nothing if it has taken in what was recorded after `now`: that cannot be taken out again, and the facts up to then
/// have to be folded anew.
pub fn assess_projection(
    policy: &Policy,
    projection: &Projection,
    now: Time,
) -> Option<Assessment> {
    let is_later = projection.latest().is_some_and(|latest| latest > now);
    (!is_later).then(|| judge(policy, projection, now))
}

fn judge(policy: &Policy, projection: &Projection, now: Time) -> Assessment {
    let kept = projection.kept();
    let holds = Holds::of(kept, now);
    let owed = Ledgered::of(policy, projection, now);
    let register = Register::of(projection);
    let incidents = people::incidents(kept, now);
    let exemptions = people::exemptions(policy, kept, now);
    let late = Late::at(now);
    let mut protections = Vec::new();
    let mut exempt = Vec::new();
    for system in policy.systems.values() {
        if let Some(reason) = &system.exempt {
            exempt.push((system.name.to_string(), reason.clone()));
        } else if system.protections.is_empty() {
            protections.extend(unprotected(system));
        } else {
            for protection in system.protections.values() {
                protections.push(one(
                    policy,
                    system,
                    protection,
                    (projection, &holds, &exemptions, &late),
                    &owed,
                    now,
                ));
            }
        }
    }
    let silence = projection.silence(now);
    let nothing = match exempt.is_empty() {
        true => Verdict::Unproven,
        false => Verdict::Exempt,
    };
    let mut verdict = protections
        .iter()
        .map(|p| p.verdict)
        .reduce(Verdict::worse)
        .unwrap_or(nothing);
    let duties = people::duties(policy, &owed, &register, (&incidents, &exemptions), now);
    verdict = duties
        .iter()
        .map(|d| d.verdict)
        .fold(verdict, Verdict::worse);
    let storage = storage::storage(policy, projection, now);
    verdict = storage
        .iter()
        .filter(|s| s.tells)
        .map(|s| s.verdict)
        .fold(verdict, Verdict::worse);
    if silence.last().is_some_and(|s| s.to == now) {
        verdict = verdict.worse(Verdict::Unproven);
    }
    Assessment {
        at: now,
        policy_digest: policy.digest.clone(),
        verdict,
        controls: controls::controls(&policy.front.frameworks, &protections),
        protections,
        exempt,
        obligations: owed.counts(),
        silence,
        breaks: projection.breaks().to_vec(),
        duties,
        owed_by_people: people::items(policy, &owed, &register, &incidents, now),
        missed: owed.into_missed(),
        incidents,
        exemptions,
        access: people::accesses(kept, now)
            .into_iter()
            .filter(|a| matches!(a.standing, AccessStanding::InForce | AccessStanding::Asked))
            .collect(),
        paused: people::paused(kept, now).into_values().collect(),
        storage,
    }
}

/// What is known of one protection, for the questions.
struct Case<'a> {
    policy: &'a Policy,
    system: &'a System,
    protection: &'a Protection,
    projection: &'a Projection,
    /// The digest of its rules.
    rules: String,
    view: View<'a>,
    owed: &'a [Owed<'a>],
    late: &'a Late,
    now: Time,
}

impl Case<'_> {
    /// How long ago, for people.
    fn ago(&self, then: Time) -> String {
        format!("{} ago", self.now.since(then))
    }
}

/// What is known beside one protection.
type Known<'a> = (
    &'a Projection,
    &'a Holds<'a>,
    &'a [ExemptionState],
    &'a Late,
);

fn one(
    policy: &Policy,
    system: &System,
    protection: &Protection,
    (projection, holds, exemptions, late): Known<'_>,
    owed: &Ledgered<'_>,
    now: Time,
) -> ProtectionAssessment {
    let mine = owed.of_protection(&protection.id);
    let mine = mine.owed();
    let case = Case {
        policy,
        system,
        protection,
        projection,
        rules: protection.rules_digest(),
        view: View::of(policy, projection, projection.track(&protection.id)),
        owed: &mine,
        late,
        now,
    };
    let mut judgements = if protection.way.is_connected() {
        vec![
            points::covered(&case),
            points::fresh(&case),
            copies::copies(&case),
            proof::verified(&case),
            proof::proven(&case),
            keys::encrypted(&case),
            retained::retained(&case),
        ]
    } else {
        let because = "declared, not yet connected: this version can neither do nor check it";
        Question::ALL
            .iter()
            .map(|q| judged(*q, Verdict::Unproven, because.to_owned(), Vec::new()))
            .collect()
    };
    people::apply(&mut judgements, &system.name, policy, exemptions);
    let tier = system.tier.as_ref();
    let drill = proof::newest(&case);
    ProtectionAssessment {
        id: protection.id.clone(),
        way: protection.way.word().to_owned(),
        connected: protection.way.is_connected(),
        source: source(&protection.way),
        owner: system.owner.clone(),
        tier: tier.map(|t| t.name.clone()),
        verdict: worst(&judgements),
        judgements,
        newest_point: case.view.newest.map(|p| p.content_time),
        points: case.view.counted((&system.name, protection), holds, now),
        achieved_rpo: points::best_outside(&case).map(|best| now.since(best.point.content_time)),
        target_rpo: tier.and_then(|t| t.rpo),
        achieved_log_rpo: log::achieved(&case),
        target_log_rpo: tier.and_then(|t| t.log_rpo),
        achieved_rto: drill.map(|d| d.achieved_rto),
        target_rto: tier.and_then(|t| t.rto),
        proven_at: proof::newest_green(&case).map(|d| d.ended),
        overdue: owed::overdue(&case),
        next: owed::next(case.owed, now),
    }
}

/// A system that the policy names and does nothing for.
fn unprotected(system: &System) -> Option<ProtectionAssessment> {
    let name = ProtectionName::new("main").ok()?;
    let judgements = Question::ALL
        .iter()
        .map(|q| {
            let verdict = match q {
                Question::Covered => Verdict::NotMet,
                _ => Verdict::Unproven,
            };
            judged(
                *q,
                verdict,
                "the policy declares no protection for it".to_owned(),
                Vec::new(),
            )
        })
        .collect();
    let tier = system.tier.as_ref();
    Some(ProtectionAssessment {
        id: ProtectionId::new(system.name.clone(), name),
        way: "none".to_owned(),
        connected: true,
        source: String::new(),
        owner: system.owner.clone(),
        tier: tier.map(|t| t.name.clone()),
        verdict: Verdict::NotMet,
        judgements,
        newest_point: None,
        points: 0,
        achieved_rpo: None,
        target_rpo: tier.and_then(|t| t.rpo),
        achieved_log_rpo: None,
        target_log_rpo: tier.and_then(|t| t.log_rpo),
        achieved_rto: None,
        target_rto: tier.and_then(|t| t.rto),
        proven_at: None,
        overdue: Vec::new(),
        next: None,
    })
}

fn source(way: &Way) -> String {
    match way {
        Way::Capture(url) | Way::Orchestrate(url) | Way::Observe(url) | Way::Replica(url) => {
            url.to_string()
        }
        Way::Manual { accept, .. } => accept.clone().unwrap_or_else(|| "by hand".to_owned()),
    }
}

fn worst(judgements: &[Judgement]) -> Verdict {
    judgements
        .iter()
        .map(|j| j.verdict)
        .reduce(Verdict::worse)
        .unwrap_or(Verdict::Unproven)
}

/// A judgement; captures, copies, verifications and drills are all our own deeds, so what rests on them is measured.
fn judged(question: Question, verdict: Verdict, because: String, facts: Vec<u64>) -> Judgement {
    Judgement {
        question,
        verdict,
        strength: (!facts.is_empty()).then_some(Strength::Measured),
        because,
        facts,
    }
}

/// `1 point`, `3 points`.
fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
