//! Sealed entries, heads and the policy in force, published to every vault, so that nothing is lost with the machine.

use vouchsafe_format::Id;
use vouchsafe_ledger::publish::parse_head_name;
use vouchsafe_ledger::{HeadRelation, Ledger};
use vouchsafe_model::fact::{Fact, Recorded};
use vouchsafe_model::{Issue, VaultName};
use vouchsafe_store::{Key, PutMode, StoreError};

use crate::error::KeeperError;
use crate::error::chain;
use crate::events::{Event, Reporter};
use crate::keeper::Keeper;
use crate::vault_record::{LEDGER, POLICY, seed_name};
use crate::vaults::VaultHandle;

impl Keeper {
    /// Publishes to every vault of the policy what it lacks. A vault that cannot be reached is told, given back and
    /// left for the next time; a vault that contradicts this ledger is an error.
    ///
    /// All vaults get the same head, and only then is it recorded that they have it: otherwise the vault that comes
    /// last would know an entry that nobody who recovers from the first one has.
    pub fn publish(&self, reporter: &dyn Reporter) -> Result<Vec<Issue>, KeeperError> {
        let facts = self.facts()?;
        let to = facts.len() as u64;
        let root = self.ledger.head_at(to)?.root.to_string();
        let mut published = Vec::new();
        let mut unpublished = Vec::new();
        for name in self.connected_vaults() {
            let from = published_up_to(&facts, name);
            let lies_beside =
                crate::vaults::holds_record(crate::vaults::find(&self.policy, name.as_str())?);
            let vault = match lies_beside {
                true => self.vault(name),
                false => self.vault_to_write(name),
            };
            let result = vault.and_then(|vault| self.publish_to(&vault, from, to, reporter));
            match result {
                Ok(snapshot) => {
                    reporter.event(&Event::Published {
                        vault: name.clone(),
                        entries: to,
                    });
                    let vault = name.clone();
                    published.push(Fact::Published {
                        vault,
                        tree_size: to,
                        root: root.clone(),
                        snapshot: snapshot.map(|id| id.to_hex()),
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
                        issue: issue.clone(),
                    });
                    unpublished.push(issue);
                }
            }
        }
        if !published.is_empty() {
            self.record(published)?;
        }
        Ok(unpublished)
    }

    /// The snapshot that holds the ledger now, if it lies in one.
    fn publish_to(
        &self,
        vault: &VaultHandle,
        from: u64,
        to: u64,
        reporter: &dyn Reporter,
    ) -> Result<Option<Id>, KeeperError> {
        if !crate::vaults::holds_record(&vault.spec) {
            return self.publish_within(vault, to, reporter).map(Some);
        }
        self.no_other_writer(vault)?;
        if from >= to {
            return Ok(None);
        }
        let seed = self.state.read_seed()?;
        let seal = |bytes: &[u8]| vault.repo.seal(bytes);
        put_new(
            vault,
            POLICY,
            &format!("{}.yaml", self.policy.digest),
            || seal(&self.policy_text),
        )?;
        // What binds beside it, so that a ledger that is recovered knows what waits for a decision.
        for older in &self.bound.older {
            let name = format!("{}.yaml", older.policy.digest);
            put_new(vault, POLICY, &name, || seal(&older.text))?;
        }
        let id = self.ledger.public_key().ledger_id();
        let seed_name = seed_name(self.ledger.keys());
        put_new(vault, LEDGER, &format!("{id}/{seed_name}"), || seal(&seed))?;
        for object in self.ledger.publication(from, to, &seal)? {
            put_new(vault, LEDGER, &object.name, || object.bytes.clone())?;
        }
        Ok(None)
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
        self.is_continued_by_us(&note, &format!("vault `{}`, {newest}", vault.name()))
    }

    /// Whether a head that was found at `place` is one of this ledger that has not gone on without us.
    pub(crate) fn is_continued_by_us(&self, note: &str, place: &str) -> Result<(), KeeperError> {
        match self.ledger.relation(note)? {
            HeadRelation::Equal | HeadRelation::Earlier => Ok(()),
            HeadRelation::Longer => Err(KeeperError::Damaged {
                place: place.to_owned(),
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
