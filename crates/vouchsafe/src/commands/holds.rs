//! `hold`: orders to keep.

use vouchsafe_keeper::HoldOrder;
use vouchsafe_model::{Hold, HoldName, HoldRelease, IdError, PointId, SystemName};

use crate::args::holds;
use crate::exit::{Exit, Failure};
use crate::reporter::Console;
use crate::session::Session;

/// Places, lifts or lists.
pub(crate) fn hold(session: &Session, command: &holds::Hold) -> Result<Exit, Failure> {
    match command {
        holds::Hold::Place(args) => place(session, args),
        holds::Hold::Release(args) => release(session, args),
        holds::Hold::List => list(session),
    }
}

fn place(session: &Session, args: &holds::Place) -> Result<Exit, Failure> {
    let time = |text: &Option<String>| text.as_deref().map(|t| session.time(t)).transpose();
    let order = HoldOrder {
        name: HoldName::new(&args.name).map_err(wrong)?,
        points: named(&args.point, PointId::new)?,
        systems: named(&args.system, SystemName::new)?,
        by: args.by.clone(),
        reason: args.reason.clone(),
        since: time(&args.since)?,
        until: time(&args.until)?,
    };
    let keeper = session.keeper()?;
    let hold = keeper.place_hold(&order, &Console::new(session.output))?;
    if session.output.json {
        session
            .output
            .json(&serde_json::json!({ "event": "result", "hold": hold }))?;
    } else {
        session.output.text(&line(&hold))?;
    }
    Ok(Exit::Met)
}

fn release(session: &Session, args: &holds::Release) -> Result<Exit, Failure> {
    let release = HoldRelease {
        name: HoldName::new(&args.name).map_err(wrong)?,
        by: args.by.clone(),
        reason: args.reason.clone(),
    };
    let keeper = session.keeper()?;
    keeper.release_hold(&release, &Console::new(session.output))?;
    if session.output.json {
        session
            .output
            .json(&serde_json::json!({ "event": "result", "released": release }))?;
    } else {
        session.output.text(&format!(
            "hold {} is lifted; the next prune judges its points by the policy alone",
            release.name
        ))?;
    }
    Ok(Exit::Met)
}

fn list(session: &Session) -> Result<Exit, Failure> {
    let holds = session.keeper()?.holds()?;
    if session.output.json {
        session
            .output
            .json(&serde_json::json!({ "holds": holds }))?;
    } else if holds.is_empty() {
        session.output.text("no hold is in force")?;
    } else {
        for hold in &holds {
            session.output.text(&line(hold))?;
        }
    }
    Ok(Exit::Met)
}

fn line(hold: &Hold) -> String {
    let systems = hold.systems.iter().map(|s| format!("every point of {s}"));
    let points = hold.points.iter().map(ToString::to_string);
    let what: Vec<String> = systems.chain(points).collect();
    let until = match hold.until {
        Some(until) => format!("until {}", until.minute()),
        None => "without an end".to_owned(),
    };
    format!(
        "hold {} on {}, by {}, since {}, {until}: {}",
        hold.name,
        what.join(", "),
        hold.by,
        hold.since.minute(),
        hold.reason
    )
}

fn named<T>(
    texts: &[String],
    read: impl Fn(String) -> Result<T, IdError>,
) -> Result<Vec<T>, Failure> {
    let all: Result<Vec<T>, IdError> = texts.iter().cloned().map(read).collect();
    all.map_err(wrong)
}

fn wrong(error: IdError) -> Failure {
    Failure::Usage(error.to_string())
}
