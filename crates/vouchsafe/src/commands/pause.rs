//! `pause`: systems for which nothing is done by itself for a while.

use vouchsafe_model::SystemName;
use vouchsafe_policy::people;

use crate::args::people::Pause;
use crate::exit::{Exit, Failure};
use crate::reporter::Console;
use crate::session::Session;

/// Pauses, goes on or lists.
pub(crate) fn pause(session: &Session, command: &Pause) -> Result<Exit, Failure> {
    let keeper = session.keeper()?;
    let console = Console::new(session.output);
    let named = |text: &str| SystemName::new(text).map_err(|e| Failure::Usage(e.to_string()));
    match command {
        Pause::Start {
            system,
            until,
            by,
            reason,
        } => {
            let order = vouchsafe_model::incident::Pause {
                system: named(system)?,
                by: by.clone(),
                reason: reason.clone(),
                until: session.time(until)?,
            };
            keeper.pause(&order, &console)?;
        }
        Pause::End { system, by, reason } => {
            keeper.resume(&named(system)?, by, reason, &console)?;
        }
        Pause::List => {}
    }
    let paused = people::paused(&keeper.facts()?, session.now());
    let all: Vec<_> = paused.values().collect();
    if session.output.json {
        session.output.json(&serde_json::json!({ "paused": all }))?;
    } else if all.is_empty() {
        session.output.text("nothing is paused")?;
    } else {
        for one in all {
            session.output.text(&format!(
                "{} is paused until {} by {}: {}",
                one.system,
                one.until.minute(),
                one.by,
                one.reason
            ))?;
        }
    }
    Ok(Exit::Met)
}
