//! The report's content as values: what the JSON form holds and what the page shows.

use serde::{Deserialize, Serialize};
use vouchsafe_model::assessment::{ObligationCounts, Silence};
use vouchsafe_model::fact::{CopyFact, Issue, RecoveryPoint, Verification};
use vouchsafe_model::{
    DrillResult, Obligation, ObligationId, PeriodAssessment, ProtectionId, Question, Span,
    Strength, Time, VaultName, Verdict,
};

use crate::artefacts::ControlArtefacts;
use crate::populations::FrozenHead;
use crate::sample::Sample;

/// A whole report.
///
/// In JSON: times are RFC 3339 in UTC with six decimals, spans are whole microseconds, sizes are bytes, digests are
/// lower hex, `seq` is the leaf index of a ledger entry, from 0. Keys are never renamed; new ones may be added. Every number in a `facts` list is the `seq` of a row of `appendix`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportContent {
    /// [`crate::REPORT_FORMAT`].
    pub format: String,
    /// When the report was made.
    pub generated_at: Time,
    /// The tool and its version.
    pub tool: String,
    /// Beginning of the period, included.
    pub from: Time,
    /// End of the period, not included.
    pub to: Time,
    /// The time as of which the verdicts hold.
    pub as_of: Time,
    /// Whether names of files, tables and refs are replaced by digests.
    pub places_redacted: bool,
    /// The worst verdict of all.
    pub verdict: Verdict,
    /// What must be read before everything else: breaks, silence, heads that contradict the ledger.
    pub alarms: Vec<Alarm>,
    /// The policy judged by.
    pub policy: PolicyPart,
    /// Verdict per control.
    pub controls: Vec<ControlPart>,
    /// Verdict per protection.
    pub protections: Vec<ProtectionPart>,
    /// Systems that the policy leaves out.
    pub exempt: Vec<Exemption>,
    /// What was to happen, and when it did not.
    pub obligations: ObligationsPart,
    /// Everything that went wrong in the period.
    pub failures: Vec<Failure>,
    /// Incidents that were open in the period.
    #[serde(default)]
    pub incidents: Vec<IncidentPart>,
    /// What people were told in the period.
    #[serde(default)]
    pub notices: Notices,
    /// Recovery points of the period.
    pub points: Population<RecoveryPoint>,
    /// Copies of the period.
    pub copies: Population<CopyFact>,
    /// Verifications of the period.
    pub verifications: Population<Verification>,
    /// Drills of the period.
    pub drills: Population<DrillRow>,
    /// The record that all this rests on.
    pub ledger: LedgerPart,
    /// What the verdicts mean.
    pub verdicts: Vec<Meaning>,
    /// What the words for the strength of a fact mean.
    pub strengths: Vec<Meaning>,
    /// What this report does not prove.
    pub limits: Vec<Meaning>,
    /// Facts of the period, and earlier or later ones that a verdict rests on.
    pub appendix: Appendix,
    /// How the period went.
    pub period: PeriodAssessment,
    /// What an auditor asks for under each control, and how much of it is here.
    pub artefacts: Vec<ControlArtefacts>,
    /// What is said of each population beside its rows.
    pub populations: Vec<FrozenHead>,
    /// A sample of each population.
    pub samples: Vec<Sample>,
}

/// Something that puts the record itself in doubt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// `break`, `silence`, `longer-elsewhere`.
    pub kind: String,
    /// What it is and what follows from it.
    pub text: String,
    /// The entry that records it.
    pub seq: Option<u64>,
    /// The stretch of time that it concerns.
    pub silence: Option<Silence>,
}

/// The policy's head and whether its text is the approved one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyPart {
    /// Document id.
    pub id: Option<String>,
    /// Title.
    pub title: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Version as the document writes it.
    pub version: Option<String>,
    /// Day of approval, as stated.
    pub approved: Option<String>,
    /// Day of the next review, as stated.
    pub next_review: Option<String>,
    /// SHA-256 of the file.
    pub digest: String,
    /// SHA-256 of the approved text, as stated.
    pub approved_digest: Option<String>,
    /// Whether the two agree, if an approved one is stated.
    pub digest_matches: Option<bool>,
    /// The same as a sentence, with who agreed to this text, as far as the record knows.
    pub approval: String,
    /// Who agreed to this text, if it promises less than the one before it.
    #[serde(default)]
    pub agreed: Option<AgreedPart>,
    /// By which policy a period is judged that is over; nothing where it is the present one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged_by: Option<String>,
    /// The texts that came into force up to the end of the period.
    pub in_force: Vec<PolicyInForce>,
    /// The vaults it names.
    pub vaults: Vec<VaultPart>,
}

/// A text of the policy came into force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyInForce {
    /// The entry.
    pub seq: u64,
    /// Since when.
    pub at: Time,
    /// SHA-256 of the file.
    pub digest: String,
    /// The version it gives itself.
    pub version: Option<String>,
    /// Whether it was the approved text; nothing if no approval was stated.
    pub approved: Option<bool>,
    /// Whether it is the text that this report judges by.
    pub judged_by: bool,
    /// Who agreed to it, if it promises less than the one before it.
    #[serde(default)]
    pub agreed: Option<AgreedPart>,
}

/// A decision on a text that promises less than the one before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgreedPart {
    /// The entry of the decision; nothing while nobody has decided.
    pub seq: Option<u64>,
    /// Whether it was agreed to.
    pub granted: bool,
    /// How it is known who decided: measured by a signature, else stated.
    pub strength: Option<Strength>,
    /// The same in words.
    pub text: String,
}

/// An incident, with all that was recorded of it up to the end of the period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentPart {
    /// Its name.
    pub name: String,
    /// When it was acknowledged.
    pub opened: Time,
    /// When it was closed.
    pub closed: Option<Time>,
    /// Whether anybody noted why it happened.
    pub has_cause: bool,
    /// Whether anybody noted what was done.
    pub has_fix: bool,
    /// In the order of the ledger.
    pub lines: Vec<IncidentLine>,
}

/// One entry about an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentLine {
    /// The entry.
    pub seq: u64,
    /// When it was recorded.
    pub at: Time,
    /// Who did or found what.
    pub text: String,
}

/// How often people were told something in the period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notices {
    /// Reminders and escalations.
    pub reminders: u64,
    /// Alerts.
    pub alerts: u64,
    /// Letters that a mail server took.
    pub taken: u64,
    /// Letters that it refused for good.
    pub refused: u64,
}

/// A vault as the policy declares it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultPart {
    /// Its name.
    pub name: VaultName,
    /// Its address, passwords hidden.
    pub url: String,
    /// Declared, not measured.
    pub region: Option<String>,
    /// Declared, not measured.
    pub country: Option<String>,
    /// For how long the store refuses deletion, declared, not measured.
    pub retention_lock: Option<String>,
}

/// A control of a framework.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlPart {
    /// `SOC 2`, `ISO 27001`.
    pub framework: String,
    /// `A1.2`, `A.8.13`.
    pub control: String,
    /// What it asks for, in our own words.
    pub title: String,
    /// The worst of what it rests on.
    pub verdict: Verdict,
    /// The weakest strength among the answers it rests on.
    pub strength: Option<Strength>,
    /// How many of those answers rest on no fact at all.
    pub without_fact: u64,
    /// Why.
    pub because: String,
    /// The questions whose answers it rests on.
    pub questions: Vec<Question>,
    /// The facts behind those answers.
    pub facts: Vec<u64>,
}

/// A protection, its rules and its verdicts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtectionPart {
    /// Which.
    pub id: ProtectionId,
    /// `capture`, `observe` …
    pub way: String,
    /// What it reads, passwords hidden.
    pub source: String,
    /// The system's owner.
    pub owner: Option<String>,
    /// The tier's name.
    pub tier: Option<String>,
    /// The worst of its answers.
    pub verdict: Verdict,
    /// What the policy asks for, by name of the rule.
    pub rules: Vec<Meaning>,
    /// The answers.
    pub answers: Vec<Answer>,
    /// State that the newest complete point holds.
    pub newest_point: Option<Time>,
    /// Points that retention still counts.
    pub points: u64,
    /// Loss measured against the best copy outside the system's own failure domain.
    pub achieved_rpo: Option<Span>,
    /// The objective.
    pub target_rpo: Option<Span>,
    /// Of the newest drill.
    pub achieved_rto: Option<Span>,
    /// The objective.
    pub target_rto: Option<Span>,
    /// End of the newest green drill.
    pub proven_at: Option<Time>,
    /// What is overdue.
    pub overdue: Vec<Obligation>,
}

/// One answer about a protection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// What was asked.
    pub question: Question,
    /// What the facts say.
    pub verdict: Verdict,
    /// The weakest strength among them.
    pub strength: Option<Strength>,
    /// Why.
    pub because: String,
    /// The facts.
    pub facts: Vec<u64>,
}

/// A system that the policy leaves out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exemption {
    /// Which.
    pub system: String,
    /// Why.
    pub reason: String,
}

/// What was to happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObligationsPart {
    /// Since the ledger began, up to `as_of`.
    pub counts: ObligationCounts,
    /// Past their time without a fact, newest first.
    pub missed: Vec<Obligation>,
    /// Due in the period, answered after their time, in the order of their times.
    pub late: Vec<LateObligation>,
    /// What a changed policy no longer asks for, withdrawn in the period.
    pub withdrawn: Vec<Withdrawal>,
}

/// Obligations that a changed policy no longer asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// The entry.
    pub seq: u64,
    /// When they were withdrawn.
    pub at: Time,
    /// SHA-256 of the policy that replaced the one they came from.
    pub policy: String,
    /// Which.
    pub obligations: Vec<ObligationId>,
}

/// An obligation that was answered after its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateObligation {
    /// Which.
    pub obligation: Obligation,
    /// The fact that answers it.
    pub answered_by: u64,
    /// When that was complete.
    pub answered_at: Time,
}

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The entry that says so.
    pub seq: u64,
    /// When it was recorded.
    pub at: Time,
    /// `run-failed`, `run-incomplete`, `run-abandoned`, `run-open`, `point-incomplete`, `point-failed`,
    /// `copy-differs`, `copy-not-read-back`, `copy-not-probed`, `verification-problem`, `drill-red`, `rto-exceeded`,
    /// `sandbox-left`, `control-not-caught`.
    pub kind: String,
    /// What it concerns.
    pub subject: String,
    /// What went wrong, as a sentence.
    pub text: String,
    /// The places, where there are any.
    pub issues: Vec<Issue>,
}

/// All facts of one kind in the period, and how they were chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Population<T> {
    /// A filter on the JSON of ledger entries, in the manner of `jq`, that yields these rows and no others.
    pub query: String,
    /// How many rows there are.
    pub count: u64,
    /// All of them, in ledger order.
    pub rows: Vec<Row<T>>,
}

/// A fact with its place in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row<T> {
    /// Its leaf index.
    pub seq: u64,
    /// When it was recorded.
    pub at: Time,
    /// The fact, its keys beside these.
    #[serde(flatten)]
    pub fact: T,
}

/// A drill, and what follows from its figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillRow {
    /// The drill as the ledger has it.
    #[serde(flatten)]
    pub result: DrillResult,
    /// Green ladder, sandbox gone, every negative control caught.
    pub green: bool,
    /// Whether the achieved RTO is within the target, if there is one.
    pub within_target: Option<bool>,
    /// For each negative control, in their order, whether it was caught.
    pub caught: Vec<bool>,
}

/// The ledger's head and who has seen it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerPart {
    /// Entries under the head.
    pub size: u64,
    /// Merkle root.
    pub root: String,
    /// The signed checkpoint.
    pub checkpoint: String,
    /// The public key.
    pub vkey: String,
    /// Its fingerprint.
    pub fingerprint: String,
    /// The newest head in each vault.
    pub witnesses: Vec<WitnessPart>,
    /// Vaults of the policy that have never received a head.
    pub unwitnessed: Vec<VaultName>,
    /// Who outside has seen a head or stamped it with a time, as the record says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outside: Vec<OutsidePart>,
    /// Entries that this report was made from and that the head does not cover yet.
    pub not_covered: u64,
    /// The export that the next command reads.
    pub export_command: String,
    /// What verifies an export offline.
    pub verify_command: String,
}

/// A vault and the head that it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WitnessPart {
    /// Which.
    pub vault: VaultName,
    /// Entries under that head.
    pub tree_size: u64,
    /// When it was published there.
    pub at: Time,
    /// Entries of the ledger that this vault has not seen.
    pub behind: u64,
}

/// Somebody outside, and the newest head that they have seen or stamped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutsidePart {
    /// In which way.
    pub kind: OutsideKind,
    /// A witness by the name of its key, an authority by its certificate.
    pub who: String,
    /// Entries under that head.
    pub tree_size: u64,
    /// When, by their clock.
    pub at: Time,
    /// The fact that holds what they have signed.
    pub seq: u64,
    /// Entries of the ledger since.
    pub behind: u64,
}

/// In which way somebody outside vouches for a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutsideKind {
    /// Has seen it, and that it goes on from what they had seen before.
    Witness,
    /// Has stamped it with a time (RFC 3161).
    TimeStamp,
}

impl OutsideKind {
    /// For people.
    pub fn word(self) -> &'static str {
        match self {
            OutsideKind::Witness => "witness",
            OutsideKind::TimeStamp => "time stamp",
        }
    }
}

/// A word and what it means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meaning {
    /// The word.
    pub word: String,
    /// What it means.
    pub text: String,
}

/// The facts behind the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appendix {
    /// What is left out of the rows: obligations and horizons of the period on which nothing above rests.
    pub left_out: u64,
    /// The facts, in ledger order.
    pub rows: Vec<AppendixRow>,
}

/// One fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendixRow {
    /// Its leaf index.
    pub seq: u64,
    /// When it was recorded; nothing if the entry was not handed to this report.
    pub at: Option<Time>,
    /// Who recorded it.
    pub actor: String,
    /// The tool and its version.
    pub tool: String,
    /// The kind of fact, as the ledger names it.
    pub kind: String,
    /// What it says, as one sentence.
    pub text: String,
}
