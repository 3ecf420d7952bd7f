//! Covered and fresh: which points there are, and how young the best of them is.

use std::collections::{BTreeMap, HashMap, HashSet};

use vouchsafe_model::fact::{CopyFact, RecoveryPoint};
use vouchsafe_model::policy::{Location, Protection, System};
use vouchsafe_model::{
    DrillResult, Judgement, LogGap, LogShipped, ObligationKind, Outcome, PointId, Policy, Question,
    Time, VaultName, Verdict,
};

use crate::assess::index::{LetGo, Seen, Track};
use crate::assess::log;
use crate::assess::owed::{first_open, last_due, last_missed};
use crate::assess::{Case, count, judged};
use crate::holds::Holds;
use crate::platforms::region_of_zone;
use crate::retention::{self, PointAge, decide, zone_of};
use crate::schedule::next_end;

/// The newest copy of a protection in one vault.
#[derive(Clone, Copy)]
pub(super) struct Held<'f> {
    pub(super) seq: u64,
    pub(super) copy: &'f CopyFact,
    pub(super) point: &'f RecoveryPoint,
    /// When the first copy came into this vault.
    pub(super) since: Time,
}

/// What is there of one protection. A point counts only if the ledger knows it and it is complete; a copy only
/// if it is of such a point, has that point's tree, was read back, and lies in a vault that the policy names.
pub(super) struct View<'f> {
    pub(super) points: &'f [Seen<'f, RecoveryPoint>],
    pub(super) copies: &'f [Seen<'f, CopyFact>],
    pub(super) drills: &'f [Seen<'f, DrillResult>],
    /// What was said last of its log, and the last gap in it.
    pub(super) log: Option<Seen<'f, LogShipped>>,
    pub(super) gap: Option<Seen<'f, LogGap>>,
    pub(super) complete: HashMap<&'f PointId, Seen<'f, RecoveryPoint>>,
    /// The complete point with the youngest content.
    pub(super) newest: Option<Seen<'f, RecoveryPoint>>,
    pub(super) held: BTreeMap<&'f VaultName, Held<'f>>,
    /// Copies that were let go.
    pub(super) expired: &'f [LetGo<'f>],
    /// Points of which no copy is left in any vault.
    pub(super) gone: HashSet<&'f PointId>,
}

impl<'f> View<'f> {
    pub(super) fn of(policy: &Policy, track: Option<&'f Track<'f>>) -> View<'f> {
        let (points, copies, drills, expired) = match track {
            Some(t) => (
                t.points.as_slice(),
                t.copies.as_slice(),
                t.drills.as_slice(),
                t.expired.as_slice(),
            ),
            None => (&[][..], &[][..], &[][..], &[][..]),
        };
        let (alive, gone) = what_is_left(copies, expired);
        let living: HashSet<&PointId> = alive.values().copied().collect();
        let expired_of: HashSet<&PointId> = expired.iter().map(|one| &one.copy.point).collect();
        // Had copies, and all of them were let go.
        let let_go = |point: &PointId| expired_of.contains(point) && !living.contains(point);
        let complete: HashMap<_, _> = points
            .iter()
            .filter(|(_, p)| p.outcome == Outcome::Done && !let_go(&p.point))
            .map(|seen| (&seen.1.point, *seen))
            .collect();
        let newest = complete
            .values()
            .max_by_key(|(seq, p)| (p.content_time, p.completed, *seq))
            .copied();
        let mut held: BTreeMap<&VaultName, Held<'f>> = BTreeMap::new();
        for (seq, copy) in copies
            .iter()
            .filter(|(seq, c)| alive.contains_key(seq) && policy.vaults.contains_key(&c.vault))
        {
            let Some((_, point)) = complete
                .get(&copy.point)
                .filter(|(_, p)| p.tree == copy.tree)
            else {
                continue;
            };
            let new = Held {
                seq: *seq,
                copy,
                point,
                since: copy.completed,
            };
            held.entry(&copy.vault)
                .and_modify(|old| {
                    let since = old.since.min(new.since);
                    let age = |h: &Held<'_>| (h.point.content_time, h.copy.completed);
                    if age(&new) >= age(old) {
                        *old = new;
                    }
                    old.since = since;
                })
                .or_insert(new);
        }
        View {
            points,
            copies,
            drills,
            log: track.and_then(|t| t.log),
            gap: track.and_then(|t| t.gap),
            complete,
            newest,
            held,
            expired,
            gone,
        }
    }

    /// How many complete points retention still counts: those that need not go, and the newest.
    pub(super) fn counted(&self, protection: &Protection, holds: &Holds<'_>, now: Time) -> u64 {
        let ages: Vec<PointAge> = self
            .complete
            .values()
            .map(|(_, p)| PointAge {
                id: p.point.clone(),
                completed: p.completed,
                complete: true,
                holds: holds.on(&p.point, &p.protection.system),
            })
            .collect();
        let decisions = decide(&ages, &protection.keep, zone_of(protection), now);
        let counted = decisions
            .iter()
            .filter(|d| d.verdict != retention::Verdict::ExpireNow);
        counted.count() as u64
    }
}

/// The copies that were not let go, by their place in the record; and the points of which no copy is left.
fn what_is_left<'f>(
    copies: &[Seen<'f, CopyFact>],
    expired: &'f [LetGo<'f>],
) -> (HashMap<u64, &'f PointId>, HashSet<&'f PointId>) {
    let mut let_go: HashMap<(&VaultName, &str), &LetGo<'_>> = HashMap::new();
    for one in expired {
        let_go
            .entry((one.vault, one.copy.snapshot.as_str()))
            .or_insert(one);
    }
    let mut alive = HashMap::new();
    let mut there: HashSet<&PointId> = HashSet::new();
    for (seq, copy) in copies {
        let let_go = let_go.get(&(&copy.vault, copy.snapshot.as_str()));
        if let_go.is_none() {
            alive.insert(*seq, &copy.point);
        }
        if let_go.is_none_or(|one| !one.gone) {
            there.insert(&copy.point);
        }
    }
    let gone = expired.iter().map(|one| &one.copy.point);
    (alive, gone.filter(|point| !there.contains(point)).collect())
}

/// Is there any recovery point at all?
pub(super) fn covered(case: &Case<'_>) -> Judgement {
    let Some((seq, newest)) = case.view.newest else {
        let (verdict, because, facts) = without_point(case);
        return judged(Question::Covered, verdict, because, facts);
    };
    let because = format!(
        "{}, the newest of {}, {}",
        count(case.view.complete.len(), "complete point"),
        newest.content_time.minute(),
        case.ago(newest.content_time)
    );
    judged(Question::Covered, Verdict::Met, because, vec![seq])
}

/// Verdict and reason where there is no complete point.
pub(super) fn without_point(case: &Case<'_>) -> (Verdict, String, Vec<u64>) {
    if let Some((seq, last)) = case.view.points.last() {
        let because = format!(
            "no complete point; the last capture, {}, had {}",
            case.ago(last.completed),
            count(
                usize::try_from(last.issue_count).unwrap_or(usize::MAX),
                "issue"
            )
        );
        return (Verdict::NotMet, because, vec![*seq]);
    }
    if let Some(due) = last_missed(case, ObligationKind::Capture, None) {
        let because = format!("no point; the capture due by {} was missed", due.minute());
        return (Verdict::NotMet, because, Vec::new());
    }
    let because = match first_open(case, ObligationKind::Capture, None) {
        Some(due) => format!("no point yet; the first capture is due by {}", due.minute()),
        None => "no point, and no capture is owed".to_owned(),
    };
    (Verdict::Unproven, because, Vec::new())
}

/// Whether a vault lies outside the system's own failure domain.
pub(crate) fn is_outside(system: &System, vault: &Location) -> bool {
    match (&system.location.region, &vault.region) {
        (None, _) => true,
        // Zones of one region share its fate.
        (Some(own), Some(other)) => region(own) != region(other),
        // Where the vault's region is not declared, nothing says that it is another one.
        (Some(_), None) => false,
    }
}

/// The region that a name stands for, even where it names a zone.
pub(crate) fn region(name: &str) -> &str {
    region_of_zone(name).unwrap_or(name)
}

/// The copy with the youngest content outside the system's own failure domain.
pub(super) fn best_outside<'a>(case: &Case<'a>) -> Option<Held<'a>> {
    let outside = case.view.held.iter().filter(|(vault, _)| {
        let vault = case.policy.vaults.get(**vault);
        vault.is_some_and(|v| is_outside(case.system, &v.location))
    });
    outside
        .map(|(_, held)| *held)
        .max_by_key(|h| (h.point.content_time, h.copy.completed))
}

/// Is the newest point young enough for schedule and RPO?
pub(super) fn fresh(case: &Case<'_>) -> Judgement {
    let Some((seq, newest)) = case.view.newest else {
        let (verdict, because, facts) = without_point(case);
        return judged(Question::Fresh, verdict, because, facts);
    };
    let mut facts = vec![seq];
    let age = case.ago(newest.content_time);
    let mut because = format!("newest point {} ({age})", newest.content_time.minute());
    let mut verdict = Verdict::Unproven;
    if let Some(schedule) = &case.protection.schedule {
        let missed =
            last_due(case, ObligationKind::Capture, None).filter(|o| *o > newest.content_time);
        if let Some(opens) = missed {
            because = format!("the capture of {} is overdue; {because}", opens.minute());
            verdict = Verdict::NotMet;
        } else if next_end(&schedule.rule, newest.content_time) < case.now {
            because = format!("{because} is older than `{}` allows", schedule.text);
            verdict = Verdict::NotMet;
        } else {
            because = format!("{because} is in time for `{}`", schedule.text);
            verdict = Verdict::Met;
        }
    }
    if let Some(rpo) = case.system.tier.as_ref().and_then(|t| t.rpo) {
        let (by_rpo, text) = against_rpo(case, rpo, &mut facts);
        because = format!("{because}; {text}");
        verdict = match (verdict, by_rpo) {
            (Verdict::Unproven, by_rpo) => by_rpo,
            (verdict, by_rpo) => verdict.worse(by_rpo),
        };
    } else if case.protection.schedule.is_none() {
        because = format!("{because}; the policy gives neither schedule nor RPO to judge it by");
    }
    if let Some((by_log, text)) = log::fresh(case, &mut facts) {
        because = format!("{because}; {text}");
        verdict = verdict.worse(by_log);
    }
    if let Some((seq, last)) = newer_incomplete(case, newest.content_time) {
        facts.push(seq);
        let issues = count(
            usize::try_from(last.issue_count).unwrap_or(usize::MAX),
            "issue",
        );
        because = format!(
            "{because}; a later capture, {}, is incomplete with {issues}",
            case.ago(last.completed)
        );
    }
    judged(Question::Fresh, verdict, because, facts)
}

fn against_rpo(
    case: &Case<'_>,
    rpo: vouchsafe_model::Span,
    facts: &mut Vec<u64>,
) -> (Verdict, String) {
    let region = case.system.location.region.as_deref();
    let place = match region {
        Some(region) => format!("outside region {region}, as declared"),
        None => "in any vault, as the system's location is not declared".to_owned(),
    };
    let Some(best) = best_outside(case) else {
        return (
            Verdict::NotMet,
            format!("RPO {rpo} is not kept: no copy {place}"),
        );
    };
    facts.push(best.seq);
    let lost = case.now.since(best.point.content_time);
    let copy = format!(
        "the best copy {place}, is {lost} old, in {}",
        best.copy.vault
    );
    let by_log = log::achieved(case).filter(|by_log| lost > rpo && *by_log <= rpo);
    if let Some(by_log) = by_log {
        let text = format!("{copy}, and the log goes on from it to {by_log} ago; RPO {rpo}");
        return (Verdict::Met, text);
    }
    match lost <= rpo {
        true => (Verdict::Met, format!("{copy}; RPO {rpo}")),
        false => (Verdict::NotMet, format!("{copy}; that is over RPO {rpo}")),
    }
}

fn newer_incomplete<'a>(case: &Case<'a>, than: Time) -> Option<Seen<'a, RecoveryPoint>> {
    let incomplete = case.view.points.iter().rev().copied();
    incomplete
        .take(1)
        .find(|(_, p)| p.outcome != Outcome::Done && p.content_time > than)
}
