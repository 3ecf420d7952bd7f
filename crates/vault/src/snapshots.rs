//! The snapshots of a repository. What was read before need not be fetched again: their stored bytes are kept.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use vouchsafe_format::{Id, Snapshot};
use vouchsafe_host::files;
use vouchsafe_model::Issue;

use crate::error::RepoError;
use crate::index::ById;
use crate::machine::ObjectKind;
use crate::objects::{open_file, show};
use crate::parallel;
use crate::repository::{Repository, issue};

/// Snapshots with their ids.
pub type Snapshots = Vec<(Id, Snapshot)>;

/// A snapshot that is listed, or why it cannot be read.
pub(crate) type Loaded = (Id, Result<Snapshot, RepoError>);

/// The stored bytes of snapshots, sealed as they are in the store.
type Kept = HashMap<Id, Vec<u8>, ById>;

impl Repository {
    /// The names of all snapshots, as the store lists them.
    ///
    /// # Errors
    /// [`RepoError::Store`].
    pub fn snapshot_ids(&self) -> Result<Vec<Id>, RepoError> {
        let listed = self.objects.list(ObjectKind::Snapshot)?;
        Ok(listed.into_iter().map(|(id, _)| id).collect())
    }

    /// All snapshots, oldest first. Those that were read before may come from the cache, see
    /// [`IndexSettings::cache`](crate::IndexSettings::cache): they are then those that the store had, and still lists.
    ///
    /// # Errors
    /// [`RepoError::Store`]; [`RepoError::Damaged`] if one of them cannot be read, see
    /// [`Repository::readable_snapshots`].
    pub fn snapshots(&self) -> Result<Snapshots, RepoError> {
        let mut out = Vec::new();
        for (id, snapshot) in self.load(true)? {
            match snapshot {
                Ok(snapshot) => out.push((id, snapshot)),
                // A listing may show what was deleted.
                Err(RepoError::NoSnapshot { .. }) if self.is_late() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(sorted(out))
    }

    /// All snapshots that can be read, oldest first, and what is wrong with the others; from the cache as in
    /// [`Repository::snapshots`].
    ///
    /// # Errors
    /// [`RepoError::Store`].
    pub fn readable_snapshots(&self) -> Result<(Snapshots, Vec<Issue>), RepoError> {
        self.readable(true)
    }

    /// All snapshots that can be read from the store itself, oldest first, and what is wrong with the others.
    ///
    /// # Errors
    /// [`RepoError::Store`].
    pub fn stored_snapshots(&self) -> Result<(Snapshots, Vec<Issue>), RepoError> {
        self.readable(false)
    }

    /// One snapshot, from the store itself.
    ///
    /// # Errors
    /// [`RepoError::NoSnapshot`], [`RepoError::Damaged`], [`RepoError::Store`].
    pub fn snapshot(&self, id: &Id) -> Result<Snapshot, RepoError> {
        self.decode(id, &self.fetch_snapshot(id)?)
    }

    fn readable(&self, cached: bool) -> Result<(Snapshots, Vec<Issue>), RepoError> {
        let (mut out, mut issues) = (Vec::new(), Vec::new());
        for (id, snapshot) in self.load(cached)? {
            match snapshot {
                Ok(snapshot) => out.push((id, snapshot)),
                Err(RepoError::Store(error)) => return Err(error.into()),
                // A listing may show what was deleted.
                Err(RepoError::NoSnapshot { .. }) => {}
                Err(error) => issues.push(issue(show(ObjectKind::Snapshot, &id), &error)),
            }
        }
        issues.sort_by(|a, b| a.place.cmp(&b.place));
        Ok((sorted(out), issues))
    }

    fn load(&self, cached: bool) -> Result<Vec<Loaded>, RepoError> {
        let names = self.snapshot_ids()?;
        self.load_these(&names, cached)
    }

    /// Those of these names; from the cache only what the store lists may come.
    pub(crate) fn load_these(&self, names: &[Id], cached: bool) -> Result<Vec<Loaded>, RepoError> {
        let kept = if cached {
            self.kept_snapshots()
        } else {
            Kept::default()
        };
        let fetched = AtomicBool::new(false);
        let read = parallel::map(names, self.hands(), &self.env().interrupt, |name| {
            let known = kept.get(name).and_then(|bytes| {
                let snapshot = self.decode(name, bytes).ok()?;
                Some((snapshot, None))
            });
            let found = match known {
                Some(known) => Ok(known),
                None => {
                    fetched.store(true, Ordering::Relaxed);
                    self.fetch_snapshot(name).and_then(|bytes| {
                        let snapshot = self.decode(name, &bytes)?;
                        Ok((snapshot, Some(bytes)))
                    })
                }
            };
            (*name, found)
        })
        .ok_or(RepoError::Interrupted)?;
        let mut new = Kept::default();
        let mut out = Vec::with_capacity(read.len());
        for (id, found) in read {
            out.push((
                id,
                found.map(|(snapshot, bytes)| {
                    new.extend(bytes.map(|bytes| (id, bytes)));
                    snapshot
                }),
            ));
        }
        if cached && (fetched.into_inner() || kept.len() > names.len()) {
            self.keep_snapshots(names, &kept, &new);
        }
        Ok(out)
    }

    fn fetch_snapshot(&self, id: &Id) -> Result<Vec<u8>, RepoError> {
        self.objects
            .get_named(ObjectKind::Snapshot, id)
            .map_err(|error| match error {
                RepoError::Store(error) if error.is_not_found() => RepoError::NoSnapshot {
                    snapshot: *id,
                    store: self.place(),
                },
                error => error,
            })
    }

    /// Bytes that do not have the digest of the name are refused, wherever they come from.
    fn decode(&self, id: &Id, sealed: &[u8]) -> Result<Snapshot, RepoError> {
        let kind = ObjectKind::Snapshot;
        let found = Id::of(sealed);
        if found != *id {
            let damage = crate::error::Damage::Name { found };
            return Err(self.objects.damaged(kind, id, damage));
        }
        let json = open_file(&self.key, sealed)
            .map_err(|source| self.objects.damaged(kind, id, source))?;
        Snapshot::decode(&json).map_err(|error| self.objects.damaged(kind, id, error.into()))
    }

    fn is_late(&self) -> bool {
        !self.objects.lists_consistently()
    }

    fn kept_snapshots_path(&self) -> Option<PathBuf> {
        let directory = self.indexes.cache()?;
        Some(directory.join("snapshots"))
    }

    /// What is kept. A file that is missing, of another repository or cut short is as good as its whole entries.
    fn kept_snapshots(&self) -> Kept {
        let bytes = self
            .kept_snapshots_path()
            .and_then(|path| files::read(path, LARGEST).ok());
        bytes.map_or_else(Kept::default, |bytes| parse(&bytes, &self.id()))
    }

    /// A cache that cannot be written is done without.
    fn keep_snapshots(&self, names: &[Id], kept: &Kept, new: &Kept) {
        let Some(path) = self.kept_snapshots_path() else {
            return;
        };
        let mut out = Vec::with_capacity(MARK.len() + 32 + names.len() * 512);
        out.extend_from_slice(MARK);
        out.extend_from_slice(self.id().as_bytes());
        for name in names {
            let Some(bytes) = new.get(name).or_else(|| kept.get(name)) else {
                continue;
            };
            let Ok(length) = u32::try_from(bytes.len()) else {
                continue;
            };
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(bytes);
        }
        let made = path
            .parent()
            .map(|directory| files::create_dir_all(directory, files::PRIVATE_DIR));
        if matches!(made, Some(Ok(()))) {
            let _ = files::write_atomic(&path, &out, files::PRIVATE_FILE);
        }
    }
}

/// The form's name and version.
const MARK: &[u8] = b"vouchsafe kept snapshots 1\n";
/// The largest file of them that is read: some millions.
const LARGEST: u64 = 2 << 30;

fn parse(bytes: &[u8], repository: &Id) -> Kept {
    let mut kept = Kept::default();
    let owner = bytes
        .strip_prefix(MARK)
        .and_then(|rest| rest.split_first_chunk::<32>());
    let Some((_, mut rest)) = owner.filter(|(owner, _)| *owner == repository.as_bytes()) else {
        return kept;
    };
    while let Some((id, after)) = rest.split_first_chunk::<32>() {
        let Some((length, after)) = after.split_first_chunk::<4>() else {
            break;
        };
        let length = u32::from_le_bytes(*length) as usize;
        let Some((sealed, after)) = after.split_at_checked(length) else {
            break;
        };
        kept.insert(Id::from_bytes(*id), sealed.to_vec());
        rest = after;
    }
    kept
}

fn sorted(mut snapshots: Snapshots) -> Snapshots {
    snapshots.sort_by_key(|(id, snapshot)| (snapshot.time.unix_nanos(), *id));
    snapshots
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_a_cache_of_what_is_whole_in_them(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            lengths in prop::collection::vec(0..40_u32, 0..4),
            is_marked in any::<bool>(),
        ) {
            let repository = Id::of(b"repository");
            let mut all = if is_marked { [MARK, repository.as_bytes()].concat() } else { Vec::new() };
            for (n, length) in lengths.iter().enumerate() {
                all.extend_from_slice(Id::of(&[n as u8]).as_bytes());
                all.extend_from_slice(&length.to_le_bytes());
                all.extend(std::iter::repeat_n(7, *length as usize));
            }
            all.extend_from_slice(&bytes);
            let kept = parse(&all, &repository);
            let held: usize = kept.values().map(Vec::len).sum();
            prop_assert!(held <= all.len());
            prop_assert!(!is_marked || kept.len() >= lengths.len());
            prop_assert!(parse(&all, &Id::of(b"another")).is_empty());
        }
    }
}
