//! Reading the policy from its file.

use std::path::{Path, PathBuf};

use vouchsafe_format::Id;
use vouchsafe_host::{files, machine};
use vouchsafe_policy::Lowered;

use crate::error::KeeperError;

/// Four mebibytes: a policy larger than this is not a policy.
const LIMIT: u64 = 4 << 20;

/// A policy file as it was read, with everything that is wrong with it.
pub struct PolicyFile {
    /// Its absolute path.
    pub path: PathBuf,
    /// Its bytes as text.
    pub text: String,
    /// What it means.
    pub lowered: Lowered,
}

impl PolicyFile {
    /// Reads and understands a file. What is wrong within it is in `lowered`, not an error.
    pub fn read(path: &Path) -> Result<PolicyFile, KeeperError> {
        let path = machine::current_dir()?.join(path);
        if !files::exists(&path)? {
            return Err(KeeperError::Policy {
                message: format!(
                    "there is no policy at {}; write one with `vouchsafe init`, or name it with --policy",
                    path.display()
                ),
            });
        }
        let text = files::read_to_string(&path, LIMIT)?;
        let base = path.parent().map(Path::to_owned).unwrap_or_default();
        let name = path
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        let digest = Id::of(text.as_bytes()).to_hex();
        let lowered = vouchsafe_policy::lower(&text, &name, &base, digest);
        Ok(PolicyFile {
            path,
            text,
            lowered,
        })
    }

    /// The state directory that belongs to it if none is named.
    pub fn default_state(path: &Path) -> PathBuf {
        path.parent().unwrap_or(Path::new(".")).join(".vouchsafe")
    }
}
