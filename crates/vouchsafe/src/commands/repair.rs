//! `vault repair`: the worklist, and with `--yes` the deed.

use vouchsafe_evidence::{count, len};
use vouchsafe_keeper::{RepairOutcome, RepairPart, RepairPlan};
use vouchsafe_vault::{IndexRepair, PackRepair, RepairReport, SnapshotRepair};

use crate::args::{Go, RepairCommand, VaultRepair};
use crate::exit::{Exit, Failure};
use crate::reporter::Console;
use crate::session::Session;

/// Shows what is to be repaired, and does it if so told. Met if the vault is sound afterwards, or was before.
pub(crate) fn repair(session: &Session, args: &VaultRepair) -> Result<Exit, Failure> {
    let (part, go) = part(&args.part)?;
    let keeper = session.keeper()?;
    let console = Console::new(session.output);
    if !go.yes {
        let plan = keeper.plan_repair(&args.vault, &part, &console)?;
        show(session, &args.vault, &plan, None)?;
        if !plan.is_nothing() && !go.dry_run && !session.output.json {
            session
                .output
                .text("nothing was changed; add --yes to do this")?;
        }
        return Ok(Exit::judged(plan.is_nothing()));
    }
    let RepairOutcome {
        plan,
        report,
        problems,
    } = keeper.repair(&args.vault, &part, &console)?;
    show(session, &args.vault, &plan, report.as_ref())?;
    if !session.output.json {
        for problem in &problems {
            session
                .output
                .text(&format!("✗ {}: {}", problem.place, problem.message))?;
        }
    }
    let lost = report.is_some_and(|r| !r.blobs_lost.is_empty());
    Ok(Exit::judged(problems.is_empty() && !lost))
}

fn part(command: &RepairCommand) -> Result<(RepairPart, Go), Failure> {
    Ok(match command {
        RepairCommand::Index { go } => (RepairPart::Index, *go),
        RepairCommand::Packs { packs, from, go } => {
            let named = packs.iter().map(|text| {
                text.parse()
                    .map_err(|e| Failure::Usage(format!("`{text}` is no name of a pack: {e}")))
            });
            let part = RepairPart::Packs {
                named: named.collect::<Result<_, _>>()?,
                from: from.clone(),
            };
            (part, *go)
        }
        RepairCommand::Snapshots { forget, go } => (RepairPart::Snapshots { forget: *forget }, *go),
    })
}

fn show(
    session: &Session,
    vault: &str,
    plan: &RepairPlan,
    report: Option<&RepairReport>,
) -> Result<(), Failure> {
    let lines = match plan {
        RepairPlan::Index(plan) => index_lines(plan),
        RepairPlan::Packs(plan) => pack_lines(plan),
        RepairPlan::Snapshots(plan, forget) => snapshot_lines(plan, *forget),
    };
    if session.output.json {
        let done = report.map(|r| {
            serde_json::json!({
                "packs_added": r.packs_added.len(),
                "packs_removed": r.packs_removed,
                "blobs_salvaged": r.blobs_salvaged,
                "blobs_healed": r.blobs_healed,
                "blobs_lost": r.blobs_lost,
                "indexes_added": r.indexes_added,
                "indexes_removed": r.indexes_removed,
                "snapshots_added": r.snapshots_added,
                "snapshots_removed": r.snapshots_removed,
                "issues": r.issues,
            })
        });
        session.output.json(&serde_json::json!({
            "event": "result", "vault": vault, "worklist": lines, "done": done,
        }))?;
        return Ok(());
    }
    if lines.is_empty() {
        session.output.text("nothing to repair")?;
    }
    for line in lines {
        session.output.text(&line)?;
    }
    Ok(())
}

fn index_lines(plan: &IndexRepair) -> Vec<String> {
    let mut lines = Vec::new();
    for (packs, what) in [
        (&plan.added, "is not listed: list it as its header says"),
        (&plan.gone, "is listed and gone: list it no more"),
        (
            &plan.corrected,
            "is listed wrongly: list it as its header says",
        ),
        (&plan.repeated, "is listed more than once: list it once"),
    ] {
        lines.extend(packs.iter().map(|pack| format!("pack {pack} {what}")));
    }
    for issue in &plan.damaged {
        lines.push(format!(
            "{} is damaged: remove it ({})",
            issue.place, issue.message
        ));
    }
    for issue in &plan.unreadable {
        lines.push(format!(
            "{} has no readable header ({}): left for `repair packs`",
            issue.place, issue.message
        ));
    }
    lines
}

fn pack_lines(plan: &PackRepair) -> Vec<String> {
    let mut lines = Vec::new();
    for pack in &plan.packs {
        let state = if pack.missing {
            "is missing"
        } else {
            "is damaged"
        };
        lines.push(format!(
            "pack {} {state}: {} saved, {} elsewhere, {} fetched from another vault, {} lost",
            pack.pack,
            count(pack.sound, "blob"),
            pack.elsewhere,
            pack.healable,
            pack.lost.len()
        ));
        lines.extend(
            pack.lost
                .iter()
                .map(|blob| format!("  blob {blob} is LOST")),
        );
    }
    if !plan.unlisted.is_empty() {
        lines.push(format!(
            "{} not here that snapshots need: fetch from another vault",
            count(len(plan.unlisted.len()), "blob")
        ));
    }
    lines
}

fn snapshot_lines(plan: &SnapshotRepair, forget: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for broken in &plan.snapshots {
        let id = broken.snapshot.short();
        let deed = match (broken.nothing_left, &broken.repaired_as) {
            (true, _) => "nothing of it can be read".to_owned(),
            (_, Some(sibling)) => format!("repaired before as {}", sibling.short()),
            _ => "write a sibling without them".to_owned(),
        };
        let after = if forget { ", remove it" } else { "" };
        lines.push(format!(
            "snapshot {id} misses {}: {deed}{after}",
            broken.count
        ));
        lines.extend(broken.lost.iter().map(|place| format!("  {place}")));
        let shown = broken.lost.len() as u64;
        if broken.count > shown {
            lines.push(format!("  and {} more", broken.count - shown));
        }
    }
    for issue in &plan.unreadable {
        lines.push(format!("{} cannot be read: {}", issue.place, issue.message));
    }
    lines
}
