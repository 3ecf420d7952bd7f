//! `vault`: what lies in a vault.

use vouchsafe_evidence::{count, len};
use vouchsafe_keeper::catalogue::Catalogue;
use vouchsafe_keeper::{Keeper, KeeperError, Reporter, VaultHandle};
use vouchsafe_model::VaultName;
use vouchsafe_vault::Budget;

use crate::args::{Check, VaultCommand};
use crate::commands::{browse, deeds, mount, vault_locks};
use crate::exit::{Exit, Failure};
use crate::reporter::Console;
use crate::session::Session;

/// Does what the subcommand says.
pub(crate) fn vault(session: &Session, args: &VaultCommand) -> Result<Exit, Failure> {
    match args {
        VaultCommand::Env { vault } => super::vault_env::env(session, vault),
        VaultCommand::Ls(args) => match &args.snapshot {
            None => ls(session, &args.vault),
            Some(wanted) => browse::entries(session, args, wanted),
        },
        VaultCommand::Find(args) => browse::find(session, args),
        VaultCommand::Diff(args) => browse::diff(session, args),
        VaultCommand::Mount(args) => mount::mount(session, args),
        VaultCommand::Dump(args) => browse::dump(session, args),
        VaultCommand::Check(args) => check(session, args),
        VaultCommand::Lock { vault, dry_run } => vault_locks::lock(session, vault, *dry_run),
        VaultCommand::Repair(args) => super::repair::repair(session, args),
    }
}

pub(super) fn name(text: &str) -> Result<VaultName, Failure> {
    VaultName::new(text).map_err(|e| Failure::Usage(e.to_string()))
}

fn in_vault(name: &str, source: vouchsafe_vault::RepoError) -> Failure {
    KeeperError::Repository {
        vault: name.to_owned(),
        source: Box::new(source),
    }
    .into()
}

fn ls(session: &Session, vault: &str) -> Result<Exit, Failure> {
    let keeper = session.keeper()?;
    let open = keeper.vault(&name(vault)?)?;
    let facts = keeper.facts()?;
    let catalogue = Catalogue::of(&facts);
    let known = catalogue.by_snapshot(open.name());
    let snapshots = open.repo.snapshots().map_err(|e| in_vault(vault, e))?;
    let mut rows = Vec::new();
    for (id, snapshot) in &snapshots {
        let point = known
            .get(&id.to_hex())
            .map(|p| (p.point.point.to_string(), p.point.protection.to_string()));
        let is_ledger = point.is_none() && vouchsafe_keeper::is_ledger_snapshot(snapshot);
        if !session.output.json {
            let of = match &point {
                Some((point, of)) => format!("{point}  {of}"),
                None if is_ledger => "holds a ledger".to_owned(),
                None => "not in the ledger; kept".to_owned(),
            };
            session.output.text(&format!(
                "{}  {}  {of}  {}",
                id.short(),
                snapshot.time,
                snapshot.paths.join(" ")
            ))?;
        }
        rows.push(serde_json::json!({ "snapshot": id.to_hex(), "paths": snapshot.paths, "point": point.map(|p| p.0), "ledger": is_ledger }));
    }
    if session.output.json {
        session
            .output
            .json(&serde_json::json!({ "snapshots": rows }))?;
    }
    Ok(Exit::Met)
}

fn check(session: &Session, args: &Check) -> Result<Exit, Failure> {
    let vault = args.vault.as_str();
    let budget = match &args.read_data_subset {
        Some(text) => Some(deeds::read_budget(text)?),
        None => args.read_data.then_some(Budget::All),
    };
    let keeper = session.keeper()?;
    let open = keeper.vault(&name(vault)?)?;
    let console = Console::new(session.output);
    if let Some(budget) = budget {
        return check_and_read(session, &keeper, &open, &budget, &console);
    }
    let report = open
        .repo
        .check(console.progress())
        .map_err(|e| in_vault(vault, e))?;
    let store = keeper.check_store(&open)?;
    if let Some(locks) = &store.locks {
        vault_locks::record(session, &keeper, &open, locks, 0)?;
    }
    if session.output.json {
        session.output.json(&serde_json::json!({
            "packs": report.packs, "blobs": report.blobs, "snapshots": report.snapshots, "problems": report.problems,
            "store": vault_locks::as_json(&store),
        }))?;
    } else {
        for problem in &report.problems {
            session
                .output
                .text(&format!("✗ {}: {}", problem.place, problem.message))?;
        }
        session.output.text(&format!(
            "{}, {}, {}, {}",
            count(report.packs, "pack"),
            count(report.blobs, "blob"),
            count(report.snapshots, "snapshot"),
            count(len(report.problems.len()), "problem")
        ))?;
        vault_locks::show(session, &store)?;
    }
    Ok(Exit::judged(report.problems.is_empty() && store.is_sound()))
}

/// Structure and data in one go, recorded as a verification; then what the store can do.
fn check_and_read(
    session: &Session,
    keeper: &Keeper,
    vault: &VaultHandle,
    budget: &Budget,
    console: &Console,
) -> Result<Exit, Failure> {
    let outcomes = keeper.verify(Some(vault.name().as_str()), budget, console)?;
    let store = keeper.check_store(vault)?;
    if session.output.json {
        let rows: Vec<_> = outcomes.iter().map(deeds::verify_json).collect();
        session.output.json(&serde_json::json!({
            "event": "result", "vaults": rows, "store": vault_locks::as_json(&store),
        }))?;
    } else {
        vault_locks::show(session, &store)?;
    }
    let is_whole = outcomes.iter().all(|o| o.problems.is_empty());
    Ok(Exit::judged(is_whole && store.is_sound()))
}
