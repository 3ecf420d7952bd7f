//! Sealed entries, heads and the policy in force, published to every vault, so that nothing is lost with the machine.

use std::error::Error;
use std::sync::Arc;

use vouchsafe_ledger::publish::{ledger_ids, parse_head_name};
use vouchsafe_ledger::{HeadRelation, Ledger, PublishedObjects};
use vouchsafe_model::fact::{Fact, Recorded};
use vouchsafe_model::{Issue, VaultName};
use vouchsafe_store::{Key, PutMode, Store, StoreError};
use vouchsafe_vault::Repository;

use crate::error::KeeperError;
use crate::error::chain;
use crate::events::{Event, Reporter};
use crate::keeper::Keeper;
use crate::vaults::VaultHandle;

/// The folder of a vault that holds ledgers.
const LEDGER: &str = "ledger";
/// The folder of a vault that holds the policies that were in force.
const POLICY: &str = "policy";
/// The signing seed of a ledger, sealed, beside what it published.
const SEED: &str = "sealed-seed";

/// The ledgers' objects in a vault, without the folder's name.
pub(crate) struct VaultObjects {
    store: Arc<dyn Store>,
}

impl VaultObjects {
    pub(crate) fn of(root: &Arc<dyn Store>) -> VaultObjects {
        VaultObjects {
            store: Arc::clone(root),
        }
    }

    /// How many entries the newest head of ledger `id` covers here.
    pub(crate) fn newest_head(&mut self, id: &str) -> Result<Option<u64>, KeeperError> {
        let names = self.names(&format!("{id}/heads/"));
        let names = names.map_err(|e| KeeperError::Damaged {
            place: self.store.describe(),
            message: format!("its ledgers cannot be listed: {e}"),
        })?;
        Ok(names.iter().filter_map(|name| parse_head_name(name)).max())
    }

    /// The ids of the ledgers that have published here.
    pub(crate) fn ledgers(&mut self) -> Result<Vec<String>, KeeperError> {
        ledger_ids(self).map_err(|e| KeeperError::Damaged {
            place: self.store.describe(),
            message: format!("its ledgers cannot be listed: {e}"),
        })
    }
}

impl PublishedObjects for VaultObjects {
    fn names(&mut self, prefix: &str) -> Result<Vec<String>, Box<dyn Error + Send + Sync>> {
        let mut out = Vec::new();
        for (key, _) in
            vouchsafe_store::list_all(self.store.as_ref(), &format!("{LEDGER}/{prefix}"))?
        {
            out.extend(key.as_str().strip_prefix("ledger/").map(str::to_owned));
        }
        Ok(out)
    }

    fn load(&mut self, name: &str) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        Ok(self.store.get(&Key::new(format!("{LEDGER}/{name}"))?)?)
    }
}

impl Keeper {
    /// Publishes to every vault of the policy what it lacks. A vault that cannot be reached is told and left for
    /// the next time; a vault that contradicts this ledger is an error.
    ///
    /// All vaults get the same head, and only then is it recorded that they have it: otherwise the vault that comes
    /// last would know an entry that nobody who recovers from the first one has.
    pub fn publish(&self, reporter: &dyn Reporter) -> Result<(), KeeperError> {
        let facts = self.facts()?;
        let to = facts.len() as u64;
        let root = self.ledger.head_at(to)?.root.to_string();
        let mut published = Vec::new();
        for name in self.connected_vaults() {
            if !crate::vaults::holds_record(crate::vaults::find(&self.policy, name.as_str())?) {
                continue;
            }
            let from = published_up_to(&facts, name);
            let result = self
                .vault(name)
                .and_then(|vault| self.publish_to(&vault, from, to));
            match result {
                Ok(()) => {
                    reporter.event(&Event::Published {
                        vault: name.clone(),
                        entries: to,
                    });
                    let vault = name.clone();
                    published.push(Fact::Published {
                        vault,
                        tree_size: to,
                        root: root.clone(),
                    });
                }
                Err(error @ KeeperError::Ledger(_)) => return Err(error),
                Err(error) => {
                    let message = format!("the record could not be published: {}", chain(&error));
                    let issue = Issue {
                        place: format!("vault {name}"),
                        message,
                    };
                    reporter.event(&Event::Issue {
                        protection: None,
                        issue,
                    });
                }
            }
        }
        if published.is_empty() {
            Ok(())
        } else {
            self.record(published)
        }
    }

    fn publish_to(&self, vault: &VaultHandle, from: u64, to: u64) -> Result<(), KeeperError> {
        self.no_other_writer(vault)?;
        if from >= to {
            return Ok(());
        }
        let seed = self.state.read_seed()?;
        let seal = |bytes: &[u8]| vault.repo.seal(bytes);
        put_new(
            vault,
            POLICY,
            &format!("{}.yaml", self.policy.digest),
            || seal(&self.policy_text),
        )?;
        let id = self.ledger.public_key().ledger_id();
        put_new(vault, LEDGER, &format!("{id}/{SEED}"), || seal(&seed))?;
        for object in self.ledger.publication(from, to, &seal)? {
            put_new(vault, LEDGER, &object.name, || object.bytes.clone())?;
        }
        Ok(())
    }

    /// Refuses to go on when the vault holds a head of this ledger that this ledger does not know: somebody else
    /// writes it too, or the state was set back.
    fn no_other_writer(&self, vault: &VaultHandle) -> Result<(), KeeperError> {
        let prefix = format!("{LEDGER}/{}/heads/", self.ledger.public_key().ledger_id());
        let mut heads = vouchsafe_store::list_all(vault.root.as_ref(), &prefix)?;
        heads.retain(|(key, _)| parse_head_name(key.as_str()).is_some());
        let Some((newest, _)) = heads.last() else {
            return Ok(());
        };
        let note = String::from_utf8_lossy(&vault.root.get(newest)?).into_owned();
        match self.ledger.relation(&note)? {
            HeadRelation::Equal | HeadRelation::Earlier => Ok(()),
            HeadRelation::Longer => Err(KeeperError::Damaged {
                place: format!("vault `{}`, {newest}", vault.name()),
                message: "this vault has seen entries of this ledger that are not in the state directory: it was set back, or another machine writes the same ledger; rebuild it with `vouchsafe recover-state`".to_owned(),
            }),
        }
    }
}

/// How many entries `vault` has by this ledger's own account.
fn published_up_to(facts: &[Recorded], vault: &VaultName) -> u64 {
    let last = facts.iter().rev().find_map(|r| match &r.entry.fact {
        Fact::Published {
            vault: v,
            tree_size,
            ..
        }
        | Fact::Joined {
            vault: v,
            tree_size,
            ..
        } if v == vault => Some(*tree_size),
        _ => None,
    });
    last.unwrap_or(0)
}

fn put_new(
    vault: &VaultHandle,
    folder: &str,
    name: &str,
    bytes: impl FnOnce() -> Vec<u8>,
) -> Result<(), KeeperError> {
    let key = Key::new(format!("{folder}/{name}")).map_err(|e| KeeperError::Damaged {
        place: format!("vault `{}`", vault.name()),
        message: chain(&e),
    })?;
    if vouchsafe_store::exists(vault.root.as_ref(), &key)? {
        return Ok(());
    }
    match vault.root.put(&key, &bytes(), PutMode::IfAbsent) {
        Ok(()) | Err(StoreError::AlreadyExists { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The signing seed of ledger `id`, from a vault.
pub(crate) fn read_seed(
    root: &Arc<dyn Store>,
    repo: &Repository,
    id: &str,
) -> Result<[u8; 32], KeeperError> {
    let damaged = |message: String| KeeperError::Damaged {
        place: format!("{}, ledger {id}", root.describe()),
        message,
    };
    let key = Key::new(format!("{LEDGER}/{id}/{SEED}")).map_err(|e| damaged(chain(&e)))?;
    let opened = repo
        .open_sealed(&root.get(&key)?)
        .map_err(|e| damaged(chain(&e)))?;
    opened
        .as_slice()
        .try_into()
        .map_err(|_| damaged("its signing seed has not 32 bytes".to_owned()))
}

/// The text of the policy with that digest, from a vault.
pub(crate) fn read_policy(
    root: &Arc<dyn Store>,
    repo: &Repository,
    digest: &str,
) -> Result<Vec<u8>, KeeperError> {
    let damaged = |message: String| KeeperError::Damaged {
        place: format!("{}, policy {digest}", root.describe()),
        message,
    };
    let key = Key::new(format!("{POLICY}/{digest}.yaml")).map_err(|e| damaged(chain(&e)))?;
    let text = repo
        .open_sealed(&root.get(&key)?)
        .map_err(|e| damaged(chain(&e)))?;
    if vouchsafe_format::Id::of(&text).to_hex() == digest {
        Ok(text)
    } else {
        Err(damaged(
            "its text is not the one with that digest".to_owned(),
        ))
    }
}

/// Rebuilds the ledger `id` from a vault, every entry checked against its signature and every head.
pub(crate) fn read_ledger(
    root: &Arc<dyn Store>,
    repo: &Repository,
    id: &str,
    vkey: Option<&str>,
) -> Result<vouchsafe_ledger::Rebuilt, KeeperError> {
    let open = |bytes: &[u8]| {
        repo.open_sealed(bytes)
            .map_err(|e| Box::new(e) as Box<dyn Error + Send + Sync>)
    };
    vouchsafe_ledger::rebuild(&mut VaultObjects::of(root), id, vkey, &open).map_err(|e| {
        KeeperError::Damaged {
            place: format!("{}, ledger {id}", root.describe()),
            message: chain(&e),
        }
    })
}

/// Writes a rebuilt ledger into an empty state directory, with its key.
pub(crate) fn restore_ledger(
    state: &crate::State,
    seed: [u8; 32],
    rebuilt: &vouchsafe_ledger::Rebuilt,
) -> Result<Ledger, KeeperError> {
    let key = vouchsafe_ledger::SigningKey::from_seed(seed);
    let ledger = Ledger::restore(&crate::keeper::ledger_url(state), Some(key), rebuilt)?;
    state.write_secret(
        &state.ledger_key_path(),
        &vouchsafe_model::Secret::new(seed.to_vec()),
    )?;
    Ok(ledger)
}
