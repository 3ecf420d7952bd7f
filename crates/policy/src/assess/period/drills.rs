//! The drills of a period and what reading vaults back found in it.

use std::collections::HashMap;

use vouchsafe_model::fact::{Recorded, Verification};
use vouchsafe_model::period::{Closure, DrillPeriod, PeriodVerdict};
use vouchsafe_model::policy::Protection;
use vouchsafe_model::{DrillResult, Fact, ProtectionId, Time, VaultName};

use crate::assess::count;

/// Drills and verifications, by what they concern, in the order of the ledger.
#[derive(Default)]
pub(super) struct Held<'f> {
    drills: HashMap<&'f ProtectionId, Vec<(u64, &'f DrillResult)>>,
    readings: HashMap<&'f VaultName, Vec<(u64, &'f Verification)>>,
    /// When a copy of a protection was first there in a vault.
    since: HashMap<(&'f ProtectionId, &'f VaultName), Time>,
}

impl<'f> Held<'f> {
    pub(super) fn of(facts: &'f [Recorded], as_of: Time) -> Held<'f> {
        let mut held = Held::default();
        for r in facts.iter().filter(|r| r.entry.at <= as_of) {
            match &r.entry.fact {
                Fact::Drill(d) => {
                    let drills = held.drills.entry(&d.protection).or_default();
                    drills.push((r.seq, d));
                }
                Fact::Verification(v) => {
                    held.readings.entry(&v.vault).or_default().push((r.seq, v));
                }
                Fact::Copy(c) if c.blobs_read_back > 0 => {
                    let first = held.since.entry((&c.protection, &c.vault));
                    first.or_insert(c.completed);
                }
                _ => {}
            }
        }
        held
    }

    /// The drills of one protection that ended within the period.
    pub(super) fn drills(
        &self,
        id: &ProtectionId,
        within: &dyn Fn(Time) -> bool,
        closures: &HashMap<u64, &Closure>,
    ) -> Vec<DrillPeriod> {
        let all = self.drills.get(id).map_or(&[][..], Vec::as_slice);
        let good =
            |d: &DrillResult| d.is_green() && d.target_rto.is_none_or(|t| d.achieved_rto <= t);
        all.iter()
            .filter(|(_, d)| within(d.ended))
            .map(|(seq, d)| {
                let later = all.iter().filter(|(s, other)| s > seq && good(other));
                DrillPeriod {
                    seq: *seq,
                    ended: d.ended,
                    vault: d.vault.clone(),
                    achieved_rto: d.achieved_rto,
                    target_rto: d.target_rto,
                    green: d.is_green(),
                    retested_by: later.map(|(s, _)| *s).next().filter(|_| !good(d)),
                    closure: closures.get(seq).map(|c| (*c).clone()),
                }
            })
            .collect()
    }

    /// What reading the protection's vaults back found within the period; nothing where none was read that held a copy
    /// of it by then.
    pub(super) fn readings(
        &self,
        protection: &Protection,
        within: &dyn Fn(Time) -> bool,
        closures: &HashMap<u64, &Closure>,
        because: &mut Vec<String>,
    ) -> Option<PeriodVerdict> {
        let mut verdict: Option<PeriodVerdict> = None;
        for rule in &protection.copies {
            let all = self
                .readings
                .get(&rule.vault)
                .map_or(&[][..], Vec::as_slice);
            let since = self.since.get(&(&protection.id, &rule.vault));
            let read = |v: &Verification| within(v.completed) && since <= Some(&v.completed);
            for (seq, v) in all.iter().filter(|(_, v)| since.is_some() && read(v)) {
                let one = match (v.problems.is_empty(), closures.get(seq)) {
                    (true, _) => PeriodVerdict::Met,
                    (false, Some(_)) => PeriodVerdict::MetWithDeviations,
                    (false, None) => PeriodVerdict::NotMet,
                };
                if !v.problems.is_empty() {
                    because.push(format!(
                        "reading {} back at {} found {} (fact {seq})",
                        rule.vault,
                        v.completed.minute(),
                        count(v.problems.len(), "problem")
                    ));
                }
                verdict = Some(verdict.map_or(one, |so_far| so_far.worse(one)));
            }
        }
        verdict
    }
}

/// What the drills of a period say; nothing where there was none.
pub(super) fn verdict(drills: &[DrillPeriod], because: &mut Vec<String>) -> Option<PeriodVerdict> {
    let mut verdict = None;
    for drill in drills {
        let one = match (drill.is_good(), &drill.closure) {
            (true, _) => PeriodVerdict::Met,
            (false, Some(_)) => PeriodVerdict::MetWithDeviations,
            (false, None) => PeriodVerdict::NotMet,
        };
        if !drill.is_good() {
            let what = match (drill.green, drill.target_rto) {
                (true, Some(target)) => {
                    format!("took {}, over RTO {target}", drill.achieved_rto)
                }
                _ => "was not green".to_owned(),
            };
            let then = match (&drill.closure, drill.retested_by) {
                (Some(closure), _) => format!("; closed by {}", closure.by),
                (None, Some(seq)) => {
                    format!("; tested again with success (fact {seq}), not closed")
                }
                (None, None) => String::new(),
            };
            because.push(format!(
                "the drill that ended {} {what} (fact {}){then}",
                drill.ended.minute(),
                drill.seq
            ));
        }
        verdict = Some(verdict.map_or(one, |so_far: PeriodVerdict| so_far.worse(one)));
    }
    verdict
}
