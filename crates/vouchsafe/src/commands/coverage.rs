//! `coverage`: what there is, against what is declared and protected.

use vouchsafe_evidence::{count, len};
use vouchsafe_keeper::CoverageReport;

use crate::exit::{Exit, Failure};
use crate::reporter::Console;
use crate::session::Session;

/// Prints what was found; 1 if something is neither declared nor exempt, 3 if something could not be looked at.
pub(crate) fn coverage(session: &Session) -> Result<Exit, Failure> {
    let keeper = session.keeper()?;
    let report = keeper.coverage(&Console::new(session.output))?;
    if session.output.json {
        session.output.json(&serde_json::json!({
            "event": "result",
            "found": report.things,
            "looked_at": report.looked_at,
            "not_listed": report.not_listed,
            "issues": report.issues,
        }))?;
    } else {
        session.output.text(&text(&report))?;
    }
    Ok(match (report.issues.is_empty(), report.is_declared()) {
        (false, _) => Exit::Incomplete,
        (true, declared) => Exit::judged(declared),
    })
}

fn text(report: &CoverageReport) -> String {
    let mut lines = Vec::new();
    for thing in &report.things {
        let by = match &thing.by {
            Some(id) => format!("by {id}"),
            None => format!("found beside {}", thing.found_by),
        };
        lines.push(format!(
            "{:24} {:15} {}  {by}",
            thing.standing.word(),
            thing.kind,
            thing.place
        ));
    }
    for issue in &report.issues {
        lines.push(format!("! {}: {}", issue.place, issue.message));
    }
    lines.push(format!(
        "{} found around {}",
        count(len(report.things.len()), "thing"),
        count(len(report.looked_at.len()), "protection")
    ));
    if !report.not_listed.is_empty() {
        let ids: Vec<String> = report.not_listed.iter().map(ToString::to_string).collect();
        lines.push(format!(
            "what lies around these cannot be listed by this version: {}",
            ids.join(", ")
        ));
    }
    lines.join("\n")
}
