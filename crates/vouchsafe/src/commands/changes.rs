//! `approve`, `deny`: people's decisions on changes of the policy; and how a change that waits is shown.

use vouchsafe_evidence::{PendingChange, pending_text};
use vouchsafe_keeper::{Bound, DecisionOrder, SignedObject};
use vouchsafe_model::{ChangeDecision, ChangeId, Strength};

use crate::args::changes::{Approve, Deny};
use crate::exit::{Exit, Failure};
use crate::reporter::Console;
use crate::session::Session;

/// Agrees.
pub(crate) fn approve(session: &Session, args: &Approve) -> Result<Exit, Failure> {
    let commit = args.commit.clone().map(SignedObject::Commit);
    let tag = args.tag.clone().map(SignedObject::Tag);
    let order = DecisionOrder {
        change: named(&args.change)?,
        granted: true,
        by: args.by.clone(),
        reason: args.reason.clone(),
        signed: commit.or(tag),
    };
    decide(session, &order)
}

/// Refuses.
pub(crate) fn deny(session: &Session, args: &Deny) -> Result<Exit, Failure> {
    let order = DecisionOrder {
        change: named(&args.change)?,
        granted: false,
        by: Some(args.by.clone()),
        reason: args.reason.clone(),
        signed: None,
    };
    decide(session, &order)
}

fn named(text: &str) -> Result<ChangeId, Failure> {
    ChangeId::new(text).map_err(|e| Failure::Usage(e.to_string()))
}

fn decide(session: &Session, order: &DecisionOrder) -> Result<Exit, Failure> {
    let mut keeper = session.keeper()?;
    let decision = keeper.decide_change(order, &Console::new(session.output))?;
    if session.output.json {
        session
            .output
            .json(&serde_json::json!({ "event": "result", "decision": decision }))?;
    } else {
        session.output.text(&line(&decision))?;
    }
    Ok(Exit::Met)
}

fn line(decision: &ChangeDecision) -> String {
    let how = match (&decision.signed, decision.strength) {
        (Some(signed), _) => format!("measured by the signature of the {}", signed.kind),
        (None, Strength::Stated) => "stated, identity unverified".to_owned(),
        (None, strength) => strength.to_string(),
    };
    let (change, by) = (&decision.change, &decision.by);
    match decision.granted {
        true => format!(
            "change {change} is approved by {by} ({how}); the policy is in force as it is written"
        ),
        false => format!(
            "change {change} is denied by {by} ({how}); what was promised before stays in force"
        ),
    }
}

/// The change that waits or was denied, for the screen; nothing if there is none.
pub(crate) fn waiting(session: &Session, bound: &Bound) -> Option<String> {
    let pending = pending(bound)?;
    Some(pending_text(pending, session.output.text_options(false)))
}

/// The same for programs; null if there is none.
pub(crate) fn waiting_json(bound: &Bound) -> serde_json::Value {
    match pending(bound) {
        Some(pending) => serde_json::json!({
            "change": pending.change.change,
            "from": pending.change.from,
            "to": pending.change.to,
            "alterations": pending.change.alterations,
            "denied": pending.denied,
        }),
        None => serde_json::Value::Null,
    }
}

fn pending(bound: &Bound) -> Option<PendingChange<'_>> {
    Some(PendingChange {
        change: bound.waiting()?,
        denied: bound.denied.as_ref(),
    })
}
