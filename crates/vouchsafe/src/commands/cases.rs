//! `incident` and `exempt`: failures until their closure, and permissions to depart from a rule.

use vouchsafe_evidence::incidents_text;
use vouchsafe_keeper::{ExemptOrder, IncidentOrder, NoteOrder};
use vouchsafe_model::SystemName;
use vouchsafe_model::incident::{Closure, Ended, NoteKind};
use vouchsafe_model::people_assessment::ExemptionState;
use vouchsafe_policy::people;

use crate::args::people::{Exempt, Incident};
use crate::exit::{Exit, Failure};
use crate::reporter::Console;
use crate::session::Session;

/// Opens, notes, closes or lists.
pub(crate) fn incident(session: &Session, command: &Incident) -> Result<Exit, Failure> {
    let keeper = session.keeper()?;
    let console = Console::new(session.output);
    let name = match command {
        Incident::Open {
            name,
            about,
            by,
            reason,
        } => {
            let order = IncidentOrder {
                name: name.clone(),
                about: about.clone(),
                by: by.clone(),
                reason: reason.clone(),
            };
            keeper.open_incident(&order, &console)?;
            Some(name)
        }
        Incident::Note {
            name,
            cause,
            fix,
            remark,
            by,
        } => {
            let notes = [
                (NoteKind::Cause, cause),
                (NoteKind::Fix, fix),
                (NoteKind::Remark, remark),
            ];
            let notes = notes.into_iter();
            let order = NoteOrder {
                name: name.clone(),
                notes: notes
                    .filter_map(|(kind, text)| Some((kind, text.clone()?)))
                    .collect(),
                by: by.clone(),
            };
            keeper.note_incident(&order, &console)?;
            Some(name)
        }
        Incident::Close {
            name,
            retest,
            by,
            reason,
        } => {
            let closure = Closure {
                name: name.clone(),
                retest: *retest,
                by: by.clone(),
                reason: reason.clone(),
            };
            keeper.close_incident(&closure, &console)?;
            Some(name)
        }
        Incident::List => None,
    };
    let mut all = people::incidents(&keeper.facts()?, session.now());
    if let Some(name) = name {
        // The newest of the name is the one that was just spoken of.
        all.retain(|i| i.name == *name);
        all.sort_by_key(|i| std::cmp::Reverse(i.seq));
        all.truncate(1);
    }
    if session.output.json {
        session
            .output
            .json(&serde_json::json!({ "incidents": all }))?;
    } else {
        let options = session.output.text_options(false);
        session.output.text(&incidents_text(&all, options))?;
    }
    Ok(Exit::Met)
}

/// Allows, ends or lists.
pub(crate) fn exempt(session: &Session, command: &Exempt) -> Result<Exit, Failure> {
    let keeper = session.keeper()?;
    let console = Console::new(session.output);
    let name = match command {
        Exempt::Add {
            name,
            from,
            system,
            by,
            approved_by,
            reason,
            until,
            key,
        } => {
            let systems: Result<Vec<SystemName>, _> =
                system.iter().map(|s| SystemName::new(s.as_str())).collect();
            let order = ExemptOrder {
                name: name.clone(),
                from: from.clone(),
                systems: systems.map_err(|e| Failure::Usage(e.to_string()))?,
                asked_by: by.clone(),
                approved_by: approved_by.clone(),
                reason: reason.clone(),
                until: session.time(until)?,
                key: key.clone(),
            };
            keeper.exempt(&order, &console)?;
            Some(name)
        }
        Exempt::End { name, by, reason } => {
            let ended = Ended {
                name: name.clone(),
                by: by.clone(),
                reason: reason.clone(),
            };
            keeper.end_exemption(&ended, &console)?;
            if !session.output.json {
                session
                    .output
                    .text(&format!("exemption {name} is ended; the rule holds again"))?;
                return Ok(Exit::Met);
            }
            None
        }
        Exempt::List => None,
    };
    let mut all = people::exemptions(&keeper.policy, &keeper.facts()?, session.now());
    if let Some(name) = name {
        all.retain(|e| e.name == *name);
    }
    if session.output.json {
        session
            .output
            .json(&serde_json::json!({ "exemptions": all }))?;
    } else if all.is_empty() {
        session.output.text("there is no exemption")?;
    } else {
        for one in &all {
            session.output.text(&line(one))?;
        }
    }
    Ok(Exit::Met)
}

fn line(one: &ExemptionState) -> String {
    let systems: Vec<&str> = one.systems.iter().map(SystemName::as_str).collect();
    let of = match systems.is_empty() {
        true => "every system".to_owned(),
        false => systems.join(", "),
    };
    let until = match one.until {
        Some(until) => format!("until {}", until.minute()),
        None => "without an end".to_owned(),
    };
    let finding = one.finding.as_ref().map(|f| format!("; {f}"));
    let known = match one.seq.is_some() && !one.verified {
        true => " (identity unverified)",
        false => "",
    };
    format!(
        "exemption {} from {} for {of}, {until}, allowed by {}: {}{known}{}",
        one.name,
        one.from,
        one.approved_by.as_deref().unwrap_or("nobody"),
        one.reason.as_deref().unwrap_or("no reason given"),
        finding.unwrap_or_default()
    )
}
