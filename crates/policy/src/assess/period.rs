//! A period: what was due in it and how it came out, the worst that was measured, and what follows.

mod claims;
mod controls;
mod drills;
mod losses;

use std::collections::{BTreeMap, HashMap};

use vouchsafe_model::assessment::Silence;
use vouchsafe_model::fact::Recorded;
use vouchsafe_model::period::{
    Closes, Closure, Fulfilment, PeriodAssessment, PeriodCounts, PeriodVerdict, ProtectionPeriod,
    RulePeriod, Standing,
};
use vouchsafe_model::policy::{Protection, System};
use vouchsafe_model::{
    Obligation, ObligationId, ObligationKind, Policy, ProtectionId, Time, VaultName,
};

use crate::assess::count;
use crate::assess::owed::answered;
use crate::assess::period::claims::Claims;
use crate::assess::period::drills::Held;
use crate::assess::period::losses::{Losses, Moves};
use crate::assess::projection::{Projection, Promised};

/// Judges the period from `from`, included, to `to`, not included, by the facts recorded up to `as_of`.
///
/// An obligation belongs to the period in which it was due, whenever it was written down or answered, so that the
/// counts of two halves are together those of the whole. What was withdrawn before it was due is not judged. `facts`
/// are in the order of the ledger. `closures` say which failures were closed; nothing else makes a missed obligation
/// or a target that was not kept a deviation.
pub fn assess_period(
    policy: &Policy,
    facts: &[Recorded],
    closures: &[Closure],
    (from, to): (Time, Time),
    as_of: Time,
) -> PeriodAssessment {
    let index = Projection::of_all(facts, as_of);
    let period = Period {
        policy,
        from,
        to,
        as_of,
        closures: Closures::of(closures, as_of),
    };
    let mut tallies: BTreeMap<RuleKey, Tally> = BTreeMap::new();
    let claims = Claims::of(facts, as_of);
    let mut deviations = period.fulfilments(&index, &claims);
    for one in &deviations {
        let tally = tallies.entry(key(&one.obligation)).or_default();
        tally.count(one);
        if claims.found_problems(one.answered_by) {
            tally.found(one.closure.is_some());
        }
    }
    deviations.retain(|f| {
        !matches!(f.standing, Standing::OnTime | Standing::Open)
            || claims.found_problems(f.answered_by)
    });
    let moves = Moves::of(policy, facts, as_of);
    let held = Held::of(facts, as_of);
    let measured: Vec<Measured> = policy
        .protections()
        .filter(|(system, _)| system.exempt.is_none())
        .map(|(system, protection)| {
            let rules = take_rules(&mut tallies, &protection.id);
            period.protection((system, protection), rules, (&index, &moves, &held))
        })
        .collect();
    let others: Vec<RulePeriod> = tallies.into_iter().map(|(key, t)| t.rule(key)).collect();
    let counts = measured
        .iter()
        .map(|m| m.shown.counts)
        .chain(others.iter().map(|r| r.counts))
        .fold(PeriodCounts::default(), PeriodCounts::and);
    let closed = measured.iter().map(|m| m.shown.closed).sum::<u64>()
        + others.iter().map(|r| r.closed).sum::<u64>();
    let verdict = measured
        .iter()
        .map(|m| m.shown.verdict)
        .chain(others.iter().filter(|r| is_judged(r)).map(|r| r.verdict))
        .reduce(PeriodVerdict::worse)
        .unwrap_or(PeriodVerdict::Unproven);
    let silence = period.silence(&index);
    let verdict = match silence.is_empty() {
        true => verdict,
        false => verdict.worse(PeriodVerdict::Unproven),
    };
    PeriodAssessment {
        from,
        to,
        as_of,
        verdict,
        counts,
        closed,
        controls: controls::controls(policy, &measured, &others),
        protections: measured.into_iter().map(|m| m.shown).collect(),
        others,
        deviations,
        silence,
    }
}

/// Every obligation that was due in the period, with how it came out, in the order in which they were due: the
/// population that [`assess_period`] counts.
pub fn period_obligations(
    policy: &Policy,
    facts: &[Recorded],
    closures: &[Closure],
    (from, to): (Time, Time),
    as_of: Time,
) -> Vec<Fulfilment> {
    let period = Period {
        policy,
        from,
        to,
        as_of,
        closures: Closures::of(closures, as_of),
    };
    period.fulfilments(&Projection::of_all(facts, as_of), &Claims::of(facts, as_of))
}

/// What a rule is told from others by.
type RuleKey = (
    Option<ProtectionId>,
    ObligationKind,
    Option<VaultName>,
    Option<String>,
);

fn key(o: &Obligation) -> RuleKey {
    (
        o.protection.clone(),
        o.kind,
        o.vault.clone(),
        o.duty.clone(),
    )
}

/// What was counted of one rule.
#[derive(Default)]
struct Tally {
    counts: PeriodCounts,
    /// Of the missed ones, those that are not closed.
    missed_open: u64,
    /// Of the unproven ones, those that are not closed.
    unproven_open: u64,
    /// Of all that were not on time, late ones too, those that are closed.
    accounted: u64,
    /// Answers by which people say that they found something, and of these those that no incident has closed.
    found: u64,
    found_open: u64,
}

impl Tally {
    fn count(&mut self, one: &Fulfilment) {
        self.counts.count(one.standing);
        let closed = one.closure.is_some();
        match one.standing {
            Standing::OnTime | Standing::Open => return,
            Standing::Missed if !closed => self.missed_open += 1,
            Standing::Unproven if !closed => self.unproven_open += 1,
            _ => {}
        }
        self.accounted += u64::from(closed);
    }

    fn found(&mut self, closed: bool) {
        self.found += 1;
        self.found_open += u64::from(!closed);
    }

    fn rule(self, (protection, kind, vault, duty): RuleKey) -> RulePeriod {
        RulePeriod {
            kind,
            protection,
            vault,
            duty,
            counts: self.counts,
            closed: self.closed(),
            verdict: self.verdict(),
        }
    }

    /// Of the missed and unproven ones.
    fn closed(&self) -> u64 {
        self.counts.missed + self.counts.unproven - self.missed_open - self.unproven_open
    }

    fn verdict(&self) -> PeriodVerdict {
        let c = &self.counts;
        if c.total() == c.open {
            PeriodVerdict::Unproven
        } else if self.missed_open + self.found_open > 0 {
            PeriodVerdict::NotMet
        } else if self.unproven_open > 0 {
            PeriodVerdict::Unproven
        } else if c.late + c.missed + c.unproven + self.found > 0 {
            PeriodVerdict::MetWithDeviations
        } else {
            PeriodVerdict::Met
        }
    }
}

/// Whether anything of it was past its time.
fn is_judged(rule: &RulePeriod) -> bool {
    rule.counts.total() > rule.counts.open
}

/// A protection as it is shown, and what its parts say of the controls.
struct Measured {
    shown: ProtectionPeriod,
    /// What was measured of its freshness; nothing where nothing was.
    freshness: Option<PeriodVerdict>,
    /// What its drills say; nothing where there was none.
    drills: Option<PeriodVerdict>,
    /// What reading its vaults back found.
    readings: Option<PeriodVerdict>,
    connected: bool,
}

struct Closures<'c> {
    obligations: HashMap<&'c ObligationId, &'c Closure>,
    facts: HashMap<u64, &'c Closure>,
}

impl<'c> Closures<'c> {
    fn of(all: &'c [Closure], as_of: Time) -> Closures<'c> {
        let mut closures = Closures {
            obligations: HashMap::new(),
            facts: HashMap::new(),
        };
        for closure in all.iter().filter(|c| c.at <= as_of) {
            match &closure.of {
                Closes::Obligation(id) => {
                    closures.obligations.insert(id, closure);
                }
                Closes::Fact(seq) => {
                    closures.facts.insert(*seq, closure);
                }
            }
        }
        closures
    }
}

struct Period<'p> {
    policy: &'p Policy,
    from: Time,
    to: Time,
    as_of: Time,
    closures: Closures<'p>,
}

impl Period<'_> {
    fn holds(&self, at: Time) -> bool {
        self.from <= at && at < self.to
    }

    /// Every obligation that was due in the period, in the order in which they were due.
    fn fulfilments(&self, index: &Projection, claims: &Claims<'_>) -> Vec<Fulfilment> {
        let mut all = Vec::new();
        let whole = index.whole().map(|(_, promised)| promised);
        let mine = index.live().chain(whole);
        for promised in mine.filter(|p| self.holds(p.due)) {
            all.extend(self.fulfilment(index, claims, &promised));
        }
        all.sort_by(|a, b| {
            (a.obligation.due, &a.obligation.id).cmp(&(b.obligation.due, &b.obligation.id))
        });
        all
    }

    /// How one came out; nothing if it was withdrawn and nothing answers it.
    fn fulfilment(
        &self,
        index: &Projection,
        claims: &Claims<'_>,
        promised: &Promised<'_>,
    ) -> Option<Fulfilment> {
        let at = answered(self.policy, promised);
        let obligation = index.obligation(promised);
        let claim = claims.of_obligation(&obligation, at);
        let standing = match at {
            Some(done) if done <= promised.due => Standing::OnTime,
            Some(_) => Standing::Late,
            None if promised.due >= self.as_of => Standing::Open,
            None if claim.is_some() => Standing::Unproven,
            None => Standing::Missed,
        };
        if promised.withdrawn && !matches!(standing, Standing::OnTime | Standing::Late) {
            return None;
        }
        let closure = self.closures.obligations.get(&obligation.id).copied();
        let facts = &self.closures.facts;
        let closure = closure.or_else(|| facts.get(&claim?).copied());
        Some(Fulfilment {
            obligation,
            standing,
            answered_at: at,
            answered_by: claim,
            closure: closure.cloned(),
        })
    }

    fn protection(
        &self,
        (system, protection): (&System, &Protection),
        tallies: Vec<(RuleKey, Tally)>,
        (index, moves, held): (&Projection, &Moves<'_>, &Held<'_>),
    ) -> Measured {
        let id = &protection.id;
        let captures: Vec<&Tally> = tallies
            .iter()
            .filter(|((_, kind, ..), _)| {
                matches!(kind, ObligationKind::Capture | ObligationKind::Copy)
            })
            .map(|(_, tally)| tally)
            .collect();
        let behind: u64 = captures
            .iter()
            .map(|t| t.counts.late + t.counts.missed + t.counts.unproven)
            .sum();
        let accounted: u64 = captures.iter().map(|t| t.accounted).sum();
        let rules: Vec<RulePeriod> = tallies.into_iter().map(|(k, t)| t.rule(k)).collect();
        let first_due = index.first_capture_due(id);
        let losses = moves.losses(
            (system, protection),
            first_due,
            (self.from, self.to),
            self.as_of,
        );
        let drills = held.drills(id, &|at| self.holds(at), &self.closures.facts);
        let mut because: Vec<String> = rules.iter().filter_map(said).collect();
        let explained = behind > 0 && accounted == behind;
        let freshness = self.freshness(system, &losses, explained, &mut because);
        let proof = drills::verdict(&drills, &mut because);
        let readings = held.readings(
            protection,
            &|at| self.holds(at),
            &self.closures.facts,
            &mut because,
        );
        let connected = protection.way.is_connected();
        if !connected {
            because.insert(
                0,
                "declared, not yet connected: nothing of it was done or checked".to_owned(),
            );
        }
        let verdict = rules
            .iter()
            .filter(|r| is_judged(r))
            .map(|r| r.verdict)
            .chain([freshness, proof, readings].into_iter().flatten())
            .chain((!connected).then_some(PeriodVerdict::Unproven))
            .reduce(PeriodVerdict::worse);
        if verdict.is_none() {
            because.push("nothing was due in the period, and nothing was measured".to_owned());
        }
        let counts = rules
            .iter()
            .map(|r| r.counts)
            .fold(PeriodCounts::default(), PeriodCounts::and);
        let tier = system.tier.as_ref();
        Measured {
            shown: ProtectionPeriod {
                id: id.clone(),
                verdict: verdict.unwrap_or(PeriodVerdict::Unproven),
                because,
                counts,
                closed: rules.iter().map(|r| r.closed).sum(),
                rules,
                measured_from: losses.from,
                worst_rpo: losses.worst.map(|(span, _)| span),
                worst_rpo_at: losses.worst.map(|(_, at)| at),
                without_copy: losses.without,
                target_rpo: tier.and_then(|t| t.rpo),
                rpo: losses.turns,
                worst_log_rpo: losses.worst_log,
                target_log_rpo: tier.and_then(|t| t.log_rpo),
                drills,
                target_rto: tier.and_then(|t| t.rto),
            },
            freshness,
            drills: proof,
            readings,
            connected,
        }
    }

    /// What was measured against RPO and log RPO. `explained` says that whatever was behind is closed.
    fn freshness(
        &self,
        system: &System,
        losses: &Losses,
        explained: bool,
        because: &mut Vec<String>,
    ) -> Option<PeriodVerdict> {
        losses.from?;
        let tier = system.tier.as_ref()?;
        let mut over = false;
        let mut judged = false;
        if let Some(rpo) = tier.rpo {
            judged = true;
            let by_log = losses.worst_log.is_some_and(|l| l <= rpo) && !losses.log_gap;
            if let Some((worst, at)) = losses.worst.filter(|(w, _)| *w > rpo && !by_log) {
                over = true;
                because.push(format!(
                    "at {} the best copy outside the system's failure domain was {worst} old, over RPO {rpo}",
                    at.minute()
                ));
            }
            if losses.without.micros() > 0 {
                over = true;
                because.push(format!(
                    "for {} there was no copy outside the system's failure domain",
                    losses.without
                ));
            }
        }
        if let (Some(target), Some(worst)) = (tier.log_rpo, losses.worst_log) {
            judged = true;
            if worst > target {
                over = true;
                because.push(format!(
                    "with the log, {worst} would have been lost at the worst moment, over log RPO {target}"
                ));
            }
        }
        judged.then_some(match (over, explained) {
            (false, _) => PeriodVerdict::Met,
            (true, true) => PeriodVerdict::MetWithDeviations,
            (true, false) => PeriodVerdict::NotMet,
        })
    }

    /// The silences of the record, as far as they lie in the period.
    fn silence(&self, index: &Projection) -> Vec<Silence> {
        let until = self.to.min(self.as_of);
        let all = index.silence(self.as_of).into_iter();
        all.map(|s| Silence {
            from: s.from.max(self.from),
            to: s.to.min(until),
        })
        .filter(|s| s.from < s.to)
        .collect()
    }
}

/// The rules of one protection, out of all.
fn take_rules(all: &mut BTreeMap<RuleKey, Tally>, id: &ProtectionId) -> Vec<(RuleKey, Tally)> {
    let keys: Vec<RuleKey> = all
        .keys()
        .filter(|(protection, ..)| protection.as_ref() == Some(id))
        .cloned()
        .collect();
    keys.into_iter()
        .filter_map(|key| all.remove(&key).map(|tally| (key, tally)))
        .collect()
}

/// What is not as it should be of one rule, as a sentence.
fn said(rule: &RulePeriod) -> Option<String> {
    let c = &rule.counts;
    if c.late + c.missed + c.unproven == 0 {
        return None;
    }
    let judged = c.total() - c.open;
    let parts: Vec<String> = [
        (c.late, "late"),
        (c.missed, "missed"),
        (c.unproven, "unproven"),
        (rule.closed, "closed"),
    ]
    .into_iter()
    .filter(|(n, _)| *n > 0)
    .map(|(n, word)| format!("{n} {word}"))
    .collect();
    let of = match &rule.vault {
        Some(vault) => format!("{} for {vault}", rule.kind),
        None => rule.kind.to_string(),
    };
    Some(format!(
        "{of}: {}, of {}",
        parts.join(", "),
        count(usize::try_from(judged).unwrap_or(usize::MAX), "obligation")
    ))
}
