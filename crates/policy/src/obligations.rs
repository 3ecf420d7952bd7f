//! What must happen by when, computed from the policy alone.

mod people;

pub(crate) use crate::obligations::people::AHEAD;

use vouchsafe_model::policy::{CopyRule, Protection, Schedule, ScheduleRule, System, Way};
use vouchsafe_model::{Obligation, ObligationKind, Policy, ProtectionId, Time, VaultName};

use crate::schedule::calendar::period_around;
use crate::schedule::{next_wall_time, occurrences};

/// Every obligation that opens in `from..to`, and those of the calendar periods that are under way at `from` and
/// can still be fulfilled; in order of opening, each id once.
///
/// A period under way counts if the protection's next capture after `from` is due before the period ends, or if it
/// has no schedule that would say otherwise. A key is owed no replacement in the period under way, in which it may
/// just have been made; whether it is too old is judged by its age. Exempt systems and replicas owe nothing. Windows may be computed piece
/// by piece: the pieces' ids together are those of the whole.
pub fn obligations(policy: &Policy, from: Time, to: Time) -> Vec<Obligation> {
    let mut out = Vec::new();
    for (system, protection) in policy.protections() {
        if system.exempt.is_none() && !matches!(protection.way, Way::Replica(_)) {
            of_protection(system, protection, from, to, &mut out);
        }
    }
    for vault in policy.vaults.values() {
        let rhythms = [
            (ObligationKind::RotateKey, &vault.rotate),
            (ObligationKind::Prune, &vault.prune),
        ];
        for (kind, rule) in rhythms {
            let Some(rule) = rule else { continue };
            for (opens, due) in occurrences(&rule.rule, from, to) {
                let name = Some(vault.name.clone());
                out.push(Obligation::new(kind, None, name, None, opens, due));
            }
        }
    }
    people::owed(policy, from, to, &mut out);
    out.sort_by(|a, b| order(a).cmp(&order(b)));
    out.dedup_by(|a, b| a.id == b.id);
    out
}

type Order<'o> = (Time, Time, ObligationKind, Subject<'o>);
type Subject<'o> = (
    Option<&'o ProtectionId>,
    Option<&'o VaultName>,
    Option<&'o String>,
    Option<&'o String>,
    Option<&'o String>,
);

fn order(o: &Obligation) -> Order<'_> {
    let subject = (
        o.protection.as_ref(),
        o.vault.as_ref(),
        o.duty.as_ref(),
        o.about.as_ref(),
        o.person.as_ref(),
    );
    (o.opens, o.due, o.kind, subject)
}

/// When a capture that opens at `opens` must be done, if the next one opens at `next`.
pub(crate) fn capture_due(
    system: &System,
    protection: &Protection,
    opens: Time,
    next: Time,
) -> Time {
    if let Some(finish) = &protection.window.finish_by
        && let Some(due) = next_wall_time(finish.minutes, &finish.zone, after(opens))
    {
        return due;
    }
    if let Some(within) = protection.window.start_within {
        return opens.plus(within);
    }
    natural_due(system, protection, opens, next).max(grace_end(protection, next))
}

fn natural_due(system: &System, protection: &Protection, opens: Time, next: Time) -> Time {
    match system.tier.as_ref().and_then(|t| t.rpo) {
        // What is lost is decided by the log, not by how soon the next base is made.
        _ if protection.ships_log_every().is_some() => next,
        Some(rpo) => next.min(opens.plus(rpo)),
        None => next,
    }
}

fn grace_end(protection: &Protection, next: Time) -> Time {
    match protection.way {
        Way::Manual {
            grace: Some(grace), ..
        } => grace.after(next),
        _ => Time::MIN,
    }
}

fn after(time: Time) -> Time {
    time.plus(vouchsafe_model::Span::from_micros(1))
}

fn of_protection(
    system: &System,
    protection: &Protection,
    from: Time,
    to: Time,
    out: &mut Vec<Obligation>,
) {
    let mut owe = |kind, vault: Option<&VaultName>, opens, due| {
        let (id, vault) = (Some(protection.id.clone()), vault.cloned());
        out.push(Obligation::new(kind, id, vault, None, opens, due));
    };
    if let Some(schedule) = &protection.schedule {
        for (opens, next) in with_current(&schedule.rule, from, to, None) {
            let due = capture_due(system, protection, opens, next);
            if opens < from && due <= from {
                continue;
            }
            owe(ObligationKind::Capture, None, opens, due);
            // The copies follow the capture, so of a window only its end binds them.
            let copied = match protection.window.finish_by {
                Some(_) => due,
                None => natural_due(system, protection, opens, next).max(due),
            };
            for copy in further(protection).filter(|c| c.every.is_none()) {
                owe(ObligationKind::Copy, Some(&copy.vault), opens, copied);
            }
        }
    }
    let point = first_point(system, protection, from);
    for (kind, vault, schedule) in by_period(protection) {
        for (opens, due) in with_current(&schedule.rule, from, to, point) {
            owe(kind, vault, opens, due);
        }
    }
}

/// The copies but for the first, which is the capture itself.
fn further(protection: &Protection) -> impl Iterator<Item = &CopyRule> {
    protection.copies.iter().skip(1)
}

type ByPeriod<'p> = (ObligationKind, Option<&'p VaultName>, &'p Schedule);

/// What has a rhythm of its own and needs a point to be done on.
fn by_period(protection: &Protection) -> Vec<ByPeriod<'_>> {
    let mut out: Vec<ByPeriod<'_>> = Vec::new();
    for copy in further(protection) {
        let every = copy.every.iter();
        out.extend(every.map(|e| (ObligationKind::Copy, Some(&copy.vault), e)));
    }
    if let Some(verify) = &protection.verify {
        let vaults = protection.copies.iter().map(|c| &c.vault);
        out.extend(vaults.map(|v| (ObligationKind::Verify, Some(v), &verify.every)));
    }
    if let Some(drill) = &protection.drill {
        out.push((ObligationKind::Drill, None, &drill.every));
        let negative = drill.negative_control.iter();
        out.extend(negative.map(|n| (ObligationKind::NegativeControl, None, n)));
    }
    out
}

/// By when there must be a point, if all begins at `from`; nothing if no schedule says.
fn first_point(system: &System, protection: &Protection, from: Time) -> Option<Time> {
    let rule = &protection.schedule.as_ref()?.rule;
    let mut dues = with_current(rule, from, Time::MAX, None)
        .map(|(opens, next)| capture_due(system, protection, opens, next));
    Some(dues.find(|due| *due > from).unwrap_or(Time::MAX))
}

/// The occurrences in the window and, for a calendar period under way at `from`, that one too if `point` lies
/// before its end.
pub(crate) fn with_current(
    rule: &ScheduleRule,
    from: Time,
    to: Time,
    point: Option<Time>,
) -> impl Iterator<Item = (Time, Time)> + use<> {
    let current = match rule {
        ScheduleRule::Once(period) if from < to => period_around(from, *period)
            .filter(|(start, end)| *start < from && point.is_none_or(|p| p <= *end)),
        _ => None,
    };
    current.into_iter().chain(occurrences(rule, from, to))
}
