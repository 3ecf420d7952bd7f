//! Writing for a repair: blobs into new packs, packs into new index files, each step only while the lock is held.

use std::collections::BTreeSet;

use vouchsafe_format::{BlobKind, Compressor, Id, IndexPack, PackWriter, compress, seal_blob};

use super::{RepairError, RepairReport};
use crate::index::ListedPack;
use crate::lock::LockGuard;
use crate::machine::ObjectKind;
use crate::objects::{seal_index, show};
use crate::packs::{PackReader, PackVerdict};
use crate::repository::{Repository, in_words};

/// Collects blobs into packs and stores them, one after the other.
pub(super) struct Writer<'r> {
    repository: &'r Repository,
    lock: &'r LockGuard,
    compressor: Compressor,
    open: [PackWriter; 2],
    taken: BTreeSet<(Id, BlobKind)>,
    stored: Vec<ListedPack>,
}

impl<'r> Writer<'r> {
    pub(super) fn new(
        repository: &'r Repository,
        lock: &'r LockGuard,
    ) -> Result<Writer<'r>, RepairError> {
        Ok(Writer {
            repository,
            lock,
            compressor: Compressor::new(compress::DEFAULT_LEVEL)?,
            open: [
                PackWriter::new(BlobKind::Data),
                PackWriter::new(BlobKind::Tree),
            ],
            taken: BTreeSet::new(),
            stored: Vec::new(),
        })
    }

    /// Whether the blob was taken before.
    pub(super) fn has(&self, kind: BlobKind, id: &Id) -> bool {
        self.taken.contains(&(*id, kind))
    }

    /// Takes a blob as it is sealed already; one that was taken before is left.
    pub(super) fn add_sealed(
        &mut self,
        kind: BlobKind,
        id: Id,
        sealed: &[u8],
        uncompressed_length: Option<u32>,
    ) -> Result<(), RepairError> {
        if !self.taken.insert((id, kind)) {
            return Ok(());
        }
        let full = self.repository.settings.pack_bytes;
        let open = &mut self.open[lane(kind)];
        if open.len() + sealed.len() > full && !open.is_empty() || open.is_header_full() {
            self.store(lane(kind))?;
        }
        self.open[lane(kind)].add(id, sealed, uncompressed_length)?;
        Ok(())
    }

    /// Takes a plaintext, to be sealed.
    pub(super) fn add_plain(
        &mut self,
        kind: BlobKind,
        id: Id,
        plaintext: &[u8],
    ) -> Result<(), RepairError> {
        let (key, iv) = (&self.repository.key, self.repository.env().iv());
        let sealed = seal_blob(key, iv, kind, plaintext, Some(&mut self.compressor))?;
        self.add_sealed(kind, id, &sealed.bytes, sealed.uncompressed_length)
    }

    /// Stores what is still open, reads every new pack back, and lists them. Gives the packs and the index files.
    pub(super) fn finish(mut self) -> Result<(Vec<Id>, Vec<Id>), RepairError> {
        for lane in 0..self.open.len() {
            self.store(lane)?;
        }
        let mut reader = PackReader::new(self.repository);
        for pack in &self.stored {
            stop_if_asked(self.repository)?;
            let reason = match reader.verdict(pack, false) {
                PackVerdict::Whole => continue,
                PackVerdict::Damaged(damage) => {
                    damage.first().map_or(String::new(), |d| in_words(d))
                }
                PackVerdict::Unreadable(error) => return Err(error.into()),
            };
            let pack = show(ObjectKind::Pack, &pack.id);
            return Err(RepairError::ReadBack { pack, reason });
        }
        let packs = self.stored.iter().map(|pack| pack.id).collect();
        let listed = self.stored.into_iter().map(|pack| IndexPack {
            id: pack.id,
            blobs: pack.blobs,
        });
        let indexes = write_indexes(self.repository, self.lock, listed.collect())?;
        Ok((packs, indexes))
    }

    fn store(&mut self, lane: usize) -> Result<(), RepairError> {
        let kind = self.open[lane].kind();
        let pack = std::mem::replace(&mut self.open[lane], PackWriter::new(kind));
        if pack.is_empty() {
            return Ok(());
        }
        stop_if_asked(self.repository)?;
        require_lock(self.repository, self.lock)?;
        let pack = pack.finish(&self.repository.key, self.repository.env().iv())?;
        self.repository
            .objects
            .put(ObjectKind::Pack, &pack.id, &pack.bytes)?;
        self.stored.push(ListedPack {
            id: pack.id,
            bytes: pack.bytes.len() as u64,
            blobs: pack.blobs,
        });
        Ok(())
    }
}

/// Writes index files that list these packs.
pub(super) fn write_indexes(
    repository: &Repository,
    lock: &LockGuard,
    packs: Vec<IndexPack>,
) -> Result<Vec<Id>, RepairError> {
    let mut names = Vec::new();
    let mut part: Vec<IndexPack> = Vec::new();
    let mut blobs = 0;
    let mut packs = packs.into_iter().peekable();
    while let Some(pack) = packs.next() {
        blobs += pack.blobs.len();
        part.push(pack);
        if blobs < repository.settings.index_blobs && packs.peek().is_some() {
            continue;
        }
        require_lock(repository, lock)?;
        let (key, iv) = (&repository.key, repository.env().iv());
        let (name, bytes) =
            seal_index(key, iv, &std::mem::take(&mut part)).map_err(RepairError::File)?;
        repository.objects.put(ObjectKind::Index, &name, &bytes)?;
        names.push(name);
        blobs = 0;
    }
    repository.note_written(&names);
    Ok(names)
}

/// Removes objects of which nothing is needed any more, with all their older versions, while the lock is held.
pub(super) fn remove(
    repository: &Repository,
    lock: &LockGuard,
    kind: ObjectKind,
    names: &[Id],
    report: &mut RepairReport,
) -> Result<(), RepairError> {
    for name in names {
        require_lock(repository, lock)?;
        let erased = repository.objects.erase(kind, name)?;
        if erased.locked > 0 {
            report.hidden.push((show(kind, name), erased.until));
        }
    }
    if kind == ObjectKind::Index {
        repository.note_removed(names);
    }
    Ok(())
}

/// Takes objects from sight of which something is lost, while the lock is held. Where the store keeps older versions
/// they stay: one of them may be from before the damage, and then it is all that is left.
pub(super) fn hide(
    repository: &Repository,
    lock: &LockGuard,
    kind: ObjectKind,
    names: &[Id],
    report: &mut RepairReport,
) -> Result<(), RepairError> {
    for name in names {
        require_lock(repository, lock)?;
        repository.objects.delete(kind, name)?;
        if repository.objects.keeps_versions() {
            report.hidden.push((show(kind, name), None));
        }
    }
    if kind == ObjectKind::Index {
        repository.note_removed(names);
    }
    Ok(())
}

pub(super) fn require_lock(repository: &Repository, lock: &LockGuard) -> Result<(), RepairError> {
    if lock.still_held() {
        Ok(())
    } else {
        Err(RepairError::LockLost {
            store: repository.place(),
        })
    }
}

pub(super) fn stop_if_asked(repository: &Repository) -> Result<(), RepairError> {
    if repository.env().interrupt.requested() {
        Err(RepairError::Interrupted)
    } else {
        Ok(())
    }
}

fn lane(kind: BlobKind) -> usize {
    match kind {
        BlobKind::Data => 0,
        BlobKind::Tree => 1,
    }
}
