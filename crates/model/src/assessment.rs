//! What the assessor says: judgements per protection and control, with their reasons.

use serde::{Deserialize, Serialize};

use crate::ids::ProtectionId;
use crate::incident::Pause;
use crate::obligation::Obligation;
use crate::people_assessment::{
    AccessState, DutyAssessment, DutyItem, ExemptionState, IncidentState,
};
use crate::space::StorageState;
use crate::time::{Span, Time};
use crate::verdict::{Strength, Verdict};

/// What is asked of each protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// Is there any recovery point at all?
    Covered,
    /// Is the newest point young enough for schedule and RPO?
    Fresh,
    /// Are there as many copies, in the places, that the policy asks for?
    Copies,
    /// Were the copies read back in time?
    Verified,
    /// Did a drill show in time that it comes back, within the RTO?
    Proven,
    /// Were stored bytes seen to be sealed?
    Encrypted,
    /// Is nothing gone too early and nothing kept too long?
    Retained,
}

impl Question {
    /// All, in the order of display.
    pub const ALL: [Question; 7] = [
        Question::Covered,
        Question::Fresh,
        Question::Copies,
        Question::Verified,
        Question::Proven,
        Question::Encrypted,
        Question::Retained,
    ];
    /// The word on screen.
    pub fn word(self) -> &'static str {
        match self {
            Question::Covered => "covered",
            Question::Fresh => "fresh",
            Question::Copies => "copies",
            Question::Verified => "verified",
            Question::Proven => "proven",
            Question::Encrypted => "encrypted",
            Question::Retained => "retained",
        }
    }
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// What was asked.
    pub question: Question,
    /// What the facts say.
    pub verdict: Verdict,
    /// The weakest strength among the facts it rests on; nothing if there are none.
    pub strength: Option<Strength>,
    /// Why, as one sentence with figures.
    pub because: String,
    /// Ledger sequence numbers of the facts it rests on.
    pub facts: Vec<u64>,
}

/// What is said of one protection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtectionAssessment {
    /// Which.
    pub id: ProtectionId,
    /// How it is kept: `capture`, `observe` …
    pub way: String,
    /// Whether this version can do it, or check that it is done.
    #[serde(default = "yes")]
    pub connected: bool,
    /// What it reads, redacted.
    pub source: String,
    /// The system's owner.
    pub owner: Option<String>,
    /// The tier's name.
    pub tier: Option<String>,
    /// The worst of its judgements.
    pub verdict: Verdict,
    /// One per question, in the order of [`Question::ALL`].
    pub judgements: Vec<Judgement>,
    /// Content time of the newest complete point.
    pub newest_point: Option<Time>,
    /// How many points there are that retention still counts.
    pub points: u64,
    /// Age of the newest copy outside the system's own failure domain.
    pub achieved_rpo: Option<Span>,
    /// The tier's RPO.
    pub target_rpo: Option<Span>,
    /// What would be lost with the log, by the best of its copies outside the system's own failure domain; nothing
    /// where none is shipped.
    #[serde(default)]
    pub achieved_log_rpo: Option<Span>,
    /// The tier's RPO for the log.
    #[serde(default)]
    pub target_log_rpo: Option<Span>,
    /// Of the newest drill.
    pub achieved_rto: Option<Span>,
    /// The tier's RTO.
    pub target_rto: Option<Span>,
    /// End of the newest green drill.
    pub proven_at: Option<Time>,
    /// What is overdue.
    pub overdue: Vec<Obligation>,
    /// What comes next.
    pub next: Option<Obligation>,
}

fn yes() -> bool {
    true
}

impl ProtectionAssessment {
    /// The answer to `question`.
    pub fn judgement(&self, question: Question) -> Option<&Judgement> {
        self.judgements.iter().find(|j| j.question == question)
    }
}

/// What is said of one control of a framework.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlAssessment {
    /// `SOC 2`, `ISO 27001`.
    pub framework: String,
    /// `A1.2`, `A.8.13`.
    pub control: String,
    /// What the control asks for, in our own words.
    pub title: String,
    /// The worst of what it rests on.
    pub verdict: Verdict,
    /// Why.
    pub because: String,
    /// The questions whose answers it rests on.
    pub questions: Vec<Question>,
}

/// How many obligations came out how, up to the time of the assessment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ObligationCounts {
    /// Fulfilled by their time.
    pub on_time: u64,
    /// Fulfilled after it.
    pub late: u64,
    /// Past their time without a fact.
    pub missed: u64,
    /// Open now: begun or to come, not yet due.
    pub open: u64,
}

/// A stretch of time of which the ledger says nothing at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// The last horizon that was written.
    pub from: Time,
    /// The time of the assessment, or the next entry.
    pub to: Time,
}

/// The whole answer at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assessment {
    /// As of when.
    pub at: Time,
    /// SHA-256 of the policy file judged by, lower hex.
    pub policy_digest: String,
    /// The worst verdict of all.
    pub verdict: Verdict,
    /// One per protection, in the policy's order of names.
    pub protections: Vec<ProtectionAssessment>,
    /// Systems that the policy exempts, with the reason.
    pub exempt: Vec<(String, String)>,
    /// One per control that we can say something of.
    pub controls: Vec<ControlAssessment>,
    /// Obligations up to now.
    pub obligations: ObligationCounts,
    /// Overdue or missed, newest first.
    pub missed: Vec<Obligation>,
    /// Where the record is silent.
    pub silence: Vec<Silence>,
    /// Breaks of the record, with their ledger sequence number.
    pub breaks: Vec<(u64, String)>,
    /// One per duty of people, by name.
    #[serde(default)]
    pub duties: Vec<DutyAssessment>,
    /// What people owe now, the most urgent first.
    #[serde(default)]
    pub owed_by_people: Vec<DutyItem>,
    /// Incidents, open ones first.
    #[serde(default)]
    pub incidents: Vec<IncidentState>,
    /// Permissions to depart from a rule.
    #[serde(default)]
    pub exemptions: Vec<ExemptionState>,
    /// Rights that are in force or asked for.
    #[serde(default)]
    pub access: Vec<AccessState>,
    /// Systems for which nothing is done by itself now.
    #[serde(default)]
    pub paused: Vec<Pause>,
    /// How full the vaults' stores are, where the policy wants to hear of it.
    #[serde(default)]
    pub storage: Vec<StorageState>,
}
