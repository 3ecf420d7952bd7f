//! Rebuilding ledger, keys and policy on an empty machine, from one vault and the recovery sheet.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use vouchsafe_host::files;
use vouchsafe_model::fact::{Entry, Fact};
use vouchsafe_model::policy::Location;
use vouchsafe_model::{Access, Issue, Secret, Vault, VaultName};
use vouchsafe_store::Store;
use vouchsafe_vault::{OpenError, Repository};

use crate::custody;
use crate::error::KeeperError;
use crate::keeper::Tools;
use crate::publish;
use crate::record;
use crate::state::State;
use crate::vault_record::{Held, ledgers};
use crate::vaults;

/// What is known on the empty machine.
pub struct RecoverRequest {
    /// The vault's URL.
    pub url: String,
    /// The recovery sheet's text, or nothing but the passphrase; empty if what wraps it is to open the vault.
    pub sheet: Secret,
    /// The program that unwraps the passphrase, with its arguments, where one does; it is never taken from the vault.
    pub unwrap: Vec<String>,
    /// Where the policy is to be written.
    pub policy: PathBuf,
    /// Where the state is to be made.
    pub state: State,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// Entries of the ledger.
    pub entries: u64,
    /// Fingerprint of its public key, to be held against the sheet.
    pub fingerprint: String,
    /// Where the policy was written; beside the one that was there, should that be another text.
    pub policy: PathBuf,
    /// Vaults whose passphrase the sheet does not have.
    pub without_passphrase: Vec<VaultName>,
    /// Newer ledger snapshots that are damaged or not signed as they must be: what was recorded after the one that was
    /// used is not in the ledger.
    pub passed_over: Vec<Issue>,
}

/// What a recovery sheet says, read leniently: it may have been typed by hand.
#[derive(Default)]
struct Sheet {
    vaults: Vec<SheetVault>,
    public_key: Option<String>,
}

struct SheetVault {
    name: VaultName,
    url: Option<String>,
    /// Nothing where it lies wrapped in the vault.
    passphrase: Option<Secret>,
}

impl Sheet {
    fn passphrases(&self) -> impl Iterator<Item = &Secret> {
        self.vaults.iter().filter_map(|v| v.passphrase.as_ref())
    }
}

/// Rebuilds the state. Nothing is written before the whole ledger was read and checked.
pub fn recover_state(request: &RecoverRequest, tools: &Tools) -> Result<Recovered, KeeperError> {
    if request.state.is_initialised()? {
        return Err(KeeperError::Target {
            place: request.state.root().display().to_string(),
            reason: "it already holds a ledger; name an empty directory with --state".to_owned(),
        });
    }
    let sheet = read_sheet(request.sheet.expose());
    let place = open_vault(request, &sheet, tools)?;
    let id = choose_ledger(&place.ledgers()?, &sheet, &request.url)?;
    let place = longest(place, &id, &sheet, tools)?;
    let held = place.held(&id)?.unwrap_or(Held {
        id: id.clone(),
        snapshots: Vec::new(),
    });
    let repo = &place.repo;
    let mut passed_over = Vec::new();
    let (seed, rebuilt, text) = held.first(&place.root, repo, &mut passed_over, |record| {
        let rebuilt = record.rebuild(repo, &id, sheet.public_key.as_deref())?;
        let digest = policy_in_force(&rebuilt).ok_or_else(|| KeeperError::Damaged {
            place: format!("ledger {id}"),
            message: "no policy was ever in force; write one with `vouchsafe init`".to_owned(),
        })?;
        let text = record.policy(repo, &digest)?;
        Ok((record.seed(repo, &rebuilt)?, rebuilt, text))
    })?;
    request.state.create()?;
    let ledger = publish::restore_ledger(&request.state, seed, &rebuilt)?;
    let facts = ledger.read_all()?;
    let head = ledger.head()?;
    let policy = write_policy(&request.policy, &text)?;
    for vault in &sheet.vaults {
        let path = request.state.passphrase_path(&vault.name);
        if let Some(passphrase) = &vault.passphrase {
            request.state.write_secret(&path, passphrase)?;
        }
    }
    let known: Vec<(VaultName, String)> = facts
        .iter()
        .filter_map(|r| match &r.entry.fact {
            Fact::VaultKnown {
                vault, repository, ..
            } => Some((vault.clone(), repository.clone())),
            _ => None,
        })
        .collect();
    let here = place.repo.id().to_hex();
    if let Some((vault, _)) = known
        .iter()
        .find(|(_, repository)| *repository == here)
        .cloned()
    {
        let joined = Fact::Joined {
            vault,
            tree_size: head.size,
            root: head.root.to_string(),
        };
        ledger.append(&[record::entry(tools.clock.now(), joined)])?;
    }
    let is_wrapped = custody::wrapped_by(&place.root)?.is_some();
    let mut without_passphrase: Vec<VaultName> = known
        .into_iter()
        .filter(|(_, repository)| !(is_wrapped && *repository == here))
        .map(|(v, _)| v)
        .filter(|v| !sheet.vaults.iter().any(|s| s.name == *v))
        .collect();
    without_passphrase.sort();
    without_passphrase.dedup();
    Ok(Recovered {
        entries: head.size,
        fingerprint: ledger.public_key().fingerprint(),
        policy,
        without_passphrase,
        passed_over,
    })
}

/// The digest of the policy that was in force last.
fn policy_in_force(rebuilt: &vouchsafe_ledger::Rebuilt) -> Option<String> {
    let mut found = None;
    for body in rebuilt.bodies() {
        if let Ok(Entry {
            fact: Fact::PolicyInForce { digest, .. },
            ..
        }) = serde_json::from_slice(body)
        {
            found = Some(digest);
        }
    }
    found
}

/// A vault on the empty machine.
struct Place {
    spec: Vault,
    root: Arc<dyn Store>,
    repo: Repository,
}

impl Place {
    fn ledgers(&self) -> Result<Vec<String>, KeeperError> {
        let held = ledgers(&self.spec, &self.root, &self.repo)?;
        Ok(held.into_iter().map(|held| held.id).collect())
    }

    fn held(&self, id: &str) -> Result<Option<Held>, KeeperError> {
        let held = ledgers(&self.spec, &self.root, &self.repo)?;
        Ok(held.into_iter().find(|held| held.id == id))
    }

    /// How many entries its newest readable head of that ledger covers.
    fn newest_head(&self, id: &str) -> Result<Option<u64>, KeeperError> {
        let Some(held) = self.held(id)? else {
            return Ok(None);
        };
        let mut damaged = Vec::new();
        held.first(&self.root, &self.repo, &mut damaged, |record| {
            record.newest_head(id)
        })
    }
}

fn open_vault(
    request: &RecoverRequest,
    sheet: &Sheet,
    tools: &Tools,
) -> Result<Place, KeeperError> {
    let (spec, root) = store_at(&request.url, tools)?;
    let bare = Secret::new(request.sheet.expose().trim_ascii().to_vec());
    let is_bare = sheet.vaults.is_empty() && !bare.expose().is_empty();
    let candidates = sheet.passphrases().chain(is_bare.then_some(&bare));
    let mut last = None;
    for passphrase in candidates {
        match Repository::open(vaults::repo_store(&root)?, &tools.env(), passphrase) {
            Ok(repo) => return Ok(Place { spec, root, repo }),
            Err(error @ OpenError::WrongKey { .. }) => last = Some(error),
            Err(source) => {
                return Err(KeeperError::Open {
                    vault: request.url.clone(),
                    source,
                });
            }
        }
    }
    if let Some(repo) = unwrapped(request, &root, tools)? {
        return Ok(Place { spec, root, repo });
    }
    match last {
        Some(source) => Err(KeeperError::Open {
            vault: request.url.clone(),
            source,
        }),
        None => Err(KeeperError::Policy {
            message: format!(
                "there is no passphrase for {}, and none lies wrapped in it; give the recovery sheet, or --passphrase-file",
                request.url
            ),
        }),
    }
}

/// Opens the vault by what wraps its passphrase; nothing if none lies wrapped in it.
fn unwrapped(
    request: &RecoverRequest,
    root: &Arc<dyn Store>,
    tools: &Tools,
) -> Result<Option<Repository>, KeeperError> {
    let Some((service, key)) = custody::wrapped_by(root)? else {
        return Ok(None);
    };
    let mut spec = spec_at(&request.url)?;
    spec.kms = Some(custody::from_vault(&spec, &service, &key, &request.unwrap)?);
    custody::open_wrapped(&spec, root, tools).map(Some)
}

fn store_at(url: &str, tools: &Tools) -> Result<(Vault, Arc<dyn Store>), KeeperError> {
    let base = vouchsafe_host::machine::current_dir()?;
    let spec = spec_at(url)?;
    let root = vaults::root_store(&spec, &base, false, tools)?;
    Ok((spec, root))
}

/// A vault of which nothing but its place is known.
fn spec_at(url: &str) -> Result<Vault, KeeperError> {
    let name = VaultName::new("vault").map_err(|e| KeeperError::Policy {
        message: e.to_string(),
    })?;
    Ok(Vault {
        name,
        url: url.to_owned(),
        location: Location::default(),
        retention_lock: None,
        lock_mode: vouchsafe_model::LockMode::Compliance,
        password: None,
        kms: None,
        rotate: None,
        prune: None,
        access: Access::default(),
    })
}

/// The vault that has seen most of the ledger `id`: one that could not be reached at the last run lags behind.
/// Other vaults of the sheet are asked where they can be; one that cannot does no harm.
fn longest(place: Place, id: &str, sheet: &Sheet, tools: &Tools) -> Result<Place, KeeperError> {
    let of = |place: &Place| match place.newest_head(id) {
        // What is wrong with it is told when it is read.
        Err(KeeperError::Damaged { .. }) => Ok(None),
        other => other,
    };
    let mut best = (of(&place)?, place);
    for vault in &sheet.vaults {
        let Some((spec, root)) = vault
            .url
            .as_deref()
            .and_then(|url| store_at(url, tools).ok())
        else {
            continue;
        };
        let store = vaults::repo_store(&root)?;
        let Some(passphrase) = &vault.passphrase else {
            continue;
        };
        let Ok(repo) = Repository::open(store, &tools.env(), passphrase) else {
            continue;
        };
        let place = Place { spec, root, repo };
        let size = place.newest_head(id).unwrap_or(None);
        if size > best.0 {
            best = (size, place);
        }
    }
    Ok(best.1)
}

fn choose_ledger(ids: &[String], sheet: &Sheet, url: &str) -> Result<String, KeeperError> {
    let damaged = |message: String| KeeperError::Damaged {
        place: url.to_owned(),
        message,
    };
    match ids {
        [] => Err(damaged("no ledger was ever published here".to_owned())),
        [one] => Ok(one.clone()),
        several => several
            .iter()
            .find(|id| {
                sheet
                    .public_key
                    .as_ref()
                    .is_some_and(|key| key.contains(id.as_str()))
            })
            .cloned()
            .ok_or_else(|| {
                damaged(format!(
                    "it holds {} ledgers ({}); give the recovery sheet of one of them",
                    several.len(),
                    several.join(", ")
                ))
            }),
    }
}

fn read_sheet(text: &[u8]) -> Sheet {
    let text = String::from_utf8_lossy(text);
    let mut sheet = Sheet::default();
    let mut vault: Option<(VaultName, Option<String>)> = None;
    let mut key_follows = false;
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["Vault", number, name] if number.ends_with(':') => {
                vault = VaultName::new(*name).ok().map(|name| (name, None));
            }
            ["address", address] => {
                if let Some((_, url)) = &mut vault {
                    *url = Some((*address).to_owned());
                }
            }
            ["passphrase", value] => {
                if let Some((name, url)) = vault.take() {
                    let passphrase = Some(Secret::new(value.as_bytes().to_vec()));
                    sheet.vaults.push(SheetVault {
                        name,
                        url,
                        passphrase,
                    });
                }
            }
            ["wrapped", "by", ..] => {
                if let Some((name, url)) = vault.take() {
                    sheet.vaults.push(SheetVault {
                        name,
                        url,
                        passphrase: None,
                    });
                }
            }
            ["public", "key"] => key_follows = true,
            [value] if key_follows => {
                sheet.public_key = Some((*value).to_owned());
                key_follows = false;
            }
            _ => {}
        }
    }
    sheet
}

/// Writes the policy's files where they belong; should any of them be there with another text, all of them into a
/// folder beside, so that nothing is mixed.
fn write_policy(path: &Path, text: &[u8]) -> Result<PathBuf, KeeperError> {
    let whole = String::from_utf8_lossy(text);
    let parts = vouchsafe_policy::files::parts(&whole);
    if let [main, others @ ..] = parts.as_slice()
        && !others.is_empty()
    {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut target = folder.to_owned();
        for part in &parts {
            let at = part.name.map_or(path.to_owned(), |name| folder.join(name));
            if files::exists(&at)? && files::read(&at, 16 << 20)? != part.text.as_bytes() {
                target = path.with_extension("recovered");
            }
        }
        for part in others {
            let at = target.join(part.name.unwrap_or_default());
            files::create_dir_all(at.parent().unwrap_or(&target), 0o755)?;
            files::write_atomic(&at, part.text.as_bytes(), 0o644)?;
        }
        let first = target.join(path.file_name().unwrap_or_default());
        files::write_atomic(&first, main.text.as_bytes(), 0o644)?;
        return Ok(first);
    }
    if files::exists(path)? && files::read(path, 16 << 20)? != text {
        let beside = path.with_extension("recovered.yaml");
        files::write_atomic(&beside, text, 0o644)?;
        return Ok(beside);
    }
    files::write_atomic(path, text, 0o644)?;
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_of_several_files_comes_back_as_it_was_and_mixes_with_nothing() {
        let others = std::collections::BTreeMap::from([(
            "systems/a.yaml".to_owned(),
            "systems: { a: }\n".to_owned(),
        )]);
        let text = vouchsafe_policy::files::join("include: systems/*.yaml\n", &others).unwrap();
        let dir = files::temp_dir("recovered-policy").unwrap();
        let path = dir.path().join("policy.yaml");
        assert_eq!(write_policy(&path, text.as_bytes()).unwrap(), path);
        let found = crate::PolicyFile::read(&path).unwrap();
        assert_eq!(found.text, text);
        // Once more changes nothing; over another text all of it goes beside.
        assert_eq!(write_policy(&path, text.as_bytes()).unwrap(), path);
        files::write_atomic(
            dir.path().join("systems/a.yaml"),
            b"systems: { b: }\n",
            0o644,
        )
        .unwrap();
        let beside = write_policy(&path, text.as_bytes()).unwrap();
        assert_eq!(beside, dir.path().join("policy.recovered/policy.yaml"));
        assert_eq!(crate::PolicyFile::read(&beside).unwrap().text, text);
        let kept = files::read_to_string(dir.path().join("systems/a.yaml"), 100).unwrap();
        assert_eq!(kept, "systems: { b: }\n");
    }

    #[test]
    fn a_sheet_is_read_as_it_was_written() {
        use vouchsafe_evidence::recovery_sheet::{self, Passphrase, SheetInput, recovery_sheet};
        let secret = Secret::new(b"abcd-efgh".to_vec());
        let vaults = ["local", "offsite"].map(|name| recovery_sheet::SheetVault {
            name,
            url: "file:///srv/v",
            repository: "00",
            passphrase: Passphrase::Shown(&secret),
        });
        let written = recovery_sheet(&SheetInput {
            vaults: &vaults,
            ledger_fingerprint: "ff",
            public_key: "vouchsafe/x+00+AAAA",
            created: vouchsafe_model::Time::from_secs(0),
            tool: "vouchsafe",
        });
        let sheet = read_sheet(written.expose());
        assert_eq!(sheet.vaults.len(), 2);
        assert_eq!(sheet.vaults[1].name.as_str(), "offsite");
        assert_eq!(sheet.vaults[1].passphrase, Some(secret));
        assert_eq!(sheet.public_key.as_deref(), Some("vouchsafe/x+00+AAAA"));
    }
}
