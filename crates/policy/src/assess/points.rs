//! Covered and fresh: which points there are, and how young the best of them is.

use std::collections::{BTreeMap, HashMap, HashSet};

use vouchsafe_model::policy::{Location, Protection, System};
use vouchsafe_model::{
    Judgement, LogGap, LogShipped, ObligationKind, Outcome, Policy, Question, SystemName, Time,
    VaultName, Verdict,
};

use crate::assess::log;
use crate::assess::owed::{first_open, last_due, last_missed};
use crate::assess::projection::{
    Copy, Digest, LastPoint, LetGo, Name, Point, PointKey, Projection, Track,
};
use crate::assess::{Case, count, judged};
use crate::holds::Holds;
use crate::platforms::region_of_zone;
use crate::retention::{PointAge, how_many_stay, zone_of};

/// The newest copy of a protection in one vault.
#[derive(Clone, Copy)]
pub(super) struct Held<'f> {
    pub(super) vault: &'f VaultName,
    pub(super) copy: &'f Copy,
    pub(super) cipher: &'f str,
    pub(super) point: &'f Point,
    /// When the first of the copies that are there came into this vault.
    pub(super) since: Time,
    /// When the first one of all came, whatever became of it.
    pub(super) first: Time,
}

/// What is there of one protection. A point counts only if the ledger knows it and it is complete; a copy only
/// if it is of such a point, has that point's tree, was read back, and lies in a vault that the policy names.
pub(super) struct View<'f> {
    pub(super) track: Option<&'f Track>,
    pub(super) complete: HashMap<&'f PointKey, &'f Point>,
    /// The complete point with the youngest content.
    pub(super) newest: Option<&'f Point>,
    pub(super) held: BTreeMap<&'f VaultName, Held<'f>>,
    /// Points of which no copy is left in any vault.
    pub(super) gone: HashSet<&'f PointKey>,
}

impl<'f> View<'f> {
    pub(super) fn of(
        policy: &Policy,
        projection: &'f Projection,
        track: Option<&'f Track>,
    ) -> View<'f> {
        let mut view = View {
            track,
            complete: HashMap::new(),
            newest: None,
            held: BTreeMap::new(),
            gone: HashSet::new(),
        };
        let Some(track) = track else { return view };
        let (alive, gone) = what_is_left(track);
        view.gone = gone;
        let living: HashSet<&PointKey> = alive.iter().map(|copy| &copy.point).collect();
        let expired_of: HashSet<&PointKey> = track.expired.iter().map(|one| &one.point).collect();
        // Had copies, and all of them were let go.
        let let_go = |point: &PointKey| expired_of.contains(point) && !living.contains(point);
        let complete = track.points.iter();
        let complete = complete.filter(|p| p.outcome == Outcome::Done && !let_go(&p.point));
        view.complete = complete.map(|point| (&point.point, point)).collect();
        let newest = |p: &&&Point| (p.content_time, p.completed, p.seq);
        view.newest = view.complete.values().max_by_key(newest).copied();
        for copy in alive {
            let point = view.complete.get(&copy.point).copied();
            let vault = projection.vault_name(copy.vault);
            let vault = vault.filter(|vault| policy.vaults.contains_key(*vault));
            let (Some(point), Some(vault)) = (point.filter(|p| p.tree == copy.tree), vault) else {
                continue;
            };
            let first = track.first.iter().find(|(vault, _)| *vault == copy.vault);
            let new = Held {
                first: first.map_or(copy.completed, |(_, at)| *at),
                vault,
                copy,
                cipher: projection.text(copy.cipher),
                point,
                since: copy.completed,
            };
            view.held
                .entry(vault)
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
        view
    }

    /// The points that are known, in the order of the ledger; those may be missing of which nothing is left.
    pub(super) fn points(&self) -> &'f [Point] {
        self.track.map_or(&[], |track| track.points.as_slice())
    }

    /// What was said last of any point.
    pub(super) fn last_point(&self) -> Option<LastPoint> {
        self.track?.last_point
    }

    /// What was said last of its log.
    pub(super) fn log(&self) -> Option<(u64, &'f LogShipped)> {
        self.track?.log.as_deref().map(|(seq, log)| (*seq, log))
    }

    /// The last gap in its log.
    pub(super) fn gap(&self) -> Option<(u64, &'f LogGap)> {
        self.track?.gap.as_deref().map(|(seq, gap)| (*seq, gap))
    }

    /// How many complete points retention still counts: those that need not go, and the newest.
    pub(super) fn counted(
        &self,
        (system, protection): (&SystemName, &Protection),
        holds: &Holds<'_>,
        now: Time,
    ) -> u64 {
        let ages = self.complete.values().filter_map(|p| {
            let id = p.point.id()?;
            Some(PointAge {
                completed: p.completed,
                complete: true,
                holds: holds.on(&id, system),
                id,
            })
        });
        let ages: Vec<PointAge> = ages.collect();
        how_many_stay(&ages, &protection.keep, zone_of(protection), now) as u64
    }
}

/// The copies that were not let go; and the points of which no copy is left.
fn what_is_left(track: &Track) -> (Vec<&Copy>, HashSet<&PointKey>) {
    let copies = || track.copies.iter().filter(|copy| !copy.void);
    if track.expired.is_empty() {
        return (copies().collect(), HashSet::new());
    }
    let mut let_go: HashMap<(Name, Digest), &LetGo> = HashMap::new();
    for one in &track.expired {
        let_go.entry((one.vault, one.snapshot)).or_insert(one);
    }
    let mut alive = Vec::new();
    let mut there: HashSet<&PointKey> = HashSet::new();
    for copy in copies() {
        let let_go = let_go.get(&(copy.vault, copy.snapshot));
        if let_go.is_none() {
            alive.push(copy);
        }
        if let_go.is_none_or(|one| !one.gone) {
            there.insert(&copy.point);
        }
    }
    let gone = track.expired.iter().map(|one| &one.point);
    (alive, gone.filter(|point| !there.contains(point)).collect())
}

/// Is there any recovery point at all?
pub(super) fn covered(case: &Case<'_>) -> Judgement {
    let Some(newest) = case.view.newest else {
        let (verdict, because, facts) = without_point(case);
        return judged(Question::Covered, verdict, because, facts);
    };
    let because = format!(
        "{}, the newest of {}, {}",
        count(case.view.complete.len(), "complete point"),
        newest.content_time.minute(),
        case.ago(newest.content_time)
    );
    judged(Question::Covered, Verdict::Met, because, vec![newest.seq])
}

/// Verdict and reason where there is no complete point.
pub(super) fn without_point(case: &Case<'_>) -> (Verdict, String, Vec<u64>) {
    if let Some(last) = case.view.last_point() {
        let because = format!(
            "no complete point; the last capture, {}, had {}",
            case.ago(last.completed),
            count(
                usize::try_from(last.issue_count).unwrap_or(usize::MAX),
                "issue"
            )
        );
        return (Verdict::NotMet, because, vec![last.seq]);
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
    let Some(newest) = case.view.newest else {
        let (verdict, because, facts) = without_point(case);
        return judged(Question::Fresh, verdict, because, facts);
    };
    let mut facts = vec![newest.seq];
    let age = case.ago(newest.content_time);
    let mut because = format!("newest point {} ({age})", newest.content_time.minute());
    let mut verdict = Verdict::Unproven;
    if let Some(schedule) = &case.protection.schedule {
        let missed =
            last_due(case, ObligationKind::Capture, None).filter(|o| *o > newest.content_time);
        if let Some(opens) = missed {
            because = format!("the capture of {} is overdue; {because}", opens.minute());
            verdict = Verdict::NotMet;
        } else if case.late.is(&schedule.rule, newest.content_time) {
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
    if let Some(last) = newer_incomplete(case, newest.content_time) {
        facts.push(last.seq);
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
    facts.push(best.copy.seq);
    let lost = case.now.since(best.point.content_time);
    let copy = format!("the best copy {place}, is {lost} old, in {}", best.vault);
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

fn newer_incomplete(case: &Case<'_>, than: Time) -> Option<LastPoint> {
    let last = case.view.last_point()?;
    (last.outcome != Outcome::Done && last.content_time > than).then_some(last)
}
