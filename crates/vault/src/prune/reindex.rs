//! Index files without what is gone: which are replaced, and by what.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{Hash, Hasher};

use vouchsafe_format::{Id, IndexPack, decode_index};

use super::clearance::DeletionCleared;
use super::error::{PruneError, prune_error};
use super::worklist::PruneWorklist;
use crate::error::RepoError;
use crate::index::{BlobIndex, ById};
use crate::machine::ObjectKind;
use crate::objects::seal_index;
use crate::parallel;
use crate::repository::Repository;

/// What is known of one index file.
struct Listed {
    name: Id,
    blobs: usize,
    /// Lists a pack that leaves the index, or cannot be read.
    touched: bool,
}

impl Repository {
    /// The index files to be replaced, and all that were looked at. Damaged ones are replaced by nothing: whatever is
    /// needed was found in others.
    pub(super) fn plan_indexes(
        &self,
        index: &BlobIndex,
        gone: &HashSet<Id>,
    ) -> Result<(Vec<Id>, BTreeSet<Id>), PruneError> {
        let listed = self.objects.list(ObjectKind::Index)?;
        // A listing may be late: an index file that was read before must not stay when its packs go.
        let known = index.files().iter().copied();
        let names: BTreeSet<Id> = listed
            .into_iter()
            .map(|(name, _)| name)
            .chain(known)
            .collect();
        let names: Vec<Id> = names.into_iter().collect();
        let looked = self.each_index(&names, |name, packs| {
            let known = index.files().contains(&name);
            match packs {
                Ok(packs) if known => Ok(Listed {
                    name,
                    blobs: packs.iter().map(|pack| pack.blobs.len()).sum(),
                    touched: packs.iter().any(|pack| gone.contains(&pack.id)),
                }),
                // It came, or became readable, after the index was read: what it lists was not looked at.
                Ok(_) => Err(PruneError::Changed {
                    store: self.place(),
                }),
                Err(error) if known => Err(prune_error(error)),
                Err(_) => Ok(Listed {
                    name,
                    blobs: 0,
                    touched: true,
                }),
            }
        })?;
        let looked = looked.into_iter().collect::<Result<Vec<_>, PruneError>>()?;
        let touched = looked.iter().any(|file| file.touched);
        let is_small = |file: &Listed| file.blobs < self.settings.index_blobs / 2;
        let small = looked.iter().filter(|file| is_small(file)).count();
        let merge = small > 1 && (touched || small >= MANY);
        let mut replaced: Vec<Id> = looked
            .iter()
            .filter(|file| file.touched || merge && is_small(file))
            .map(|file| file.name)
            .collect();
        replaced.sort_unstable();
        Ok((replaced, looked.into_iter().map(|file| file.name).collect()))
    }

    /// Writes what these index files list, without the packs that are gone, and what is to be listed again. Gives the new files' names.
    pub(super) fn write_indexes(
        &self,
        worklist: &PruneWorklist,
        gone: &HashSet<Id>,
        cleared: &DeletionCleared,
    ) -> Result<Vec<Id>, PruneError> {
        let mut written = Vec::new();
        let mut waiting: Vec<IndexPack> = worklist.basis.relist.clone();
        let mut seen: HashMap<Id, u64, ById> = HashMap::default();
        for group in worklist.indexes.chunks(GROUP) {
            let known = worklist.basis.index.files();
            let mut read = self.each_index(group, |name, packs| match packs {
                // Damaged when the worklist was made: then nothing in it was needed.
                Err(_) if !known.contains(&name) => Ok((name, Vec::new())),
                packs => packs.map(|packs| (name, packs)).map_err(prune_error),
            })?;
            read.sort_unstable_by_key(|file| file.as_ref().ok().map(|(name, _)| *name));
            let read = read.into_iter().collect::<Result<Vec<_>, PruneError>>()?;
            for pack in read.into_iter().flat_map(|(_, packs)| packs) {
                // A pack that two files list alike is listed once.
                let new = seen.insert(pack.id, digest(&pack)) != Some(digest(&pack));
                if new && !gone.contains(&pack.id) {
                    waiting.push(pack);
                }
            }
            let full = take_full(&mut waiting, self.settings.index_blobs);
            written.extend(self.put_indexes(&full, cleared)?);
        }
        if !waiting.is_empty() {
            written.extend(self.put_indexes(&[waiting], cleared)?);
        }
        Ok(written)
    }

    fn put_indexes(
        &self,
        files: &[Vec<IndexPack>],
        cleared: &DeletionCleared,
    ) -> Result<Vec<Id>, PruneError> {
        if files.is_empty() {
            return Ok(Vec::new());
        }
        cleared.confirm()?;
        let interrupt = &self.env().interrupt;
        let put = parallel::map(files, self.hands(), interrupt, |packs| {
            let (name, bytes) =
                seal_index(&self.key, self.env().iv(), packs).map_err(RepoError::Seal)?;
            self.objects.put(ObjectKind::Index, &name, &bytes)?;
            // Read back: once the old ones are gone, nothing else tells where the blobs are.
            self.objects.get_file(&self.key, ObjectKind::Index, &name)?;
            Ok(name)
        });
        let names = put
            .ok_or(PruneError::Interrupted)?
            .into_iter()
            .collect::<Result<Vec<Id>, RepoError>>()
            .map_err(prune_error)?;
        self.note_written(&names);
        Ok(names)
    }

    /// Reads index files. One that is gone is left out; a failing store ends it.
    fn each_index<T: Send>(
        &self,
        names: &[Id],
        look: impl Fn(Id, Result<Vec<IndexPack>, RepoError>) -> T + Sync,
    ) -> Result<Vec<T>, PruneError> {
        let read = parallel::map(names, self.hands(), &self.env().interrupt, |name| {
            let packs = self
                .objects
                .get_file(&self.key, ObjectKind::Index, name)
                .and_then(|json| {
                    decode_index(&json).map_err(|error| {
                        self.objects.damaged(ObjectKind::Index, name, error.into())
                    })
                });
            match packs {
                Err(RepoError::Store(error)) if error.is_not_found() => Ok(None),
                Err(RepoError::Store(error)) => Err(error),
                packs => Ok(Some(look(*name, packs))),
            }
        });
        let mut out = Vec::new();
        for one in read.ok_or(PruneError::Interrupted)? {
            out.extend(one?);
        }
        Ok(out)
    }
}

/// As many packs as fill whole files, file by file; the rest stays waiting.
fn take_full(waiting: &mut Vec<IndexPack>, full: usize) -> Vec<Vec<IndexPack>> {
    let mut out = Vec::new();
    let (mut file, mut blobs) = (Vec::new(), 0);
    for pack in waiting.drain(..) {
        blobs += pack.blobs.len();
        file.push(pack);
        if blobs >= full {
            out.push(std::mem::take(&mut file));
            blobs = 0;
        }
    }
    *waiting = file;
    out
}

fn digest(pack: &IndexPack) -> u64 {
    let mut hasher = DefaultHasher::new();
    pack.blobs.hash(&mut hasher);
    hasher.finish()
}

/// Index files read at once.
const GROUP: usize = 8;
/// How many small index files are merged although nothing else is to be done.
const MANY: usize = 16;
