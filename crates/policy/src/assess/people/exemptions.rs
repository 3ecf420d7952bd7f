//! Permissions to depart from a rule: which are in force, which are over, and what they take out.

use vouchsafe_model::fact::Recorded;
use vouchsafe_model::incident::Exemption;
use vouchsafe_model::people_assessment::ExemptionState;
use vouchsafe_model::{Fact, Judgement, PeopleFact, Policy, Question, SystemName, Time, Verdict};

/// Every permission that the policy or the record holds, by name; those that were ended by somebody are left out.
///
/// One is in force if it says who allowed it, why, and an end that has not come. The record's wins over the policy's
/// of the same name.
pub fn exemptions(policy: &Policy, facts: &[Recorded], now: Time) -> Vec<ExemptionState> {
    let mut all: Vec<ExemptionState> = declared(policy).collect();
    for recorded in facts.iter().filter(|r| r.entry.at <= now) {
        match &recorded.entry.fact {
            Fact::People(PeopleFact::Exempted(given)) => {
                all.retain(|e| e.name != given.name);
                all.push(given_by(given, recorded.seq));
            }
            Fact::People(PeopleFact::ExemptionEnded(ended)) => {
                all.retain(|e| e.name != ended.name || e.seq.is_none());
            }
            _ => {}
        }
    }
    for one in &mut all {
        one.finding = finding(one, now);
        one.in_force = one.finding.is_none();
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// Those that stand in the policy; whether they are in force is left open.
pub(super) fn declared(policy: &Policy) -> impl Iterator<Item = ExemptionState> {
    let all = policy.people.exemptions.iter();
    all.map(|(name, declared)| ExemptionState {
        name: name.clone(),
        from: declared.from.clone(),
        systems: declared.systems.clone(),
        approved_by: declared.approved_by.clone(),
        reason: declared.reason.clone(),
        until: declared.until,
        in_force: false,
        finding: None,
        seq: None,
        verified: false,
    })
}

/// One that an entry of the record gives; whether it is in force is left open.
pub(super) fn given_by(given: &Exemption, seq: u64) -> ExemptionState {
    ExemptionState {
        name: given.name.clone(),
        from: given.from.clone(),
        systems: given.systems.clone(),
        approved_by: Some(given.approved_by.clone()),
        reason: Some(given.reason.clone()),
        until: Some(given.until),
        in_force: false,
        finding: None,
        seq: Some(seq),
        verified: given.identity.is_verified(),
    }
}

/// Whether it says who allowed it, why, and until when.
pub(super) fn is_whole(one: &ExemptionState) -> bool {
    one.approved_by.is_some() && one.reason.is_some() && one.until.is_some()
}

fn finding(one: &ExemptionState, now: Time) -> Option<String> {
    let missing: Vec<&str> = [
        ("who allowed it", one.approved_by.is_none()),
        ("why", one.reason.is_none()),
        ("until when", one.until.is_none()),
    ]
    .into_iter()
    .filter_map(|(what, is_missing)| is_missing.then_some(what))
    .collect();
    if !missing.is_empty() {
        return Some(format!("it does not say {}", missing.join(" and ")));
    }
    let over = one.until.filter(|until| *until <= now)?;
    Some(format!("it ended {}; the rule holds again", over.minute()))
}

/// The question whose answer a rule decides, by its word or by the key of the policy that says it; nothing for other
/// texts, from which no machine can except anything.
pub fn question_of(from: &str) -> Option<Question> {
    let word = from
        .trim()
        .rsplit('/')
        .next()
        .unwrap_or(from)
        .to_ascii_lowercase();
    let asked = Question::ALL.into_iter().find(|q| q.word() == word);
    asked.or(match word.as_str() {
        "schedule" | "rpo" | "log_rpo" | "window" => Some(Question::Fresh),
        "verify" => Some(Question::Verified),
        "drill" | "rto" => Some(Question::Proven),
        "keep" | "retention" => Some(Question::Retained),
        "encryption" | "rotate" => Some(Question::Encrypted),
        "retention_lock" => Some(Question::Copies),
        _ => None,
    })
}

/// Takes out what is exempt among the answers about one system, and says which permission has run out. A permission
/// from a duty takes out nothing else, whatever the duty is called.
pub(in crate::assess) fn apply(
    judgements: &mut [Judgement],
    system: &SystemName,
    policy: &Policy,
    all: &[ExemptionState],
) {
    let is_duty = |one: &&ExemptionState| policy.people.duties.contains_key(&one.from);
    for one in all.iter().filter(|one| !is_duty(one)) {
        let Some(question) = question_of(&one.from).filter(|_| concerns(one, system)) else {
            continue;
        };
        let answers = judgements.iter_mut();
        let bad = answers.filter(|j| j.question == question && !j.verdict.is_good());
        for judgement in bad {
            match (&one.finding, one.in_force) {
                (_, true) => {
                    judgement.verdict = Verdict::Exempt;
                    judgement.because = format!("{}; otherwise: {}", words(one), judgement.because);
                }
                (Some(finding), false) => {
                    judgement.because =
                        format!("{}; exemption {}: {finding}", judgement.because, one.name);
                }
                (None, false) => {}
            }
            judgement.facts.extend(one.seq);
        }
    }
}

/// The permission that takes out a duty. One for some systems only does not: a duty is exempt as a whole.
pub(super) fn exempt<'e>(duty: &str, all: &'e [ExemptionState]) -> Option<&'e ExemptionState> {
    all.iter()
        .find(|e| e.in_force && e.from == duty && e.systems.is_empty())
}

/// As people read it.
pub(super) fn words(one: &ExemptionState) -> String {
    let until = one.until.map(Time::minute).unwrap_or_default();
    let known = match one.seq.is_some() && !one.verified {
        true => ", identity unverified,",
        false => "",
    };
    format!(
        "exempt{known} until {until} by {}: {}",
        one.approved_by.as_deref().unwrap_or("nobody"),
        one.reason.as_deref().unwrap_or_default()
    )
}

fn concerns(one: &ExemptionState, system: &SystemName) -> bool {
    one.systems.is_empty() || one.systems.contains(system)
}
