//! Making what is missing: state, keys, vaults, recovery sheet. Calling it again changes nothing.

use std::sync::Arc;

use vouchsafe_format::Polynomial;
use vouchsafe_host::files;
use vouchsafe_host::random::Random;
use vouchsafe_ledger::Ledger;
use vouchsafe_model::fact::{Fact, Recorded};
use vouchsafe_model::{Policy, Secret, Vault, VaultName};
use vouchsafe_store::Store;
use vouchsafe_vault::Repository;

use crate::custody;
use crate::error::KeeperError;
use crate::events::{Event, Reporter};
use crate::keeper::{Keeper, Tools};
use crate::publish;
use crate::state::State;
use crate::vault_record::{Held, ledgers};
use crate::vaults;

/// What `init` did.
#[derive(Clone, Debug)]
pub struct InitReport {
    /// Vaults created now.
    pub created: Vec<VaultName>,
    /// Those of them that nothing opens but a key service, and which.
    pub only_wrapped: Vec<(VaultName, String)>,
    /// Vaults that were there.
    pub found: Vec<VaultName>,
    /// The vault from which an existing ledger was taken over.
    pub joined: Option<VaultName>,
    /// Fingerprint of the ledger's public key.
    pub fingerprint: String,
    /// Where the recovery sheet lies.
    pub sheet: std::path::PathBuf,
}

struct Made {
    spec: Vault,
    root: Arc<dyn Store>,
    repo: Repository,
    created: bool,
}

/// Creates what is missing. With `new_ledger`, a vault that holds another ledger is no obstacle, and a break is
/// recorded.
pub fn init(
    policy: Policy,
    policy_text: Vec<u8>,
    state: State,
    tools: Tools,
    new_ledger: bool,
    reporter: &dyn Reporter,
) -> Result<(Keeper, InitReport), KeeperError> {
    state.create()?;
    let lock = state.lock()?;
    let made = make_vaults(&policy, &state, &tools, reporter)?;
    let known = state.is_initialised()?;
    let joined = if known || new_ledger {
        None
    } else {
        join(&state, &made)?
    };
    let ledger = open_ledger(&state, tools.random.as_ref())?;
    let keeper = Keeper::over(policy, policy_text, state, ledger, tools)?;
    // The horizon comes first: a record must not begin with silence.
    keeper.reconcile()?;
    record_vaults(&keeper, &made, joined.as_ref())?;
    keeper.publish(reporter)?;
    let sheet = keeper.write_sheet()?;
    drop(lock);
    let names = |created: bool| {
        made.iter()
            .filter(|m| m.created == created)
            .map(|m| m.spec.name.clone())
            .collect()
    };
    let only_wrapped = made.iter().filter(|m| m.created).filter_map(|m| {
        let kms = m.spec.kms.as_ref()?;
        Some((m.spec.name.clone(), kms.to_string()))
    });
    let report = InitReport {
        only_wrapped: only_wrapped.collect(),
        created: names(true),
        found: names(false),
        joined: joined.map(|j| j.0),
        fingerprint: keeper.ledger.public_key().fingerprint(),
        sheet,
    };
    Ok((keeper, report))
}

fn make_vaults(
    policy: &Policy,
    state: &State,
    tools: &Tools,
    reporter: &dyn Reporter,
) -> Result<Vec<Made>, KeeperError> {
    let mut made: Vec<Made> = Vec::new();
    for spec in policy.vaults.values() {
        if !vaults::is_connected(spec) {
            let text = format!("vault {} is declared, not yet connected", spec.name);
            reporter.event(&Event::Note { text });
            continue;
        }
        let root = vaults::root_store(spec, &policy.base, true, tools)?;
        let polynomial = made.first().map(|m| m.repo.polynomial());
        made.push(make_vault(spec, state, root, tools, polynomial)?);
    }
    Ok(made)
}

fn make_vault(
    spec: &Vault,
    state: &State,
    root: Arc<dyn Store>,
    tools: &Tools,
    polynomial: Option<Polynomial>,
) -> Result<Made, KeeperError> {
    let (repo, created) = custody::open_or_create(spec, &root, state, tools, polynomial)?;
    Ok(Made {
        spec: spec.clone(),
        root,
        repo,
        created,
    })
}

/// Takes over the ledger that the vaults hold, if there is one; errors if they hold several.
fn join(state: &State, made: &[Made]) -> Result<Option<(VaultName, u64, String)>, KeeperError> {
    let mut found: Vec<(&Made, Held)> = Vec::new();
    for vault in made {
        for held in ledgers(&vault.spec, &vault.root, &vault.repo)? {
            if !found.iter().any(|(_, known)| known.id == held.id) {
                found.push((vault, held));
            }
        }
    }
    let (vault, held) = match found.as_slice() {
        [] => return Ok(None),
        [one] => one,
        [(vault, held), ..] => {
            return Err(KeeperError::ForeignLedger {
                vault: vault.spec.name.clone(),
                origin: held.id.clone(),
                url: vault.spec.url.clone(),
            });
        }
    };
    let mut damaged = Vec::new();
    let (seed, rebuilt) = held.first(&vault.root, &vault.repo, &mut damaged, |record| {
        let rebuilt = record.rebuild(&vault.repo, &held.id, None)?;
        Ok((record.seed(&vault.repo, &rebuilt)?, rebuilt))
    })?;
    // Whether to go on without the newest entries is for whoever recovers to say.
    if let Some(issue) = damaged.into_iter().next() {
        return Err(KeeperError::Damaged {
            place: issue.place,
            message: format!(
                "{}; take over what is left with `vouchsafe recover-state --vault {}`",
                issue.message, vault.spec.url
            ),
        });
    }
    let ledger = publish::restore_ledger(state, seed, &rebuilt)?;
    let head = ledger.head()?;
    Ok(Some((
        vault.spec.name.clone(),
        head.size,
        head.root.to_string(),
    )))
}

fn open_ledger(state: &State, random: &dyn Random) -> Result<Ledger, KeeperError> {
    let path = state.ledger_key_path();
    if !files::exists(&path)? {
        let mut seed = [0u8; 32];
        random.fill(&mut seed);
        state.write_secret(&path, &Secret::new(seed.to_vec()))?;
    }
    crate::ledger_key::open_ledger(state)
}

/// Facts about vaults that this ledger meets for the first time, and breaks for ledgers that are not this one.
fn record_vaults(
    keeper: &Keeper,
    made: &[Made],
    joined: Option<&(VaultName, u64, String)>,
) -> Result<(), KeeperError> {
    let facts = keeper.facts()?;
    let mut new = Vec::new();
    if let Some((vault, tree_size, root)) = joined {
        new.push(Fact::Joined {
            vault: vault.clone(),
            tree_size: *tree_size,
            root: root.clone(),
        });
    }
    for vault in made {
        let repository = vault.repo.id().to_hex();
        if !knows_vault(&facts, &vault.spec.name, &repository) {
            new.push(Fact::VaultKnown {
                vault: vault.spec.name.clone(),
                repository,
                created: vault.created,
            });
        }
        for Held { id, .. } in ledgers(&vault.spec, &vault.root, &vault.repo)? {
            let reason = format!(
                "vault `{}` also holds the ledger {id}, which this one does not continue",
                vault.spec.name
            );
            let told = |r: &Recorded| matches!(&r.entry.fact, Fact::Break { reason: known, .. } if *known == reason);
            if id != keeper.ledger.public_key().ledger_id() && !facts.iter().any(told) {
                new.push(Fact::Break {
                    reason,
                    vault: Some(vault.spec.name.clone()),
                    tree_size: None,
                });
            }
        }
    }
    if new.is_empty() {
        Ok(())
    } else {
        keeper.record(new)
    }
}

fn knows_vault(facts: &[Recorded], name: &VaultName, id: &str) -> bool {
    facts.iter().any(|r| {
        matches!(&r.entry.fact, Fact::VaultKnown { vault, repository, .. } if vault == name && repository == id)
    })
}
