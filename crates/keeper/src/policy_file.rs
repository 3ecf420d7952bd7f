//! Reading the policy from its file, from those that it includes, and from earlier commits.

use std::path::{Path, PathBuf};

use vouchsafe_format::Id;
use vouchsafe_host::{files, machine};
use vouchsafe_policy::Lowered;

use crate::error::{KeeperError, chain};
use crate::includes::{Commit, Disk, Gathered, Tree, Unread, gather};
use crate::keeper::Tools;
use crate::signed;

/// Four mebibytes: a policy larger than this is not a policy.
const LIMIT: u64 = 4 << 20;

/// A policy file as it was read, with everything that is wrong with it.
pub struct PolicyFile {
    /// Its absolute path.
    pub path: PathBuf,
    /// All of its files as one text: what is hashed, approved, published and recovered; see
    /// [`vouchsafe_policy::files`].
    pub text: String,
    /// What it means.
    pub lowered: Lowered,
}

impl PolicyFile {
    /// Reads and understands a file and what it includes. What is wrong within them is in `lowered`, not an error.
    pub fn read(path: &Path) -> Result<PolicyFile, KeeperError> {
        let path = machine::current_dir()?.join(path);
        let base = path.parent().map(Path::to_owned).unwrap_or_default();
        PolicyFile::read_for(&path, &base)
    }

    /// The same of a policy that is to be held against another one: its relative paths start from `base`.
    pub fn read_for(path: &Path, base: &Path) -> Result<PolicyFile, KeeperError> {
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
        let root = path.parent().map(Path::to_owned).unwrap_or_default();
        Ok(PolicyFile::understood(path, base, text, &Disk { root }))
    }

    /// The policy as a git revision has it; `path` is where it lies now.
    pub fn at_revision(
        path: &Path,
        revision: &str,
        tools: &Tools,
    ) -> Result<PolicyFile, KeeperError> {
        let path = machine::current_dir()?.join(path);
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        let unknown = |message: String| KeeperError::Policy {
            message: format!(
                "`{revision}` is neither a file nor a git revision that holds the policy: {message}"
            ),
        };
        let commit = signed::commit(tools, &folder, revision).map_err(|e| unknown(chain(&e)))?;
        let tree = Commit {
            tools,
            folder: &folder,
            commit: &commit,
        };
        let text = tree
            .read(&name_of(&path), "")
            .map_err(|unread| match unread {
                Unread::Failed(why) => unknown(why),
                Unread::Elsewhere => unknown("it leads elsewhere".to_owned()),
            })?;
        Ok(PolicyFile::understood(path, &folder, text, &tree))
    }

    fn understood(path: PathBuf, base: &Path, text: String, tree: &dyn Tree) -> PolicyFile {
        let name = name_of(&path);
        let Gathered { text, problems } = gather(&name, text, tree);
        let digest = Id::of(text.as_bytes()).to_hex();
        let mut lowered = vouchsafe_policy::lower(&text, &name, base, digest);
        if !problems.is_empty() {
            lowered.policy = None;
            lowered.problems.extend(problems);
            lowered.problems.sort_by_key(|p| (p.line, p.column, p.code));
        }
        PolicyFile {
            path,
            text,
            lowered,
        }
    }

    /// The state directory that belongs to it if none is named.
    pub fn default_state(path: &Path) -> PathBuf {
        path.parent().unwrap_or(Path::new(".")).join(".vouchsafe")
    }
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default()
}
