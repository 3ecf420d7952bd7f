//! What differs between two policies, what of it weakens what was promised, and what is in force meanwhile.

mod alerts;
mod diff;
mod erasures;
mod fate;
mod lengths;
mod people;
mod protections;
mod record;
mod standing;
mod systems;
mod tables;
mod vaults;

use sha2::{Digest, Sha256};
use vouchsafe_model::{Alteration, ChangeId, Effect, Policy};

use crate::declared::Declared;
use crate::problem::{Level, Lowered, Problem};

pub use fate::{Fate, Joint, decide_by_all, fates};
pub use protections::longer;
pub use standing::{Refusal, Standing, may_decide};

/// A policy as it was resolved, with what it declares beside its rules.
#[derive(Clone, Copy, Debug)]
pub struct Version<'v> {
    /// The rules.
    pub policy: &'v Policy,
    /// The rest.
    pub declared: &'v Declared,
}

impl<'v> Version<'v> {
    /// The version that a file holds; nothing if it cannot be used.
    pub fn of(lowered: &'v Lowered) -> Option<Version<'v>> {
        Some(Version {
            policy: lowered.policy.as_ref()?,
            declared: &lowered.declared,
        })
    }
}

/// What a policy is, held against those that bind.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// What differs, the weakening first.
    pub alterations: Vec<Alteration>,
    /// The new policy, but for what it weakens: that is as before.
    pub in_force: Policy,
}

impl Comparison {
    /// How many alterations have that effect.
    pub fn count(&self, effect: Effect) -> usize {
        self.alterations
            .iter()
            .filter(|a| a.effect == effect)
            .count()
    }
}

/// Holds `new` against every policy of `older`.
///
/// What promises more is in force at once; what promises less is not, and the result has the older rule in its place.
/// Of several older rules the strictest holds. Two policies that promise the same have no alterations.
pub fn compare(older: &[Version<'_>], new: Version<'_>) -> Comparison {
    let mut alterations = Vec::new();
    let mut in_force = new.policy.clone();
    for old in older {
        let mut diff = diff::Diff::default();
        resolved(&mut diff, old.policy, &mut new.policy.clone());
        tables::declared(&mut diff, old.declared, new.declared);
        people::people(&mut diff, *old, new);
        alerts::put_back(&diff.out, old.policy, &mut in_force);
        alterations.append(&mut diff.out);
        resolved(&mut diff::Diff::default(), old.policy, &mut in_force);
    }
    in_force.people = people::in_force(older, new).clone();
    alterations.sort();
    alterations.dedup();
    Comparison {
        alterations,
        in_force,
    }
}

/// Notes what differs, and puts back into `new` what it weakens.
fn resolved(diff: &mut diff::Diff, old: &Policy, new: &mut Policy) {
    for framework in &old.front.frameworks {
        if !new.front.frameworks.contains(framework) {
            let what = format!("{framework} is no longer reported on");
            diff.say(Effect::Weakens, "policy/frameworks", what);
            new.front.frameworks.push(framework.clone());
        }
    }
    vaults::vaults(diff, &old.vaults, &mut new.vaults);
    systems::systems(diff, &old.systems, &mut new.systems);
    systems::duties(diff, &old.duties, &mut new.duties);
    alerts::mail(diff, old, new);
    record::timestamps(diff, old, new);
    erasures::register(old, new);
}

/// The id of the change from the policies `from`, in their order, to the policy `to`, all of them digests.
pub fn change_id(from: &[String], to: &str) -> Option<ChangeId> {
    let mut hash = Sha256::new();
    for digest in from.iter().map(String::as_str).chain([to]) {
        hash.update(digest.as_bytes());
        hash.update(b"\n");
    }
    let hex = hex::encode(hash.finalize());
    ChangeId::new(format!("c-{}", hex.get(..32)?)).ok()
}

/// What the linter says of a change that waits: each weakening at its place in the new file.
pub fn findings(lowered: &Lowered, change: &ChangeId, alterations: &[Alteration]) -> Vec<Problem> {
    let weakening = alterations.iter().filter(|a| a.effect == Effect::Weakens);
    weakening
        .map(|alteration| {
            let (line, column) = lowered.place(&alteration.place);
            Problem {
                code: "P185",
                level: Level::Warning,
                line,
                column,
                message: format!(
                    "not in force yet: {}: {}",
                    alteration.place, alteration.what
                ),
                remedy: format!(
                    "have it approved with `vouchsafe approve {change}`, or take it back"
                ),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
