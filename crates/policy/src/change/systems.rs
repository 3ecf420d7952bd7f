//! What differs between the systems and duties of two policies.

use std::collections::BTreeMap;

use vouchsafe_model::policy::{Duty, System, Tier};
use vouchsafe_model::{Effect, SystemName};

use super::diff::Diff;
use super::protections;

/// Puts back what is weakened.
pub(super) fn systems(
    diff: &mut Diff,
    old: &BTreeMap<SystemName, System>,
    new: &mut BTreeMap<SystemName, System>,
) {
    for (name, before) in old {
        let place = format!("systems/{name}");
        match new.get_mut(name) {
            Some(system) => one(diff, &place, before, system),
            None => {
                diff.say(Effect::Weakens, place, "the system is dropped");
                new.insert(name.clone(), before.clone());
            }
        }
    }
    for name in new.keys().filter(|name| !old.contains_key(name)) {
        let place = format!("systems/{name}");
        diff.say(Effect::Strengthens, place, "a new system");
    }
}

fn one(diff: &mut Diff, place: &str, old: &System, new: &mut System) {
    let at = |key: &str| format!("{place}/{key}");
    match (&old.exempt, &new.exempt) {
        (None, Some(_)) => {
            diff.say(Effect::Weakens, at("exempt"), "the system is left out");
            new.exempt = None;
        }
        (Some(_), None) => {
            let what = "the system is no longer left out";
            diff.say(Effect::Strengthens, at("exempt"), what);
        }
        (before, now) => diff.other(
            &at("exempt"),
            before,
            now,
            "it is left out for another reason",
        ),
    }
    tier(diff, &at("tier"), old.tier.as_ref(), &mut new.tier);
    for (key, before, now) in [
        ("owner", &old.owner, &new.owner),
        ("class", &old.class, &new.class),
        ("application", &old.application, &new.application),
        ("environment", &old.environment, &new.environment),
    ] {
        let what = match (before, now) {
            (Some(b), Some(n)) => format!("{key} is {n}, was {b}"),
            (None, Some(n)) => format!("{key} is {n}, was not said"),
            (Some(b), None) => format!("{key} is not said any more, was {b}"),
            (None, None) => continue,
        };
        diff.other(&at(key), before, now, &what);
    }
    diff.other(
        &at("location"),
        &old.location,
        &new.location,
        "it is said to lie elsewhere",
    );
    protections::protections(diff, place, &old.protections, &mut new.protections);
}

fn tier(diff: &mut Diff, place: &str, old: Option<&Tier>, new: &mut Option<Tier>) {
    let Some(old) = old else {
        if let Some(new) = new {
            let what = format!("tier is {}, was not said", new.name);
            diff.say(Effect::Strengthens, place, what);
        }
        return;
    };
    let Some(new) = new else {
        let what = format!("tier is not said any more, was {}", old.name);
        diff.say(Effect::Weakens, place, what);
        *new = Some(old.clone());
        return;
    };
    let what = format!("tier is {}, was {}", new.name, old.name);
    diff.other(place, &old.name, &new.name, &what);
    diff.smaller(place, "RPO", &old.rpo, &mut new.rpo);
    diff.smaller(place, "RPO by the log", &old.log_rpo, &mut new.log_rpo);
    diff.smaller(place, "RTO", &old.rto, &mut new.rto);
    diff.larger(
        place,
        "the number of copies",
        &old.min_copies,
        &mut new.min_copies,
    );
    let region = "a copy lies in another region";
    diff.flag(place, region, old.other_region, &mut new.other_region);
    let country = "a copy lies in the system's country";
    diff.flag(place, country, old.same_country, &mut new.same_country);
}

/// Puts back what is weakened.
pub(super) fn duties(diff: &mut Diff, old: &[Duty], new: &mut Vec<Duty>) {
    for before in old {
        let place = format!("duties/{}", before.name);
        match new.iter_mut().find(|duty| duty.name == before.name) {
            Some(duty) => {
                diff.rhythm(&place, "its rhythm", &before.every, &mut duty.every);
                diff.other(&place, &before.role, &duty.role, "somebody else has it");
            }
            None => {
                diff.say(Effect::Weakens, place, "the duty is dropped");
                new.push(before.clone());
            }
        }
    }
    for duty in new.iter().filter(|d| !old.iter().any(|o| o.name == d.name)) {
        let place = format!("duties/{}", duty.name);
        diff.say(Effect::Strengthens, place, "a new duty");
    }
}
