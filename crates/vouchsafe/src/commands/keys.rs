//! `key`: what opens a vault.

use std::path::Path;

use vouchsafe_evidence::count;
use vouchsafe_host::files;
use vouchsafe_host::secret::resolve_passphrase;
use vouchsafe_keeper::{
    Keeper, KeeperError, KeyServiceInfo, NewPassphrase, RekeyOrder, Rekeyed, SlotInfo, chain,
};
use vouchsafe_model::{HiddenObject, Secret, SecretRef, Time, VaultName};

use crate::args::KeyCommand;
use crate::args::keys::{Add, Rekey, Remove, Rotate, Wrap};
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
        KeyCommand::RotateLedger => rotate_ledger(session),
        KeyCommand::Wrap(args) => wrap(session, args),
        KeyCommand::Passphrase(args) => show(session, args),
        KeyCommand::Rekey(args) => rekey(session, args),
        KeyCommand::Sheet => sheet(session),
    }
}

fn list(session: &Session) -> Result<Exit, Failure> {
    let keeper = session.keeper()?;
    let (mut rows, mut services, mut worst) = (Vec::new(), Vec::new(), Exit::Met);
    for vault in keeper.connected_vaults() {
        let service = keeper.key_service(vault)?;
        if let Some(service) = &service {
            services.push(tell_service(session, vault, service)?);
        }
        let slots = match keeper.slots(vault) {
            Ok(slots) => slots,
            // The other vaults are listed all the same.
            Err(error) if service.is_some() => {
                if service.as_ref().is_some_and(|s| s.state.is_ok()) {
                    Output::complain(&format!("! {}", chain(&error)));
                }
                worst = Exit::of(&Failure::Keeper(error));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        for issue in &slots.issues {
            Output::complain(&format!("! {}: {}", issue.place, issue.message));
        }
        if slots.unfinished {
            Output::complain(&format!(
                "! vault {vault}: a change of its passphrase broke off; go on with `vouchsafe key rotate {vault}`"
            ));
        }
        if service.is_some() && slots.slots.len() == 1 {
            Output::complain(&format!(
                "! vault {vault}: without the key service nothing opens it; add a second key with `vouchsafe key add {vault} --generate`, and keep what it makes with the recovery sheet"
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
        session.output.json(&serde_json::json!({
            "keys": rows, "wrapped": services, "ledger": ledger.to_string()
        }))?;
    } else {
        session.output.text(&format!(
            "ledger  {ledger}\nfingerprint {}",
            ledger.fingerprint()
        ))?;
    }
    Ok(worst)
}

fn tell_service(
    session: &Session,
    vault: &VaultName,
    service: &KeyServiceInfo,
) -> Result<serde_json::Value, Failure> {
    let said = match &service.state {
        Ok(Some(state)) => state.said.clone(),
        Ok(None) => "not asked".to_owned(),
        Err(error) => {
            Output::complain(&format!("! {}", chain(error)));
            "no answer".to_owned()
        }
    };
    if !session.output.json {
        let text = format!("{vault}  passphrase wrapped by the {} ({said})", service.by);
        session.output.text(&text)?;
    }
    let usable = match &service.state {
        Ok(state) => state.as_ref().map(|s| s.usable),
        Err(_) => Some(false),
    };
    Ok(serde_json::json!({ "vault": vault, "by": service.by, "state": said, "usable": usable }))
}

fn wrap(session: &Session, args: &Wrap) -> Result<Exit, Failure> {
    let (keeper, vault) = open(session, &args.vault)?;
    let given = args
        .passphrase_file
        .as_deref()
        .map(passphrase)
        .transpose()?;
    let key = keeper.wrap_passphrase(&vault, given, &Console::new(session.output))?;
    if session.output.json {
        session.output.json(&serde_json::json!({
            "event": "result", "vault": vault, "wrapped_by": key,
        }))?;
        return Ok(Exit::Met);
    }
    session.output.text(&format!(
        "the passphrase of vault {vault} lies in it, wrapped by the {key}, and no more in the state directory\nwhoever has seen it still opens the vault: `vouchsafe key rotate {vault}` puts another one in its place"
    ))?;
    Ok(Exit::Met)
}

fn show(session: &Session, args: &Rotate) -> Result<Exit, Failure> {
    let (keeper, vault) = open(session, &args.vault)?;
    let passphrase = keeper.passphrase(&vault)?;
    session.output.secret(&passphrase)?;
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
    let removed = keeper.remove_slot(&vault, &args.key, prove.as_ref(), &console)?;
    let slot = removed.slot;
    if session.output.json {
        session.output.json(&serde_json::json!({
            "event": "result", "vault": vault, "removed": [slot.to_hex()], "hidden": removed.hidden,
        }))?;
    } else {
        session
            .output
            .text(&format!("key {} opens vault {vault} no more", slot.short()))?;
        tell_hidden(session, &vault, &removed.hidden)?;
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
            "hidden": rotated.hidden,
            "resumed": rotated.resumed,
            "wrapped_by": rotated.wrapped_by,
            "recovery_sheet": rotated.sheet.display().to_string(),
        }))?;
        return Ok(Exit::Met);
    }
    if let Some(key) = &rotated.wrapped_by {
        session.output.text(&format!(
            "vault {vault} has a new passphrase{}, wrapped by the {key}; the old one opens it no more\nrecovery sheets on paper stay as good as they were: they do not hold it",
            if rotated.resumed { ", as was begun before" } else { "" },
        ))?;
        tell_hidden(session, &vault, &rotated.hidden)?;
        return Ok(Exit::Met);
    }
    session.output.text(&format!(
        "vault {vault} has a new passphrase{}; the old one opens it no more\nrecovery sheet written anew: {} (print it twice, lock it away from this machine, delete it, and destroy the sheets from before)",
        if rotated.resumed { ", as was begun before" } else { "" },
        rotated.sheet.display()
    ))?;
    tell_hidden(session, &vault, &rotated.hidden)?;
    Ok(Exit::Met)
}

fn rotate_ledger(session: &Session) -> Result<Exit, Failure> {
    let mut keeper = session.keeper()?;
    let rotated = keeper.rotate_ledger_key(&Console::new(session.output))?;
    let sheet = rotated.sheet.display().to_string();
    if session.output.json {
        session.output.json(&serde_json::json!({
            "event": "result",
            "from": rotated.from,
            "to": rotated.to,
            "fingerprint": rotated.fingerprint,
            "entry": rotated.entry,
            "recovery_sheet": sheet,
        }))?;
        return Ok(Exit::Met);
    }
    session.output.text(&format!(
        "the record is signed by another key since entry {}, which both keys have signed\nkey before  {}\nnew key     {}\nfingerprint {}\nrecovery sheet written anew: {sheet} (print it twice, lock it away from this machine, delete it; give the new key to auditors and witnesses)",
        rotated.entry, rotated.from, rotated.to, rotated.fingerprint
    ))?;
    Ok(Exit::Met)
}

/// What a store keeps of removed keys, and what that means.
fn tell_hidden(
    session: &Session,
    vault: &VaultName,
    hidden: &[HiddenObject],
) -> Result<(), Failure> {
    if hidden.is_empty() {
        return Ok(());
    }
    let ends: Option<Vec<Time>> = hidden.iter().map(|one| one.until).collect();
    let until = match ends.and_then(|ends| ends.into_iter().max()) {
        Some(at) => format!("until {}", at.minute()),
        None => "until somebody lifts what holds it".to_owned(),
    };
    let file = if hidden.len() == 1 {
        "its key file"
    } else {
        "their key files"
    };
    session.output.text(&format!(
        "but the store keeps {file} as a locked older version {until}: whoever may read older versions there, and has the old passphrase, gets at the master key until then; the first `vouchsafe prune` after that removes it\nif somebody has that passphrase who should not, `vouchsafe key rekey {vault}` puts every point under another master key"
    ))?;
    Ok(())
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
            "lock_to_declare": done.lock_to_declare.map(|lock| lock.to_string()),
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
        "vault {next} holds the {} of vault {vault} under another master key, each with the same root and read back",
        count(done.points, "point")
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
    if let Some(lock) = done.lock_to_declare {
        lines.push(format!(
            "  vault {vault} has a retention lock and {next} has none: write retention_lock: {lock} there too, and `vouchsafe vault lock {next}` locks what is in it"
        ));
    }
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
