//! The ledger's obligations: which were fulfilled when, which were missed, which are open.

use std::collections::HashMap;

use vouchsafe_model::assessment::ObligationCounts;
use vouchsafe_model::{Obligation, ObligationKind, Policy, ProtectionId, Time, VaultName};

use crate::assess::Case;
use crate::assess::projection::{Answered, Projection, Promised};

/// How an obligation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Fulfilled by its time.
    OnTime,
    /// Fulfilled after it.
    Late,
    /// Past its time, and nothing.
    Missed,
    /// Not yet due.
    Open,
}

/// One obligation and how it stands.
pub(super) struct Owed<'f> {
    pub(super) what: &'f Obligation,
    pub(super) standing: Standing,
}

/// Obligations with how they stand, in no order.
pub(super) struct Mine(Vec<(Obligation, Standing)>);

impl Mine {
    pub(super) fn owed(&self) -> Vec<Owed<'_>> {
        let all = self.0.iter();
        all.map(|(what, standing)| Owed {
            what,
            standing: *standing,
        })
        .collect()
    }
}

/// Every obligation that the ledger holds and that is still to be judged.
pub(super) struct Ledgered<'f> {
    policy: &'f Policy,
    projection: &'f Projection,
    now: Time,
    by_duty: HashMap<&'f str, Vec<Owed<'f>>>,
    /// Those of protections that say more than which deed is owed by when.
    odd: HashMap<&'f ProtectionId, Vec<Owed<'f>>>,
    counts: ObligationCounts,
    missed: Vec<Obligation>,
}

impl<'f> Ledgered<'f> {
    pub(super) fn of(policy: &'f Policy, projection: &'f Projection, now: Time) -> Ledgered<'f> {
        let mut all = Ledgered {
            policy,
            projection,
            now,
            by_duty: HashMap::new(),
            odd: HashMap::new(),
            counts: ObligationCounts::default(),
            missed: Vec::new(),
        };
        all.counts.on_time = projection.settled();
        for promised in projection.live() {
            all.count(&promised);
        }
        for (what, promised) in projection.whole() {
            let Some(standing) = all.count(&promised) else {
                continue;
            };
            let owed = Owed { what, standing };
            match (&what.protection, &what.duty) {
                (Some(protection), _) => all.odd.entry(protection).or_default().push(owed),
                (None, Some(duty)) => all.by_duty.entry(duty).or_default().push(owed),
                (None, None) => {}
            }
        }
        all.missed = newest_first(all.missed);
        all
    }

    /// How it stands, if it is still to be judged.
    fn count(&mut self, promised: &Promised<'_>) -> Option<Standing> {
        let standing = standing(self.policy, promised, self.now)?;
        match standing {
            Standing::OnTime => self.counts.on_time += 1,
            Standing::Late => self.counts.late += 1,
            Standing::Missed => {
                self.counts.missed += 1;
                self.missed.push(self.projection.obligation(promised));
            }
            Standing::Open => self.counts.open += 1,
        }
        Some(standing)
    }

    /// Those of one protection. Of those that were answered in time and are past, and of which nothing can change any
    /// more, only the last of each kind and vault is among them.
    pub(super) fn of_protection(&self, id: &ProtectionId) -> Mine {
        let mut all = Vec::new();
        if let Some(track) = self.projection.track(id) {
            let settled = self.projection.settled_of(track).into_iter();
            all.extend(settled.map(|what| (what, Standing::OnTime)));
            for promised in self.projection.live_of(track) {
                if let Some(standing) = standing(self.policy, &promised, self.now) {
                    all.push((self.projection.obligation(&promised), standing));
                }
            }
        }
        let odd = self.odd.get(id).into_iter().flatten();
        all.extend(odd.map(|owed| (owed.what.clone(), owed.standing)));
        Mine(all)
    }

    /// Those of one duty of people, in no order.
    pub(super) fn of_duty(&self, name: &str) -> &[Owed<'f>] {
        self.by_duty.get(name).map_or(&[], Vec::as_slice)
    }

    /// Those of one duty that nothing answers.
    pub(super) fn unanswered_of_duty(&self, name: &str) -> impl Iterator<Item = &'f Obligation> {
        let all = self.of_duty(name).iter();
        all.filter(|o| matches!(o.standing, Standing::Open | Standing::Missed))
            .map(|o| o.what)
    }

    /// Everything that nothing answers, due or not yet.
    pub(super) fn unanswered(&self) -> impl Iterator<Item = Obligation> {
        let whole = self.projection.whole().map(|(_, promised)| promised);
        let all = self.projection.live().chain(whole);
        let open = all.filter(|promised| {
            let standing = standing(self.policy, promised, self.now);
            matches!(standing, Some(Standing::Open | Standing::Missed))
        });
        open.map(|promised| self.projection.obligation(&promised))
    }

    /// How many stand how.
    pub(super) fn counts(&self) -> ObligationCounts {
        self.counts
    }

    /// The missed ones, newest first.
    pub(super) fn into_missed(self) -> Vec<Obligation> {
        self.missed
    }
}

/// How it stands; nothing if it was withdrawn and nothing answers it.
fn standing(policy: &Policy, promised: &Promised<'_>, now: Time) -> Option<Standing> {
    match answered(policy, promised) {
        Some(done) if done <= promised.due => Some(Standing::OnTime),
        Some(_) => Some(Standing::Late),
        None if promised.withdrawn => None,
        None if promised.due < now => Some(Standing::Missed),
        None => Some(Standing::Open),
    }
}

/// When an obligation was fulfilled, by the first of its answers.
pub(super) fn answered(policy: &Policy, promised: &Promised<'_>) -> Option<Time> {
    let Answered { by_deed, by_drill } = promised.answered;
    // A drill answers only what the policy leaves to drills.
    let left_to_drills = || {
        let duty = promised.duty.and_then(|d| policy.people.duties.get(d));
        duty.is_some_and(|d| d.by_drill.is_some())
    };
    let by_drill = by_drill.filter(|_| left_to_drills());
    // A window that only bounds the start is kept by starting in time.
    let by_start = promised.kind == ObligationKind::Capture
        && promised
            .protection
            .filter(|_| by_deed.is_some())
            .and_then(|id| policy.protection(id))
            .is_some_and(|(_, p)| p.window.start_within.is_some() && p.window.finish_by.is_none());
    let times = [by_deed, by_drill].into_iter().flatten();
    times
        .map(|when| if by_start { when.started } else { when.done })
        .min()
}

/// What was missed and not made up for since, newest first.
pub(super) fn overdue(case: &Case<'_>) -> Vec<Obligation> {
    let mut made_up: HashMap<(ObligationKind, Option<&VaultName>), Time> = HashMap::new();
    for owed in case.owed {
        if matches!(owed.standing, Standing::OnTime | Standing::Late) {
            let last = made_up.entry(key(owed.what)).or_insert(owed.what.opens);
            *last = (*last).max(owed.what.opens);
        }
    }
    let newest = case.view.newest.map(|p| p.content_time);
    let still = case.owed.iter().filter(|o| {
        let later = made_up
            .get(&key(o.what))
            .is_some_and(|t| *t >= o.what.opens);
        let captured =
            o.what.kind == ObligationKind::Capture && newest.is_some_and(|t| t >= o.what.opens);
        o.standing == Standing::Missed && !later && !captured
    });
    newest_first(still.map(|o| o.what.clone()).collect())
}

/// The open one that is due first.
pub(super) fn next(owed: &[Owed<'_>], now: Time) -> Option<Obligation> {
    let open = owed
        .iter()
        .filter(|o| o.standing == Standing::Open && o.what.due >= now);
    open.map(|o| o.what)
        .min_by_key(|o| (o.due, o.opens, &o.id))
        .cloned()
}

/// The latest opening among those of `kind` (and `vault`) whose time is up.
pub(super) fn last_due(
    case: &Case<'_>,
    kind: ObligationKind,
    vault: Option<&VaultName>,
) -> Option<Time> {
    let mine = case.owed.iter().map(|o| o.what);
    mine.filter(|o| o.kind == kind && o.vault.as_ref() == vault && o.due < case.now)
        .map(|o| o.opens)
        .max()
}

/// The due time of the earliest open one of `kind` (and `vault`).
pub(super) fn first_open(
    case: &Case<'_>,
    kind: ObligationKind,
    vault: Option<&VaultName>,
) -> Option<Time> {
    let open = case.owed.iter().filter(|o| o.standing == Standing::Open);
    open.map(|o| o.what)
        .filter(|o| o.kind == kind && o.vault.as_ref() == vault)
        .map(|o| o.due)
        .min()
}

/// The due time of the newest missed one of `kind` (and `vault`).
pub(super) fn last_missed(
    case: &Case<'_>,
    kind: ObligationKind,
    vault: Option<&VaultName>,
) -> Option<Time> {
    let missed = case.owed.iter().filter(|o| o.standing == Standing::Missed);
    missed
        .map(|o| o.what)
        .filter(|o| o.kind == kind && o.vault.as_ref() == vault)
        .map(|o| o.due)
        .max()
}

fn key(o: &Obligation) -> (ObligationKind, Option<&VaultName>) {
    (o.kind, o.vault.as_ref())
}

fn newest_first(mut all: Vec<Obligation>) -> Vec<Obligation> {
    all.sort_by(|a, b| (b.due, &b.id).cmp(&(a.due, &a.id)));
    all
}
