//! The ledger's obligations: which were fulfilled when, which were missed, which are open.

use std::collections::HashMap;

use vouchsafe_model::assessment::ObligationCounts;
use vouchsafe_model::{Obligation, ObligationKind, Policy, ProtectionId, Time, VaultName};

use crate::assess::Case;
use crate::assess::index::{Answer, Index};

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

/// Every obligation that the ledger holds and that is still to be judged.
pub(super) struct Ledgered<'f> {
    by_protection: HashMap<&'f ProtectionId, Vec<Owed<'f>>>,
    by_duty: HashMap<&'f str, Vec<Owed<'f>>>,
    others: Vec<Owed<'f>>,
}

impl<'f> Ledgered<'f> {
    pub(super) fn of(policy: &Policy, index: &Index<'f>, now: Time) -> Ledgered<'f> {
        let mut all = Ledgered {
            by_protection: HashMap::new(),
            by_duty: HashMap::new(),
            others: Vec::new(),
        };
        for (id, due) in &index.owed {
            let what = due.what;
            let answers = index.answers.get(*id).map_or(&[][..], Vec::as_slice);
            let standing = standing(policy, what, answers, now);
            if due.withdrawn && matches!(standing, Standing::Open | Standing::Missed) {
                continue;
            }
            let owed = Owed { what, standing };
            match (&what.protection, &what.duty) {
                (Some(protection), _) => {
                    all.by_protection.entry(protection).or_default().push(owed)
                }
                (None, Some(duty)) => all.by_duty.entry(duty).or_default().push(owed),
                (None, None) => all.others.push(owed),
            }
        }
        all
    }

    /// Those of one protection, in no order.
    pub(super) fn of_protection(&self, id: &ProtectionId) -> &[Owed<'f>] {
        self.by_protection.get(id).map_or(&[], Vec::as_slice)
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
    pub(super) fn unanswered(&self) -> impl Iterator<Item = &'f Obligation> {
        self.every()
            .filter(|o| matches!(o.standing, Standing::Open | Standing::Missed))
            .map(|o| o.what)
    }

    fn every(&self) -> impl Iterator<Item = &Owed<'f>> {
        let duties = self.by_duty.values().flatten();
        let protections = self.by_protection.values().flatten();
        protections.chain(duties).chain(&self.others)
    }

    /// How many stand how.
    pub(super) fn counts(&self) -> ObligationCounts {
        let mut counts = ObligationCounts::default();
        for owed in self.every() {
            match owed.standing {
                Standing::OnTime => counts.on_time += 1,
                Standing::Late => counts.late += 1,
                Standing::Missed => counts.missed += 1,
                Standing::Open => counts.open += 1,
            }
        }
        counts
    }

    /// The missed ones, newest first.
    pub(super) fn missed(&self) -> Vec<Obligation> {
        let missed = self.every().filter(|o| o.standing == Standing::Missed);
        newest_first(missed.map(|o| o.what.clone()).collect())
    }
}

fn standing(policy: &Policy, what: &Obligation, answers: &[Answer<'_>], now: Time) -> Standing {
    match answered(policy, what, answers) {
        Some(done) if done <= what.due => Standing::OnTime,
        Some(_) => Standing::Late,
        None if what.due < now => Standing::Missed,
        None => Standing::Open,
    }
}

/// When an obligation was fulfilled, by the first of its answers that fits.
pub(super) fn answered(policy: &Policy, what: &Obligation, answers: &[Answer<'_>]) -> Option<Time> {
    // A drill answers only what the policy leaves to drills.
    let by_drill = || {
        let duty = what.duty.as_ref().and_then(|d| policy.people.duties.get(d));
        duty.is_some_and(|d| d.by_drill.is_some())
    };
    let fits = |a: &&Answer<'_>| {
        a.kind == what.kind
            && (!a.by_drill || by_drill())
            && (a.protection.is_none() || a.protection == what.protection.as_ref())
            && (a.vault.is_none() || a.vault == what.vault.as_ref())
    };
    // A window that only bounds the start is kept by starting in time.
    let by_start = what.kind == ObligationKind::Capture
        && what
            .protection
            .as_ref()
            .and_then(|id| policy.protection(id))
            .is_some_and(|(_, p)| p.window.start_within.is_some() && p.window.finish_by.is_none());
    let time = |a: &Answer<'_>| if by_start { a.started } else { a.done };
    answers.iter().filter(fits).map(time).min()
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
    let newest = case.view.newest.map(|(_, p)| p.content_time);
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
