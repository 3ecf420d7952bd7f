//! What people owe: in a rhythm, by a day, each for themselves, for each of several things.

use vouchsafe_model::people::{PeopleDuty, When};
use vouchsafe_model::{Obligation, Policy, Span, Time};

use crate::obligations::with_current;

/// How long before its day something may be done that is owed by a day.
pub(crate) const AHEAD: Span = Span::from_days(30);

/// Adds what people owe that opens in `from..to` or is under way at `from`.
pub(super) fn owed(policy: &Policy, from: Time, to: Time, out: &mut Vec<Obligation>) {
    for duty in policy.people.duties.values() {
        match &duty.when {
            When::Every(schedule) => {
                for (opens, due) in with_current(&schedule.rule, from, to, None) {
                    each(policy, duty, opens, due, out);
                }
            }
            When::By { end, .. } => {
                let opens = end.minus(AHEAD);
                if from < to && opens < to && from < *end {
                    each(policy, duty, opens, *end, out);
                }
            }
            When::After(_) => {}
        }
    }
}

/// One for each person and each thing that it is about, where there are several.
fn each(policy: &Policy, duty: &PeopleDuty, opens: Time, due: Time, out: &mut Vec<Obligation>) {
    let persons: Vec<Option<String>> = match duty.each_person {
        true => duty.holders(&policy.people).into_iter().map(Some).collect(),
        false => vec![None],
    };
    let about: Vec<Option<String>> = match duty.about.as_slice() {
        [] => vec![None],
        several => several.iter().map(|a| a.name.clone()).collect(),
    };
    for person in &persons {
        for about in &about {
            let (about, person) = (about.clone(), person.clone());
            let name = duty.name.clone();
            out.push(Obligation::of_people(name, about, person, opens, due));
        }
    }
}
