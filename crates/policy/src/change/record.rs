//! Who stamps the record with the time, where a change says less of it.

use vouchsafe_model::{Effect, Policy};

use super::diff::Diff;

/// Notes what differs, and puts back what is weakened.
pub(super) fn timestamps(diff: &mut Diff, old: &Policy, new: &mut Policy) {
    match (&old.timestamps, &mut new.timestamps) {
        (Some(_), None) => {
            let what = "no authority stamps the record with the time any more";
            diff.say(Effect::Weakens, "timestamps", what);
            new.timestamps.clone_from(&old.timestamps);
        }
        (None, Some(_)) => {
            let what = "an authority stamps the record with the time";
            diff.say(Effect::Strengthens, "timestamps", what);
        }
        (Some(before), Some(now)) => {
            if before.every != now.every {
                let what = format!(
                    "the record is stamped every {}, was every {}",
                    now.every, before.every
                );
                let effect = match now.every > before.every {
                    true => Effect::Weakens,
                    false => Effect::Strengthens,
                };
                diff.say(effect, "timestamps/every", what);
                now.every = now.every.min(before.every);
            }
            let who = |stamps: &vouchsafe_model::policy::Stamps| {
                (
                    stamps.authority.clone(),
                    stamps.root.clone(),
                    stamps.min_tls,
                )
            };
            let what = "another authority, root or protection of the way to it";
            diff.other("timestamps", &who(before), &who(now), what);
        }
        (None, None) => {}
    }
}
