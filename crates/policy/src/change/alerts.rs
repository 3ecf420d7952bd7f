//! Who hears of what, where a change says less of it.

use vouchsafe_model::{AlertKind, Alteration, Effect, Policy};

use super::diff::Diff;

/// Notes what differs in the server by which people are told, and puts it back if it is gone.
pub(super) fn mail(diff: &mut Diff, old: &Policy, new: &mut Policy) {
    match (&old.mail, &new.mail) {
        (Some(_), None) => {
            let what = "nobody is written to any more";
            diff.say(Effect::Weakens, "mail", what);
            new.mail.clone_from(&old.mail);
        }
        (None, Some(_)) => diff.say(Effect::Strengthens, "mail", "people are written to"),
        (before, now) => diff.other("mail", before, now, "mail goes another way"),
    }
}

/// Puts back each alert of which these alterations say that it is weakened.
pub(super) fn put_back(alterations: &[Alteration], old: &Policy, new: &mut Policy) {
    let is_weakened = |kind: AlertKind| {
        let place = format!("alerts/{}", kind.word());
        alterations.iter().any(|a| {
            let below = a.place.strip_prefix(&place);
            let is_here = below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            a.effect == Effect::Weakens && (is_here || a.place == "alerts")
        })
    };
    for (kind, rule) in old.alerts.iter().filter(|(kind, _)| is_weakened(**kind)) {
        new.alerts.insert(*kind, rule.clone());
    }
}
