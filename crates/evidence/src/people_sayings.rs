//! What people did, each as a sentence.

use vouchsafe_model::attestation::{Attestation, DutyOutcome};
use vouchsafe_model::incident::{Exemption, Incident, Notice};
use vouchsafe_model::people::{Capacity, HandedIn};
use vouchsafe_model::{Mailed, PeopleFact};

use crate::words::{count, len};

/// The fact as a sentence.
pub(crate) fn sentence(fact: &PeopleFact) -> String {
    match fact {
        PeopleFact::Attested(attestation) => attested(attestation),
        PeopleFact::Refused(refusal) => format!(
            "What {} handed in for {} ({}) was not taken: {}.",
            refusal.by, refusal.duty, refusal.file, refusal.because
        ),
        PeopleFact::Noticed(notice) => noticed(notice),
        PeopleFact::Alerted(alert) => format!(
            "Alert, {}: {}. For {}.",
            alert.kind.word(),
            alert.text,
            everybody(&alert.to)
        ),
        PeopleFact::Mailed(mailed) => mail(mailed),
        PeopleFact::IncidentOpened(incident) => opened(incident),
        PeopleFact::IncidentNoted(note) => format!(
            "Incident {}, {} by {}: {}",
            note.name,
            note.kind.word(),
            note.by,
            note.text
        ),
        PeopleFact::IncidentClosed(closure) => format!(
            "Incident {} closed by {}, shown to work by entry {}: {}",
            closure.name, closure.by, closure.retest, closure.reason
        ),
        PeopleFact::Exempted(exemption) => exempted(exemption),
        PeopleFact::ExemptionEnded(ended) => {
            format!(
                "Exemption {} ended by {}: {}",
                ended.name, ended.by, ended.reason
            )
        }
        PeopleFact::AccessAsked(asked) => format!(
            "Right {} asked for by {} for {}, as {}: {}",
            asked.right, asked.by, asked.length, asked.name, asked.reason
        ),
        PeopleFact::AccessGiven(given) => format!(
            "Right of request {} given by {} until {} ({}).",
            given.name,
            given.approved_by,
            given.until.minute(),
            given.identity.words()
        ),
        PeopleFact::AccessEnded(ended) => {
            format!(
                "Request {} ended by {}: {}",
                ended.name, ended.by, ended.reason
            )
        }
        PeopleFact::Paused(pause) => format!(
            "System {} paused until {} by {}: {}",
            pause.system,
            pause.until.minute(),
            pause.by,
            pause.reason
        ),
        PeopleFact::Resumed(ended) => {
            format!(
                "System {} goes on, by {}: {}",
                ended.name, ended.by, ended.reason
            )
        }
    }
}

fn attested(attestation: &Attestation) -> String {
    let said = &attestation.statement;
    let capacity = match attestation.capacity {
        Capacity::Role => "",
        Capacity::Delegate => ", as delegate",
        Capacity::Unnamed => ", where the policy names nobody",
    };
    let how = attestation.identity.words();
    let verb = match said.outcome {
        DutyOutcome::Done => "done",
        DutyOutcome::Problems => "done, with problems",
        DutyOutcome::Declined => "declined",
    };
    let handed = attestation
        .handed_in
        .as_ref()
        .map(handed)
        .unwrap_or_default();
    format!(
        "{} {verb} by {}{capacity} ({how}): {}{handed}",
        said.duty, said.by, said.reason
    )
}

fn handed(handed: &HandedIn) -> String {
    let files = handed.files.iter().map(|f| {
        let changed = f
            .changed
            .map(|c| format!(", {} lines added, {} removed", c.added, c.removed));
        format!(
            " Handed in: {} as {}, {}{}.",
            f.name,
            f.format.word(),
            count(f.bytes, "byte"),
            changed.unwrap_or_default()
        )
    });
    files.collect()
}

fn noticed(notice: &Notice) -> String {
    let to = match notice.to.is_empty() {
        true => "nobody in particular".to_owned(),
        false => notice.to.join(", "),
    };
    format!(
        "{} of {}, due {}, to {to}.",
        capital(notice.kind.word()),
        notice.subject,
        notice.due.minute()
    )
}

fn opened(incident: &Incident) -> String {
    let about = incident.obligations.iter().map(ToString::to_string);
    let entries = incident.facts.iter().map(|seq| format!("entry {seq}"));
    let all: Vec<String> = about.chain(entries).collect();
    format!(
        "Incident {} acknowledged by {}, about {}: {}",
        incident.name,
        incident.by,
        all.join(", "),
        incident.reason
    )
}

fn exempted(exemption: &Exemption) -> String {
    let systems = match len(exemption.systems.len()) {
        0 => "every system".to_owned(),
        _ => {
            let names = exemption.systems.iter().map(ToString::to_string);
            names.collect::<Vec<_>>().join(", ")
        }
    };
    format!(
        "Exemption {} from {} for {systems} until {}, asked for by {}, allowed by {} ({}): {}",
        exemption.name,
        exemption.from,
        exemption.until.minute(),
        exemption.asked_by,
        exemption.approved_by,
        exemption.identity.words(),
        exemption.reason
    )
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

fn everybody(to: &[String]) -> String {
    match to {
        [] => "nobody".to_owned(),
        to => to.join(", "),
    }
}

fn mail(mailed: &Mailed) -> String {
    let mut parts = Vec::new();
    if !mailed.to.is_empty() {
        parts.push(format!("taken for {}", mailed.to.join(", ")));
    }
    for not in &mailed.refused {
        parts.push(format!("refused for {} ({})", not.to, not.reason));
    }
    format!(
        "What entry {} tells was mailed by {}: {}.",
        mailed.entry,
        mailed.server,
        parts.join("; ")
    )
}
