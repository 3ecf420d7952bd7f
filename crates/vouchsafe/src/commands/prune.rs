//! Removing what the policy lets go: the worklist, a question, the deed.

use std::collections::BTreeSet;

use vouchsafe_evidence::{count, len};
use vouchsafe_host::terminal;
use vouchsafe_keeper::{PruneOrder, PruneOutcome, PrunePlan};
use vouchsafe_model::human_bytes;
use vouchsafe_vault::PackWork;

use crate::args::Prune;
use crate::exit::{Exit, Failure};
use crate::reporter::Console;
use crate::session::Session;

/// Shows what would go; does it if that is agreed to.
pub(crate) fn prune(session: &Session, args: &Prune) -> Result<Exit, Failure> {
    let keeper = session.keeper()?;
    let mut order = PruneOrder {
        vault: args.vault.clone(),
        due: args.due,
        write_once: args.write_once,
        agreed: None,
    };
    let console = Console::new(session.output);
    let plans = keeper.plan_prune(&order, &console)?;
    show(session, &plans)?;
    let is_empty = plans.iter().all(PrunePlan::is_empty);
    // That nothing is to be removed answers what is owed, too.
    let is_owed = plans.iter().any(|plan| !plan.answers.is_empty());
    if args.dry_run || (is_empty && !is_owed) {
        return Ok(Exit::Met);
    }
    if !is_empty && !args.yes && !agreed(session)? {
        session.output.text("nothing was removed")?;
        return Ok(Exit::Met);
    }
    let snapshots = plans.iter().flat_map(|plan| &plan.expires);
    let mut snapshots: BTreeSet<String> = snapshots.map(|copy| copy.snapshot.clone()).collect();
    let ledgers = plans.iter().flat_map(|plan| &plan.superseded);
    snapshots.extend(ledgers.map(|forget| forget.snapshot.to_hex()));
    order.agreed = Some(snapshots);
    let done = keeper.prune(&order, &console)?;
    if session.output.json {
        let rows: Vec<_> = done.vaults.iter().map(outcome_json).collect();
        session.output.json(&serde_json::json!({
            "event": "result", "vaults": rows, "less_locked": done.less_locked,
        }))?;
    }
    Ok(if done.vaults.iter().all(|o| o.problems.is_empty()) {
        Exit::judged(done.less_locked.is_empty())
    } else {
        Exit::Incomplete
    })
}

/// Asks whoever sits at the terminal.
fn agreed(session: &Session) -> Result<bool, Failure> {
    let nobody = || {
        Failure::Usage(
            "nothing was removed: nobody is there to be asked; say --yes to remove what was listed, or --dry-run to look only"
                .to_owned(),
        )
    };
    if session.output.json {
        return Err(nobody());
    }
    terminal::ask("Remove this for good? [y/N] ")?.ok_or_else(nobody)
}

fn show(session: &Session, plans: &[PrunePlan]) -> Result<(), Failure> {
    if session.output.json {
        let rows: Vec<_> = plans.iter().map(plan_json).collect();
        session
            .output
            .json(&serde_json::json!({ "event": "worklist", "vaults": rows }))?;
        return Ok(());
    }
    for plan in plans {
        session.output.text(&plan_text(plan))?;
    }
    if plans.is_empty() {
        session.output.text("nothing is due")?;
    }
    Ok(())
}

/// A worklist for the screen.
fn plan_text(plan: &PrunePlan) -> String {
    let mut lines = vec![format!("vault {} ({})", plan.vault, plan.mode)];
    for copy in &plan.expires {
        lines.push(format!(
            "  - {} of {}: {}",
            copy.point, copy.protection, copy.reason
        ));
    }
    for copy in &plan.unfinished {
        lines.push(format!(
            "  - {} of {}: let go before, not yet removed",
            copy.point, copy.protection
        ));
    }
    for held in &plan.held {
        lines.push(format!(
            "  = {} of {} stays: {}",
            held.point, held.protection, held.reason
        ));
    }
    let list = &plan.worklist;
    let packs = |packs: &[PackWork]| count(len(packs.len()), "pack");
    let size = |packs: &[PackWork]| human_bytes(packs.iter().map(|pack| pack.bytes).sum());
    let mut deeds = Vec::new();
    if !plan.superseded.is_empty() {
        let dropped = count(len(plan.superseded.len()), "superseded ledger snapshot");
        deeds.push(format!("drop {dropped}"));
    }
    if !list.remove.is_empty() {
        let (packs, size) = (packs(&list.remove), size(&list.remove));
        deeds.push(format!("remove {packs} ({size})"));
    }
    if !list.repack.is_empty() {
        let (packs, size) = (packs(&list.repack), human_bytes(list.figures.rewritten));
        deeds.push(format!("rewrite what is needed of {packs} ({size})"));
    }
    if !list.retire.is_empty() {
        let (packs, size) = (packs(&list.retire), size(&list.retire));
        deeds.push(format!(
            "take {packs} ({size}) out of the index, to be removed after two days"
        ));
    }
    if !list.indexes.is_empty() {
        let files = count(len(list.indexes.len()), "index file");
        deeds.push(format!("replace {files}"));
    }
    if !plan.unlocked.is_empty() {
        deeds.push(match plan.unlocked.len() {
            1 => "erase 1 object that was hidden before and that no lock keeps any more".to_owned(),
            n => {
                format!("erase {n} objects that were hidden before and that no lock keeps any more")
            }
        });
    }
    if plan.is_empty() {
        deeds.push("nothing to remove".to_owned());
    } else {
        deeds.push(format!("free {}", human_bytes(list.figures.freed)));
    }
    lines.push(format!("  {}", deeds.join(", ")));
    let mut kept = vec![match list.kept.len() {
        1 => "1 snapshot stays".to_owned(),
        n => format!("{n} snapshots stay"),
    }];
    if !list.unknown.is_empty() {
        let n = list.unknown.len();
        kept.push(format!("{n} of them not in the ledger"));
    }
    if list.figures.unused_kept > 0 {
        let size = human_bytes(list.figures.unused_kept);
        kept.push(format!("{size} stays unused"));
    }
    lines.push(format!("  {}", kept.join(", ")));
    if !plan.locked.is_empty() {
        let last = plan.locked.iter().filter_map(|one| one.until).max();
        let last = last.map_or_else(String::new, |at| match plan.locked.len() {
            1 => format!(", until {}", at.minute()),
            _ => format!(", the last until {}", at.minute()),
        });
        lines.push(match plan.locked.len() {
            1 => format!("  1 object is removed and still hidden there by its lock{last}"),
            n => format!("  {n} objects are removed and still hidden there by their locks{last}"),
        });
    }
    for issue in &list.issues {
        lines.push(format!("  ! {}: {}", issue.place, issue.message));
    }
    lines.join("\n")
}

fn plan_json(plan: &PrunePlan) -> serde_json::Value {
    let list = &plan.worklist;
    let packs = |packs: &[PackWork]| {
        let row = |pack: &PackWork| {
            serde_json::json!({
                "pack": pack.pack.to_hex(),
                "bytes": pack.bytes,
                "used": pack.used,
                "why": pack.why.as_str(),
            })
        };
        packs.iter().map(row).collect::<Vec<_>>()
    };
    serde_json::json!({
        "vault": plan.vault,
        "mode": plan.mode,
        "expires": plan.expires,
        "unfinished": plan.unfinished,
        "held": plan.held,
        "superseded_ledgers": plan.superseded.iter().map(|f| f.snapshot.to_hex()).collect::<Vec<_>>(),
        "kept": list.kept.len(),
        "unknown": list.unknown.iter().map(|id| id.to_hex()).collect::<Vec<_>>(),
        "remove": packs(&list.remove),
        "repack": packs(&list.repack),
        "retire": packs(&list.retire),
        "indexes": list.indexes.iter().map(|id| id.to_hex()).collect::<Vec<_>>(),
        "bytes_before": list.figures.before,
        "bytes_freed": list.figures.freed,
        "bytes_rewritten": list.figures.rewritten,
        "bytes_unused_kept": list.figures.unused_kept,
        "unlocked": plan.unlocked,
        "locked": plan.locked,
        "issues": list.issues,
    })
}

fn outcome_json(outcome: &PruneOutcome) -> serde_json::Value {
    serde_json::json!({
        "vault": outcome.vault,
        "expired": outcome.expired,
        "pruning": outcome.pruning,
        "problems": outcome.problems,
    })
}
