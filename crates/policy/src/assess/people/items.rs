//! What people owe and have not done, and what comes next.

use std::collections::{BTreeMap, HashSet};

use vouchsafe_model::fact::Recorded;
use vouchsafe_model::incident::NoticeKind;
use vouchsafe_model::people::{Escalate, PeopleDuty};
use vouchsafe_model::people_assessment::{DutyItem, DutyStanding, EscalationState, IncidentState};
use vouchsafe_model::policy::Way;
use vouchsafe_model::{
    DutyOutcome, Fact, Obligation, ObligationKind, Policy, Protection, Span, System, Time,
};

use crate::assess::owed::{Ledgered, Owed, Standing};
use crate::assess::people::incidents::{Failure, about, incidents};
use crate::assess::people::register::Register;
use crate::assess::projection::Projection;
use crate::obligations;

/// What people owe at `now` and have not done, by the facts recorded until then: the most urgent first.
///
/// Of what was missed again and again only the newest is told; what a closed incident has settled is not.
pub fn owed_by_people(policy: &Policy, facts: &[Recorded], now: Time) -> Vec<DutyItem> {
    let projection = Projection::of(facts, now);
    let ledgered = Ledgered::of(policy, &projection, now);
    let register = Register::of(&projection);
    items(policy, &ledgered, &register, &incidents(facts, now), now)
}

/// What people will owe by `until` beside `owed`, computed from the policy.
pub fn upcoming(
    policy: &Policy,
    facts: &[Recorded],
    owed: &[DutyItem],
    (now, until): (Time, Time),
) -> Vec<DutyItem> {
    let mut known: HashSet<_> = owed.iter().map(|i| &i.obligation.id).collect();
    let answered = facts.iter().flat_map(|r| match &r.entry.fact {
        Fact::People(fact) => fact.answers(),
        Fact::RecoveryPoint(point) => point.obligations.as_slice(),
        Fact::Drill(drill) => drill.obligations.as_slice(),
        _ => &[],
    });
    known.extend(answered);
    let register = Register::default();
    let describe = Describe {
        policy,
        register: &register,
        incidents: &[],
        now,
    };
    let all = obligations(policy, now, until);
    let mut out: Vec<DutyItem> = all
        .iter()
        .filter(|o| !known.contains(&o.id))
        .filter_map(|o| {
            let standing = match o.opens <= now {
                true => DutyStanding::Open,
                false => DutyStanding::ToCome,
            };
            describe.item(o, standing)
        })
        .collect();
    sort(&mut out);
    out
}

pub(in crate::assess) fn items(
    policy: &Policy,
    ledgered: &Ledgered<'_>,
    register: &Register<'_>,
    incidents: &[IncidentState],
    now: Time,
) -> Vec<DutyItem> {
    let describe = Describe {
        policy,
        register,
        incidents,
        now,
    };
    let mut out = Vec::new();
    for duty in policy.people.duties.values() {
        for (_, group) in groups(policy, duty, ledgered) {
            out.extend(describe.of_group(&group));
        }
    }
    for (system, protection) in policy.protections() {
        if system.exempt.is_none() && matches!(protection.way, Way::Manual { .. }) {
            let mine = ledgered.of_protection(&protection.id);
            let mine = mine.owed();
            let captures = mine.iter();
            let captures = captures.filter(|o| o.what.kind == ObligationKind::Capture);
            out.extend(describe.of_group(&sorted(captures.collect())));
        }
    }
    sort(&mut out);
    out
}

/// What one of several owes is about, and who owes it.
pub(super) type Which<'f> = (Option<&'f str>, Option<&'f str>);

/// The obligations of a duty, those of each person and thing together, in order of opening. Left out are persons and
/// things that the policy no longer means.
pub(super) fn groups<'o, 'f>(
    policy: &Policy,
    duty: &PeopleDuty,
    ledgered: &'o Ledgered<'f>,
) -> BTreeMap<Which<'f>, Vec<&'o Owed<'f>>> {
    let holders = duty.holders(&policy.people);
    let mut out: BTreeMap<Which<'f>, Vec<&Owed<'f>>> = BTreeMap::new();
    for owed in ledgered.of_duty(&duty.name) {
        let what = owed.what;
        let person = match (&what.person, duty.each_person) {
            (Some(person), true) => holders.contains(person),
            (None, false) => true,
            _ => false,
        };
        let about = match (&what.about, duty.about.as_slice()) {
            (about, []) => about.is_none(),
            (about, several) => several.iter().any(|a| a.name == *about),
        };
        if person && about {
            let which = (what.about.as_deref(), what.person.as_deref());
            out.entry(which).or_default().push(owed);
        }
    }
    out.into_iter()
        .map(|(which, all)| (which, sorted(all)))
        .collect()
}

fn sorted<'o, 'f>(mut all: Vec<&'o Owed<'f>>) -> Vec<&'o Owed<'f>> {
    all.sort_by(|a, b| a.what.cmp(b.what));
    all
}

/// What of one group is missed and not made up for since: the newest of it, if there is any.
pub(super) fn newest_missed<'o, 'f>(group: &[&'o Owed<'f>]) -> Option<&'o Owed<'f>> {
    let answered = |o: &&&Owed<'f>| matches!(o.standing, Standing::OnTime | Standing::Late);
    let last = group.iter().filter(answered).map(|o| o.what.opens).max();
    let missed = group.iter().filter(|o| o.standing == Standing::Missed);
    missed
        .filter(|o| last.is_none_or(|l| o.what.opens > l))
        .max_by_key(|o| o.what.opens)
        .copied()
}

fn sort(all: &mut [DutyItem]) {
    all.sort_by(|a, b| {
        let key = |i: &DutyItem| (i.standing, i.obligation.due);
        key(a)
            .cmp(&key(b))
            .then_with(|| a.obligation.cmp(&b.obligation))
    });
}

struct Describe<'a, 'f> {
    policy: &'a Policy,
    register: &'a Register<'f>,
    incidents: &'a [IncidentState],
    now: Time,
}

impl Describe<'_, '_> {
    fn of_group(&self, group: &[&Owed<'_>]) -> Vec<DutyItem> {
        let mut out = Vec::new();
        if let Some(missed) = newest_missed(group) {
            let incident = about(
                self.incidents,
                Some(&missed.what.id),
                missed_by(missed.what.due),
            );
            if incident.is_none_or(|i| i.closed.is_none()) {
                out.extend(self.item(missed.what, DutyStanding::Overdue));
            }
        }
        let open = group
            .iter()
            .filter(|o| o.standing == Standing::Open && o.what.opens <= self.now);
        for owed in open {
            let last = self.register.last_of(&owed.what.id);
            let standing = match last.map(|said| said.outcome()) {
                Some(DutyOutcome::Declined) => DutyStanding::Declined,
                _ => DutyStanding::Open,
            };
            out.extend(self.item(owed.what, standing));
        }
        out
    }

    fn item(&self, owed: &Obligation, standing: DutyStanding) -> Option<DutyItem> {
        if let Some(name) = &owed.duty {
            let duty = self.policy.people.duties.get(name)?;
            return Some(self.of_duty(duty, owed, standing));
        }
        let (system, protection) = self.policy.protection(owed.protection.as_ref()?)?;
        let by_hand = matches!(protection.way, Way::Manual { .. });
        (by_hand && owed.kind == ObligationKind::Capture)
            .then(|| self.of_slot(system, protection, owed, standing))
    }

    fn of_duty(&self, duty: &PeopleDuty, owed: &Obligation, standing: DutyStanding) -> DutyItem {
        let people = &self.policy.people;
        let holders = match &owed.person {
            Some(person) => vec![person.clone()],
            None => duty.holders(people).into_iter().collect(),
        };
        let escalation = duty.escalate.as_ref().map(|e| self.escalation(e, owed));
        DutyItem {
            obligation: owed.clone(),
            duty: duty.name.clone(),
            kind: Some(duty.kind),
            standing,
            holders,
            delegates: duty.delegates(people).into_iter().collect(),
            text: duty.text.clone(),
            input: duty.input.clone(),
            escalation,
            incident: self.incident(owed),
        }
    }

    fn of_slot(
        &self,
        system: &System,
        protection: &Protection,
        owed: &Obligation,
        standing: DutyStanding,
    ) -> DutyItem {
        let people = &self.policy.people;
        let owner: Vec<String> = system.owner.iter().cloned().collect();
        let (accept, instructions) = match &protection.way {
            Way::Manual {
                accept,
                instructions,
                ..
            } => (accept.clone(), instructions.clone()),
            _ => (None, None),
        };
        DutyItem {
            obligation: owed.clone(),
            duty: protection.id.to_string(),
            kind: None,
            standing,
            holders: people.all_holders(&owner).into_iter().collect(),
            delegates: people.all_delegates(&owner, None).into_iter().collect(),
            text: instructions.unwrap_or_else(|| "The backup is made and handed in.".to_owned()),
            input: Some(accept.unwrap_or_else(|| "a file".to_owned())),
            escalation: None,
            incident: self.incident(owed),
        }
    }

    fn escalation(&self, rule: &Escalate, owed: &Obligation) -> EscalationState {
        let at = rule.after.after(owed.due);
        EscalationState {
            to: self.policy.people.holders(&rule.to).into_iter().collect(),
            at,
            due: at <= self.now,
            fact: self.register.noticed(&owed.id, NoticeKind::Escalation),
        }
    }

    fn incident(&self, owed: &Obligation) -> Option<String> {
        about(self.incidents, Some(&owed.id), missed_by(owed.due)).map(|i| i.name.clone())
    }
}

fn missed_by(due: Time) -> Failure {
    Failure::Missed { due }
}

/// How long before it is due somebody is reminded: a week, or half of the time there is.
pub(super) fn reminded_at(owed: &Obligation) -> Time {
    let half = Span::from_micros(owed.due.since(owed.opens).micros() / 2);
    owed.due.minus(half.min(Span::from_days(7)))
}
