//! What the assessor says of people's part: duties, incidents, exemptions.

use serde::{Deserialize, Serialize};

use crate::assessment::ObligationCounts;
use crate::attestation::DutyOutcome;
use crate::ids::{ObligationId, SystemName};
use crate::incident::NoteKind;
use crate::obligation::Obligation;
use crate::people::DutyKind;
use crate::time::{Span, Time};
use crate::verdict::{Strength, Verdict};

/// How something that a person owes stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DutyStanding {
    /// Its time is over, and nothing was done.
    Overdue,
    /// It was declined, and its time is not over.
    Declined,
    /// It may be done now.
    Open,
    /// It opens later.
    ToCome,
}

impl DutyStanding {
    /// The word on screen.
    pub fn word(self) -> &'static str {
        match self {
            DutyStanding::Overdue => "overdue",
            DutyStanding::Declined => "declined",
            DutyStanding::Open => "open",
            DutyStanding::ToCome => "to come",
        }
    }

    /// Whether it is neither late nor declined.
    pub fn is_calm(self) -> bool {
        matches!(self, DutyStanding::Open | DutyStanding::ToCome)
    }
}

/// Who hears of it when it is late.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EscalationState {
    /// Whom.
    pub to: Vec<String>,
    /// From when on.
    pub at: Time,
    /// Whether that time has come.
    pub due: bool,
    /// The entry that says so, once it is recorded.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fact: Option<u64>,
}

/// Something that a person owes and has not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DutyItem {
    /// What is owed.
    pub obligation: Obligation,
    /// The name to answer it by: the duty's, or that of the protection that something is handed in for.
    pub duty: String,
    /// What kind; nothing for what is handed in.
    pub kind: Option<DutyKind>,
    /// How it stands.
    pub standing: DutyStanding,
    /// Whoever owes it.
    pub holders: Vec<String>,
    /// Whoever may do it instead.
    pub delegates: Vec<String>,
    /// What is to be done, in words.
    pub text: String,
    /// What the person needs for it, and hands in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub input: Option<String>,
    /// Who hears of it when it is late.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub escalation: Option<EscalationState>,
    /// The open incident that is about it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub incident: Option<String>,
}

/// What was said of a duty last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastAnswer {
    /// The entry.
    pub seq: u64,
    /// When it was recorded.
    pub at: Time,
    /// Who said so; nothing if a drill answered it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<String>,
    /// How it came out.
    pub outcome: DutyOutcome,
    /// Whether a key vouches for the person.
    pub verified: bool,
}

/// What is said of one duty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DutyAssessment {
    /// Its name.
    pub name: String,
    /// What kind.
    pub kind: DutyKind,
    /// What is to be done.
    pub text: String,
    /// Whoever owes it.
    pub holders: Vec<String>,
    /// Whoever may do it instead.
    pub delegates: Vec<String>,
    /// Whether it was done as the policy says.
    pub verdict: Verdict,
    /// How strong that is: a person's word, or a drill of ours; nothing if there is neither.
    pub strength: Option<Strength>,
    /// Why, as one sentence.
    pub because: String,
    /// Ledger sequence numbers of the facts it rests on.
    pub facts: Vec<u64>,
    /// How its obligations came out.
    pub obligations: ObligationCounts,
    /// The last answer.
    pub last: Option<LastAnswer>,
}

/// One note of an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentLine {
    /// The entry.
    pub seq: u64,
    /// When.
    pub at: Time,
    /// What it says.
    pub kind: NoteKind,
    /// The text.
    pub text: String,
    /// Who says so.
    pub by: String,
}

/// How an incident was closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedLine {
    /// The entry.
    pub seq: u64,
    /// When.
    pub at: Time,
    /// By whom.
    pub by: String,
    /// What was said at the end.
    pub reason: String,
    /// The entry that shows that it works again.
    pub retest: u64,
}

/// An incident, from failure to closure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentState {
    /// Its name.
    pub name: String,
    /// The entry that opened it.
    pub seq: u64,
    /// When it was opened.
    pub at: Time,
    /// Who acknowledged it.
    pub by: String,
    /// What happened.
    pub reason: String,
    /// The obligations that it is about.
    pub obligations: Vec<ObligationId>,
    /// The entries that it is about.
    pub facts: Vec<u64>,
    /// What was found out and done.
    pub notes: Vec<IncidentLine>,
    /// How it was closed.
    pub closed: Option<ClosedLine>,
}

/// A permission to depart from a rule, in force or over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExemptionState {
    /// Its name.
    pub name: String,
    /// What is departed from.
    pub from: String,
    /// For which systems; all if there are none.
    pub systems: Vec<SystemName>,
    /// Who allowed it.
    pub approved_by: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// When it ends.
    pub until: Option<Time>,
    /// Whether it is in force.
    pub in_force: bool,
    /// What is wrong with it: it is over, or nobody allowed it.
    pub finding: Option<String>,
    /// The entry that says so; nothing if the policy does.
    pub seq: Option<u64>,
    /// Whether whoever allowed it has signed that by a key of their own.
    #[serde(default)]
    pub verified: bool,
}

/// How far a right that somebody asked for has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccessStanding {
    /// It is in force.
    InForce,
    /// Nobody has answered yet.
    Asked,
    /// It was denied, or ended before its time.
    Ended,
    /// Its time is over.
    Over,
}

impl AccessStanding {
    /// The word on screen.
    pub fn word(self) -> &'static str {
        match self {
            AccessStanding::InForce => "in force",
            AccessStanding::Asked => "asked for",
            AccessStanding::Ended => "ended",
            AccessStanding::Over => "over",
        }
    }
}

/// A right that somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessState {
    /// Its name.
    pub name: String,
    /// The right, as the policy calls it.
    pub right: String,
    /// Who asked.
    pub by: String,
    /// When.
    pub at: Time,
    /// For how long.
    pub length: Span,
    /// Why.
    pub reason: String,
    /// Who allowed it.
    pub approved_by: Option<String>,
    /// When it ends or ended.
    pub until: Option<Time>,
    /// How far it has come.
    pub standing: AccessStanding,
}
