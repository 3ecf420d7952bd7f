//! Which obligations of the period were answered after their time: the list behind the assessor's count.

use std::collections::{BTreeMap, BTreeSet};

use vouchsafe_model::fact::Fact;
use vouchsafe_model::{
    Obligation, ObligationId, ObligationKind, Outcome, Policy, ProtectionId, Time, VaultName,
};

use super::ReportInput;
use super::content::LateObligation;

/// Obligations due in the period whose first answer came after their time, by the assessor's rules.
///
/// Those that the assessment counts as missed are not listed again.
pub(super) fn late(input: &ReportInput<'_>) -> Vec<LateObligation> {
    let missed: BTreeSet<&ObligationId> = input.assessment.missed.iter().map(|o| &o.id).collect();
    let answers = answers(input);
    let mut late: Vec<LateObligation> = input
        .facts
        .iter()
        .filter_map(|r| match &r.entry.fact {
            Fact::ObligationDue(o) => Some(o),
            _ => None,
        })
        .filter(|o| o.due >= input.from && o.due < input.to && !missed.contains(&o.id))
        .filter_map(|o| {
            let by_start = judged_by_start(input.policy, o);
            let (at, seq) = answers
                .get(&o.id)?
                .iter()
                .filter(|a| a.fits(o))
                .map(|a| (if by_start { a.started } else { a.done }, a.seq))
                .min()?;
            (at > o.due).then(|| LateObligation {
                obligation: o.clone(),
                answered_by: seq,
                answered_at: at,
            })
        })
        .collect();
    late.sort_by_key(|l| (l.obligation.due, l.answered_by));
    late.dedup_by(|a, b| a.obligation.id == b.obligation.id);
    late
}

/// A window that bounds only the start is kept by starting in time.
fn judged_by_start(policy: &Policy, o: &Obligation) -> bool {
    let protection = o.protection.as_ref().and_then(|id| policy.protection(id));
    o.kind == ObligationKind::Capture
        && protection
            .is_some_and(|(_, p)| p.window.start_within.is_some() && p.window.finish_by.is_none())
}

struct Answer<'a> {
    kind: ObligationKind,
    protection: Option<&'a ProtectionId>,
    vault: Option<&'a VaultName>,
    started: Time,
    done: Time,
    seq: u64,
}

impl Answer<'_> {
    fn fits(&self, o: &Obligation) -> bool {
        self.kind == o.kind
            && (self.protection.is_none() || self.protection == o.protection.as_ref())
            && (self.vault.is_none() || self.vault == o.vault.as_ref())
    }
}

/// A partial point answers nothing, nor does a copy that was not read back; a red drill was held all the same, and
/// its verdict is another matter.
fn answers<'a>(input: &ReportInput<'a>) -> BTreeMap<&'a ObligationId, Vec<Answer<'a>>> {
    use ObligationKind::{Capture, Copy, Drill, NegativeControl, Prune, RotateKey, Verify};
    let mut all: BTreeMap<&ObligationId, Vec<Answer<'a>>> = BTreeMap::new();
    let mut put = |ids: &'a [ObligationId], seq, kind, of, vault, (started, done)| {
        for id in ids {
            all.entry(id).or_default().push(Answer {
                kind,
                protection: of,
                vault,
                started,
                done,
                seq,
            });
        }
    };
    for r in input.facts {
        match &r.entry.fact {
            Fact::RecoveryPoint(p) if p.outcome == Outcome::Done => {
                let when = (p.started, p.completed);
                put(
                    &p.obligations,
                    r.seq,
                    Capture,
                    Some(&p.protection),
                    None,
                    when,
                );
            }
            Fact::Copy(c) if c.blobs_read_back > 0 => {
                let when = (c.completed, c.completed);
                put(
                    &c.obligations,
                    r.seq,
                    Copy,
                    Some(&c.protection),
                    Some(&c.vault),
                    when,
                );
            }
            Fact::Verification(v) if v.packs_read > 0 || v.complete => {
                let when = (v.started, v.completed);
                put(&v.obligations, r.seq, Verify, None, Some(&v.vault), when);
            }
            Fact::Drill(d) => {
                let when = (d.started, d.ended);
                put(
                    &d.obligations,
                    r.seq,
                    Drill,
                    Some(&d.protection),
                    None,
                    when,
                );
                if !d.negative_controls.is_empty() {
                    put(
                        &d.obligations,
                        r.seq,
                        NegativeControl,
                        Some(&d.protection),
                        None,
                        when,
                    );
                }
            }
            Fact::KeyChange(k) => {
                let when = (k.completed, k.completed);
                put(&k.obligations, r.seq, RotateKey, None, Some(&k.vault), when);
            }
            Fact::Pruned(p) => {
                let when = (p.completed, p.completed);
                put(&p.obligations, r.seq, Prune, None, Some(&p.vault), when);
            }
            _ => {}
        }
    }
    all
}
