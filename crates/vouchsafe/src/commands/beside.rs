//! `restore --only`: single tables, brought back beside live data.

use vouchsafe_capture::{BesidePlan, BesideTable, BroughtTable, Compare, Equal, Form};
use vouchsafe_evidence::{count, len};
use vouchsafe_keeper::{BesideOrder, BesideReport, Keeper, Moment, RestoreOrder, RestorePlan};

use super::deeds::{plan_json, plan_text, replayed_json, state};
use crate::args::Restore;
use crate::exit::{Exit, Failure};
use crate::reporter::Console;
use crate::session::Session;

/// Shows what is going to be done, does it, and says how the rows compare.
pub(super) fn restore(
    session: &Session,
    keeper: &Keeper,
    args: &Restore,
    (moment, into): (Moment, &str),
) -> Result<Exit, Failure> {
    let order = BesideOrder {
        restore: RestoreOrder {
            system: args.system.clone(),
            moment,
            vault: args.vault.clone(),
            to: args.to.clone(),
            include: None,
            force: false,
            compare: Compare::default(),
            // A log leads to moments only where a server is made; here it is a scratch server.
            form: Form::Server,
            without_erasures: args.reason.clone().filter(|_| args.without_erasures),
        },
        only: args.only.clone(),
        into: into.to_owned(),
    };
    let console = Console::new(session.output);
    let (plan, beside) = keeper.plan_beside(&order, &console)?;
    show(session, &plan, &beside)?;
    if args.dry_run {
        return Ok(Exit::Met);
    }
    let report = keeper.bring_beside(&order, &plan, &console)?;
    if session.output.json {
        session.output.json(&result_json(&report))?;
    } else {
        session.output.text(&result_text(&report))?;
    }
    Ok(if report.beside.issues.is_empty() {
        Exit::Met
    } else {
        Exit::Incomplete
    })
}

fn show(session: &Session, plan: &RestorePlan, beside: &BesidePlan) -> Result<(), Failure> {
    if session.output.json {
        let mut json = plan_json(plan);
        if let Some(object) = json.as_object_mut() {
            let tables: Vec<_> = beside.tables.iter().map(planned_json).collect();
            object.insert("place".to_owned(), beside.place.clone().into());
            object.insert("tables".to_owned(), tables.into());
            object.insert("first".to_owned(), beside.first.clone().into());
            object.insert("stays".to_owned(), beside.stays.clone().into());
        }
        return Ok(session.output.json(&json)?);
    }
    let mut lines = vec![plan_text(plan), format!("  {}", beside.first)];
    lines.push(format!(
        "  then into {}, which is made for it:",
        beside.place
    ));
    for table in &beside.tables {
        let rows = table
            .rows
            .map_or(String::new(), |n| format!(" ({})", count(n, "row")));
        lines.push(format!("    {} as {}{rows}", table.name, table.becomes));
    }
    lines.push("  what does not come along:".to_owned());
    lines.extend(beside.stays.iter().map(|each| format!("    {each}")));
    Ok(session.output.text(&lines.join("\n"))?)
}

fn planned_json(table: &BesideTable) -> serde_json::Value {
    serde_json::json!({ "name": table.name, "becomes": table.becomes, "rows": table.rows })
}

fn result_json(report: &BesideReport) -> serde_json::Value {
    let beside = &report.beside;
    serde_json::json!({
        "event": "result",
        "point": report.point,
        "content_time": report.content_time,
        "vault": report.vault,
        "place": beside.place,
        "tables": beside.tables.iter().map(brought_json).collect::<Vec<_>>(),
        "stays": beside.stays,
        "issues": beside.issues,
        "replayed": beside.replayed.as_ref().map(replayed_json),
    })
}

fn brought_json(table: &BroughtTable) -> serde_json::Value {
    let (equal, to) = match &table.equal {
        Equal::ToCaptured => (true, "captured"),
        Equal::ToSample => (true, "sample"),
        Equal::ToCopy => (true, "copy"),
        Equal::Not { .. } => (false, "nothing"),
    };
    serde_json::json!({
        "name": table.name, "becomes": table.becomes, "rows": table.rows, "equal": equal, "to": to,
    })
}

fn result_text(report: &BesideReport) -> String {
    let beside = &report.beside;
    let issues = beside.issues.len();
    let mut lines = vec![format!(
        "brought back the state of {} from vault {} into {}{}",
        state(report.content_time, beside.replayed.as_ref()),
        report.vault,
        beside.place,
        if issues == 0 {
            String::new()
        } else {
            format!(", NOT AS IT WAS: {}", count(len(issues), "issue"))
        }
    )];
    for table in &beside.tables {
        let equal = match &table.equal {
            Equal::ToCaptured => "equal to the captured rows".to_owned(),
            Equal::ToSample => {
                "as many as were captured, and those of the captured sample equal".to_owned()
            }
            Equal::ToCopy => {
                "equal to those of the restored copy; the point has no digests of them".to_owned()
            }
            Equal::Not { expected, found } => {
                format!("NOT EQUAL: expected {expected}, found {found}")
            }
        };
        lines.push(format!(
            "  {} as {}: {}, {equal}",
            table.name,
            table.becomes,
            count(table.rows, "row")
        ));
    }
    lines.push("  what did not come along:".to_owned());
    lines.extend(beside.stays.iter().map(|each| format!("    {each}")));
    lines.join("\n")
}
