//! `access`: rights that are given for a time.

use vouchsafe_model::incident::{AccessRequest, Ended};
use vouchsafe_model::people_assessment::AccessState;
use vouchsafe_policy::{people, words};

use crate::args::people::Access;
use crate::exit::{Exit, Failure};
use crate::reporter::Console;
use crate::session::Session;

/// Asks, gives, ends or lists.
pub(crate) fn access(session: &Session, command: &Access) -> Result<Exit, Failure> {
    let keeper = session.keeper()?;
    let console = Console::new(session.output);
    let name = match command {
        Access::Request {
            name,
            right,
            by,
            length,
            reason,
        } => {
            let length = words::span(length).map_err(|e| Failure::Usage(e.to_string()))?;
            let order = AccessRequest {
                name: name.clone(),
                right: right.clone(),
                by: by.clone(),
                length,
                reason: reason.clone(),
            };
            keeper.ask_access(&order, &console)?;
            Some(name)
        }
        Access::Grant {
            name,
            approved_by,
            key,
        } => {
            keeper.grant_access(name, approved_by, key.as_deref(), &console)?;
            Some(name)
        }
        Access::End { name, by, reason } => {
            let ended = Ended {
                name: name.clone(),
                by: by.clone(),
                reason: reason.clone(),
            };
            keeper.end_access(&ended, &console)?;
            Some(name)
        }
        Access::List => None,
    };
    let mut all = people::accesses(&keeper.facts()?, session.now());
    if let Some(name) = name {
        all.retain(|a| a.name == *name);
        all.sort_by_key(|a| std::cmp::Reverse(a.at));
        all.truncate(1);
    }
    if session.output.json {
        session.output.json(&serde_json::json!({ "access": all }))?;
    } else if all.is_empty() {
        session.output.text("nobody has asked for a right")?;
    } else {
        for one in &all {
            session.output.text(&line(one))?;
        }
    }
    Ok(Exit::Met)
}

fn line(one: &AccessState) -> String {
    let until = one.until.map(|u| format!(" until {}", u.minute()));
    let by = one
        .approved_by
        .as_ref()
        .map(|by| format!(", allowed by {by}"));
    format!(
        "{}: {} for {}, {}{}{}, for {} at most: {}",
        one.name,
        one.right,
        one.by,
        one.standing.word(),
        until.unwrap_or_default(),
        by.unwrap_or_default(),
        one.length,
        one.reason
    )
}
