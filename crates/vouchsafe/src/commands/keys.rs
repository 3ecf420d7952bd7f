//! `key`: what opens a vault.

use std::path::Path;

use vouchsafe_host::files;
use vouchsafe_host::secret::resolve_passphrase;
use vouchsafe_keeper::{Keeper, KeeperError, NewPassphrase, RekeyOrder, Rekeyed, SlotInfo};
use vouchsafe_model::{Secret, SecretRef, VaultName};

use crate::args::KeyCommand;
use crate::args::keys::{Add, Rekey, Remove, Rotate};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::reporter::Console;
use crate::session::Session;

/// Does what the subcommand says.
pub(crate) fn key(session: &Session, args: &KeyCommand) -> Result<Exit, Failure> {
    match args {
        KeyCommand::List => list(session),
        KeyCommand::Add(args) => add(session, args),
        KeyCommand::Remove(args) => remove(session, args),
        KeyCommand::Rotate(args) => rotate(session, args),
        KeyCommand::Rekey(args) => rekey(session, args),
        KeyCommand::Sheet => sheet(session),
    }
}

fn list(session: &Session) -> Result<Exit, Failure> {
    let keeper = session.keeper()?;
    let mut rows = Vec::new();
    for vault in keeper.connected_vaults() {
        let slots = keeper.slots(vault)?;
        for issue in &slots.issues {
            Output::complain(&format!("! {}: {}", issue.place, issue.message));
        }
        if slots.unfinished {
            Output::complain(&format!(
                "! vault {vault}: a change of its passphrase broke off; go on with `vouchsafe key rotate {vault}`"
            ));
        }
        for slot in &slots.slots {
            if !session.output.json {
                session.output.text(&line(vault, slot))?;
            }
            rows.push(serde_json::json!({
                "vault": vault,
                "key": slot.key.id.to_hex(),
                "created": slot.key.created,
                "username": slot.key.username,
                "hostname": slot.key.hostname,
                "in_use": slot.in_use,
            }));
        }
    }
    let ledger = keeper.ledger.public_key();
    if session.output.json {
        session
            .output
            .json(&serde_json::json!({ "keys": rows, "ledger": ledger.to_string() }))?;
    } else {
        session.output.text(&format!(
            "ledger  {ledger}\nfingerprint {}",
            ledger.fingerprint()
        ))?;
    }
    Ok(Exit::Met)
}

fn line(vault: &VaultName, slot: &SlotInfo) -> String {
    let key = &slot.key;
    format!(
        "{vault}  {}  made {} by {}@{}{}",
        key.id.short(),
        key.created,
        key.username,
        key.hostname,
        if slot.in_use { "  in use" } else { "" }
    )
}

fn add(session: &Session, args: &Add) -> Result<Exit, Failure> {
    let (keeper, vault) = open(session, &args.vault)?;
    let new = match &args.new_passphrase_file {
        Some(path) => NewPassphrase::Given(passphrase(path)?),
        None => NewPassphrase::Fresh,
    };
    let added = keeper.add_slot(&vault, new, &Console::new(session.output))?;
    let file = added.passphrase.map(|path| path.display().to_string());
    if session.output.json {
        session.output.json(&serde_json::json!({
            "event": "result", "vault": vault, "key": added.slot.to_hex(), "passphrase_file": file,
        }))?;
    } else {
        let kept = file.map(|file| format!("; its passphrase is in {file}"));
        session.output.text(&format!(
            "key {} opens vault {vault}{}",
            added.slot.short(),
            kept.unwrap_or_default()
        ))?;
    }
    Ok(Exit::Met)
}

fn remove(session: &Session, args: &Remove) -> Result<Exit, Failure> {
    let (keeper, vault) = open(session, &args.vault)?;
    let prove = args.prove.as_deref().map(passphrase).transpose()?;
    let console = Console::new(session.output);
    let slot = keeper.remove_slot(&vault, &args.key, prove.as_ref(), &console)?;
    if session.output.json {
        session.output.json(&serde_json::json!({
            "event": "result", "vault": vault, "removed": [slot.to_hex()],
        }))?;
    } else {
        session
            .output
            .text(&format!("key {} opens vault {vault} no more", slot.short()))?;
    }
    Ok(Exit::Met)
}

fn rotate(session: &Session, args: &Rotate) -> Result<Exit, Failure> {
    let (keeper, vault) = open(session, &args.vault)?;
    let rotated = keeper.rotate_slot(&vault, &Console::new(session.output))?;
    let removed: Vec<String> = rotated.removed.iter().map(|slot| slot.to_hex()).collect();
    if session.output.json {
        session.output.json(&serde_json::json!({
            "event": "result",
            "vault": vault,
            "key": rotated.added.to_hex(),
            "removed": removed,
            "resumed": rotated.resumed,
            "recovery_sheet": rotated.sheet.display().to_string(),
        }))?;
        return Ok(Exit::Met);
    }
    session.output.text(&format!(
        "vault {vault} has a new passphrase{}; the old one opens it no more\nrecovery sheet written anew: {} (print it twice, lock it away from this machine, delete it, and destroy the sheets from before)",
        if rotated.resumed { ", as was begun before" } else { "" },
        rotated.sheet.display()
    ))?;
    Ok(Exit::Met)
}

fn rekey(session: &Session, args: &Rekey) -> Result<Exit, Failure> {
    let (keeper, vault) = open(session, &args.vault)?;
    let name = args.name.as_deref().map(VaultName::new).transpose();
    let order = RekeyOrder {
        vault: vault.clone(),
        to: args.to.clone(),
        name: name.map_err(|e| Failure::Usage(e.to_string()))?,
    };
    let done = keeper.rekey(&order, &Console::new(session.output))?;
    let file = done.passphrase.as_ref().map(|p| p.display().to_string());
    if session.output.json {
        session.output.json(&serde_json::json!({
            "event": "result",
            "vault": vault,
            "successor": done.successor,
            "url": done.url,
            "repository": done.repository,
            "points": done.points,
            "in_policy": done.in_policy,
            "passphrase_file": file,
        }))?;
        return Ok(Exit::Met);
    }
    session
        .output
        .text(&advice(&vault, &done, file.as_deref()))?;
    Ok(Exit::Met)
}

/// What is left for the user to do.
fn advice(vault: &VaultName, done: &Rekeyed, file: Option<&str>) -> String {
    let next = &done.successor;
    let mut lines = vec![format!(
        "vault {next} holds the {} points of vault {vault} under another master key, each with the same root and read back",
        done.points
    )];
    if let Some(file) = file {
        lines.push(format!("its passphrase is in {file}"));
    }
    lines.push("to switch, in the policy:".to_owned());
    if !done.in_policy {
        lines.push(format!(
            "  under vaults: add {next}: {{ url: {} }}",
            done.url
        ));
    }
    lines.push(format!(
        "  in each copies: list write {next} instead of {vault}"
    ));
    lines.push(
        "then run `vouchsafe init` for a new recovery sheet, and `vouchsafe status`".to_owned(),
    );
    lines.push(format!(
        "vault {vault} is as it was; destroy it yourself when nothing refers to it any more"
    ));
    lines.join("\n")
}

fn sheet(session: &Session) -> Result<Exit, Failure> {
    let path = session.state.sheet_path();
    if session.output.is_terminal() {
        session
            .output
            .text(&files::read_to_string(&path, 1 << 20).map_err(KeeperError::from)?)?;
    } else {
        session.output.text(&path.display().to_string())?;
    }
    Ok(Exit::Met)
}

fn open(session: &Session, vault: &str) -> Result<(Keeper, VaultName), Failure> {
    let name = VaultName::new(vault).map_err(|e| Failure::Usage(e.to_string()))?;
    Ok((session.keeper()?, name))
}

fn passphrase(path: &Path) -> Result<Secret, Failure> {
    let reference = SecretRef::File(path.to_owned());
    Ok(resolve_passphrase(&reference).map_err(KeeperError::from)?)
}
