//! The report for an auditor: one page of HTML, or the same content as JSON.

mod appendix;
mod charts;
pub mod content;
pub(crate) mod courses;
mod drills;
mod failures;
mod gather;
mod incidents;
mod late;
mod outside;
mod page;
mod parts;
mod period;
mod records;
mod sayings;
mod style;
mod verdicts;

use vouchsafe_model::fact::Recorded;
use vouchsafe_model::{Assessment, Fulfilment, PeriodAssessment, Policy, Time, VaultName};

use crate::layout::harmless;
use crate::sample::Sampling;

/// Name and version of the JSON form, in its key `format`.
pub const REPORT_FORMAT: &str = "vouchsafe-report/1";

/// Everything that a report is made from.
#[derive(Clone, Debug)]
pub struct ReportInput<'a> {
    /// The policy that was judged by.
    pub policy: &'a Policy,
    /// Its text.
    pub policy_text: &'a [u8],
    /// What is to be said of it where it is not simply the present one.
    pub judged_by: Option<String>,
    /// The verdicts.
    pub assessment: &'a Assessment,
    /// The facts of the ledger, in its order, from the first on: those before `from` are cited where a verdict rests on them.
    pub facts: &'a [Recorded],
    /// How the period went.
    pub period: &'a PeriodAssessment,
    /// Every obligation that was due in it, with how it came out.
    pub obligations: &'a [Fulfilment],
    /// How samples of the populations are drawn.
    pub sampling: Sampling,
    /// Beginning of the period, included.
    pub from: Time,
    /// End of the period, not included.
    pub to: Time,
    /// The state of the ledger.
    pub ledger: LedgerFacts,
    /// Whether this policy is the approved one.
    pub approval: Approval,
    /// When the report is made.
    pub generated_at: Time,
    /// The tool and its version.
    pub tool: String,
    /// Whether names of files, tables and refs are replaced by the first 12 hex digits of a digest.
    ///
    /// Without `names_key` that is their SHA-256: who guesses a name can confirm it. Names of systems, vaults and
    /// owners, and the sources' places as the policy writes them, stay.
    pub redact_places: bool,
    /// The key under which these names are hashed (HMAC-SHA-256), so that only who has it can confirm a guess. The
    /// same name has the same digest in every report made with the same key.
    pub names_key: Option<[u8; 32]>,
}

/// What the ledger says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerFacts {
    /// Entries under the head.
    pub size: u64,
    /// Merkle root of the head, lower hex.
    pub root: String,
    /// The signed checkpoint, the exact text of the C2SP note.
    pub checkpoint: String,
    /// The public key as a C2SP verifier key (`name+hash+base64`).
    pub vkey: String,
    /// Fingerprint of the public key, as the recovery sheet shows it.
    pub fingerprint: String,
    /// The newest head that each vault has seen.
    pub witnesses: Vec<Witness>,
    /// Where the record is broken, beyond what the assessment lists.
    pub breaks: Vec<BreakFact>,
}

/// A vault that received a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// Which.
    pub vault: VaultName,
    /// Entries under the head that it holds.
    pub tree_size: u64,
    /// When it was published there.
    pub at: Time,
}

/// A break of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakFact {
    /// Its ledger sequence number.
    pub seq: u64,
    /// Why.
    pub reason: String,
}

/// Whether the text that is judged by is the one that somebody approved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// The day of approval that the policy states.
    pub stated: Option<String>,
    /// Whether the text's digest is the approved one; nothing if none is stated.
    pub digest_matches: Option<bool>,
    /// The same as a sentence.
    pub text: String,
}

/// The report's content as values; [`report_html`] and [`report_json`] show the same.
pub fn report_content(input: &ReportInput<'_>) -> content::ReportContent {
    gather::content(input)
}

/// One self-contained page: inline style, no scripts, no outside references; all text escaped.
pub fn report_html(input: &ReportInput<'_>) -> String {
    harmless(&page::page(&gather::content(input)))
}

/// The report's content with stable keys, which [`content::ReportContent`] documents.
///
/// As on the page, characters that could drive a terminal or turn the direction of reading are U+FFFD.
pub fn report_json(input: &ReportInput<'_>) -> serde_json::Value {
    let mut value = serde_json::to_value(gather::content(input)).unwrap_or_default();
    make_harmless(&mut value);
    value
}

/// Everything of the period that went wrong, as it may be shown.
pub(crate) fn failures_of(input: &ReportInput<'_>) -> Vec<content::Failure> {
    gather::failures_of(input)
}

/// What stands above the entries of an incident.
pub(crate) fn incident_caption(part: &content::IncidentPart) -> String {
    incidents::caption(part)
}

/// The counts of a period as a sentence.
pub(crate) fn period_sentence(counts: &vouchsafe_model::PeriodCounts, closed: u64) -> String {
    period::sentence(counts, closed)
}

fn make_harmless(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) => *text = harmless(text),
        serde_json::Value::Array(values) => values.iter_mut().for_each(make_harmless),
        serde_json::Value::Object(map) => map.values_mut().for_each(make_harmless),
        _ => {}
    }
}
