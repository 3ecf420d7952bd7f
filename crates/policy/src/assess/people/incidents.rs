//! Incidents, from failure to closure, by the facts alone.

use vouchsafe_model::attestation::DutyOutcome;
use vouchsafe_model::fact::{Outcome, Recorded};
use vouchsafe_model::incident::NoteKind;
use vouchsafe_model::people_assessment::{ClosedLine, IncidentLine, IncidentState};
use vouchsafe_model::period::{Closes, Closure};
use vouchsafe_model::{Fact, ObligationId, PeopleFact, Strength, Time};

use crate::assess::people::retest::Subject;

/// Every incident that was opened up to `now`: open ones first, then the newest.
///
/// A note or a closure belongs to the incident of its name that is open at that time; without one it says nothing.
pub fn incidents(facts: &[Recorded], now: Time) -> Vec<IncidentState> {
    let mut all: Vec<IncidentState> = Vec::new();
    for recorded in facts.iter().filter(|r| r.entry.at <= now) {
        let (seq, at) = (recorded.seq, recorded.entry.at);
        let Fact::People(fact) = &recorded.entry.fact else {
            continue;
        };
        match fact {
            PeopleFact::IncidentOpened(incident) if open(&mut all, &incident.name).is_none() => {
                all.push(IncidentState {
                    name: incident.name.clone(),
                    seq,
                    at,
                    by: incident.by.clone(),
                    reason: incident.reason.clone(),
                    obligations: incident.obligations.clone(),
                    facts: incident.facts.clone(),
                    notes: Vec::new(),
                    closed: None,
                });
            }
            PeopleFact::IncidentNoted(note) => {
                if let Some(incident) = open(&mut all, &note.name) {
                    incident.notes.push(IncidentLine {
                        seq,
                        at,
                        kind: note.kind,
                        text: note.text.clone(),
                        by: note.by.clone(),
                    });
                }
            }
            PeopleFact::IncidentClosed(closure) => {
                if let Some(incident) = open(&mut all, &closure.name) {
                    incident.closed = Some(ClosedLine {
                        seq,
                        at,
                        by: closure.by.clone(),
                        reason: closure.reason.clone(),
                        retest: closure.retest,
                    });
                }
            }
            _ => {}
        }
    }
    all.sort_by_key(|i| (i.closed.is_some(), std::cmp::Reverse(i.seq)));
    all
}

/// The open one of a name.
fn open<'i>(all: &'i mut [IncidentState], name: &str) -> Option<&'i mut IncidentState> {
    let mut newest = all.iter_mut().rev();
    newest.find(|i| i.name == name && i.closed.is_none())
}

/// The incident that is about a failure of an obligation, which an entry may tell of: an open one if there is any,
/// else the one that was closed last. What was closed before the failure says nothing of it.
pub(super) fn about<'i>(
    incidents: &'i [IncidentState],
    obligation: Option<&ObligationId>,
    failure: Failure,
) -> Option<&'i IncidentState> {
    let concerns = |i: &&IncidentState| {
        let named = obligation.is_some_and(|id| i.obligations.contains(id));
        match failure {
            Failure::Missed { due } => named && i.closed.as_ref().is_none_or(|c| c.at > due),
            Failure::Told { entry } => {
                i.facts.contains(&entry)
                    || (named
                        && i.closed
                            .as_ref()
                            .is_none_or(|c| c.seq > entry && i.seq > entry))
            }
        }
    };
    let mine = || incidents.iter().filter(concerns);
    let open = mine().find(|i| i.closed.is_none());
    let closed = || mine().max_by_key(|i| i.closed.as_ref().map(|c| c.seq));
    open.or_else(closed)
}

/// What an incident has to be about.
#[derive(Clone, Copy)]
pub(super) enum Failure {
    /// Nothing was done by this time.
    Missed { due: Time },
    /// This entry says that something was found.
    Told { entry: u64 },
}

/// What closed incidents close in a period: each obligation and each entry that they are about. One whose closing
/// lacks a cause, a fix or a good retest closes nothing. The newest closure of a thing comes last.
pub fn closures(facts: &[Recorded], as_of: Time) -> Vec<Closure> {
    let mut closed: Vec<(IncidentState, ClosedLine)> = incidents(facts, as_of)
        .into_iter()
        .filter_map(|incident| {
            let line = incident.closed.clone()?;
            let tested = line.retest < line.seq && can_close(facts, &incident, line.retest).is_ok();
            tested.then_some((incident, line))
        })
        .collect();
    closed.sort_by_key(|(_, line)| line.seq);
    let mut all = Vec::new();
    for (incident, line) in &closed {
        let obligations = incident.obligations.iter().cloned();
        let entries = incident.facts.iter().copied().map(Closes::Fact);
        for of in obligations.map(Closes::Obligation).chain(entries) {
            all.push(Closure {
                of,
                at: line.at,
                by: line.by.clone(),
                // An incident is closed on somebody's word; no signature is asked for.
                strength: Strength::Stated,
                text: told(incident, line),
                seq: line.seq,
            });
        }
    }
    all
}

/// What happened, cause, fix and retest, as they were recorded.
fn told(incident: &IncidentState, line: &ClosedLine) -> String {
    let mut parts = vec![format!("incident {}: {}", incident.name, incident.reason)];
    for kind in [NoteKind::Cause, NoteKind::Fix] {
        let notes = incident.notes.iter().filter(|note| note.kind == kind);
        parts.extend(notes.map(|note| format!("{}: {}", kind.word(), note.text)));
    }
    parts.push(format!("retest: entry {}", line.retest));
    parts.push(line.reason.clone());
    parts.join("; ")
}

/// Whether an open incident may be closed with the entry `retest`; if not, why, as a sentence that says what to do.
pub fn can_close(facts: &[Recorded], incident: &IncidentState, retest: u64) -> Result<(), String> {
    for (kind, option) in [(NoteKind::Cause, "--cause"), (NoteKind::Fix, "--fix")] {
        if !incident.notes.iter().any(|n| n.kind == kind) {
            let name = &incident.name;
            return Err(format!(
                "its {} is not noted; say it with `vouchsafe incident note {name} {option} TEXT`",
                kind.word()
            ));
        }
    }
    let Some(found) = facts.iter().find(|r| r.seq == retest) else {
        return Err(format!(
            "the ledger has no entry {retest}; see `vouchsafe ledger show`"
        ));
    };
    if found.seq <= incident.seq {
        return Err(format!(
            "entry {retest} is older than the incident, so it shows nothing of the mending"
        ));
    }
    if !is_good(&found.entry.fact) {
        return Err(format!(
            "entry {retest} is no retest: name a green drill, a complete point, a clean verification, a copy that was \
             read back, or a duty attested as done"
        ));
    }
    match Subject::of(facts, incident).is_shown_by(&found.entry.fact) {
        Ok(()) => Ok(()),
        Err(other) => Err(format!(
            "entry {retest} is about {other}, which the incident is not about, so it shows nothing of the mending"
        )),
    }
}

/// Whether a fact shows that something works.
fn is_good(fact: &Fact) -> bool {
    match fact {
        Fact::Drill(drill) => drill.is_green(),
        Fact::RecoveryPoint(point) => point.outcome == Outcome::Done,
        Fact::Verification(done) => done.problems.is_empty() && done.packs_read > 0,
        Fact::Copy(copy) => copy.blobs_read_back > 0,
        Fact::People(PeopleFact::Attested(a)) => a.statement.outcome == DutyOutcome::Done,
        _ => false,
    }
}
