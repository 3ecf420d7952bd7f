//! What does something: run, verify, drill, restore.

use std::time::Duration;

use vouchsafe_capture::{Compare, FetchedLog, Form, TreePath};
use vouchsafe_evidence::{count, len, replay_text};
use vouchsafe_keeper::drill::{DrillMoment, DrillOrder};
use vouchsafe_keeper::{
    LogDone, Moment, RestoreOrder, RestorePlan, RunDone, RunOrder, RunReport, VerifyOutcome,
};
use vouchsafe_model::{DrillResult, Outcome, PointId, Time, human_bytes};
use vouchsafe_vault::Budget;

use crate::args::reading::CompareBy;
use crate::args::{Drill, Restore, Run, Verify};
use crate::exit::{Exit, Failure};
use crate::reporter::Console;
use crate::session::Session;

/// Captures and copies; judges only what it did.
pub(crate) fn run(session: &Session, args: &Run) -> Result<Exit, Failure> {
    let keeper = session.keeper()?;
    let order = RunOrder {
        names: args.names.clone(),
        due: args.due,
        reason: args.reason.clone(),
    };
    let console = Console::new(session.output);
    // What was committed before the command was given is safe when it ends; what is due has its own rhythm.
    let positions = match order.due {
        true => None,
        false => Some(keeper.log_positions(&order)?),
    };
    let done = keeper.run(&order, &console)?;
    let unstamped = keeper.stamp_if_due(&console)?;
    let logs = match &positions {
        Some(positions) => keeper.logs_reach(positions, &console)?,
        None => Vec::new(),
    };
    let reports = &done.reports;
    if session.output.json {
        let rows: Vec<_> = reports.iter().map(run_json).collect();
        session.output.json(&serde_json::json!({
            "event": "result", "runs": rows, "less_locked": done.less_locked,
            "unpublished": done.unpublished, "unstamped": unstamped,
            "logs": logs.iter().map(log_json).collect::<Vec<_>>(),
        }))?;
    } else if reports.is_empty() {
        session.output.text("nothing is due")?;
    } else {
        for report in reports {
            session.output.text(&run_line(report))?;
        }
        for log in &logs {
            session.output.text(&super::worker::line(log))?;
        }
    }
    Ok(match logs.iter().all(|log| log.complete) {
        true if unstamped && run_exit(&done) == Exit::Met => Exit::NotMet,
        true => run_exit(&done),
        false => Exit::Incomplete,
    })
}

/// How a log was brought to its vaults.
pub(crate) fn log_json(log: &LogDone) -> serde_json::Value {
    serde_json::json!({
        "protection": log.protection,
        "complete": log.complete,
        "issues": log.issues,
    })
}

/// Incomplete before not met: what could not be read outweighs what was not kept, by the contract's order.
pub(crate) fn run_exit(done: &RunDone) -> Exit {
    if done.reports.iter().any(|r| r.outcome != Outcome::Done) {
        Exit::Incomplete
    } else {
        Exit::judged(done.less_locked.is_empty() && done.unpublished.is_empty())
    }
}

fn run_json(report: &RunReport) -> serde_json::Value {
    serde_json::json!({
        "protection": report.protection,
        "point": report.point,
        "outcome": report.outcome,
        "issues": report.issues,
        "issue_count": report.issue_count,
        "copies": report.copies,
        "items": report.items,
        "bytes": report.bytes,
        "added_bytes": report.added_bytes,
    })
}

fn run_line(report: &RunReport) -> String {
    let copies: Vec<_> = report.copies.iter().map(|v| v.as_str()).collect();
    match (&report.point, report.outcome) {
        (Some(point), Outcome::Done) => format!(
            "{}: point {point} in {}",
            report.protection,
            copies.join(", ")
        ),
        (Some(point), _) => format!(
            "{}: point {point} is INCOMPLETE ({}) in {}",
            report.protection,
            count(report.issue_count, "issue"),
            copies.join(", ")
        ),
        (None, _) => format!("{}: FAILED, nothing was claimed", report.protection),
    }
}

/// Reads vaults back.
pub(crate) fn verify(session: &Session, args: &Verify) -> Result<Exit, Failure> {
    let keeper = session.keeper()?;
    let budget = args
        .budget
        .as_deref()
        .map_or(Ok(Budget::All), read_budget)?;
    let (vault, console) = (args.vault.as_deref(), Console::new(session.output));
    let outcomes = if args.due {
        keeper.verify_due(vault, &console)?
    } else {
        keeper.verify(vault, &budget, &console)?
    };
    if session.output.json {
        let rows: Vec<_> = outcomes.iter().map(verify_json).collect();
        session
            .output
            .json(&serde_json::json!({ "event": "result", "vaults": rows }))?;
    } else if outcomes.is_empty() {
        session.output.text("nothing is due")?;
    }
    Ok(Exit::judged(outcomes.iter().all(|o| o.problems.is_empty())))
}

pub(crate) fn verify_json(outcome: &VerifyOutcome) -> serde_json::Value {
    serde_json::json!({
        "vault": outcome.vault,
        "verification": outcome.verification,
        "coverage": outcome.coverage,
        "problems": outcome.problems,
    })
}

/// `10%`, `5GiB`, `20m`.
pub(crate) fn read_budget(text: &str) -> Result<Budget, Failure> {
    let wrong = || Failure::Usage(format!("`{text}` is not a budget; write 10%, 5GiB or 20m"));
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '%');
    let number: f64 = digits.trim().parse().map_err(|_| wrong())?;
    if !number.is_finite() || number <= 0.0 {
        return Err(wrong());
    }
    let bytes = |power: i32| Ok(Budget::Bytes((number * 1024f64.powi(power)) as u64));
    let secs = |each: f64| {
        Ok(Budget::Time(Duration::from_secs_f64(
            (number * each).min(1e9),
        )))
    };
    match text[digits.len()..].to_ascii_lowercase().as_str() {
        "%" if number <= 100.0 => Ok(Budget::Share(number / 100.0)),
        "kib" | "k" => bytes(1),
        "mib" => bytes(2),
        "gib" | "g" => bytes(3),
        "tib" | "t" => bytes(4),
        "s" => secs(1.0),
        "m" | "min" => secs(60.0),
        "h" => secs(3600.0),
        _ => Err(wrong()),
    }
}

/// Rehearses restores.
pub(crate) fn drill(session: &Session, args: &Drill) -> Result<Exit, Failure> {
    let keeper = session.keeper()?;
    let moment = match args.at.as_deref() {
        None => DrillMoment::Newest,
        Some("random") => DrillMoment::Random,
        Some(text) => DrillMoment::At(session.time(text)?),
    };
    let order = DrillOrder {
        names: args.names.clone(),
        moment,
        vault: args.vault.clone(),
        negative: args.negative,
        due: args.due,
    };
    let results = keeper.drill(&order, &Console::new(session.output))?;
    if session.output.json {
        session
            .output
            .json(&serde_json::json!({ "event": "result", "drills": results }))?;
    } else if args.due && results.is_empty() {
        session.output.text("nothing is due")?;
    } else {
        for result in &results {
            session.output.text(&drill_text(result))?;
        }
    }
    Ok(Exit::judged(results.iter().all(DrillResult::is_green)))
}

/// A drill for the screen: each rung, each phase, each control.
pub(crate) fn drill_text(result: &DrillResult) -> String {
    let mut lines = vec![format!(
        "{} from vault {} (point {})",
        result.protection, result.vault, result.point
    )];
    if let Some(moment) = &result.moment {
        let at = moment
            .at
            .map_or("the end of the log".to_owned(), |at| at.to_string());
        let position = moment.position.as_deref().unwrap_or("not reached");
        lines.push(format!("  brought by the log to {at} ({position})"));
    }
    for rung in &result.ladder.rungs {
        let mark = match rung.outcome {
            vouchsafe_model::RungOutcome::Green => "✓",
            vouchsafe_model::RungOutcome::Red => "✗",
            vouchsafe_model::RungOutcome::Skipped => "-",
        };
        let detail = if rung.outcome == vouchsafe_model::RungOutcome::Red {
            format!("expected {}; found {}", rung.expected, rung.actual)
        } else {
            rung.actual.clone()
        };
        lines.push(format!("  {mark} {:<10} {detail}", rung.name));
    }
    let phases: Vec<_> = result
        .phases
        .iter()
        .map(|p| format!("{} {}", p.name, p.took))
        .collect();
    let target = result
        .target_rto
        .map_or(String::new(), |t| format!(" (objective {t})"));
    lines.push(format!(
        "  usable after {}{target}: {}",
        result.achieved_rto,
        phases.join(", ")
    ));
    for control in &result.negative_controls {
        let mark = if control.caught() { "✓" } else { "✗" };
        lines.push(format!(
            "  {mark} damaged twin `{}`: must redden {}, reddened {}",
            control.damage.name,
            control.damage.must_redden,
            control.first_red.as_deref().unwrap_or("nothing")
        ));
    }
    let gone = if result.sandbox.destroyed {
        "destroyed"
    } else {
        "NOT SHOWN TO BE GONE"
    };
    lines.push(format!("  sandbox ({}) {gone}", result.sandbox.isolation));
    lines.join("\n")
}

/// Writes a point out.
pub(crate) fn restore(session: &Session, args: &Restore) -> Result<Exit, Failure> {
    let keeper = session.keeper()?;
    let moment = match (&args.at, &args.point) {
        (Some(text), _) => moment(session, text)?,
        (None, Some(id)) => {
            Moment::Point(PointId::new(id.clone()).map_err(|e| Failure::Usage(e.to_string()))?)
        }
        (None, None) => Moment::Newest,
    };
    if let Some(into) = &args.into {
        return super::beside::restore(session, &keeper, args, (moment, into));
    }
    let include = args
        .include
        .as_ref()
        .map(|path| TreePath::parse(path.as_bytes()))
        .transpose()
        .map_err(|e| Failure::Usage(format!("--include: {e}")))?;
    let server = args.to.to_str().and_then(|to| to.strip_prefix("server:"));
    let (to, form) = match server {
        Some("") => {
            let message = "--to server: needs a directory, like server:/srv/restored";
            return Err(Failure::Usage(message.to_owned()));
        }
        Some(directory) => (directory.into(), Form::Server),
        None => (args.to.clone(), Form::Files),
    };
    let order = RestoreOrder {
        system: args.system.clone(),
        moment,
        vault: args.vault.clone(),
        to,
        form,
        include,
        force: args.force,
        compare: match args.compare {
            CompareBy::Time => Compare::SizeAndTime,
            CompareBy::Content => Compare::Content,
        },
        without_erasures: args.reason.clone().filter(|_| args.without_erasures),
    };
    let plan = keeper.plan_restore(&order)?;
    if plan.log.is_some() || args.dry_run {
        show_plan(session, &plan, keeper.planned_erasures(&order, &plan)?)?;
    }
    if args.dry_run {
        return Ok(Exit::Met);
    }
    let report = keeper.restore_as_planned(&order, &plan, &Console::new(session.output))?;
    let issues = report.restored.issues.len();
    if session.output.json {
        session.output.json(&serde_json::json!({
            "event": "result",
            "point": report.point,
            "content_time": report.content_time,
            "vault": report.vault,
            "items": report.restored.items,
            "unchanged": report.restored.unchanged,
            "bytes": report.restored.bytes,
            "place": report.restored.place.display().to_string(),
            "issues": report.restored.issues,
            "replayed": report.restored.replayed.as_ref().map(replayed_json),
            "erasures": report.erasures,
        }))?;
    } else {
        session.output.text(&format!(
            "restored the state of {} from vault {} to {}{}",
            state(report.content_time, report.restored.replayed.as_ref()),
            report.vault,
            report.restored.place.display(),
            if issues == 0 {
                String::new()
            } else {
                format!(", INCOMPLETE: {}", count(len(issues), "issue"))
            }
        ))?;
        if let Some(replay) = &report.erasures {
            session.output.text(&replay_text(replay))?;
        }
    }
    Ok(if issues == 0 {
        Exit::Met
    } else {
        Exit::Incomplete
    })
}

/// A time, `latest`, or a place in the log as the database writes it.
fn moment(session: &Session, text: &str) -> Result<Moment, Failure> {
    Ok(match text {
        "latest" => Moment::Latest,
        text => match Moment::in_log(text) {
            Some(moment) => moment,
            None => Moment::At(session.time(text)?),
        },
    })
}

/// The worklist of a restore.
fn show_plan(session: &Session, plan: &RestorePlan, erasures: Option<u64>) -> Result<(), Failure> {
    if session.output.json {
        let mut json = plan_json(plan);
        if let Some(object) = json.as_object_mut() {
            object.insert("erasures".to_owned(), erasures.into());
        }
        return Ok(session.output.json(&json)?);
    }
    let mut text = plan_text(plan);
    if let Some(subjects) = erasures {
        let subjects = count(subjects, "subject");
        text.push_str(&format!(
            "\n  then look for {subjects} of the register of erasures, and erase them"
        ));
    }
    Ok(session.output.text(&text)?)
}

/// The worklist of a restore, as one event.
pub(super) fn plan_json(plan: &RestorePlan) -> serde_json::Value {
    serde_json::json!({
        "event": "plan",
        "protection": plan.protection,
        "point": plan.point,
        "content_time": plan.content_time,
        "vault": plan.vault,
        "items": plan.items,
        "bytes": plan.bytes,
        "log": plan.log.as_ref().map(|log| serde_json::json!({
            "until": log.until.to_string(),
            "span": log.shown,
            "bytes": log.bytes,
            "newest": log.newest,
        })),
    })
}

/// The same for people.
pub(super) fn plan_text(plan: &RestorePlan) -> String {
    let mut lines = vec![format!(
        "  restore point {} of {} ({}, {}) from vault {}",
        plan.point,
        plan.content_time.minute(),
        count(plan.items, "file"),
        human_bytes(plan.bytes),
        plan.vault
    )];
    if let Some(log) = &plan.log {
        // Where positions count no bytes, headers do not tell how many there are.
        let much = match log.bytes {
            0 => "the log".to_owned(),
            bytes => format!("{} of log at most", human_bytes(bytes)),
        };
        lines.push(format!(
            "  replay {much}, {}, up to {}",
            log.shown, log.until
        ));
    }
    lines.join("\n")
}

/// What was restored, for people: a moment, or what a replay reached.
pub(super) fn state(content_time: Time, replayed: Option<&FetchedLog>) -> String {
    let Some(log) = replayed else {
        return content_time.minute();
    };
    let newest = log.target.newest.map_or_else(
        || "no transaction since the base".to_owned(),
        |newest| format!("newest transaction {newest}"),
    );
    let overtaken = match log.overtaken {
        0 => String::new(),
        n => format!(
            "; {} with an earlier time of commit stand behind a later one in the log and are not part of it",
            count(n, "transaction")
        ),
    };
    format!("{} ({}, {newest}{overtaken})", log.until, log.target.shown)
}

pub(super) fn replayed_json(log: &FetchedLog) -> serde_json::Value {
    serde_json::json!({
        "until": log.until.to_string(),
        "position": log.target.shown,
        "newest_commit": log.target.newest,
        "commits": log.target.commits,
        "overtaken": log.overtaken,
        "log_bytes": log.bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets() {
        assert!(matches!(read_budget("10%"), Ok(Budget::Share(s)) if (s - 0.1).abs() < 1e-9));
        assert!(matches!(read_budget("5GiB"), Ok(Budget::Bytes(b)) if b == 5 << 30));
        assert!(matches!(read_budget("20m"), Ok(Budget::Time(t)) if t.as_secs() == 1200));
        for bad in ["", "10", "-5%", "101%", "5 apples", "NaN%"] {
            assert!(read_budget(bad).is_err(), "{bad} was accepted");
        }
    }
}
