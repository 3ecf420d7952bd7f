//! What differs between what two policies declare beside their rules: by key, each of which has a direction.

use std::collections::{BTreeMap, BTreeSet};

use vouchsafe_model::Effect;

use super::diff::Diff;
use super::people::{self, TABLES};
use crate::declared::{Declared, Entry, Said};
use crate::schedule::longest_gap;

/// What more or less of a value means for what is promised.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    /// True promises more.
    True,
    /// The smaller promises more.
    Smaller,
    /// The larger promises more.
    Larger,
    /// Each item promises something.
    Items,
    /// Each item allows something.
    Allows,
    /// The stronger cipher or protocol promises more.
    Cipher,
    /// Any other value undoes the one before.
    Pinned,
    /// That it is said promises something; what is said is a matter of taste.
    Said,
    /// It promises nothing.
    Nothing,
}

fn direction(key: &str) -> Direction {
    match key {
        "mfa" | "reason" | "logged" | "parity" | "drill" | "acknowledge" | "four_eyes"
        | "signed" => Direction::True,
        "at_most" | "within" | "longer_than" | "rto" | "above" => Direction::Smaller,
        "before" | "count" | "keep" => Direction::Larger,
        "checks" | "steps" | "features" | "contains" | "kind" | "layers" => Direction::Items,
        "may" | "approved_by" => Direction::Allows,
        "at_rest" | "in_transit" => Direction::Cipher,
        "allowed_signers" | "register" => Direction::Pinned,
        "check" | "versions" | "consistency" | "monitor" | "judged_by" | "authorised_by"
        | "replay" | "next_review" | "escrow" => Direction::Said,
        _ => Direction::Nothing,
    }
}

/// What it means that a table of the root has a name more.
fn presence(table: &str) -> Option<Effect> {
    match table {
        "alerts" | "programme" | "runbooks" | "encryption" | "erasure" | "holds" | "keys"
        | "changes" => Some(Effect::Strengthens),
        // What is allowed, and what is excused.
        "access" | "exemptions" => Some(Effect::Weakens),
        _ => None,
    }
}

fn opposite(effect: Effect) -> Effect {
    match effect {
        Effect::Weakens => Effect::Strengthens,
        Effect::Strengthens => Effect::Weakens,
        Effect::Neutral => Effect::Neutral,
    }
}

/// Notes what differs in what is said of people.
pub(super) fn of_people(diff: &mut Diff, old: &Declared, new: &Declared) {
    for key in both(&old.root, &new.root) {
        if TABLES.contains(&key) {
            table(diff, key, old.root.get(key), new.root.get(key));
        }
    }
    duties(diff, old, new);
}

/// Notes what differs.
pub(super) fn declared(diff: &mut Diff, old: &Declared, new: &Declared) {
    for key in both(&old.root, &new.root) {
        table(diff, key, old.root.get(key), new.root.get(key));
    }
    for (name, layers) in &old.layers {
        let now = new.layers.get(name).cloned().unwrap_or_default();
        for layer in layers.iter().filter(|layer| !now.contains(layer)) {
            let what = format!("tier {name} no longer asks for the layer {layer}");
            diff.say(Effect::Weakens, format!("tiers/{name}"), what);
        }
    }
    for (name, layers) in &new.layers {
        let before = old.layers.get(name).cloned().unwrap_or_default();
        for layer in layers.iter().filter(|layer| !before.contains(layer)) {
            let what = format!("tier {name} asks for the layer {layer}");
            diff.say(Effect::Strengthens, format!("tiers/{name}"), what);
        }
    }
    let maps = old.systems.iter().map(|(name, entry)| {
        let now = new.systems.get(name);
        (format!("systems/{name}"), entry, now)
    });
    let protections = old.protections.iter().map(|(id, entry)| {
        let place = format!("systems/{}/protections/{}", id.system, id.protection);
        (place, entry, new.protections.get(id))
    });
    duties(diff, old, new);
    for (place, before, now) in maps.chain(protections) {
        // What was dropped as a whole is told elsewhere.
        if let Some(now) = now {
            entry(diff, &place, before, now, None);
        }
    }
    for (framework, controls) in &old.controls {
        let now = new.controls.get(framework).cloned().unwrap_or_default();
        for control in controls.iter().filter(|c| !now.contains(c)) {
            let what = format!("control {control} of {framework} is no longer named");
            diff.say(Effect::Weakens, "policy/frameworks", what);
        }
    }
    for name in old.requirements.keys() {
        if !new.requirements.contains_key(name) {
            let what = format!("requirement {name} is no longer named");
            diff.say(Effect::Weakens, format!("requirements/{name}"), what);
        }
    }
}

fn duties(diff: &mut Diff, old: &Declared, new: &Declared) {
    for (name, before) in &old.duties {
        // What was dropped as a whole is told elsewhere.
        if let Some(now) = new.duties.get(name) {
            entry(diff, &format!("duties/{name}"), before, now, None);
        }
    }
}

fn both(old: &Entry, new: &Entry) -> BTreeSet<&'static str> {
    let keys = old.iter().chain(new.iter());
    keys.map(|(key, _)| key).collect()
}

fn table(diff: &mut Diff, name: &'static str, old: Option<&Said>, new: Option<&Said>) {
    let gains = presence(name);
    match (old, new) {
        (Some(Said::Named(old)), Some(Said::Named(new))) => named(diff, name, old, new, gains),
        (Some(Said::Named(old)), None) => named(diff, name, old, &BTreeMap::new(), gains),
        (None, Some(Said::Named(new))) => named(diff, name, &BTreeMap::new(), new, gains),
        (Some(Said::Entry(old)), Some(Said::Entry(new))) => entry(diff, name, old, new, gains),
        (Some(Said::Entry(old)), None) => entry(diff, name, old, &Entry::default(), gains),
        (None, Some(Said::Entry(new))) => entry(diff, name, &Entry::default(), new, gains),
        (old, new) => diff.other(name, &old, &new, "it says something else"),
    }
}

fn named(
    diff: &mut Diff,
    table: &str,
    old: &BTreeMap<String, Entry>,
    new: &BTreeMap<String, Entry>,
    gains: Option<Effect>,
) {
    for (name, before) in old {
        let place = format!("{table}/{name}");
        match new.get(name) {
            Some(now) => entry(diff, &place, before, now, None),
            None => {
                let effect = gains.map_or(Effect::Neutral, opposite);
                diff.say(effect, place, "it is dropped");
            }
        }
    }
    for name in new.keys().filter(|name| !old.contains_key(*name)) {
        let effect = gains.unwrap_or(Effect::Neutral);
        diff.say(effect, format!("{table}/{name}"), "it is new");
    }
}

/// `gains`, where each key of the mapping by itself promises or allows something.
fn entry(diff: &mut Diff, place: &str, old: &Entry, new: &Entry, gains: Option<Effect>) {
    for key in both(old, new) {
        let at = format!("{place}/{key}");
        match (old.said.get(key), new.said.get(key)) {
            (before, now) if before == now || people::is_meant(place, key) => {}
            (Some(Said::Entry(before)), Some(Said::Entry(now))) => {
                entry(diff, &at, before, now, None);
            }
            (Some(Said::Named(before)), Some(Said::Named(now))) => {
                named(diff, &at, before, now, None);
            }
            (before, now) => value(diff, &at, key, before, now, gains),
        }
    }
}

fn value(
    diff: &mut Diff,
    place: &str,
    key: &str,
    old: Option<&Said>,
    new: Option<&Said>,
    gains: Option<Effect>,
) {
    let direction = direction(key);
    if matches!(direction, Direction::Items | Direction::Allows) {
        return items(diff, place, key, (old, new), direction);
    }
    let shown = |said: Option<&Said>| said.map_or("not said".to_owned(), Said::to_string);
    let what = format!("it is {}, was {}", shown(new), shown(old));
    let effect = match (old, new) {
        (None, Some(Said::Flag(false))) | (Some(Said::Flag(false)), None) => Effect::Neutral,
        // An end of a permission to depart from a rule limits it.
        _ if key == "until" && place.starts_with("exemptions/") => match (text(old), text(new)) {
            (Some(_), None) => Effect::Weakens,
            (None, Some(_)) => Effect::Strengthens,
            (old, new) if new > old => Effect::Weakens,
            _ => Effect::Strengthens,
        },
        // Another rule, or other systems, are departed from than was agreed to.
        _ if matches!(key, "from" | "systems") && place.starts_with("exemptions/") => {
            Effect::Weakens
        }
        // Another register may leave out who was to stay erased.
        (Some(_), Some(_)) if place == "erasure/file" => Effect::Weakens,
        (Some(_), Some(_)) => both_said(direction, old, new),
        (old, _) => {
            let promises =
                direction != Direction::Nothing || matches!(old.or(new), Some(Said::Schedule(_)));
            let gained = match (gains, promises) {
                (Some(effect), _) => effect,
                (None, true) => Effect::Strengthens,
                (None, false) => Effect::Neutral,
            };
            match old {
                Some(_) => opposite(gained),
                None => gained,
            }
        }
    };
    diff.say(effect, place, what);
}

fn text(said: Option<&Said>) -> Option<&str> {
    match said {
        Some(Said::Text(text)) => Some(text),
        _ => None,
    }
}

/// Of two values that are both there.
fn both_said(direction: Direction, old: Option<&Said>, new: Option<&Said>) -> Effect {
    let by = |more: Option<std::cmp::Ordering>| match more {
        Some(std::cmp::Ordering::Greater) => Effect::Strengthens,
        Some(std::cmp::Ordering::Less) => Effect::Weakens,
        _ => Effect::Neutral,
    };
    match (direction, old, new) {
        (_, Some(Said::Schedule(old)), Some(Said::Schedule(new))) => {
            by(Some(longest_gap(&old.rule).cmp(&longest_gap(&new.rule))))
        }
        (Direction::True, Some(Said::Flag(_)), Some(Said::Flag(new))) => match new {
            true => Effect::Strengthens,
            false => Effect::Weakens,
        },
        (Direction::Smaller, Some(old), Some(new)) => by(size(old).partial_cmp(&size(new))),
        (Direction::Larger, Some(old), Some(new)) => by(size(new).partial_cmp(&size(old))),
        (Direction::Cipher, Some(old), Some(new)) => {
            match (
                figure(&old.to_string()).as_slice(),
                figure(&new.to_string()).as_slice(),
            ) {
                (_, []) => Effect::Weakens,
                (old, new) => by(Some(new.cmp(old))),
            }
        }
        (Direction::Pinned, ..) => Effect::Weakens,
        _ => Effect::Neutral,
    }
}

fn size(said: &Said) -> Option<f64> {
    match said {
        Said::Count(n) => Some(f64::from(*n)),
        Said::Span(span) => Some(span.micros() as f64),
        Said::Length(length) => Some(length.roughly().micros() as f64),
        Said::Share(n, d) => Some(f64::from(*n) / f64::from(*d)),
        _ => None,
    }
}

/// The numbers in the name of a cipher or protocol: 256 of `AES-256`, 1 and 3 of `TLS 1.3`.
fn figure(text: &str) -> Vec<u64> {
    let parts = text.split(|c: char| !c.is_ascii_digit());
    parts.filter_map(|part| part.parse().ok()).collect()
}

fn items(
    diff: &mut Diff,
    place: &str,
    key: &str,
    (old, new): (Option<&Said>, Option<&Said>),
    direction: Direction,
) {
    // Where nobody is named who may agree, anyone may.
    match (key, old, new) {
        ("approved_by", None, Some(who)) => {
            return diff.say(
                Effect::Strengthens,
                place,
                format!("only {who}, was anyone"),
            );
        }
        ("approved_by", Some(who), None) => {
            return diff.say(Effect::Weakens, place, format!("anyone, was only {who}"));
        }
        _ => {}
    }
    let list = |said: Option<&Said>| -> BTreeSet<String> {
        match said {
            Some(Said::List(all)) => all.iter().map(Said::to_string).collect(),
            Some(one) => BTreeSet::from([one.to_string()]),
            None => BTreeSet::new(),
        }
    };
    let (old, new) = (list(old), list(new));
    let (more, less) = match direction {
        Direction::Allows => (Effect::Weakens, Effect::Strengthens),
        _ => (Effect::Strengthens, Effect::Weakens),
    };
    for gone in old.difference(&new) {
        diff.say(less, place, format!("without {gone}"));
    }
    for added in new.difference(&old) {
        diff.say(more, place, format!("also {added}"));
    }
}
