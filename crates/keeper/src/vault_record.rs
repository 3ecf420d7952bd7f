//! Where a vault keeps ledgers and policies, for reading: beside its repository, or as the files of snapshots in it.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use vouchsafe_format::{Id, Node, NodeKind, Snapshot};
use vouchsafe_ledger::publish::{ledger_ids, parse_head_name};
use vouchsafe_ledger::{Keys, PublishedObjects, RebuildError, Rebuilt};
use vouchsafe_model::{Issue, Vault};
use vouchsafe_store::{Key, Store, StoreError};
use vouchsafe_vault::{Contents, RepoError, Repository};

use crate::error::{KeeperError, chain};
use crate::vaults;

/// The folder that holds ledgers.
pub(crate) const LEDGER: &str = "ledger";
/// The folder that holds the policies that were in force.
pub(crate) const POLICY: &str = "policy";
/// The signing seed of a ledger, sealed, beside what it published.
const SEED: &str = "sealed-seed";
/// Bytes that anything beside the repository may have; segments are the longest, and have some megabytes.
const LONGEST: u64 = 1 << 30;
/// The tag of snapshots that hold a ledger; a second one, `vouchsafe-ledger:ID`, says whose.
pub(crate) const TAG: &str = "vouchsafe-ledger";

/// The name of the signing seed: each key's has its own, since what is stored once may be locked.
pub(crate) fn seed_name(keys: &Keys) -> String {
    match keys.are_several() {
        true => format!("{SEED}-{}", keys.current().key_id()),
        false => SEED.to_owned(),
    }
}

/// The second tag of the snapshots of ledger `id`.
pub(crate) fn tag_of(id: &str) -> String {
    format!("{TAG}:{id}")
}

/// Whether a snapshot says that it holds a ledger. What says so is no recovery point; whether it is true is only known
/// when its signatures were checked.
pub fn is_ledger_snapshot(snapshot: &Snapshot) -> bool {
    snapshot.tags.iter().any(|tag| tag == TAG)
}

/// What a vault holds of ledgers and policies.
pub(crate) enum VaultRecord {
    /// Beside the repository.
    Beside(Arc<dyn Store>),
    /// In a snapshot of the repository.
    Within(Box<Within>),
}

/// The files of one snapshot.
pub(crate) struct Within {
    contents: Arc<Contents>,
    place: String,
    files: BTreeMap<String, Node>,
}

/// What one ledger has in a vault, the newest first, unread.
pub(crate) struct Held {
    /// The ledger.
    pub id: String,
    /// In which snapshots; none where it lies beside the repository.
    pub snapshots: Vec<Id>,
}

/// The ledgers that have published to a vault, by the account of the names and tags that are there.
pub(crate) fn ledgers(
    spec: &Vault,
    root: &Arc<dyn Store>,
    repo: &Repository,
) -> Result<Vec<Held>, KeeperError> {
    if vaults::holds_record(spec) {
        let beside = |id| Held {
            id,
            snapshots: Vec::new(),
        };
        let ids = VaultRecord::Beside(Arc::clone(root)).ledgers()?;
        return Ok(ids.into_iter().map(beside).collect());
    }
    let (snapshots, _) = repo.readable_snapshots().map_err(|e| in_repo(repo, e))?;
    let mut found: BTreeMap<String, Vec<Id>> = BTreeMap::new();
    for (id, snapshot) in snapshots
        .iter()
        .rev()
        .filter(|(_, s)| is_ledger_snapshot(s))
    {
        let whose = snapshot
            .tags
            .iter()
            .find_map(|tag| tag.strip_prefix(TAG)?.strip_prefix(':'));
        found
            .entry(whose.unwrap_or_default().to_owned())
            .or_default()
            .push(*id);
    }
    found.remove("");
    let held = |(id, snapshots)| Held { id, snapshots };
    Ok(found.into_iter().map(held).collect())
}

impl Held {
    /// Tries what is there, the newest first, until something can be read. What was passed over because it is damaged
    /// is told; a store that does not answer is an error, for what is older must not be taken for the newest then.
    pub(crate) fn first<T>(
        &self,
        root: &Arc<dyn Store>,
        repo: &Repository,
        passed_over: &mut Vec<Issue>,
        read: impl Fn(&mut VaultRecord) -> Result<T, KeeperError>,
    ) -> Result<T, KeeperError> {
        if self.snapshots.is_empty() {
            return read(&mut VaultRecord::Beside(Arc::clone(root)));
        }
        let contents = Arc::new(repo.contents().map_err(|e| in_repo(repo, e))?);
        let mut first = None;
        for id in &self.snapshots {
            let found = VaultRecord::within(repo, &contents, id).and_then(|mut r| read(&mut r));
            match found {
                Err(error @ KeeperError::Damaged { .. }) => {
                    passed_over.push(Issue {
                        place: place_of(repo, id),
                        message: format!("this ledger snapshot is not used: {}", chain(&error)),
                    });
                    first.get_or_insert(error);
                }
                other => return other,
            }
        }
        Err(first.unwrap_or_else(|| KeeperError::Damaged {
            place: repo.place(),
            message: format!("no snapshot holds the ledger {}", self.id),
        }))
    }
}

impl VaultRecord {
    /// The files of a snapshot that holds a ledger.
    pub(crate) fn within(
        repo: &Repository,
        contents: &Arc<Contents>,
        snapshot: &Id,
    ) -> Result<VaultRecord, KeeperError> {
        let place = place_of(repo, snapshot);
        let found = repo.snapshot(snapshot).map_err(|e| unread(&place, e))?;
        let mut within = Within {
            contents: Arc::clone(contents),
            place,
            files: BTreeMap::new(),
        };
        within.gather(&found.tree, "", 0)?;
        Ok(VaultRecord::Within(Box::new(within)))
    }

    /// Where it is, for messages.
    pub(crate) fn describe(&self) -> String {
        match self {
            VaultRecord::Beside(store) => store.describe(),
            VaultRecord::Within(within) => within.place.clone(),
        }
    }

    /// How many entries the newest head of ledger `id` covers here.
    pub(crate) fn newest_head(&mut self, id: &str) -> Result<Option<u64>, KeeperError> {
        let names = self.names(&format!("{id}/heads/"));
        let names =
            names.map_err(|e| self.damaged(&format!("its ledgers cannot be listed: {e}")))?;
        Ok(names.iter().filter_map(|name| parse_head_name(name)).max())
    }

    /// The newest head of ledger `id`, as it was signed.
    pub(crate) fn newest_note(&mut self, id: &str) -> Result<Option<String>, KeeperError> {
        let Some(size) = self.newest_head(id)? else {
            return Ok(None);
        };
        let name = vouchsafe_ledger::publish::head_name(id, size);
        let note = self.object(&format!("{LEDGER}/{name}"))?;
        Ok(Some(String::from_utf8_lossy(&note).into_owned()))
    }

    /// The ids of the ledgers that have published here.
    pub(crate) fn ledgers(&mut self) -> Result<Vec<String>, KeeperError> {
        ledger_ids(self).map_err(|e| self.damaged(&format!("its ledgers cannot be listed: {e}")))
    }

    /// The seed of the key that signs this ledger now. It is sealed in a snapshot too: what restores that must not lay
    /// it open.
    pub(crate) fn seed(
        &self,
        repo: &Repository,
        rebuilt: &Rebuilt,
    ) -> Result<[u8; 32], KeeperError> {
        let id = rebuilt.public_key().ledger_id();
        let name = seed_name(rebuilt.keys());
        let sealed = self.object(&format!("{LEDGER}/{id}/{name}"))?;
        let opened = repo.open_sealed(&sealed).map_err(|e| {
            self.damaged(&format!("the signing seed of ledger {id}: {}", chain(&e)))
        })?;
        opened
            .as_slice()
            .try_into()
            .map_err(|_| self.damaged(&format!("the signing seed of ledger {id} has not 32 bytes")))
    }

    /// The text of the policy with that digest.
    pub(crate) fn policy(&self, repo: &Repository, digest: &str) -> Result<Vec<u8>, KeeperError> {
        let wrong = |what: &str| self.damaged(&format!("policy {digest}: {what}"));
        let stored = self.object(&format!("{POLICY}/{digest}.yaml"))?;
        let text = match self {
            VaultRecord::Beside(_) => repo.open_sealed(&stored).map_err(|e| wrong(&chain(&e)))?,
            VaultRecord::Within(_) => stored,
        };
        if Id::of(&text).to_hex() == digest {
            Ok(text)
        } else {
            Err(wrong("its text is not the one with that digest"))
        }
    }

    /// Rebuilds the ledger `id`, every entry checked against its signature and every head.
    pub(crate) fn rebuild(
        &mut self,
        repo: &Repository,
        id: &str,
        vkey: Option<&str>,
    ) -> Result<Rebuilt, KeeperError> {
        let is_sealed = matches!(self, VaultRecord::Beside(_));
        let open = |bytes: &[u8]| match is_sealed {
            true => repo.open_sealed(bytes).map_err(Into::into),
            false => Ok(bytes.to_vec()),
        };
        vouchsafe_ledger::rebuild(self, id, vkey, &open).map_err(|error| match error {
            RebuildError::Load { source, .. } if source.is::<StoreError>() => {
                match source.downcast::<StoreError>() {
                    Ok(error) => KeeperError::Store(*error),
                    Err(error) => self.damaged(&error.to_string()),
                }
            }
            error => self.damaged(&format!("ledger {id}: {}", chain(&error))),
        })
    }

    fn object(&self, name: &str) -> Result<Vec<u8>, KeeperError> {
        match self {
            VaultRecord::Beside(store) => {
                let key = Key::new(name).map_err(|e| self.damaged(&chain(&e)))?;
                let mut found = Vec::new();
                store.get_into(&key, LONGEST, &mut found)?;
                Ok(found)
            }
            VaultRecord::Within(within) => within.read(name),
        }
    }

    fn damaged(&self, message: &str) -> KeeperError {
        KeeperError::Damaged {
            place: self.describe(),
            message: message.to_owned(),
        }
    }
}

impl PublishedObjects for VaultRecord {
    fn names(&mut self, prefix: &str) -> Result<Vec<String>, Box<dyn Error + Send + Sync>> {
        let prefix = format!("{LEDGER}/{prefix}");
        let below = |name: &str| name.strip_prefix("ledger/").map(str::to_owned);
        Ok(match self {
            VaultRecord::Beside(store) => vouchsafe_store::list_all(store.as_ref(), &prefix)?
                .iter()
                .filter_map(|(key, _)| below(key.as_str()))
                .collect(),
            VaultRecord::Within(within) => within
                .files
                .keys()
                .filter(|name| name.starts_with(&prefix))
                .filter_map(|name| below(name))
                .collect(),
        })
    }

    fn load(&mut self, name: &str) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        match self.object(&format!("{LEDGER}/{name}")) {
            Ok(bytes) => Ok(bytes),
            Err(KeeperError::Store(error)) => Err(error.into()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Within {
    /// Nothing of ours lies deeper, and nothing has so many entries: what does is no ledger.
    fn gather(&mut self, tree: &Id, above: &str, depth: usize) -> Result<(), KeeperError> {
        const DEEPEST: usize = 4;
        const MOST: usize = 1_000_000;
        let nodes = self.contents.directory(tree);
        for node in nodes.map_err(|e| unread(&self.place, e))? {
            let name = String::from_utf8_lossy(&node.name).into_owned();
            let name = format!("{above}{name}");
            match (&node.kind, node.subtree) {
                (NodeKind::Dir, Some(below)) if depth < DEEPEST => {
                    self.gather(&below, &format!("{name}/"), depth + 1)?;
                }
                (NodeKind::File, _) if self.files.len() < MOST => {
                    self.files.insert(name, node);
                }
                _ => {
                    return Err(KeeperError::Damaged {
                        place: self.place.clone(),
                        message: format!("`{name}` does not belong into a ledger"),
                    });
                }
            }
        }
        Ok(())
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, KeeperError> {
        const LARGEST: u64 = 64 << 20;
        let damaged = |message: String| KeeperError::Damaged {
            place: self.place.clone(),
            message,
        };
        let node = self.files.get(name);
        let node = node.ok_or_else(|| damaged(format!("`{name}` is not there")))?;
        if node.size > LARGEST {
            return Err(damaged(format!(
                "`{name}` is too large: {} bytes",
                node.size
            )));
        }
        let mut out = Vec::new();
        for chunk in node.content.iter().flatten() {
            let bytes = self.contents.chunk(chunk);
            out.extend(bytes.map_err(|e| unread(&self.place, e))?);
            if out.len() as u64 > node.size {
                break;
            }
        }
        if out.len() as u64 == node.size {
            Ok(out)
        } else {
            Err(damaged(format!(
                "`{name}` has not the length that it states"
            )))
        }
    }
}

fn place_of(repo: &Repository, snapshot: &Id) -> String {
    format!("{}, snapshot {}", repo.place(), snapshot.short())
}

fn in_repo(repo: &Repository, source: RepoError) -> KeeperError {
    KeeperError::Repository {
        vault: repo.place(),
        source: Box::new(source),
    }
}

/// Damage has its own kind of error; what may be readable a moment later is no damage.
fn unread(place: &str, error: RepoError) -> KeeperError {
    if !matches!(error, RepoError::Interrupted) && !error.is_out_of_reach() {
        return KeeperError::Damaged {
            place: place.to_owned(),
            message: chain(&error),
        };
    }
    KeeperError::Repository {
        vault: place.to_owned(),
        source: Box::new(error),
    }
}
