//! The worker: logs shipped all the time, and what is due done when it is due.

use vouchsafe_keeper::{Event, LogDone, PolicyFile, Reporter, WorkEnd, WorkOrder};
use vouchsafe_model::Span;

use crate::args::Worker;
use crate::exit::{Exit, Failure};
use crate::reporter::Console;
use crate::session::Session;

/// Works until it is asked to stop; or ships what there is, and ends.
pub(crate) fn worker(session: &Session, args: &Worker) -> Result<Exit, Failure> {
    let summary_every = Span::from_secs(args.record_every);
    if args.once {
        return once(session, args);
    }
    loop {
        let keeper = session.keeper()?;
        let in_force = keeper.policy.digest.clone();
        let console = Console::new(session.output);
        for (_, protection) in keeper.policy.protections() {
            if let Some(every) = protection.ships_log_every() {
                let vaults: Vec<_> = protection.copies.iter().map(|c| c.vault.as_str()).collect();
                let text = format!(
                    "{}: the log goes to {} every {every}",
                    protection.id,
                    vaults.join(", ")
                );
                say(&console, &text);
            }
        }
        // A policy that cannot be read is not another one: the worker goes on with the one it has.
        let changed = || {
            PolicyFile::read(&session.policy_path)
                .ok()
                .and_then(|file| file.lowered.policy)
                .is_some_and(|policy| policy.digest != in_force)
                || keeper.was_agreed_to().unwrap_or(false)
        };
        let order = WorkOrder {
            summary_every,
            policy_changed: &changed,
        };
        match keeper.work(&order, &console)? {
            WorkEnd::Stopped => {
                say(&console, "the worker has ended");
                return Ok(Exit::Met);
            }
            WorkEnd::PolicyChanged => {
                say(&console, "the policy has changed; beginning anew");
            }
        }
    }
}

fn say(console: &Console, text: &str) {
    console.event(&Event::Note {
        text: text.to_owned(),
    });
}

fn once(session: &Session, args: &Worker) -> Result<Exit, Failure> {
    let keeper = session.keeper()?;
    let done = keeper.ship_once(&args.names, &Console::new(session.output))?;
    if session.output.json {
        let rows: Vec<_> = done.iter().map(super::deeds::log_json).collect();
        session
            .output
            .json(&serde_json::json!({ "event": "result", "logs": rows }))?;
    } else if done.is_empty() {
        session.output.text("the policy asks for no log")?;
    } else {
        for one in &done {
            session.output.text(&line(one))?;
        }
    }
    Ok(match done.iter().all(|one| one.complete) {
        true => Exit::Met,
        false => Exit::Incomplete,
    })
}

/// How shipping came out, in a line.
pub(crate) fn line(done: &LogDone) -> String {
    if done.complete {
        return format!("{}: the log is whole in every vault", done.protection);
    }
    let issues: Vec<_> = done
        .issues
        .iter()
        .map(|issue| format!("{}: {}", issue.place, issue.message))
        .collect();
    format!(
        "{}: the log is BEHIND: {}",
        done.protection,
        match issues.is_empty() {
            true => "the server did not give it in time".to_owned(),
            false => issues.join("; "),
        }
    )
}
