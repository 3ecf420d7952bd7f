//! Whose data was erased, and how it is erased from what comes back, where a change says less of it.

use vouchsafe_model::{Effect, ErasureRule, Policy};

use super::diff::Diff;

/// Puts the register back if another one or none is named, and that drills look into it. That it differs is noted with
/// the table that names it.
pub(super) fn register(old: &Policy, new: &mut Policy) {
    let Some(before) = &old.erasure else {
        return;
    };
    let drill = new.erasure.as_ref().is_some_and(|now| now.drill);
    let mut kept = before.clone();
    kept.drill |= drill;
    new.erasure = Some(kept);
}

/// Notes what differs in how a protection's subjects are erased, and puts back what was agreed to.
pub(super) fn rule(
    diff: &mut Diff,
    place: &str,
    old: &Option<ErasureRule>,
    new: &mut Option<ErasureRule>,
) {
    let (before, now) = match (old, &*new) {
        (Some(before), Some(now)) if before != now => (before, now),
        (Some(_), None) => {
            let what = "subjects are not erased any more from what a restore brings back";
            diff.say(Effect::Weakens, place, what);
            return new.clone_from(old);
        }
        (None, Some(_)) => {
            let what = "subjects are erased from what a restore brings back";
            return diff.say(Effect::Strengthens, place, what);
        }
        _ => return,
    };
    if erases_more(before, now) {
        diff.say(Effect::Strengthens, place, "more is erased of a subject");
        return;
    }
    let what = "subjects are found or erased in another way than was agreed to";
    diff.say(Effect::Weakens, place, what);
    new.clone_from(old);
}

/// Whether the new rule does all that the old one does, in its order, and something after it.
fn erases_more(old: &ErasureRule, new: &ErasureRule) -> bool {
    match (old, new) {
        (
            ErasureRule::Statements {
                database,
                find,
                erase,
                someone,
            },
            ErasureRule::Statements {
                database: now_in,
                find: finds,
                erase: erases,
                someone: other,
            },
        ) => {
            let same = database == now_in && find == finds;
            let tested = someone.is_none() || someone == other;
            same && tested && erases.starts_with(erase)
        }
        (ErasureRule::Places { paths }, ErasureRule::Places { paths: now }) => {
            paths.iter().all(|path| now.contains(path))
        }
        _ => false,
    }
}
