//! How sure a fact is, and what a judgement says.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How strong a fact is, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strength {
    /// A person said so.
    Stated,
    /// A provider's interface or another tool's log said so.
    Observed,
    /// We did it or looked ourselves.
    Measured,
}

impl fmt::Display for Strength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Strength::Stated => "stated",
            Strength::Observed => "observed",
            Strength::Measured => "measured",
        })
    }
}

/// What a judgement says. Unproven is never met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The facts show that it holds.
    Met,
    /// An approved exemption takes it out.
    Exempt,
    /// The policy says that it is to come.
    Planned,
    /// No fact shows it, either way, or none strong or fresh enough.
    Unproven,
    /// The facts show that it does not hold.
    NotMet,
}

impl Verdict {
    /// The worse of two: not met, then unproven, planned, exempt, met.
    pub fn worse(self, other: Verdict) -> Verdict {
        self.max(other)
    }
    /// Whether a command that judged this may exit with 0.
    pub fn is_good(self) -> bool {
        matches!(self, Verdict::Met | Verdict::Exempt | Verdict::Planned)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Met => "met",
            Verdict::NotMet => "not met",
            Verdict::Unproven => "unproven",
            Verdict::Planned => "planned",
            Verdict::Exempt => "exempt",
        })
    }
}
