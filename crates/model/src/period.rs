//! What the assessor says of a period: counts of what was owed in it, the worst that was measured, its deviations.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::assessment::Silence;
use crate::ids::{ObligationId, ProtectionId, VaultName};
use crate::obligation::{Obligation, ObligationKind};
use crate::time::{Span, Time};
use crate::verdict::Strength;

/// What is said of a period, best first. It looks only at what was due in the period, so it is never `planned`;
/// what an exemption takes out owes nothing and is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeriodVerdict {
    /// Everything that was due happened in time, and what was measured is within its targets.
    Met,
    /// Something came late, or was missed and its failure is closed; each such deviation is listed.
    MetWithDeviations,
    /// Nothing was due, or for something that was due no fact shows it, either way.
    Unproven,
    /// Something was missed and is not closed, or a target was not kept and that is not closed.
    NotMet,
}

impl PeriodVerdict {
    /// The worse of two.
    pub fn worse(self, other: PeriodVerdict) -> PeriodVerdict {
        self.max(other)
    }

    /// The words on screen.
    pub fn word(self) -> &'static str {
        match self {
            PeriodVerdict::Met => "met",
            PeriodVerdict::MetWithDeviations => "met with deviations",
            PeriodVerdict::Unproven => "unproven",
            PeriodVerdict::NotMet => "not met",
        }
    }
}

impl fmt::Display for PeriodVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// How an obligation of the period came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Fulfilled by its time.
    OnTime,
    /// Fulfilled after it.
    Late,
    /// Past its time, and no fact speaks of it.
    Missed,
    /// Past its time; a fact speaks of it and does not show that it was fulfilled: a partial point, a copy that was
    /// not read back, a verification that read nothing.
    Unproven,
    /// Not yet past its time at the time of the assessment.
    Open,
}

impl Standing {
    /// The words on screen.
    pub fn word(self) -> &'static str {
        match self {
            Standing::OnTime => "on time",
            Standing::Late => "late",
            Standing::Missed => "missed",
            Standing::Unproven => "unproven",
            Standing::Open => "open",
        }
    }
}

/// How many obligations that were due in the period came out how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PeriodCounts {
    /// Fulfilled by their time.
    pub on_time: u64,
    /// Fulfilled after it.
    pub late: u64,
    /// Past their time, and no fact.
    pub missed: u64,
    /// Past their time, and no fact that shows it.
    pub unproven: u64,
    /// Not yet past their time at the time of the assessment.
    pub open: u64,
}

impl PeriodCounts {
    /// All of them: the population.
    pub fn total(&self) -> u64 {
        self.on_time + self.late + self.missed + self.unproven + self.open
    }

    /// Counts one more.
    pub fn count(&mut self, standing: Standing) {
        match standing {
            Standing::OnTime => self.on_time += 1,
            Standing::Late => self.late += 1,
            Standing::Missed => self.missed += 1,
            Standing::Unproven => self.unproven += 1,
            Standing::Open => self.open += 1,
        }
    }

    /// These and others together.
    pub fn and(self, other: PeriodCounts) -> PeriodCounts {
        PeriodCounts {
            on_time: self.on_time + other.on_time,
            late: self.late + other.late,
            missed: self.missed + other.missed,
            unproven: self.unproven + other.unproven,
            open: self.open + other.open,
        }
    }
}

/// What a closure closes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Closes {
    /// That this obligation was not fulfilled in time.
    Obligation(ObligationId),
    /// What this fact says, by its ledger sequence number: a red drill, an incomplete point.
    Fact(u64),
}

/// A failure that was acknowledged, caused, fixed, tested again and closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closure {
    /// What it closes.
    pub of: Closes,
    /// When.
    pub at: Time,
    /// Who closed it.
    pub by: String,
    /// How that is known.
    pub strength: Strength,
    /// Cause, fix and retest, as they were recorded.
    pub text: String,
    /// The fact that says so, by its ledger sequence number.
    pub seq: u64,
}

/// An obligation, and how it came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fulfilment {
    /// Which.
    pub obligation: Obligation,
    /// How.
    pub standing: Standing,
    /// When it was fulfilled, if it was.
    pub answered_at: Option<Time>,
    /// The fact that fulfils it, or speaks of it without showing it, by its ledger sequence number.
    pub answered_by: Option<u64>,
    /// Its closure, if there is one.
    pub closure: Option<Closure>,
}

/// One rule: what is asked for again and again, of one protection, vault or person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulePeriod {
    /// What is asked for.
    pub kind: ObligationKind,
    /// The protection it belongs to; nothing for a duty, or for the key of a vault.
    pub protection: Option<ProtectionId>,
    /// The vault it concerns.
    pub vault: Option<VaultName>,
    /// The duty's name.
    pub duty: Option<String>,
    /// What was due in the period.
    pub counts: PeriodCounts,
    /// How many of the missed and unproven ones are closed.
    pub closed: u64,
    /// What follows.
    pub verdict: PeriodVerdict,
}

impl RulePeriod {
    /// What it concerns, for people.
    pub fn subject(&self) -> String {
        match (&self.protection, &self.vault, &self.duty) {
            (Some(p), Some(v), _) => format!("{p} → {v}"),
            (Some(p), None, _) => p.to_string(),
            (None, Some(v), _) => v.to_string(),
            (None, None, duty) => duty.clone().unwrap_or_default(),
        }
    }
}

/// A turn of what would have been lost: the moment at which the best copy became another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RpoTurn {
    /// When.
    pub at: Time,
    /// What would have been lost just before; nothing where there was no copy.
    pub before: Option<Span>,
    /// What would have been lost just after; nothing where there is no copy any more.
    pub after: Option<Span>,
}

/// A drill of the period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillPeriod {
    /// The fact, by its ledger sequence number.
    pub seq: u64,
    /// When it ended.
    pub ended: Time,
    /// From which vault.
    pub vault: VaultName,
    /// What it took.
    pub achieved_rto: Span,
    /// The objective at that time.
    pub target_rto: Option<Span>,
    /// Ladder green, sandbox gone, every negative control caught.
    pub green: bool,
    /// The drill of the same protection that was the first to be green after it, if this one was not good.
    pub retested_by: Option<u64>,
    /// The closure of its failure, if there is one.
    pub closure: Option<Closure>,
}

impl DrillPeriod {
    /// Green, and within the objective.
    pub fn is_good(&self) -> bool {
        self.green && self.target_rto.is_none_or(|t| self.achieved_rto <= t)
    }
}

/// One protection over the period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtectionPeriod {
    /// Which.
    pub id: ProtectionId,
    /// The worst of its rules and of what was measured.
    pub verdict: PeriodVerdict,
    /// Why, one sentence for each thing that is not as it should be.
    pub because: Vec<String>,
    /// Everything that was due of it.
    pub counts: PeriodCounts,
    /// How many of the missed and unproven ones are closed.
    pub closed: u64,
    /// Its rules.
    pub rules: Vec<RulePeriod>,
    /// From when on it is measured what would have been lost: the later of the period's beginning and the time by
    /// which the first copy had to be there. Nothing where it is not measured: no copy was ever due or made.
    pub measured_from: Option<Time>,
    /// The most that would have been lost at any moment of the period, by the best copy outside the system's own
    /// failure domain; nothing where there was none at any moment.
    pub worst_rpo: Option<Span>,
    /// When that was.
    pub worst_rpo_at: Option<Time>,
    /// For how long in the period there was no such copy at all.
    pub without_copy: Span,
    /// The tier's RPO.
    pub target_rpo: Option<Span>,
    /// How it went up and down, in the order of time.
    pub rpo: Vec<RpoTurn>,
    /// The most that would have been lost with the log, by the best vault, of what was recorded in the period.
    pub worst_log_rpo: Option<Span>,
    /// The tier's RPO for the log.
    pub target_log_rpo: Option<Span>,
    /// Its drills that ended in the period, in the order of the ledger.
    pub drills: Vec<DrillPeriod>,
    /// The tier's RTO.
    pub target_rto: Option<Span>,
}

/// One control of a framework over the period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlPeriod {
    /// `SOC 2`, `ISO 27001`.
    pub framework: String,
    /// `A1.2`, `A.8.13`.
    pub control: String,
    /// What was due in the period under the rules that it rests on.
    pub counts: PeriodCounts,
    /// How many of the missed and unproven ones are closed.
    pub closed: u64,
    /// The worst of these rules, and, if it rests on freshness or on drills, of what was measured.
    pub verdict: PeriodVerdict,
}

/// The whole answer for a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeriodAssessment {
    /// Beginning, included.
    pub from: Time,
    /// End, not included.
    pub to: Time,
    /// By what was recorded up to when.
    pub as_of: Time,
    /// The worst verdict of all.
    pub verdict: PeriodVerdict,
    /// Everything that was due.
    pub counts: PeriodCounts,
    /// How many of the missed and unproven ones are closed.
    pub closed: u64,
    /// One per protection, in the policy's order of names.
    pub protections: Vec<ProtectionPeriod>,
    /// What belongs to no protection of the policy: duties, keys of vaults, and what a former policy asked for.
    pub others: Vec<RulePeriod>,
    /// One per control that we can say something of.
    pub controls: Vec<ControlPeriod>,
    /// Everything late, missed or unproven, in the order in which it was due.
    pub deviations: Vec<Fulfilment>,
    /// Where the record is silent within the period.
    pub silence: Vec<Silence>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unproven_and_not_met_are_worse_than_deviations() {
        use PeriodVerdict::*;
        assert_eq!(Met.worse(MetWithDeviations), MetWithDeviations);
        assert_eq!(MetWithDeviations.worse(Unproven), Unproven);
        assert_eq!(Unproven.worse(NotMet), NotMet);
    }

    #[test]
    fn counts_count_everything_once() {
        let mut counts = PeriodCounts::default();
        for standing in [
            Standing::OnTime,
            Standing::Late,
            Standing::Missed,
            Standing::Unproven,
            Standing::Open,
        ] {
            counts.count(standing);
        }
        assert_eq!(counts.total(), 5);
        assert_eq!(counts.and(counts).total(), 10);
    }
}
