//! `duties` and `attest`: what people owe, and what they state.

use vouchsafe_evidence::duties_text;
use vouchsafe_keeper::{AttestDone, AttestEnd, AttestOrder};
use vouchsafe_model::people_assessment::DutyItem;
use vouchsafe_model::{Attestation, DutyOutcome, Span};
use vouchsafe_policy::people;

use crate::args::people::{Attest, Duties, Outcome};
use crate::exit::{Exit, Failure};
use crate::reporter::Console;
use crate::session::Session;

/// Shows what is owed, overdue and to come. What is overdue makes the exit code 1.
pub(crate) fn duties(session: &Session, args: &Duties) -> Result<Exit, Failure> {
    let keeper = session.keeper()?;
    let at = args.as_of.as_deref().map(|t| session.time(t)).transpose()?;
    let now = at.unwrap_or_else(|| session.now());
    let mut facts = keeper.facts()?;
    facts.retain(|r| r.entry.at <= now);
    let by = keeper.judged_by(at, &facts)?;
    let policy = by.policy(&keeper);
    let mut items = people::owed_by_people(policy, &facts, now);
    let until = now.plus(Span::from_days(args.days.into()));
    items.extend(people::upcoming(policy, &facts, &items, (now, until)));
    if let Some(person) = &args.mine {
        let address = policy.people.address(person);
        items.retain(|item| concerns(item, &address));
    }
    let calm = items.iter().all(|i| i.standing.is_calm());
    if session.output.json {
        session
            .output
            .json(&serde_json::json!({ "now": now, "duties": items }))?;
    } else {
        let options = session.output.text_options(false);
        session.output.text(&duties_text(&items, now, options))?;
    }
    Ok(Exit::judged(calm))
}

fn concerns(item: &DutyItem, who: &str) -> bool {
    let among = |names: &[String]| names.iter().any(|n| n == who);
    let escalated = item.escalation.as_ref().filter(|e| e.due);
    among(&item.holders)
        || among(&item.delegates)
        || (item.holders.is_empty() && item.delegates.is_empty())
        || escalated.is_some_and(|e| among(&e.to))
}

/// Records what a person states.
pub(crate) fn attest(session: &Session, args: &Attest) -> Result<Exit, Failure> {
    let order = AttestOrder {
        duty: args.duty.clone(),
        about: args.about.clone(),
        outcome: match args.outcome {
            Outcome::Done => DutyOutcome::Done,
            Outcome::Problems => DutyOutcome::Problems,
            Outcome::Declined => DutyOutcome::Declined,
        },
        reason: args.reason.clone(),
        by: args.by.clone(),
        key: args.key.clone(),
        statement: args.statement.clone(),
        files: args.file.clone(),
        smaller_is_right: args.smaller_is_right,
    };
    let keeper = session.keeper()?;
    let done = keeper.attest(&order, &Console::new(session.output))?;
    if session.output.json {
        session.output.json(&attest_json(&done))?;
    } else {
        session.output.text(&attest_text(&done))?;
    }
    Ok(match &done.end {
        AttestEnd::Recorded(_) if !done.not_copied.is_empty() => Exit::Incomplete,
        AttestEnd::Recorded(_) => Exit::judged(done.unpublished.is_empty()),
        AttestEnd::Refused(_) | AttestEnd::ToSign { .. } => Exit::NotMet,
    })
}

fn attest_json(done: &AttestDone) -> serde_json::Value {
    let (not_copied, unpublished) = (&done.not_copied, &done.unpublished);
    match &done.end {
        AttestEnd::Recorded(attestation) => serde_json::json!({
            "event": "result", "attestation": attestation,
            "not_copied": not_copied, "unpublished": unpublished,
        }),
        AttestEnd::Refused(refusal) => serde_json::json!({
            "event": "result", "refused": refusal, "unpublished": unpublished,
        }),
        AttestEnd::ToSign { path, command } => serde_json::json!({
            "event": "result", "to_sign": path.display().to_string(), "command": command,
        }),
    }
}

fn attest_text(done: &AttestDone) -> String {
    let mut text = match &done.end {
        AttestEnd::Recorded(attestation) => recorded(attestation),
        AttestEnd::Refused(refusal) => format!(
            "{} was not taken: {}.\n{} is as unanswered as before.",
            refusal.file, refusal.because, refusal.duty
        ),
        AttestEnd::ToSign { path, command } => format!(
            "wrote the statement to {}; nothing is recorded yet. Sign it, and give the same command again:\n  {command}",
            path.display()
        ),
    };
    for issue in &done.not_copied {
        text = format!(
            "{text}\nrecorded, but not copied: {}; hand the same in again once that is mended",
            issue.place
        );
    }
    for issue in &done.unpublished {
        text = format!(
            "{text}\nrecorded, but not in {}; the next command brings the record there",
            issue.place
        );
    }
    text
}

fn recorded(attestation: &Attestation) -> String {
    let said = &attestation.statement;
    let mut text = format!(
        "{}: {} by {} ({})",
        said.duty,
        said.outcome.word(),
        said.by,
        attestation.identity.words()
    );
    for file in attestation.handed_in.iter().flat_map(|h| &h.files) {
        text = format!(
            "{text}\n  {} taken as {}, {} bytes, SHA-256 {}",
            file.name,
            file.format.word(),
            file.bytes,
            file.digest
        );
        if let Some(changed) = file.changed {
            text = format!(
                "{text}\n  beside the last one: {} lines added, {} removed",
                changed.added, changed.removed
            );
        }
    }
    if said.outcome == DutyOutcome::Problems {
        text = format!(
            "{text}\nopen an incident about it: vouchsafe incident open NAME --about {} --by WHO --reason TEXT",
            said.obligations.first().map_or("ENTRY", |id| id.as_str())
        );
    }
    text
}
