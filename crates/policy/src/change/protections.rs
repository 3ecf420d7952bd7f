//! What differs between the protections of a system: what is read, when, for how long it is kept and where.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use vouchsafe_model::ids::ProtectionName;
use vouchsafe_model::policy::{
    CopyRule, DrillRule, Keep, KeepCounts, Length, Protection, Schedule, VerifyRule, Way,
};
use vouchsafe_model::{Effect, SourceKind, Span};

use super::diff::Diff;
use super::erasures;
use super::lengths::{is_as_long, later, order};
use crate::schedule::{in_four_years, longest_gap};

/// Puts back what is weakened.
pub(super) fn protections(
    diff: &mut Diff,
    place: &str,
    old: &BTreeMap<ProtectionName, Protection>,
    new: &mut BTreeMap<ProtectionName, Protection>,
) {
    // The shorthand has no key of its own for its one protection.
    let at = |name: &ProtectionName| match name.as_str() {
        "main" => place.to_owned(),
        name => format!("{place}/protections/{name}"),
    };
    for (name, before) in old {
        match new.get_mut(name) {
            Some(protection) => one(diff, &at(name), before, protection),
            None => {
                let what = format!("the protection {name} is dropped");
                diff.say(Effect::Weakens, at(name), what);
                new.insert(name.clone(), before.clone());
            }
        }
    }
    for name in new.keys().filter(|name| !old.contains_key(name)) {
        let what = format!("a new protection {name}");
        diff.say(Effect::Strengthens, at(name), what);
    }
}

fn one(diff: &mut Diff, place: &str, old: &Protection, new: &mut Protection) {
    let at = |key: &str| format!("{place}/{key}");
    reads(diff, place, old, new);
    rhythm(
        diff,
        (&at("schedule"), "the schedule"),
        &old.keep,
        &old.schedule,
        &mut new.schedule,
    );
    diff.smaller(
        &at("window"),
        "the time to start within",
        &old.window.start_within,
        &mut new.window.start_within,
    );
    match (&old.window.finish_by, &new.window.finish_by) {
        (Some(_), None) => {
            let what = "no time of day to end by any more";
            diff.say(Effect::Weakens, at("window"), what);
            new.window.finish_by.clone_from(&old.window.finish_by);
        }
        (None, Some(_)) => {
            diff.say(Effect::Strengthens, at("window"), "a time of day to end by");
        }
        (before, now) => diff.other(&at("window"), before, now, "another time of day to end by"),
    }
    keep(diff, &at("keep"), &old.keep, &mut new.keep);
    copies(diff, &at("copies"), old, &mut new.copies);
    verify(diff, &at("verify"), &old.verify, &mut new.verify);
    drill(diff, &at("drill"), &old.drill, &mut new.drill);
    logs(diff, &at("logs"), old, new);
}

fn logs(diff: &mut Diff, place: &str, old: &Protection, new: &mut Protection) {
    let is_dropped = new.log_every.is_none();
    let name = "the interval of the log";
    diff.smaller(place, name, &old.log_every, &mut new.log_every);
    if is_dropped {
        // The whole rule is put back.
        new.log_keep = old.log_keep;
        return;
    }
    // Without a length of its own the log is kept as long as it is needed.
    let by_length = |a: &Option<Length>, b: &Option<Length>| match (a, b) {
        (None, None) => Ordering::Equal,
        (None, _) => Ordering::Greater,
        (_, None) => Ordering::Less,
        (Some(a), Some(b)) => order(a, b),
    };
    let shown = |length: &Option<Length>| match length {
        Some(length) => length.to_string(),
        None => "without end".to_owned(),
    };
    if old.log_every.is_some() {
        let mut now = Some(new.log_keep);
        let name = "the time for which the log is kept";
        let before = Some(old.log_keep);
        diff.promise(place, name, &before, &mut now, by_length, shown);
        new.log_keep = now.flatten();
    }
}

/// When points come. Where so many of them are kept, they reach back less far if they come faster.
fn rhythm(
    diff: &mut Diff,
    (place, name): (&str, &str),
    keep: &Keep,
    old: &Option<Schedule>,
    new: &mut Option<Schedule>,
) {
    let faster = match (old, &*new) {
        (Some(before), Some(now)) => reaches_less(keep, before, now),
        _ => None,
    };
    let Some(counted) = faster else {
        diff.rhythm(place, name, old, new);
        return;
    };
    let text = |schedule: &Option<Schedule>| {
        let text = schedule.as_ref().map(|s| s.text.clone());
        text.unwrap_or_default()
    };
    let what = format!(
        "{name} is `{}`, was `{}`: what is kept by `{counted}` reaches back less far",
        text(new),
        text(old)
    );
    diff.say(Effect::Weakens, place, what);
    new.clone_from(old);
}

/// The rule that counts points, if any, by which less far back is kept if points come as `new` says instead of `old`:
/// one that counts periods which are shorter than what lay between two points.
fn reaches_less(keep: &Keep, old: &Schedule, new: &Schedule) -> Option<&'static str> {
    let gap = longest_gap(&old.rule);
    // Whole periods, with the hour by which the clock may be turned.
    let counted = keep.counts.rules().map(|(word, _)| word).find(|word| {
        gap > match *word {
            "last" => Span::ZERO,
            "hourly" => Span::from_hours(1),
            "daily" => Span::from_hours(25),
            "weekly" => Span::from_hours(7 * 24 + 1),
            "monthly" => Span::from_hours(31 * 24 + 1),
            _ => Span::from_hours(366 * 24 + 1),
        }
    })?;
    let is_faster =
        longest_gap(&new.rule) < gap || in_four_years(&new.rule) > in_four_years(&old.rule);
    is_faster.then_some(counted)
}

/// What is read, and how much of it is left out.
fn reads(diff: &mut Diff, place: &str, old: &Protection, new: &mut Protection) {
    let at = |key: &str| format!("{place}/{key}");
    if old.way != new.way {
        let (effect, what) = way(&old.way, &new.way);
        diff.say(effect, at("source"), what);
        if effect == Effect::Weakens {
            new.way = old.way.clone();
            new.password.clone_from(&old.password);
        }
    }
    let kept = "the source's password is kept elsewhere";
    diff.other(&at("password"), &old.password, &new.password, kept);
    let read = "the server's files are read from elsewhere";
    let directories = (&old.data_directory, &new.data_directory);
    diff.other(&at("data_directory"), directories.0, directories.1, read);
    let dumped = "another number of processes dumps it";
    diff.other(&at("dump_jobs"), &old.dump_jobs, &new.dump_jobs, dumped);
    let digests = |p: &Protection| match p.digests {
        vouchsafe_model::policy::Digests::Full => 2,
        vouchsafe_model::policy::Digests::Sample => 1,
        vouchsafe_model::policy::Digests::None => 0,
    };
    match digests(new).cmp(&digests(old)) {
        Ordering::Less => {
            let what = "fewer rows are digested, so that drills compare less";
            diff.say(Effect::Weakens, at("digests"), what);
            new.digests = old.digests;
        }
        Ordering::Greater => {
            diff.say(Effect::Strengthens, at("digests"), "more rows are digested");
        }
        Ordering::Equal => {}
    }
    exclude(diff, &at("exclude"), &old.exclude, &mut new.exclude);
    erasures::rule(diff, &at("erasure"), &old.erasure, &mut new.erasure);
}

fn exclude(diff: &mut Diff, place: &str, old: &[String], new: &mut Vec<String>) {
    if old == new.as_slice() {
        return;
    }
    let before: BTreeSet<&String> = old.iter().collect();
    let now: BTreeSet<&String> = new.iter().collect();
    let only = |these: &BTreeSet<&String>, those: &BTreeSet<&String>| {
        let only: Vec<&str> = these.difference(those).map(|p| p.as_str()).collect();
        only.join(", ")
    };
    let (added, gone) = (only(&now, &before), only(&before, &now));
    // A pattern with `!` takes back what others leave out, so that their order matters.
    let is_plain = !old.iter().chain(new.iter()).any(|p| p.starts_with('!'));
    if added.is_empty() && is_plain {
        if !gone.is_empty() {
            let what = format!("{gone} no longer left out");
            diff.say(Effect::Strengthens, place, what);
        }
        return;
    }
    let what = match added.is_empty() {
        true => "other things are left out".to_owned(),
        false => format!("{added} left out as well"),
    };
    diff.say(Effect::Weakens, place, what);
    *new = match is_plain {
        true => old.iter().filter(|p| now.contains(p)).cloned().collect(),
        false => old.to_vec(),
    };
}

fn way(old: &Way, new: &Way) -> (Effect, String) {
    let named = |way: &Way| match way {
        Way::Capture(url) | Way::Orchestrate(url) | Way::Observe(url) | Way::Replica(url) => {
            format!("{} {url}", way.word())
        }
        Way::Manual { .. } => "manual".to_owned(),
    };
    if let (Way::Manual { .. }, Way::Manual { .. }) = (old, new) {
        return (
            Effect::Neutral,
            "other words for whoever does it".to_owned(),
        );
    }
    let what = format!("it is `{}`, was `{}`", named(new), named(old));
    if let (Way::Capture(old), Way::Capture(new)) = (old, new)
        && (old.kind(), new.kind()) == (&SourceKind::Files, &SourceKind::Files)
    {
        let root = std::path::Path::new(new.local_path());
        if std::path::Path::new(old.local_path()).starts_with(root) {
            return (Effect::Strengthens, what);
        }
    }
    (Effect::Weakens, what)
}

/// By which age all that a rule keeps is gone; nothing for never. And up to which age it keeps everything.
fn reach(keep: &Keep) -> (Option<Length>, Option<Length>) {
    let end = match (keep.at_least, keep.at_most) {
        (Some(least), Some(most)) => Some(later(least, most)),
        (least, most) => most.or(least),
    };
    match keep.counts.is_empty() {
        true => (end, end),
        false => (keep.at_most.and(end), keep.at_least),
    }
}

/// A rule that keeps whatever `a` or `b` keeps. Counting is by period, so that of two rules that count in different
/// time zones it may keep less: what is to go is decided by each of them.
pub fn longer(a: &Keep, b: &Keep) -> Keep {
    if a.is_unsaid() || b.is_unsaid() {
        return Keep::default();
    }
    let ((over_a, all_a), (over_b, all_b)) = (reach(a), reach(b));
    let most = |a: Option<u32>, b: Option<u32>| a.max(b);
    // Where nothing is counted, `at_most` alone says how long everything stays.
    let (all_a, all_b) = match a.counts.is_empty() && b.counts.is_empty() {
        true => (a.at_least, b.at_least),
        false => (all_a, all_b),
    };
    Keep {
        at_least: match (all_a, all_b) {
            (Some(a), Some(b)) => Some(later(a, b)),
            (a, b) => a.or(b),
        },
        at_most: over_a.zip(over_b).map(|(a, b)| later(a, b)),
        grace: a.grace.max(b.grace),
        counts: KeepCounts {
            last: most(a.counts.last, b.counts.last),
            hourly: most(a.counts.hourly, b.counts.hourly),
            daily: most(a.counts.daily, b.counts.daily),
            weekly: most(a.counts.weekly, b.counts.weekly),
            monthly: most(a.counts.monthly, b.counts.monthly),
            yearly: most(a.counts.yearly, b.counts.yearly),
        },
    }
}

pub(super) fn keep(diff: &mut Diff, place: &str, old: &Keep, new: &mut Keep) {
    if old == new {
        return;
    }
    let what = format!("{}, was {}", kept(new), kept(old));
    if is_shorter(old, new) {
        diff.say(Effect::Weakens, place, what);
        *new = match is_shorter(new, old) {
            true => longer(old, new),
            false => *old,
        };
    } else if is_shorter(new, old) {
        diff.say(Effect::Strengthens, place, what);
    } else {
        diff.say(Effect::Neutral, place, what);
    }
}

/// Whether `new` lets anything go that `old` keeps, or promises to keep it for less long.
fn is_shorter(old: &Keep, new: &Keep) -> bool {
    if new.is_unsaid() {
        return false;
    }
    if old.is_unsaid() {
        return true;
    }
    let ((over_old, all_old), (over_new, all_new)) = (reach(old), reach(new));
    let ends_sooner = match (over_old, over_new) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(o), Some(n)) => !is_as_long(n, o),
    };
    let is_less = |new: Option<Length>, old: Option<Length>| match (new, old) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(new), Some(old)) => !is_as_long(new, old),
    };
    let keeps_all_shorter = is_less(all_new, all_old);
    let counts = |keep: &Keep, word: &str| {
        let found = keep.counts.rules().find(|(known, _)| *known == word);
        found.map_or(0, |(_, n)| n)
    };
    // What a rule without counting keeps, it keeps whole.
    let counts_less = old.counts.rules().any(|(word, n)| counts(new, word) < n);
    // Beside `at_most` nothing goes the earlier for a shorter `at_least`, and yet less is promised.
    let promises_less = is_less(new.at_least, old.at_least);
    ends_sooner || keeps_all_shorter || counts_less || promises_less
}

/// How long a rule keeps, as half a sentence.
fn kept(keep: &Keep) -> String {
    if keep.is_unsaid() {
        return "kept without end".to_owned();
    }
    let parts = [
        keep.at_least.map(|least| format!("at least {least}")),
        keep.at_most.map(|most| format!("at most {most}")),
        (!keep.counts.is_empty()).then(|| keep.counts.to_string()),
        keep.grace.map(|grace| format!("{grace} of grace")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    format!("kept {}", parts.join(", "))
}

fn copies(diff: &mut Diff, place: &str, old: &Protection, new: &mut Vec<CopyRule>) {
    let (keep, points, old) = (&old.keep, &old.schedule, &old.copies);
    for before in old {
        let vault = &before.vault;
        match new.iter_mut().find(|copy| copy.vault == *vault) {
            None => {
                let what = format!("no copy in {vault} any more");
                diff.say(Effect::Weakens, place, what);
                new.push(before.clone());
            }
            Some(copy) => match (&before.every, &copy.every) {
                (None, Some(every)) => {
                    let what = format!(
                        "copies to {vault} are made `{}`, was every point",
                        every.text
                    );
                    diff.say(Effect::Weakens, place, what);
                    copy.every = None;
                }
                (Some(every), None) => {
                    let reaches_less = points
                        .as_ref()
                        .and_then(|points| reaches_less(keep, every, points));
                    let what = format!("every point is copied to {vault}");
                    match reaches_less {
                        Some(counted) => {
                            let what = format!(
                                "{what}: what is kept by `{counted}` reaches back less far"
                            );
                            diff.say(Effect::Weakens, place, what);
                            copy.every.clone_from(&before.every);
                        }
                        None => diff.say(Effect::Strengthens, place, what),
                    }
                }
                _ => {
                    let name = format!("the rhythm of copies to {vault}");
                    let now = &mut copy.every;
                    rhythm(diff, (place, &name), keep, &before.every, now);
                }
            },
        }
    }
    let fresh = new
        .iter()
        .filter(|c| !old.iter().any(|o| o.vault == c.vault));
    for copy in fresh {
        let what = format!("a further copy in {}", copy.vault);
        diff.say(Effect::Strengthens, place, what);
    }
}

fn verify(diff: &mut Diff, place: &str, old: &Option<VerifyRule>, new: &mut Option<VerifyRule>) {
    let every = |rule: &Option<VerifyRule>| rule.as_ref().map(|r| r.every.clone());
    let mut now: Option<Schedule> = every(new);
    diff.rhythm(place, "verification", &every(old), &mut now);
    let (Some(before), Some(rule)) = (old, new.as_mut()) else {
        if new.is_none() {
            new.clone_from(old);
        }
        return;
    };
    rule.every = now.unwrap_or_else(|| rule.every.clone());
    let part = |rule: &VerifyRule| rule.coverage.unwrap_or((1, 1));
    let by_share = |a: &(u32, u32), b: &(u32, u32)| {
        (u64::from(a.0) * u64::from(b.1)).cmp(&(u64::from(b.0) * u64::from(a.1)))
    };
    let mut share = Some(part(rule));
    let shown = |(n, d): &(u32, u32)| match n == d {
        true => "all".to_owned(),
        false => format!("{n}/{d}"),
    };
    let name = "the share that is read back each time";
    if diff.promise(
        place,
        name,
        &Some(part(before)),
        &mut share,
        by_share,
        shown,
    ) {
        rule.coverage = before.coverage;
    }
}

fn drill(diff: &mut Diff, place: &str, old: &Option<DrillRule>, new: &mut Option<DrillRule>) {
    let every = |rule: &Option<DrillRule>| rule.as_ref().map(|r| r.every.clone());
    let mut now = every(new);
    diff.rhythm(place, "the drill", &every(old), &mut now);
    let (Some(before), Some(rule)) = (old, new.as_mut()) else {
        if new.is_none() {
            new.clone_from(old);
        }
        return;
    };
    rule.every = now.unwrap_or_else(|| rule.every.clone());
    diff.rhythm(
        place,
        "the negative control",
        &before.negative_control,
        &mut rule.negative_control,
    );
    if before.equality != rule.equality {
        match &before.equality {
            Some(_) => {
                let what = "a restored moment is no longer held against the same";
                diff.say(Effect::Weakens, place, what.to_owned());
                rule.equality.clone_from(&before.equality);
            }
            None => {
                let what = "a restored moment is held against something else";
                diff.say(Effect::Strengthens, place, what.to_owned());
            }
        }
    }
    for check in &before.checks {
        if !rule.checks.contains(check) {
            let what = format!("no longer checked: {check}");
            diff.say(Effect::Weakens, place, what);
            rule.checks.push(check.clone());
        }
    }
    for check in rule.checks.iter().filter(|c| !before.checks.contains(c)) {
        let what = format!("also checked: {check}");
        diff.say(Effect::Strengthens, place, what);
    }
}
