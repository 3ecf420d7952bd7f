//! What a vault's store can do, and `vault lock`: how long its objects are locked.

use vouchsafe_evidence::{count, len};
use vouchsafe_keeper::{Keeper, Locks, StoreCheck, VaultHandle};
use vouchsafe_store::probe::Found;

use super::vault::name;
use crate::exit::{Exit, Failure};
use crate::session::Session;

/// Prints what was found out about a store.
pub(super) fn show(session: &Session, check: &StoreCheck) -> Result<(), Failure> {
    for problem in check.problems() {
        session.output.text(&format!("✗ {problem}"))?;
    }
    for trial in &check.probed.trials {
        match &trial.found {
            Found::Holds => session.output.text(&format!("✓ {}", trial.what))?,
            Found::Absent(instead) => session
                .output
                .text(&format!("- not promised: {}; {instead}", trial.what))?,
            Found::Wrong(_) => {}
        }
    }
    match &check.locks {
        Some(locks) => session.output.text(&summary(locks)),
        None => Ok(()),
    }
    .map_err(Failure::from)
}

/// The same for programs.
pub(super) fn as_json(check: &StoreCheck) -> serde_json::Value {
    let trials = check.probed.trials.iter().map(|trial| {
        let (found, detail) = match &trial.found {
            Found::Holds => ("holds", ""),
            Found::Absent(instead) => ("absent", *instead),
            Found::Wrong(seen) => ("wrong", seen.as_str()),
        };
        serde_json::json!({ "what": trial.what, "found": found, "detail": detail })
    });
    serde_json::json!({
        "trials": trials.collect::<Vec<_>>(),
        "locks": check.locks.as_ref().map(|l| serde_json::json!({
            "objects": l.objects, "unlocked": l.unlocked, "short": l.short, "weak": l.weak, "mode": l.mode, "soonest": l.soonest, "met": l.are_met(),
        })),
    })
}

/// Extends the locks that are missing or too short; with `dry_run` only says which those are.
pub(super) fn lock(session: &Session, vault: &str, dry_run: bool) -> Result<Exit, Failure> {
    let keeper = session.keeper()?;
    let open = keeper.vault(&name(vault)?)?;
    let Some(before) = keeper.locks(&open)? else {
        return Err(Failure::Usage(format!(
            "vault `{vault}` has no retention_lock in the policy, so there is nothing to lock"
        )));
    };
    let extended = match dry_run {
        true => 0,
        false => keeper.extend_locks(&open, &before)?,
    };
    // What counts is what the store says afterwards.
    let after = if dry_run {
        before.clone()
    } else {
        keeper.locks(&open)?.unwrap_or_else(|| before.clone())
    };
    if !dry_run {
        record(session, &keeper, &open, &after, extended)?;
    }
    if session.output.json {
        session.output.json(&serde_json::json!({
            "to_extend": before.to_extend.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "extended": extended,
            "unlocked": after.unlocked, "weak": after.weak, "short": after.short, "soonest": after.soonest,
        }))?;
    } else {
        let verb = match (dry_run, before.to_extend.len()) {
            (true, _) => "would be extended",
            (false, 1) => "was extended",
            (false, _) => "were extended",
        };
        let extended = count(len(before.to_extend.len()), "lock");
        session.output.text(&format!("{extended} {verb}"))?;
        session.output.text(&summary(&after))?;
    }
    Ok(Exit::judged(after.are_met()))
}

/// Makes what was read of the locks a fact.
pub(super) fn record(
    session: &Session,
    keeper: &Keeper,
    vault: &VaultHandle,
    locks: &Locks,
    extended: u64,
) -> Result<(), Failure> {
    if !keeper.record_locks(vault, locks, extended)? && !session.output.json {
        session
            .output
            .text("somebody else is at work here, so what was read of the locks is not recorded")?;
    }
    Ok(())
}

fn summary(locks: &Locks) -> String {
    let soonest = match locks.soonest {
        Some(at) => format!("the first lock ends {}", at.minute()),
        None => "nothing is locked".to_owned(),
    };
    format!(
        "{} to be locked for {} in {} mode: {} unlocked, {} for less than half of it, {} in another mode; {soonest}",
        count(locks.objects, "object"),
        locks.wanted,
        locks.mode.word(),
        locks.unlocked,
        locks.short,
        locks.weak
    )
}
