//! For each requirement of the example policies that rests on a rule or a duty: a record by which it is met, and one by
//! which it is not. A rule that is taken out of the assessor leaves nothing that tells the two apart. What no record
//! shows is named, with why.

mod world;

use std::collections::{BTreeMap, BTreeSet};

use vouchsafe_model::people::When;
use vouchsafe_model::{AlertKind, Assessment, Policy, ProtectionId, Question, Time, Verdict};
use vouchsafe_policy::trace::{Decider, Footing, Traced, trace};
use vouchsafe_policy::{assess, people};

use crate::common::{CORRECTED, read};
use crate::fixtures::world::{NOW, World, alarming, done, hours, said, spoiled, t};

/// What of the twins rests on places that are only declared: it is unproven until something measures where a copy lies,
/// and never met.
const BY_DECLARATION: [&str; 3] = ["S0-2", "S0-3", "S0-5"];

/// What people do when something happens that no machine sees: nobody owes it at any time, so no record shows that it
/// was missed.
const AFTER_AN_EVENT: [&str; 10] = [
    "S0-12", "S1-23", "S1-24", "S1-32", "S1-33", "S1-35", "S1-104", "S1-105", "S3-5", "S4-10",
];

fn answer(all: &Assessment, id: &ProtectionId, question: Question) -> (Verdict, String) {
    let found = all.protections.iter().find(|p| p.id == *id).unwrap();
    let judgement = found.judgement(question).unwrap();
    (judgement.verdict, judgement.because.clone())
}

/// The answers about all protections, by a good record and by one that is spoiled for just that answer.
#[derive(Default)]
struct Answers {
    good: Option<Assessment>,
    spoilt: BTreeMap<(ProtectionId, Question), Verdict>,
}

impl Answers {
    /// What is wrong with it: nothing if a good record meets it and a spoiled one does not.
    fn wrong(&mut self, policy: &Policy, id: &ProtectionId, question: Question) -> Option<String> {
        let good = self
            .good
            .get_or_insert_with(|| World::good(policy).judged());
        let (verdict, because) = answer(good, id, question);
        let spoil = || answer(&spoiled(policy, id, question).judged(), id, question).0;
        let key = (id.clone(), question);
        let spoilt = *self.spoilt.entry(key).or_insert_with(spoil);
        match (verdict, spoilt) {
            (_, Verdict::Met) => Some(format!("{id} {question:?} is met by a spoiled record")),
            (Verdict::Met, _) => None,
            _ => Some(format!("{id} {question:?} is {verdict}: {because}")),
        }
    }
}

fn duty_verdict(world: &World, duty: &str, at: Time) -> Verdict {
    let all = assess(&world.policy, &world.record(), at);
    let found = all.duties.iter().find(|d| d.name == duty);
    found
        .unwrap_or_else(|| panic!("{duty} is not judged"))
        .verdict
}

/// The same of a duty that has a time: nothing if it is met when it was done in time, and not met if nobody did it.
fn duty_wrong(policy: &Policy, duty: &str) -> Option<String> {
    let Some((mut world, late)) = said(policy, duty) else {
        return Some(format!("{duty} is never owed"));
    };
    let missed = duty_verdict(&world, duty, late);
    done(&mut world, duty, late.minus(hours(2)));
    let kept = duty_verdict(&world, duty, late);
    match (missed, kept) {
        (Verdict::NotMet, Verdict::Met) => None,
        _ => Some(format!(
            "{duty} is {missed} when missed and {kept} when done"
        )),
    }
}

/// The same of an alert: nothing if somebody is told of what went wrong, and nobody where nothing did.
fn alert_wrong(policy: &Policy, kind: AlertKind) -> Option<String> {
    let told = |world: &World| {
        let all = people::alerts(policy, &world.record(), t(NOW));
        all.iter().any(|alert| alert.kind == kind)
    };
    match (told(&World::good(policy)), told(&alarming(policy, kind))) {
        (false, true) => None,
        (good, bad) => Some(format!("{kind:?}: told {good} and {bad}")),
    }
}

/// The same of every control that the policy asks for: nothing if a good record meets them all, and one that is spoiled
/// for any answer about any protection meets none that rests on this answer.
fn controls_wrong(policy: &Policy) -> Vec<String> {
    let good = World::good(policy).judged();
    let unmet = good.controls.iter().filter(|c| c.verdict != Verdict::Met);
    let mut wrong: Vec<String> = unmet
        .map(|c| format!("{} is {}: {}", c.control, c.verdict, c.because))
        .collect();
    for id in good.protections.iter().map(|p| &p.id) {
        for question in Question::ALL {
            let spoilt = spoiled(policy, id, question).judged();
            let met = spoilt
                .controls
                .iter()
                .filter(|c| c.questions.contains(&question) && c.verdict == Verdict::Met);
            wrong.extend(met.map(|c| format!("{} is met without {id} {question:?}", c.control)));
        }
    }
    wrong
}

/// The policy, had it only what is connected.
fn connected(policy: &Policy) -> Policy {
    let mut policy = policy.clone();
    for system in policy.systems.values_mut() {
        system.protections.retain(|_, p| p.way.is_connected());
    }
    policy
        .systems
        .retain(|_, system| system.exempt.is_some() || !system.protections.is_empty());
    policy
}

/// What became of the requirements that rest on a rule or a duty.
#[derive(Default)]
struct Tried {
    /// How many keys that are a rule.
    rules: usize,
    /// How many duties, once for each key that names them.
    duties: usize,
    /// Of which requirements something is only done after an event.
    after_an_event: BTreeSet<String>,
    /// Which are unproven by declaration alone, and nothing else is wrong with them.
    by_declaration: BTreeSet<String>,
    wrong: Vec<String>,
}

impl Tried {
    fn requirement(&mut self, policy: &Policy, answers: &mut Answers, row: &Traced) {
        let mut found = Vec::new();
        let before = (self.rules, self.duties, self.after_an_event.len());
        for key in &row.at {
            match (&key.basis.decider, key.basis.footing) {
                (Some(Decider::Questions(questions, ids)), _) => {
                    self.rules += 1;
                    let all = ids
                        .iter()
                        .flat_map(|id| questions.iter().map(move |q| (id, *q)));
                    found.extend(all.filter_map(|(id, q)| answers.wrong(policy, id, q)));
                }
                (Some(Decider::Alert(kind)), _) => {
                    self.rules += 1;
                    found.extend(alert_wrong(policy, *kind));
                }
                (Some(Decider::Controls), _) => {
                    self.rules += 1;
                    found.extend(controls_wrong(policy));
                }
                (Some(Decider::Duties(names)), _) => {
                    for duty in names {
                        if matches!(policy.people.duties[duty].when, When::After(_)) {
                            self.after_an_event.insert(row.id.clone());
                        } else {
                            self.duties += 1;
                            found.extend(duty_wrong(policy, duty));
                        }
                    }
                }
                // What is only stated stands beside what decides.
                (None, Footing::Stated | Footing::Nothing) => {}
                // No requirement of the examples rests on one of these. The day one does, a record has to be made.
                (
                    Some(
                        Decider::ApprovedText
                        | Decider::Changes
                        | Decider::Erasures
                        | Decider::Exemption(_),
                    )
                    | None,
                    footing,
                ) => found.push(format!("no record shows {} ({footing:?})", key.path)),
            }
        }
        if before == (self.rules, self.duties, self.after_an_event.len()) {
            found.push("nothing of it was tried".to_owned());
        }
        let declared = |text: &String| text.contains("by declaration alone");
        if !found.is_empty() && found.iter().all(declared) {
            self.by_declaration.insert(row.id.clone());
        } else {
            let id = &row.id;
            self.wrong
                .extend(found.into_iter().map(|text| format!("{id}: {text}")));
        }
    }
}

#[test]
fn each_requirement_on_a_rule_or_a_duty_has_a_record_that_meets_it_and_one_that_does_not() {
    let mut tried = Tried::default();
    for (_, text) in CORRECTED {
        let lowered = read(text);
        let policy = lowered.policy.clone().unwrap();
        let mut answers = Answers::default();
        for row in trace(&lowered) {
            match row.footing {
                Footing::Rule | Footing::Duty => tried.requirement(&policy, &mut answers, &row),
                Footing::Exemption | Footing::Waits | Footing::Stated | Footing::Nothing => {}
            }
        }
    }
    assert!(tried.wrong.is_empty(), "{:#?}", tried.wrong);
    let named = |ids: &[&str]| -> BTreeSet<String> { ids.iter().map(|id| (*id).into()).collect() };
    assert_eq!(tried.by_declaration, named(&BY_DECLARATION));
    assert_eq!(tried.after_an_event, named(&AFTER_AN_EVENT));
    assert_eq!((tried.rules, tried.duties), (43, 59));
}

/// In the examples controls wait for what is not connected, so each policy is tried without that. The places of one are
/// only declared, so that what rests on its copies is never met there; the others have all controls too.
#[test]
fn each_control_is_met_by_one_record_and_not_by_one_that_lacks_an_answer_it_rests_on() {
    let (mut met, mut wrong) = (BTreeSet::new(), Vec::new());
    for (name, text) in CORRECTED {
        let policy = connected(&read(text).policy.unwrap());
        let declared = |text: &String| text.contains("by declaration alone");
        let found = controls_wrong(&policy);
        assert_eq!(found.iter().any(declared), name == "social-workshop");
        let found = found.into_iter().filter(|text| !declared(text));
        wrong.extend(found.map(|text| format!("{name}: {text}")));
        let controls = World::good(&policy).judged().controls.into_iter();
        let good = controls.filter(|c| c.verdict == Verdict::Met);
        met.extend(good.map(|c| (c.framework, c.control)));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(met.len(), 12, "{met:?}");
}
