//! What only looks: status, agenda, points.

use vouchsafe_evidence::{
    agenda_text, copy_counts, holds_by_protection, points_text, status_text_counting,
};
use vouchsafe_model::{Hold, Span, SystemName};
use vouchsafe_policy::holds::Holds;

use crate::args::{Agenda, Points, Status};
use crate::commands::{against, changes};
use crate::exit::{Exit, Failure};
use crate::session::Session;

/// Judges everything.
pub(crate) fn status(session: &Session, args: &Status) -> Result<Exit, Failure> {
    let keeper = session.keeper()?;
    let at = args.as_of.as_deref().map(|t| session.time(t)).transpose()?;
    let judged = keeper.judge(at)?;
    let holds = Holds::of(&judged.facts, judged.assessment.at);
    let holds: Vec<&Hold> = holds.iter().collect();
    if session.output.json {
        let mut shown = serde_json::json!(judged.assessment);
        if let Some(shown) = shown.as_object_mut() {
            shown.insert("holds".to_owned(), serde_json::json!(holds));
            let waiting = changes::waiting_json(judged.by.bound(&keeper));
            shown.insert("judged_by".to_owned(), judged.by.sentence().into());
            shown.insert("pending_change".to_owned(), waiting);
        }
        session.output.json(&shown)?;
    } else {
        if let Some(sentence) = judged.by.sentence() {
            session.output.text(&sentence)?;
        }
        if let Some(waiting) = changes::waiting(session, judged.by.bound(&keeper)) {
            session.output.text(&waiting)?;
        }
        let policy = judged.by.policy(&keeper);
        let counts = copy_counts(policy, &judged.facts);
        let held = holds_by_protection(policy, &judged.facts, &holds);
        let options = session.output.text_options(args.verbose);
        let text = status_text_counting(&judged.assessment, &counts, &held, options);
        session.output.text(&text)?;
    }
    Ok(Exit::judged(judged.assessment.verdict.is_good()))
}

/// Shows what will happen.
pub(crate) fn agenda(session: &Session, args: &Agenda) -> Result<Exit, Failure> {
    if let Some(revision) = &args.against {
        return against::against(session, revision, args.days);
    }
    let (policy, _) = session.policy()?;
    // What is in force is only known where something was initialised.
    let keeper = match session.state.is_initialised()? {
        true => Some(session.keeper()?),
        false => None,
    };
    let in_force = keeper.as_ref().map_or(&policy, |keeper| &keeper.policy);
    let now = session.now();
    let obligations =
        vouchsafe_policy::obligations(in_force, now, now.plus(Span::from_days(args.days.into())));
    if session.output.json {
        let waiting = keeper.as_ref().map(|k| changes::waiting_json(&k.bound));
        session.output.json(&serde_json::json!({
            "now": now, "obligations": obligations, "pending_change": waiting,
        }))?;
    } else {
        if let Some(waiting) = keeper
            .as_ref()
            .and_then(|k| changes::waiting(session, &k.bound))
        {
            session.output.text(&waiting)?;
        }
        session.output.text(&agenda_text(
            &obligations,
            now,
            session.output.text_options(false),
        ))?;
    }
    Ok(Exit::Met)
}

/// Shows points and copies.
pub(crate) fn points(session: &Session, args: &Points) -> Result<Exit, Failure> {
    let keeper = session.keeper()?;
    let only = match &args.system {
        Some(name) => {
            keeper.select(std::slice::from_ref(name))?;
            SystemName::new(name.split('/').next().unwrap_or(name)).ok()
        }
        None => None,
    };
    let facts = keeper.facts()?;
    let holds = Holds::of(&facts, session.now());
    if session.output.json {
        let catalogue = vouchsafe_keeper::catalogue::Catalogue::of(&facts);
        let systems = keeper
            .policy
            .systems
            .keys()
            .filter(|s| only.as_ref().is_none_or(|o| o == *s));
        let points: Vec<_> = systems
            .flat_map(|s| catalogue.of_system(s))
            .map(
                |p| {
                    let on = holds.on(&p.point.point, &p.point.protection.system);
                    serde_json::json!({ "point": p.point, "copies": p.copies, "let_go": p.let_go, "holds": on })
                },
            )
            .collect();
        session.output.json(
            &serde_json::json!({ "points": points, "holds": holds.iter().collect::<Vec<_>>() }),
        )?;
    } else {
        let options = session.output.text_options(false);
        session.output.text(&points_text(
            &keeper.policy,
            &facts,
            &holds.iter().collect::<Vec<_>>(),
            only.as_ref(),
            session.now(),
            options,
        ))?;
    }
    Ok(Exit::Met)
}
