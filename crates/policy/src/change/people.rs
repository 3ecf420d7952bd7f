//! Who may allow what, by which keys people sign, and what they owe: by two policies.
//!
//! A name means somebody by way of roles, addresses and delegates that all stand elsewhere. So it is compared who is
//! meant in the end, not what is written. And since these tables lean on each other, they are in force as a whole: the
//! new ones, or, where they weaken anything, older ones.

use std::collections::{BTreeMap, BTreeSet};

use vouchsafe_model::people::People;
use vouchsafe_model::{Effect, Policy};

use super::diff::Diff;
use super::{Version, systems, tables};

/// The tables that say who people are, what they owe and what they may.
pub(super) const TABLES: &[&str] = &[
    "access",
    "documents",
    "duties",
    "exemptions",
    "holds",
    "keys",
    "people",
    "programme",
    "providers",
    "roles",
    "runbooks",
];

/// Whether what is said of `key` at `place` is told by who is meant.
pub(super) fn is_meant(place: &str, key: &str) -> bool {
    match key {
        "approvers" => place.starts_with("access/"),
        "approved_by" => place == "changes",
        "key" => place.starts_with("people/"),
        _ => false,
    }
}

/// Notes what differs, but for what the tables tell by themselves.
pub(super) fn people(diff: &mut Diff, old: Version<'_>, new: Version<'_>) {
    let (before, now) = (deciders(old), deciders(new));
    for (place, before) in &before {
        if let Some(now) = now.get(place) {
            decide(diff, place, before.as_ref(), now.as_ref());
        }
    }
    let (before, now) = (&old.policy.people, &new.policy.people);
    for (name, address, key) in keys(now) {
        if !before.keys(&address).contains(&key) {
            let what = format!("another key signs as {address}");
            diff.say(Effect::Weakens, format!("people/{name}/key"), what);
        }
    }
    for (name, address, key) in keys(before) {
        if !now.keys(&address).contains(&key) {
            let what = format!("a key no longer signs as {address}");
            diff.say(Effect::Strengthens, format!("people/{name}/key"), what);
        }
    }
    dropped(diff, old.policy, new.policy);
}

/// Whoever may decide, in lower case; nothing if anyone may.
type Deciders = Option<BTreeSet<String>>;

/// By the place that says it.
fn deciders(version: Version<'_>) -> BTreeMap<String, Deciders> {
    let people = &version.policy.people;
    let lower = |who: &str| who.trim().to_lowercase();
    let meant = |names: &[String]| -> BTreeSet<String> {
        let (holders, delegates) = (people.all_holders(names), people.all_delegates(names, None));
        holders.union(&delegates).map(|who| lower(who)).collect()
    };
    let mut out = BTreeMap::new();
    // Without anybody named, nobody allows a departure from a rule, and anyone gives a right.
    out.insert("policy/owner".to_owned(), Some(meant(&people.approvers)));
    for (name, right) in &people.access {
        let named = match right.approvers.as_slice() {
            [] => people.approvers.as_slice(),
            named => named,
        };
        let who = (!named.is_empty()).then(|| meant(named));
        out.insert(format!("access/{name}/approvers"), who);
    }
    let root = &version.declared.root;
    let changes = root.entry("changes");
    let named = changes.map_or(Vec::new(), |changes| changes.texts("approved_by"));
    let holders = |who: &str| {
        let role = root.named("roles").find(|(name, _)| *name == who);
        role.map_or(Vec::new(), |(_, role)| role.texts("people"))
    };
    let all = named.iter().flat_map(|who| [vec![*who], holders(who)]);
    let all: BTreeSet<String> = all.flatten().map(lower).collect();
    out.insert(
        "changes/approved_by".to_owned(),
        (!all.is_empty()).then_some(all),
    );
    out
}

fn decide(
    diff: &mut Diff,
    place: &str,
    old: Option<&BTreeSet<String>>,
    new: Option<&BTreeSet<String>>,
) {
    let list = |all: &BTreeSet<String>| all.iter().cloned().collect::<Vec<_>>().join(", ");
    let (old, new) = match (old, new) {
        (None, None) => return,
        (Some(old), None) => {
            let what = format!("anyone, was only {}", list(old));
            return diff.say(Effect::Weakens, place, what);
        }
        (None, Some(new)) => {
            let what = format!("only {}, was anyone", list(new));
            return diff.say(Effect::Strengthens, place, what);
        }
        (Some(old), Some(new)) => (old, new),
    };
    for added in new.difference(old) {
        diff.say(Effect::Weakens, place, format!("also {added} decides"));
    }
    for gone in old.difference(new) {
        diff.say(
            Effect::Strengthens,
            place,
            format!("{gone} no longer decides"),
        );
    }
}

/// Every key with the name and the address of whoever signs by it.
fn keys(people: &People) -> impl Iterator<Item = (&str, String, &str)> {
    people.persons.iter().flat_map(|(name, person)| {
        let address = people.address(name);
        let keys = person.keys.iter();
        keys.map(move |key| (name.as_str(), address.clone(), key.as_str()))
    })
}

/// What people no longer owe, where nothing else tells it.
fn dropped(diff: &mut Diff, old: &Policy, new: &Policy) {
    for name in old.people.duties.keys() {
        let goes_with_its_right = name
            .strip_prefix("access/")
            .is_some_and(|right| !new.people.access.contains_key(right));
        if new.people.duties.contains_key(name) || goes_with_its_right {
            continue;
        }
        let place = match old.duties.iter().any(|duty| duty.name == *name) {
            true => format!("duties/{name}"),
            false => name.clone(),
        };
        let within = |outer: &str, inner: &str| {
            let rest = inner.strip_prefix(outer);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let is_told = diff.out.iter().any(|told| {
            told.effect == Effect::Weakens
                && is_of_people(&told.place)
                && (within(&told.place, &place) || within(&place, &told.place))
        });
        if !is_told {
            diff.say(Effect::Weakens, place, "people no longer owe it");
        }
    }
}

/// Whether what differs at a place differs in what [`People`] holds.
fn is_of_people(place: &str) -> bool {
    match place.split('/').next() {
        Some("policy") => place != "policy/frameworks",
        Some(table) => TABLES.contains(&table),
        None => false,
    }
}

/// The people of the newest policy that weakens nothing of what any of `older` says of them; else those of the first.
pub(super) fn in_force<'v>(older: &[Version<'v>], new: Version<'v>) -> &'v People {
    let newest_first = [new].into_iter().chain(older.iter().rev().copied());
    let mut sound = newest_first.filter(|one| !older.iter().any(|old| weakens(*old, *one)));
    let found = sound.next().or(older.first().copied());
    &found.unwrap_or(new).policy.people
}

fn weakens(old: Version<'_>, new: Version<'_>) -> bool {
    let mut diff = Diff::default();
    systems::duties(
        &mut diff,
        &old.policy.duties,
        &mut new.policy.duties.clone(),
    );
    tables::of_people(&mut diff, old.declared, new.declared);
    people(&mut diff, old, new);
    let weakens = |told: &vouchsafe_model::Alteration| told.effect == Effect::Weakens;
    diff.out
        .iter()
        .any(|told| weakens(told) && is_of_people(&told.place))
}
