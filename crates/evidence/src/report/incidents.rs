//! The incidents of a period, each from its acknowledgement to its closure.

use maud::{Markup, html};
use vouchsafe_model::PeopleFact;
use vouchsafe_model::fact::Fact;
use vouchsafe_model::incident::NoteKind;

use super::ReportInput;
use super::content::{IncidentLine, IncidentPart, Notices, ReportContent};
use super::gather::in_period;
use super::parts::{TableRow, Tone, reference, table, when};
use crate::layout::clean;
use crate::names::Names;
use crate::people_sayings;
use crate::words::{count, len};

/// Those that were open in the period, in the order in which they were opened, with all that was recorded of them up to
/// its end.
pub(super) fn incidents(input: &ReportInput<'_>, names: &Names<'_>) -> Vec<IncidentPart> {
    let mut all: Vec<IncidentPart> = Vec::new();
    for recorded in input.facts.iter().filter(|r| r.entry.at < input.to) {
        let Fact::People(fact) = &recorded.entry.fact else {
            continue;
        };
        let name = match fact {
            PeopleFact::IncidentOpened(incident) => {
                all.push(IncidentPart {
                    name: clean(&incident.name),
                    opened: recorded.entry.at,
                    closed: None,
                    has_cause: false,
                    has_fix: false,
                    lines: Vec::new(),
                });
                &incident.name
            }
            PeopleFact::IncidentNoted(note) => &note.name,
            PeopleFact::IncidentClosed(closure) => &closure.name,
            _ => continue,
        };
        // A name is used again only when the incident that had it is closed.
        let name = clean(name);
        let Some(part) = all.iter_mut().rev().find(|part| part.name == name) else {
            continue;
        };
        match fact {
            PeopleFact::IncidentNoted(note) => {
                part.has_cause |= note.kind == NoteKind::Cause;
                part.has_fix |= note.kind == NoteKind::Fix;
            }
            PeopleFact::IncidentClosed(_) => part.closed = Some(recorded.entry.at),
            _ => {}
        }
        if let Fact::People(shown) = names.fact(&recorded.entry.fact) {
            part.lines.push(IncidentLine {
                seq: recorded.seq,
                at: recorded.entry.at,
                text: clean(&people_sayings::sentence(&shown)),
            });
        }
    }
    all.retain(|part| part.closed.is_none_or(|closed| closed >= input.from));
    all
}

/// What people were told in the period, and what of it a mail server has taken.
pub(super) fn notices(input: &ReportInput<'_>) -> Notices {
    let mut notices = Notices::default();
    for recorded in input.facts.iter().filter(|r| in_period(input, r)) {
        let Fact::People(fact) = &recorded.entry.fact else {
            continue;
        };
        match fact {
            PeopleFact::Noticed(_) => notices.reminders += 1,
            PeopleFact::Alerted(_) => notices.alerts += 1,
            PeopleFact::Mailed(mailed) => {
                notices.taken += len(mailed.to.len());
                notices.refused += len(mailed.refused.len());
            }
            _ => {}
        }
    }
    notices
}

pub(super) fn section(c: &ReportContent) -> Markup {
    html! {
        p {
            "What went wrong, who acknowledged it, why it happened, what was done, and the entry that shows that it works "
            "again. Who says so is stated; the entries are the ledger's."
        }
        @if c.incidents.is_empty() { p { "No incident was open in the period." } }
        @for part in &c.incidents {
            (table(&caption(part), &["fact", "when", "what"], &rows(part)))
        }
    }
}

/// Its name, and from when to when.
pub(super) fn caption(part: &IncidentPart) -> String {
    let until = match part.closed {
        Some(closed) => format!("closed {}", closed.minute()),
        None => "open".to_owned(),
    };
    format!(
        "Incident {}: since {}, {until}; {}",
        part.name,
        part.opened.minute(),
        count(len(part.lines.len()), "entry")
    )
}

fn rows(part: &IncidentPart) -> Vec<TableRow> {
    let row = |line: &IncidentLine| {
        let cells = vec![reference(line.seq), when(line.at), html! { (line.text) }];
        TableRow::new(Tone::Plain, cells)
    };
    part.lines.iter().map(row).collect()
}
