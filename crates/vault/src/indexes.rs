//! Reading the index files of a repository, and keeping what they say: in memory, or for a huge repository in a file.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vouchsafe_format::{Id, IndexPack, decode_index};
use vouchsafe_host::{files, scratch};
use vouchsafe_model::{Issue, Time};

use crate::error::{Damage, RepoError};
use crate::index::{BlobIndex, IndexBuilder, IndexFileError, Room, Scratch};
use crate::machine::ObjectKind;
use crate::objects::show;
use crate::parallel;
use crate::repository::{Repository, issue};

/// How much of the index is held in memory, and where the rest is.
#[derive(Clone, Debug)]
pub struct IndexSettings {
    /// Most entries that are held in memory; an index with more of them goes to a file.
    pub in_memory: usize,
    /// Most entries that are held in memory besides those in a file, before they are added to it.
    pub beside_file: usize,
    /// A directory of our own where the file is kept for the next time; it is made if it is missing. Without one the
    /// file is temporary. Snapshots that were read are kept there too, sealed as they are in the store.
    ///
    /// Whoever can write there can make a backup leave out what is not stored, so it is to be as private as the
    /// repository's password.
    pub cache: Option<PathBuf>,
}

impl Default for IndexSettings {
    /// Half a million entries, about 27 MB, and half as many beside a file; no cache.
    fn default() -> IndexSettings {
        IndexSettings {
            in_memory: 500_000,
            beside_file: 250_000,
            cache: None,
        }
    }
}

/// What is known of a repository's index.
#[derive(Debug, Default)]
pub(crate) struct Indexes {
    settings: IndexSettings,
    known: Mutex<Arc<BlobIndex>>,
    /// Index files written through this value: a listing may be late in showing them.
    written: Mutex<BTreeSet<Id>>,
    /// Packs that nothing new may count on.
    distrusted: BTreeSet<Id>,
}

impl Repository {
    /// The same repository, in which backups and copies do not count on what lies in these packs: it is stored once
    /// more. For packs that are known to be damaged.
    pub fn distrusting(mut self, packs: BTreeSet<Id>) -> Repository {
        self.indexes.distrusted = packs;
        self
    }

    /// The same repository, its index kept in another way.
    pub fn with_index_settings(mut self, settings: IndexSettings) -> Repository {
        self.indexes.settings = settings;
        self
    }

    /// The index as the store has it now; what was read before is not read again. Damaged files are left out, and
    /// said.
    pub(crate) fn index(&self) -> Result<(Arc<BlobIndex>, Vec<Issue>), RepoError> {
        let (index, issues) = self.whole_index()?;
        if self.indexes.distrusted.is_empty() {
            return Ok((index, issues));
        }
        let index = index.distrusting(&self.indexes.distrusted);
        Ok((Arc::new(index), issues))
    }

    fn whole_index(&self) -> Result<(Arc<BlobIndex>, Vec<Issue>), RepoError> {
        let listed = self.listed_indexes()?;
        let mut issues = Vec::new();
        let mut known = std::mem::take(&mut *self.indexes.known());
        if let Some(trouble) = known.trouble() {
            issues.push(issue("index".to_owned(), &trouble));
            known = Arc::default();
        }
        if known.files().is_empty() {
            known = self.kept_index(&mut issues);
        }
        // What a removed index file listed may be gone, and is in the way. A late listing may show it all the same.
        if !known.files().is_subset(&listed) || !self.objects.lists_consistently() {
            known = Arc::default();
        }
        let had_file = known.is_in_file();
        match self.complete(known, &listed, &mut issues) {
            // The file may be damaged where only now somebody looked.
            Err(RepoError::IndexFile(trouble)) if had_file => {
                issues.push(issue("index".to_owned(), &trouble));
                let index = self.complete(Arc::default(), &listed, &mut issues)?;
                Ok((index, issues))
            }
            index => Ok((index?, issues)),
        }
    }

    /// The index, read anew from the store.
    pub(crate) fn fresh_index(&self) -> Result<(Arc<BlobIndex>, Vec<Issue>), RepoError> {
        self.forget_index();
        let listed = self.listed_indexes()?;
        let mut issues = Vec::new();
        let index = self.complete(Arc::default(), &listed, &mut issues)?;
        Ok((index, issues))
    }

    /// The packs that the index lists; nothing if a part of it could not be read, so that this is not known.
    ///
    /// # Errors
    /// [`RepoError`] if the index files cannot be listed.
    pub fn listed_packs(&self) -> Result<Option<HashSet<Id>>, RepoError> {
        let (index, issues) = self.index()?;
        let packs = || index.packs().map(|(id, _)| id).collect();
        Ok(issues.is_empty().then(packs))
    }

    pub(crate) fn note_written(&self, indexes: &[Id]) {
        self.indexes.written().extend(indexes);
    }

    /// These index files are gone.
    pub(crate) fn note_removed(&self, indexes: &[Id]) {
        self.indexes
            .written()
            .retain(|name| !indexes.contains(name));
    }

    /// What is held in memory of the index is read anew the next time.
    pub(crate) fn forget_index(&self) {
        *self.indexes.known() = Arc::default();
    }

    /// The index files that the store lists, and those written through this value.
    pub(crate) fn listed_indexes(&self) -> Result<BTreeSet<Id>, RepoError> {
        let listed = self.objects.list(ObjectKind::Index)?;
        let mut names: BTreeSet<Id> = listed.into_iter().map(|(id, _)| id).collect();
        names.extend(self.indexes.written().iter());
        Ok(names)
    }

    /// Reads what is missing, and remembers all of it.
    fn complete(
        &self,
        mut index: Arc<BlobIndex>,
        listed: &BTreeSet<Id>,
        issues: &mut Vec<Issue>,
    ) -> Result<Arc<BlobIndex>, RepoError> {
        let missing: Vec<Id> = listed.difference(index.files()).copied().collect();
        if !missing.is_empty() {
            index = Arc::new(self.read_indexes(index, &missing, issues)?);
        }
        *self.indexes.known() = Arc::clone(&index);
        Ok(index)
    }

    fn read_indexes(
        &self,
        base: Arc<BlobIndex>,
        names: &[Id],
        issues: &mut Vec<Issue>,
    ) -> Result<BlobIndex, RepoError> {
        let builder = Mutex::new(IndexBuilder::new(base, Some(self.room()?)));
        let (failure, damaged) = (Mutex::new(None), Mutex::new(Vec::new()));
        let first_failure = || failure.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = parallel::each(names, self.hands(), &self.env().interrupt, |name| {
            let failed = match self.read_index(name) {
                Ok(packs) => {
                    let mut builder = builder.lock().unwrap_or_else(PoisonError::into_inner);
                    builder.add(*name, packs).err().map(RepoError::from)
                }
                // Removed since it was listed: a repack has put another one in its place.
                Err(RepoError::Store(error)) if error.is_not_found() => None,
                Err(RepoError::Store(error)) => Some(error.into()),
                Err(error) => {
                    let damage = issue(show(ObjectKind::Index, name), &error);
                    let mut all = damaged.lock().unwrap_or_else(PoisonError::into_inner);
                    all.push(damage);
                    None
                }
            };
            let goes_on = failed.is_none();
            if let Some(error) = failed {
                first_failure().get_or_insert(error);
            }
            goes_on
        });
        let interrupted = || self.env().interrupt.requested();
        if interrupted() {
            return Err(RepoError::Interrupted);
        }
        if let Some(error) = first_failure().take() {
            return Err(error);
        }
        if !whole {
            return Err(RepoError::Interrupted);
        }
        issues.extend(damaged.into_inner().unwrap_or_else(PoisonError::into_inner));
        let builder = builder.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (index, file) = builder.finish().map_err(|error| match interrupted() {
            true => RepoError::Interrupted,
            false => error.into(),
        })?;
        if let (Some(file), Some(path)) = (file, self.kept_index_path()) {
            // Without it the work is only done once more the next time.
            match file.publish(&path) {
                Ok(_) => index.keep_at(&path),
                Err(error) => issues.push(issue("index".to_owned(), &error)),
            }
        }
        Ok(index)
    }

    fn read_index(&self, name: &Id) -> Result<Vec<IndexPack>, RepoError> {
        let json = self.objects.get_file(&self.key, ObjectKind::Index, name)?;
        let damaged = |error| {
            let damage = Damage::Index(error);
            self.objects.damaged(ObjectKind::Index, name, damage)
        };
        decode_index(&json).map_err(damaged)
    }

    /// The index that was kept in a file.
    fn kept_index(&self, issues: &mut Vec<Issue>) -> Arc<BlobIndex> {
        let Some(path) = self.kept_index_path() else {
            return Arc::default();
        };
        match BlobIndex::open(&path, &self.id()) {
            Ok(kept) => kept.map(Arc::new).unwrap_or_default(),
            Err(error) => {
                issues.push(issue("index".to_owned(), &error));
                self.remove_kept_index();
                Arc::default()
            }
        }
    }

    /// Removes a damaged file; if that fails, the next one takes its place all the same.
    fn remove_kept_index(&self) {
        if let Some(path) = self.kept_index_path() {
            let _ = files::remove_file(path);
        }
    }

    fn kept_index_path(&self) -> Option<PathBuf> {
        let directory = self.indexes.settings.cache.as_ref()?;
        Some(directory.join("index"))
    }

    fn room(&self) -> Result<Room, RepoError> {
        let (settings, interrupt) = (&self.indexes.settings, self.env().interrupt.clone());
        let scratch = match &settings.cache {
            Some(directory) => {
                let now = self.env().clock.now();
                let before = Time::from_micros(now.micros().saturating_sub(ABANDONED));
                match scratch::remove_abandoned(directory, before) {
                    Err(error) if !error.is_not_found() => {
                        return Err(RepoError::IndexFile(IndexFileError {
                            place: directory.display().to_string(),
                            reason: error.source.to_string(),
                        }));
                    }
                    _ => Scratch::to_publish_in(directory, interrupt),
                }
            }
            None => Scratch::anywhere(interrupt),
        };
        Ok(Room {
            entries: settings.in_memory,
            entries_beside: settings.beside_file,
            scratch,
            repository: self.id(),
        })
    }
}

impl Indexes {
    /// Where things are kept for the next time.
    pub(crate) fn cache(&self) -> Option<&Path> {
        self.settings.cache.as_deref()
    }

    fn known(&self) -> MutexGuard<'_, Arc<BlobIndex>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn written(&self) -> MutexGuard<'_, BTreeSet<Id>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Microseconds after which nobody is at work on a temporary file any more: six hours.
const ABANDONED: i64 = 6 * 3_600_000_000;
