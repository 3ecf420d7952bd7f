//! What a drill finds: the ladder of rungs, the phases' times, the negative controls.

use serde::{Deserialize, Serialize};

use crate::equality::Equality;
use crate::ids::{ObligationId, PointId, ProtectionId, RunId, VaultName};
use crate::manifest::Engine;
use crate::time::{Span, Time};

/// How a rung came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RungOutcome {
    /// Expected and actual agree.
    Green,
    /// They do not.
    Red,
    /// Not climbed, because a rung below it was red or it does not apply; never counts as green.
    Skipped,
}

/// One comparison of a drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    /// Short stable name: `key`, `sealed`, `bytes`, `identity`, `restore`, `opens`, `content` …
    pub name: String,
    /// What was asked, as a sentence.
    pub question: String,
    /// What should be found.
    pub expected: String,
    /// What was found.
    pub actual: String,
    /// How it came out.
    pub outcome: RungOutcome,
}

/// The rungs of one drill, in the order in which they were climbed.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ladder {
    /// Lowest first.
    pub rungs: Vec<Rung>,
}

impl Ladder {
    /// Whether at least one rung was climbed and none is red or skipped.
    pub fn is_green(&self) -> bool {
        !self.rungs.is_empty() && self.rungs.iter().all(|r| r.outcome == RungOutcome::Green)
    }
    /// The lowest rung that is red or was skipped.
    pub fn first_not_green(&self) -> Option<&Rung> {
        self.rungs.iter().find(|r| r.outcome != RungOutcome::Green)
    }
    /// The lowest red rung.
    pub fn first_red(&self) -> Option<&Rung> {
        self.rungs.iter().find(|r| r.outcome == RungOutcome::Red)
    }
}

/// One timed part of a restore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    /// `open`, `fetch`, `restore`, `start`, `compare` …
    pub name: String,
    /// How long it took, by the monotonic clock.
    pub took: Span,
}

/// A deliberate damage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// Short stable name: `flipped-byte`, `missing-pack`, `wrong-key`, `wrong-row`, `swapped-snapshot`, `stale-manifest` …
    pub name: String,
    /// What was done to which object.
    pub detail: String,
    /// The rung that must be the first to go red.
    pub must_redden: String,
}

/// A drill on a damaged twin, and on its undamaged pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NegativeControl {
    /// What was damaged.
    pub damage: Damage,
    /// The first rung that went red on the damaged twin.
    pub first_red: Option<String>,
    /// What that rung found.
    pub actual: String,
    /// Whether the undamaged pair was green.
    pub pair_green: bool,
}

impl NegativeControl {
    /// Whether the drill caught this damage where it must, and nothing else.
    pub fn caught(&self) -> bool {
        self.pair_green && self.first_red.as_deref() == Some(self.damage.must_redden.as_str())
    }
}

/// The sandbox of a drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxRecord {
    /// How it was kept apart: `network namespace without egress, own directory`.
    pub isolation: String,
    /// Whether it was shown to be gone afterwards.
    pub destroyed: bool,
}

/// To which moment a drill brought its point by the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrilledMoment {
    /// The moment; nothing means the end of the log.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub at: Option<Time>,
    /// Where in the log that is, as the database writes it; nothing if the log could not be followed up to there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub position: Option<String>,
    /// The newest transaction that is part of it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub newest_commit: Option<Time>,
    /// How many transactions were replayed.
    pub transactions: u64,
    /// Bytes of log that were read.
    pub log_bytes: u64,
}

/// One drill, whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillResult {
    /// The run that did it.
    pub run: RunId,
    /// What was rehearsed.
    pub protection: ProtectionId,
    /// Which point was restored.
    pub point: PointId,
    /// From which vault.
    pub vault: VaultName,
    /// The obligations that it answers.
    pub obligations: Vec<ObligationId>,
    /// When it began.
    pub started: Time,
    /// When it ended.
    pub ended: Time,
    /// The seed by which the point was chosen, if it was chosen at random.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seed: Option<u64>,
    /// The moment to which the log brought the point, if it was to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub moment: Option<DrilledMoment>,
    /// To what it was found equal, if it was held against anything.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub equality: Option<Equality>,
    /// What was compared.
    pub ladder: Ladder,
    /// What took how long.
    pub phases: Vec<Phase>,
    /// From the start of the restore until the data was usable.
    pub achieved_rto: Span,
    /// The tier's objective, if it has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target_rto: Option<Span>,
    /// Bytes restored.
    pub bytes: u64,
    /// Where it was done.
    pub sandbox: SandboxRecord,
    /// The drill's own tests, where they were run.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub negative_controls: Vec<NegativeControl>,
    /// The protection's rules at that time ([`crate::Protection::rules_digest`]); a change voids the proof.
    pub rules_digest: String,
    /// The engine that opened the restored data.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub engine: Option<Engine>,
}

impl DrillResult {
    /// Green ladder, sandbox gone, every negative control caught.
    pub fn is_green(&self) -> bool {
        self.ladder.is_green()
            && self.sandbox.destroyed
            && self.negative_controls.iter().all(NegativeControl::caught)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rung(outcome: RungOutcome) -> Rung {
        let s = String::new;
        Rung {
            name: "bytes".into(),
            question: s(),
            expected: s(),
            actual: s(),
            outcome,
        }
    }

    #[test]
    fn nothing_climbed_is_not_green() {
        assert!(!Ladder::default().is_green());
        assert!(
            !Ladder {
                rungs: vec![rung(RungOutcome::Green), rung(RungOutcome::Skipped)]
            }
            .is_green()
        );
        assert!(
            Ladder {
                rungs: vec![rung(RungOutcome::Green)]
            }
            .is_green()
        );
    }

    #[test]
    fn the_wrong_rung_is_not_caught() {
        let damage = Damage {
            name: "x".into(),
            detail: String::new(),
            must_redden: "bytes".into(),
        };
        let control = |first: Option<&str>, pair_green| NegativeControl {
            damage: damage.clone(),
            first_red: first.map(str::to_owned),
            actual: String::new(),
            pair_green,
        };
        assert!(control(Some("bytes"), true).caught());
        assert!(!control(Some("content"), true).caught());
        assert!(!control(None, true).caught());
        assert!(!control(Some("bytes"), false).caught());
    }
}
