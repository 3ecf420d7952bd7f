//! Witnesses: signing, on a machine of one's own, the head of somebody's record; and taking such a signature in.

use std::io::BufReader;
use std::path::{Path, PathBuf};

use vouchsafe_host::{files, lockfile};
use vouchsafe_ledger::verify::{Expected, VerifyError, export_origin, verify_export_by};
use vouchsafe_ledger::{HeadRelation, SignedHead, VerifyingKey, WitnessKey, WitnessSigner};
use vouchsafe_model::{Fact, Secret, Witnessing};

use crate::error::{KeeperError, chain};
use crate::events::Reporter;
use crate::keeper::{Keeper, Tools};
use crate::state::State;

/// What a witness is asked to sign.
#[derive(Clone, Debug)]
pub struct CosignOrder<'a> {
    /// The export of the record.
    pub export: &'a Path,
    /// The witness's own directory: its key, and what it has seen of each ledger. Made if it is missing.
    pub dir: &'a Path,
    /// The witness's name, such as `example.com/auditor`; needed when its key is made.
    pub name: Option<&'a str>,
    /// The ledger's public key, from its recovery sheet; needed when the ledger is seen for the first time.
    pub key: Option<&'a str>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub enum Cosigning {
    /// The head was signed.
    Signed {
        /// The head with the witness's signature under it.
        note: String,
        /// The witness's public key.
        witness: Box<WitnessKey>,
        /// How many entries the head covers.
        size: u64,
        /// How many the witness had seen before.
        before: Option<u64>,
    },
    /// It was not: the record is not what was signed, or does not go on from what the witness has seen.
    Refused {
        /// Why.
        reasons: Vec<String>,
        /// How many entries the witness had seen before.
        before: Option<u64>,
    },
}

/// Where a witness keeps what it knows of one ledger.
struct Known {
    key_path: PathBuf,
    seen_path: PathBuf,
    key: Option<String>,
    seen: Option<String>,
}

/// Examines an export and signs its head, if it goes on from the head that this witness has signed before.
///
/// What was signed is written down before the signature is handed out, so that nothing older is ever signed after it.
pub fn cosign(order: &CosignOrder<'_>, tools: &Tools) -> Result<Cosigning, KeeperError> {
    files::create_dir_all(order.dir, 0o700)?;
    let _lock = lockfile::try_lock(order.dir.join("lock"))?;
    let signer = signer(order, tools)?;
    let known = known(order)?;
    let expected = order.key.or(known.key.as_deref());
    let Some(expected) = expected else {
        return Err(KeeperError::Policy {
            message: "this witness sees the ledger for the first time: give its public key, as the recovery sheet has it, with --key".to_owned(),
        });
    };
    let heads: Vec<String> = known.seen.iter().cloned().collect();
    let expected = Expected {
        vkey: Some(expected),
        heads: &heads,
        ..Expected::default()
    };
    let file = BufReader::new(files::open_read(order.export)?);
    let report = verify_export_by(file, &expected).map_err(|e| unread(order.export, &e))?;
    let mut reasons: Vec<String> = report.problems.iter().map(|p| p.what.clone()).collect();
    let pinned = known.key.as_deref().map(VerifyingKey::parse).transpose();
    let pinned = pinned.map_err(|e| damaged(&known.key_path, &chain(&e)))?;
    if let Some(pinned) = pinned.filter(|pinned| !report.keys.has(pinned)) {
        reasons.push(format!("the key {pinned}, which signed the record that this witness has seen, has not signed this one"));
    }
    let before = known.seen.as_deref().and_then(SignedHead::peek);
    let before = before.map(|(_, size)| size);
    let head = match report.head {
        Some(head) if reasons.is_empty() => head,
        _ => return Ok(Cosigning::Refused { reasons, before }),
    };
    let note = signer.cosign(&head, tools.clock.now());
    files::write_atomic(&known.key_path, report.public_key.as_bytes(), 0o600)?;
    files::write_atomic(&known.seen_path, note.as_bytes(), 0o600)?;
    Ok(Cosigning::Signed {
        note,
        witness: Box::new(signer.public().clone()),
        size: head.size,
        before,
    })
}

/// The witness's key, made if there is none.
fn signer(order: &CosignOrder<'_>, tools: &Tools) -> Result<WitnessSigner, KeeperError> {
    let seed_path = order.dir.join("witness.seed");
    let public_path = order.dir.join("witness.vkey");
    if files::exists(&public_path)? {
        let public = files::read_to_string(&public_path, 4096)?;
        let public = WitnessKey::parse(public.trim_end())?;
        let signer = WitnessSigner::from_seed(public.name(), State::seed_at(&seed_path)?)?;
        if *signer.public() != public {
            return Err(damaged(
                &seed_path,
                "it is not the seed of the key in `witness.vkey`",
            ));
        }
        if let Some(other) = order.name.filter(|name| *name != public.name()) {
            return Err(KeeperError::Policy {
                message: format!(
                    "the witness in {} is called `{}`, not `{other}`; another witness needs another directory",
                    order.dir.display(),
                    public.name()
                ),
            });
        }
        return Ok(signer);
    }
    let Some(name) = order.name else {
        return Err(KeeperError::Policy {
            message: format!(
                "there is no witness in {}; say what it is called with --name example.com/auditor, and its key is made",
                order.dir.display()
            ),
        });
    };
    let mut seed = [0u8; 32];
    tools.random.fill(&mut seed);
    let signer = WitnessSigner::from_seed(name, seed)?;
    let seed = Secret::new(seed.to_vec());
    files::write_atomic(&seed_path, seed.expose(), 0o600)?;
    let public = format!("{}\n", signer.public());
    files::write_atomic(&public_path, public.as_bytes(), 0o644)?;
    Ok(signer)
}

fn known(order: &CosignOrder<'_>) -> Result<Known, KeeperError> {
    let file = BufReader::new(files::open_read(order.export)?);
    let origin = export_origin(file).map_err(|e| unread(order.export, &e))?;
    let id = origin.strip_prefix("vouchsafe/").unwrap_or_default();
    // It becomes the name of a file.
    if id.len() != 16 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
        let message = format!("`{origin}` is not the name of a ledger");
        return Err(damaged(order.export, &message));
    }
    let key_path = order.dir.join(format!("{id}.vkey"));
    let seen_path = order.dir.join(format!("{id}.seen"));
    let read = |path: &Path| -> Result<Option<String>, KeeperError> {
        match files::exists(path)? {
            true => Ok(Some(files::read_to_string(path, 64 << 10)?)),
            false => Ok(None),
        }
    };
    Ok(Known {
        key: read(&key_path)?,
        seen: read(&seen_path)?,
        key_path,
        seen_path,
    })
}

fn unread(path: &Path, error: &VerifyError) -> KeeperError {
    damaged(path, &chain(error))
}

fn damaged(path: &Path, message: &str) -> KeeperError {
    KeeperError::Damaged {
        place: path.display().to_string(),
        message: message.to_owned(),
    }
}

impl Keeper {
    /// Records that a witness has signed a head of this record, and publishes it. Doing it again changes nothing.
    pub fn take_witnessing(
        &self,
        note: &str,
        witness: &WitnessKey,
        reporter: &dyn Reporter,
    ) -> Result<Witnessing, KeeperError> {
        let _lock = self.state.lock()?;
        let seen = witness.fact(note)?;
        if self.ledger.relation(note)? == HeadRelation::Longer {
            return Err(KeeperError::Damaged {
                place: self.state.root().display().to_string(),
                message: format!(
                    "the witness has seen {} entries, and the ledger here has fewer: it was set back; rebuild it with `vouchsafe recover-state`",
                    seen.tree_size
                ),
            });
        }
        let facts = self.facts()?;
        let known = |fact: &Fact| matches!(fact, Fact::Witnessed(known) if *known == seen);
        if !facts.iter().any(|recorded| known(&recorded.entry.fact)) {
            self.reconcile()?;
            self.record(vec![Fact::Witnessed(seen.clone())])?;
            self.publish(reporter)?;
        }
        Ok(seen)
    }
}
