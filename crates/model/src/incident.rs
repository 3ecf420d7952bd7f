//! Incidents from failure to closure, exemptions, time-boxed rights, and who was told of what is late.

use serde::{Deserialize, Serialize};

use crate::attestation::{Identity, Statement};
use crate::ids::{ObligationId, SystemName};
use crate::time::{Span, Time};

/// A failure that somebody has taken on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Its name. Of open incidents no two have the same.
    pub name: String,
    /// Obligations that were missed or failed.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub obligations: Vec<ObligationId>,
    /// Entries of the ledger that show the failure: a red drill, a statement of problems.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub facts: Vec<u64>,
    /// Who acknowledges it.
    pub by: String,
    /// What happened.
    pub reason: String,
}

/// What a note of an incident says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoteKind {
    /// Something worth knowing.
    Remark,
    /// Why it happened.
    Cause,
    /// What was done about it.
    Fix,
}

impl NoteKind {
    /// The word on screen.
    pub fn word(self) -> &'static str {
        match self {
            NoteKind::Remark => "remark",
            NoteKind::Cause => "cause",
            NoteKind::Fix => "fix",
        }
    }
}

/// Something that was found out or done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentNote {
    /// Of which incident.
    pub name: String,
    /// What it says.
    pub kind: NoteKind,
    /// The text.
    pub text: String,
    /// Who says so.
    pub by: String,
}

/// An incident has ended: its cause is known, it is mended, and that was tested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closure {
    /// Which incident.
    pub name: String,
    /// The entry of the ledger that shows that it works again.
    pub retest: u64,
    /// Who closes it.
    pub by: String,
    /// What is to be said at the end.
    pub reason: String,
}

/// Permission to depart from a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exemption {
    /// Its name. Of exemptions in force no two have the same.
    pub name: String,
    /// What is departed from: a question such as `proven`, or the name of a duty.
    pub from: String,
    /// For which systems; all if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub systems: Vec<SystemName>,
    /// Who asks for it.
    pub asked_by: String,
    /// Who allows it, as stated.
    pub approved_by: String,
    /// Why.
    pub reason: String,
    /// When it ends.
    pub until: Time,
    /// How it is known who allowed it.
    pub identity: Identity,
    /// What was signed, if it was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub statement: Option<Statement>,
}

/// Somebody asks for a right, for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessRequest {
    /// Its name. Of those that are open or in force no two have the same.
    pub name: String,
    /// The right, as the policy calls it.
    pub right: String,
    /// Who asks.
    pub by: String,
    /// For how long.
    pub length: Span,
    /// Why.
    pub reason: String,
}

/// A right was given, for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessGrant {
    /// The request that it answers.
    pub name: String,
    /// Who allows it, as stated.
    pub approved_by: String,
    /// When it ends.
    pub until: Time,
    /// How it is known who allowed it.
    pub identity: Identity,
    /// What was signed, if it was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub statement: Option<Statement>,
}

/// Nothing is done for a system by itself, until a time. What is owed is owed all the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Which system.
    pub system: SystemName,
    /// Who says so.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Until when.
    pub until: Time,
}

/// Something was ended before its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Which.
    pub name: String,
    /// Who ended it, as stated.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// What somebody was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoticeKind {
    /// It is due soon.
    Reminder,
    /// It is late.
    Overdue,
    /// It is so late that somebody else has to know.
    Escalation,
}

impl NoticeKind {
    /// The word on screen.
    pub fn word(self) -> &'static str {
        match self {
            NoticeKind::Reminder => "reminder",
            NoticeKind::Overdue => "overdue",
            NoticeKind::Escalation => "escalation",
        }
    }
}

/// A reminder or an escalation that has become due. It is a fact that it did, not that somebody read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// What kind.
    pub kind: NoticeKind,
    /// Of which obligation.
    pub obligation: ObligationId,
    /// What it asks for, for people.
    pub subject: String,
    /// When it is or was due.
    pub due: Time,
    /// Whom it concerns.
    pub to: Vec<String>,
}
