//! Which facts speak of an obligation, and whether they show that it was fulfilled.

use std::collections::{HashMap, HashSet};

use vouchsafe_model::fact::Recorded;
use vouchsafe_model::{
    DutyOutcome, Fact, Obligation, ObligationId, ObligationKind, PeopleFact, ProtectionId, Time,
    VaultName,
};

/// A fact that names an obligation.
struct Claim<'f> {
    seq: u64,
    kinds: &'static [ObligationKind],
    protection: Option<&'f ProtectionId>,
    vault: Option<&'f VaultName>,
    started: Time,
    done: Time,
}

/// All of them, by the obligation that they name.
#[derive(Default)]
pub(super) struct Claims<'f> {
    by_obligation: HashMap<&'f ObligationId, Vec<Claim<'f>>>,
    /// The entries by which people say that they found something.
    found: HashSet<u64>,
}

impl<'f> Claims<'f> {
    pub(super) fn of(facts: &'f [Recorded], as_of: Time) -> Claims<'f> {
        use ObligationKind::{
            Capture, Copy, Drill, Duty, NegativeControl, Prune, RotateKey, Verify,
        };
        let mut all = Claims::default();
        for r in facts.iter().filter(|r| r.entry.at <= as_of) {
            let seq = r.seq;
            match &r.entry.fact {
                Fact::RecoveryPoint(p) => all.put(
                    &p.obligations,
                    (seq, &[Capture]),
                    (Some(&p.protection), None),
                    (p.started, p.completed),
                ),
                Fact::Copy(c) => all.put(
                    &c.obligations,
                    (seq, &[Copy]),
                    (Some(&c.protection), Some(&c.vault)),
                    (c.completed, c.completed),
                ),
                Fact::Verification(v) => all.put(
                    &v.obligations,
                    (seq, &[Verify]),
                    (None, Some(&v.vault)),
                    (v.started, v.completed),
                ),
                Fact::Drill(d) => {
                    let kinds: &[ObligationKind] = match d.negative_controls.is_empty() {
                        true => &[Drill],
                        false => &[Drill, NegativeControl],
                    };
                    all.put(
                        &d.obligations,
                        (seq, kinds),
                        (Some(&d.protection), None),
                        (d.started, d.ended),
                    );
                    if d.is_green() {
                        let when = (d.started, d.ended);
                        all.put(&d.obligations, (seq, &[Duty]), (None, None), when);
                    }
                }
                Fact::People(said) => {
                    let at = r.entry.at;
                    all.put(said.answers(), (seq, &[Duty]), (None, None), (at, at));
                    if let PeopleFact::Attested(a) = said
                        && a.statement.outcome == DutyOutcome::Problems
                    {
                        all.found.insert(seq);
                    }
                }
                Fact::KeyChange(k) => all.put(
                    &k.obligations,
                    (seq, &[RotateKey]),
                    (None, Some(&k.vault)),
                    (k.completed, k.completed),
                ),
                Fact::Pruned(p) => all.put(
                    &p.obligations,
                    (seq, &[Prune]),
                    (None, Some(&p.vault)),
                    (p.completed, p.completed),
                ),
                _ => {}
            }
        }
        all
    }

    fn put(
        &mut self,
        ids: &'f [ObligationId],
        (seq, kinds): (u64, &'static [ObligationKind]),
        (protection, vault): (Option<&'f ProtectionId>, Option<&'f VaultName>),
        (started, done): (Time, Time),
    ) {
        for id in ids {
            self.by_obligation.entry(id).or_default().push(Claim {
                seq,
                kinds,
                protection,
                vault,
                started,
                done,
            });
        }
    }

    /// Whether the fact answers a duty and says that something was found.
    pub(super) fn found_problems(&self, seq: Option<u64>) -> bool {
        seq.is_some_and(|seq| self.found.contains(&seq))
    }

    /// The fact that fulfilled `what` at `at`; or, if nothing did, the last one that speaks of it.
    pub(super) fn of_obligation(&self, what: &Obligation, at: Option<Time>) -> Option<u64> {
        let fits = |c: &&Claim<'_>| {
            c.kinds.contains(&what.kind)
                && (c.protection.is_none() || c.protection == what.protection.as_ref())
                && (c.vault.is_none() || c.vault == what.vault.as_ref())
        };
        let mut fitting = self.by_obligation.get(&what.id)?.iter().filter(fits);
        match at {
            Some(at) => fitting.find(|c| c.done == at || c.started == at),
            // What answers a duty fulfils it: none that does not is a claim.
            None if what.kind == ObligationKind::Duty => None,
            None => fitting.next_back(),
        }
        .map(|c| c.seq)
    }
}
