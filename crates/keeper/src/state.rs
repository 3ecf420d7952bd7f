//! The state directory: ledger, keys, work space, lock.

use std::path::{Path, PathBuf};

use vouchsafe_format::Id;
use vouchsafe_host::lockfile::{self, StateLock};
use vouchsafe_host::{files, scratch};
use vouchsafe_model::{ProtectionId, Secret, Span, Time, VaultName};

use crate::error::KeeperError;

/// The state directory, beside the policy, readable by its owner alone.
#[derive(Clone, Debug)]
pub struct State {
    root: PathBuf,
}

/// A scratch directory is locked right after it was made; until then it is only young.
const ABANDONED: Span = Span::from_secs(60);

/// The directories in a directory, if that is there.
fn directories(parent: &Path) -> Result<Vec<PathBuf>, KeeperError> {
    if !files::exists(parent)? {
        return Ok(Vec::new());
    }
    let entries = files::list_entries(parent)?.into_iter();
    Ok(entries
        .filter(|entry| entry.is_dir)
        .map(|entry| parent.join(entry.name))
        .collect())
}

impl State {
    /// Names the directory; nothing is touched.
    pub fn at(root: impl Into<PathBuf>) -> State {
        State { root: root.into() }
    }

    /// Makes the directory with its own `.gitignore`; what is there stays.
    pub fn create(&self) -> Result<(), KeeperError> {
        files::create_dir_all(&self.root, 0o700)?;
        files::create_dir_all(self.root.join("keys"), 0o700)?;
        files::create_dir_all(self.root.join("work"), 0o700)?;
        let ignore = self.root.join(".gitignore");
        if !files::exists(&ignore)? {
            files::write_atomic(&ignore, b"*\n", 0o600)?;
        }
        Ok(())
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether `init` has been here.
    pub fn is_initialised(&self) -> Result<bool, KeeperError> {
        Ok(files::exists(self.ledger_key_path())? && files::exists(self.ledger_path())?)
    }

    /// The ledger's database.
    pub fn ledger_path(&self) -> PathBuf {
        self.root.join("ledger.db")
    }

    /// The ledger's signing seed, 32 bytes.
    pub fn ledger_key_path(&self) -> PathBuf {
        self.root.join("keys").join("ledger.seed")
    }

    /// The seed that is to take its place, while the key is being changed.
    pub fn next_ledger_key_path(&self) -> PathBuf {
        self.root.join("keys").join("ledger.seed.next")
    }

    /// Where the passphrase of a vault lies if the policy does not say otherwise.
    pub fn passphrase_path(&self, vault: &VaultName) -> PathBuf {
        self.root.join("keys").join(format!("{vault}.passphrase"))
    }

    /// Where a vault's index is kept if it is too large for the memory. It is made when it is needed, and may be removed
    /// at any time.
    pub fn index_cache(&self, vault: &VaultName) -> PathBuf {
        self.root.join("cache").join(vault.as_str())
    }

    /// What is noted of a change of that passphrase while it goes on.
    pub fn rotation_path(&self, vault: &VaultName) -> PathBuf {
        self.root.join("keys").join(format!("{vault}.rotating"))
    }

    /// Where the fresh passphrase of a further slot is left.
    pub fn fresh_path(&self, vault: &VaultName, slot: &str) -> PathBuf {
        let name = format!("{vault}.slot-{slot}.passphrase");
        self.root.join("keys").join(name)
    }

    /// The text of a policy that was in force, if it is kept here and is that text.
    pub(crate) fn kept_policy(&self, digest: &str) -> Result<Option<Vec<u8>>, KeeperError> {
        let path = self.policy_path(digest);
        if !files::exists(&path)? {
            return Ok(None);
        }
        let text = files::read(&path, 16 << 20)?;
        Ok((Id::of(&text).to_hex() == digest).then_some(text))
    }

    /// Keeps the text of a policy that comes into force.
    pub(crate) fn keep_policy(&self, digest: &str, text: &[u8]) -> Result<(), KeeperError> {
        files::create_dir_all(self.root.join("policies"), 0o700)?;
        Ok(files::write_atomic(self.policy_path(digest), text, 0o600)?)
    }

    fn policy_path(&self, digest: &str) -> PathBuf {
        self.root.join("policies").join(format!("{digest}.yaml"))
    }

    /// The recovery sheet.
    pub fn sheet_path(&self) -> PathBuf {
        self.root.join("recovery-sheet.txt")
    }

    /// The private work directory of a protection, made on demand.
    pub fn work_dir(&self, id: &ProtectionId) -> Result<PathBuf, KeeperError> {
        let dir = self
            .root
            .join("work")
            .join(id.system.as_str())
            .join(id.protection.as_str());
        files::create_dir_all(&dir, 0o700)?;
        Ok(dir)
    }

    /// Where what was handed in for a protection lies until it is captured.
    pub(crate) fn handed_dir(&self, id: &ProtectionId) -> PathBuf {
        let handed = self.root.join("handed-in");
        handed.join(id.system.as_str()).join(id.protection.as_str())
    }

    /// Where the memory of a vault's verifications lies, made on demand.
    pub(crate) fn verified_dir(&self, vault: &VaultName) -> Result<PathBuf, KeeperError> {
        let dir = self.root.join("verified").join(vault.as_str());
        files::create_dir_all(&dir, 0o700)?;
        Ok(dir)
    }

    /// Where sandboxes are made.
    pub fn sandbox_dir(&self) -> Result<PathBuf, KeeperError> {
        let dir = self.root.join("sandbox");
        files::create_dir_all(&dir, 0o700)?;
        Ok(dir)
    }

    /// Removes what drills that were killed have left behind: restored data must not outlive its drill.
    /// Only for the holder of the lock, for then no drill is going on.
    pub(crate) fn clear_sandboxes(&self) -> Result<(), KeeperError> {
        let dir = self.sandbox_dir()?;
        for name in files::list_dir(&dir)? {
            files::remove_tree(dir.join(name))?;
        }
        Ok(())
    }

    /// Removes what captures and restores that were killed have left in the work directories: whole copies of databases,
    /// and what lets programs in.
    pub(crate) fn clear_work(&self, now: Time) -> Result<(), KeeperError> {
        let work = self.root.join("work");
        let before = now.minus(ABANDONED);
        for system in directories(&work)? {
            for protection in directories(&system)? {
                scratch::remove_abandoned_directories(&protection, before)?;
            }
        }
        Ok(())
    }

    /// Takes the lock that one recording command holds at a time; an error if another process has it.
    pub fn lock(&self) -> Result<StateLock, KeeperError> {
        Ok(lockfile::try_lock(self.root.join("lock"))?)
    }

    /// Writes a secret that only the owner can read.
    pub fn write_secret(&self, path: &Path, secret: &Secret) -> Result<(), KeeperError> {
        Ok(files::write_atomic(path, secret.expose(), 0o600)?)
    }

    /// The ledger's signing seed.
    pub fn read_seed(&self) -> Result<[u8; 32], KeeperError> {
        State::seed_at(&self.ledger_key_path())
    }

    /// A signing seed in a file.
    pub(crate) fn seed_at(path: &Path) -> Result<[u8; 32], KeeperError> {
        let bytes = Secret::new(files::read(path, 64)?);
        bytes.expose().try_into().map_err(|_| KeeperError::Damaged {
            place: path.display().to_string(),
            message: "a ledger seed has 32 bytes; recover it with `vouchsafe recover-state`"
                .to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_capture_left_goes_and_what_logs_wait_in_stays() {
        let dir = files::temp_dir("vouchsafe-test-").unwrap();
        let state = State::at(dir.path());
        let id: ProtectionId = "shop/main".parse().unwrap();
        let work = state.work_dir(&id).unwrap();
        let left = files::scratch_dir_in(&work, "dump-").unwrap().keep();
        let held = files::scratch_dir_in(&work, "dump-").unwrap();
        files::create_dir_all(work.join("wal"), 0o700).unwrap();
        let made = files::modified(&left).unwrap();
        state.clear_work(made).unwrap();
        assert!(files::exists(&left).unwrap(), "it may be just being made");
        state.clear_work(made.plus(Span::from_secs(61))).unwrap();
        assert!(!files::exists(&left).unwrap());
        assert!(files::exists(held.path()).unwrap());
        assert!(files::exists(work.join("wal")).unwrap());
    }
}
