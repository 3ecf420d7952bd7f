//! Where blobs are: all index files of a repository as one. Of a repository of ordinary size it is in memory; of a huge
//! one in a file, with a filter in memory, and in memory besides only what was added since.

mod build;
mod builder;
mod disk;
mod filter;
mod layout;
mod pages;
mod recent;
mod record;
mod sorter;
mod table;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::path::Path;
use std::sync::Arc;

use vouchsafe_format::{BlobKind, Id, IndexPack, OVERHEAD, PackedBlob};

use disk::Disk;
use pages::Fault;
use record::{PackRow, Record};
use table::Table;

pub(crate) use build::Scratch;
pub(crate) use builder::{IndexBuilder, Room};

/// A repository's blobs, by id. A blob may lie in several packs.
///
/// Packs are numbered from 0, and so are entries: pack by pack, in the order of their bytes.
#[derive(Clone, Debug, Default)]
pub struct BlobIndex {
    files: BTreeSet<Id>,
    /// Comes first: its packs and entries have the lower numbers.
    base: Option<Arc<Disk>>,
    table: Table,
    /// Numbers of packs whose blobs count as not stored.
    distrusted: Arc<HashSet<u32>>,
}

/// A pack as the index lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedPack {
    /// Its name.
    pub id: Id,
    /// Bytes that it must have, header included.
    pub bytes: u64,
    /// Its blobs, in the order of their bytes.
    pub blobs: Vec<PackedBlob>,
}

/// The file that holds the index of a huge repository cannot be made or read.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "the file of the repository's index, {place}, cannot be used: {reason}; it is made anew at the next attempt, for which there must be room"
)]
pub struct IndexFileError {
    /// The file, or its directory.
    pub place: String,
    /// What went wrong.
    pub reason: String,
}

/// Where one copy of a blob lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The pack.
    pub pack: Id,
    /// The pack's number in this index.
    pub number: u32,
    /// First byte.
    pub offset: u32,
    /// Bytes in the pack, sealed.
    pub length: u32,
    /// Bytes of the plaintext, if it is compressed.
    pub uncompressed_length: Option<u32>,
}

impl Place {
    /// Bytes of the plaintext.
    pub fn plain_length(&self) -> u64 {
        match self.uncompressed_length {
            Some(length) => u64::from(length),
            None => u64::from(self.length).saturating_sub(OVERHEAD as u64),
        }
    }
}

impl BlobIndex {
    /// This index and the blobs of further index files, which are held in memory.
    pub fn with(self, files: impl IntoIterator<Item = (Id, Vec<IndexPack>)>) -> BlobIndex {
        let mut builder = IndexBuilder::new(Arc::new(self), None);
        for (file, packs) in files {
            builder.take(file, packs);
        }
        builder.into_memory()
    }

    /// The same index, for whoever must not count on what lies in these packs: a blob that lies nowhere else counts as
    /// not stored. The packs themselves are still listed.
    pub(crate) fn distrusting(&self, packs: &BTreeSet<Id>) -> BlobIndex {
        let numbers = packs.iter().filter_map(|pack| self.pack_number(pack));
        BlobIndex {
            distrusted: Arc::new(numbers.collect()),
            ..self.clone()
        }
    }

    /// The index that was published in a file, if there is one of this repository.
    ///
    /// # Errors
    /// [`IndexFileError`] if it is damaged: then it is good for nothing.
    pub(crate) fn open(path: &Path, repository: &Id) -> Result<Option<BlobIndex>, IndexFileError> {
        let opened = Disk::open(path, repository)?;
        Ok(opened.map(|(disk, files)| BlobIndex::on(disk, files)))
    }

    fn on(disk: Disk, files: BTreeSet<Id>) -> BlobIndex {
        BlobIndex {
            files,
            base: Some(Arc::new(disk)),
            table: Table::default(),
            distrusted: Arc::default(),
        }
    }

    /// The file that holds it was given this name.
    pub(crate) fn keep_at(&self, path: &Path) {
        if let Some(disk) = &self.base {
            disk.keep_at(path);
        }
    }

    /// The index files that went into it.
    pub fn files(&self) -> &BTreeSet<Id> {
        &self.files
    }

    /// Whether most of it is in a file.
    pub(crate) fn is_in_file(&self) -> bool {
        self.base.is_some()
    }

    /// What went wrong with the file that holds it, if anything did. Blobs that could not be looked up since were said
    /// not to be stored. That does no harm where they are then stored again; whoever concludes anything else from a
    /// blob's absence must ask this first.
    pub fn trouble(&self) -> Option<IndexFileError> {
        self.base.as_ref()?.trouble()
    }

    /// Whether the blob is stored.
    pub fn contains(&self, kind: BlobKind, id: &Id) -> bool {
        match self.distrusted.is_empty() {
            true => self.first(kind, id).is_some(),
            false => self.places(kind, id).next().is_some(),
        }
    }

    /// Where the blob is stored; the first of several places.
    pub fn place(&self, kind: BlobKind, id: &Id) -> Option<Place> {
        match self.distrusted.is_empty() {
            true => self.to_place(self.first(kind, id)?),
            false => self.places(kind, id).next(),
        }
    }

    /// All places where the blob is stored.
    pub fn places(&self, kind: BlobKind, id: &Id) -> impl Iterator<Item = Place> + '_ {
        let below = self.base.as_ref().map(|disk| disk.find(kind, id));
        let below = below.into_iter().flatten().map(Found::below);
        let above = self.table.find(kind, id);
        below
            .chain(above.map(|(number, record)| self.above(number, record)))
            .filter_map(|found| self.to_place(found))
            .filter(|place| !self.distrusted.contains(&place.number))
    }

    /// The number of the blob's first entry.
    pub fn position(&self, kind: BlobKind, id: &Id) -> Option<u64> {
        Some(self.first(kind, id)?.entry)
    }

    /// Number of entries: blobs, counted once for each place.
    pub fn len(&self) -> usize {
        self.entries_below() + self.table.len()
    }

    /// Whether there is no blob.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of packs.
    pub fn pack_count(&self) -> u32 {
        self.packs_below() + self.table.packs().len() as u32
    }

    /// All packs, in the order of their numbers, each with the bytes it must have, header included.
    pub fn packs(&self) -> impl ExactSizeIterator<Item = (Id, u64)> + '_ {
        (0..self.pack_count()).map(|number| {
            self.row(number)
                .map_or((Id::from_bytes([0; 32]), 0), |row| (row.id, row.bytes))
        })
    }

    /// The number of a pack.
    pub fn pack_number(&self, pack: &Id) -> Option<u32> {
        let below = self.base.as_ref().and_then(|disk| disk.number(pack));
        below.or_else(|| Some(self.packs_below() + self.table.number(pack)?))
    }

    /// Bytes that a pack must have, by its number; 0 if there is no such pack.
    pub fn pack_bytes(&self, number: u32) -> u64 {
        self.row(number).map_or(0, |row| row.bytes)
    }

    /// A pack with all its blobs, by its number.
    pub fn pack(&self, number: u32) -> Option<ListedPack> {
        let row = self.row(number)?;
        let blobs = match &self.base {
            Some(disk) if number < disk.packs() => disk.blobs(&row),
            _ => self
                .table
                .records_of(&row)
                .iter()
                .map(Record::blob)
                .collect(),
        };
        Some(ListedPack {
            id: row.id,
            bytes: row.bytes,
            blobs,
        })
    }

    /// All blobs, pack by pack, in the order of their bytes. This holds all of them in memory: where there may be very
    /// many, ask for one [`BlobIndex::pack`] after the other.
    pub fn by_pack(&self) -> Vec<(Id, Vec<PackedBlob>)> {
        (0..self.pack_count())
            .filter_map(|number| self.pack(number))
            .map(|pack| (pack.id, pack.blobs))
            .collect()
    }

    /// Shows every entry: its number, the number of the blob's *first* entry, which is the same for all its copies, the
    /// pack's number, and the blob.
    ///
    /// # Errors
    /// [`IndexFileError`] if the file that holds it could not be read: then not all was shown.
    pub fn visit(
        &self,
        mut visit: impl FnMut(u64, u64, u32, PackedBlob),
    ) -> Result<(), IndexFileError> {
        let mut entry = 0;
        for number in 0..self.pack_count() {
            let below = self.base.as_ref().filter(|disk| number < disk.packs());
            for blob in self.pack(number).map(|pack| pack.blobs).unwrap_or_default() {
                let alone = below.is_some_and(|disk| disk.is_alone(&blob.id));
                let first = match alone {
                    true => None,
                    false => self.position(blob.kind, &blob.id),
                };
                visit(entry, first.unwrap_or(entry), number, blob);
                entry += 1;
            }
            self.trouble().map_or(Ok(()), Err)?;
        }
        Ok(())
    }

    fn first(&self, kind: BlobKind, id: &Id) -> Option<Found> {
        let below = self
            .base
            .as_ref()
            .and_then(|disk| disk.find_first(kind, id));
        below.map(Found::below).or_else(|| {
            let (number, record) = self.table.find(kind, id).next()?;
            Some(self.above(number, record))
        })
    }

    fn above(&self, number: u32, record: &Record) -> Found {
        Found {
            entry: self.entries_below() as u64 + u64::from(number),
            pack: self.packs_below() + record.pack(),
            blob: record.blob(),
        }
    }

    fn row(&self, number: u32) -> Option<PackRow> {
        match &self.base {
            Some(disk) if number < disk.packs() => disk.row(number),
            _ => {
                let above = number.checked_sub(self.packs_below())?;
                self.table.packs().get(above as usize).copied()
            }
        }
    }

    fn to_place(&self, found: Found) -> Option<Place> {
        self.row(found.pack).map(|row| Place {
            pack: row.id,
            number: found.pack,
            offset: found.blob.offset,
            length: found.blob.length,
            uncompressed_length: found.blob.uncompressed_length,
        })
    }

    fn packs_below(&self) -> u32 {
        self.base.as_ref().map_or(0, |disk| disk.packs())
    }

    fn entries_below(&self) -> usize {
        self.base.as_ref().map_or(0, |disk| disk.len())
    }
}

/// An entry with its number, and its pack's.
struct Found {
    entry: u64,
    pack: u32,
    blob: PackedBlob,
}

impl Found {
    fn below((number, record): (u32, Record)) -> Found {
        Found {
            entry: number.into(),
            pack: record.pack(),
            blob: record.blob(),
        }
    }
}

impl IndexFileError {
    fn new(place: &Path, fault: Fault) -> IndexFileError {
        IndexFileError {
            place: place.display().to_string(),
            reason: fault.to_string(),
        }
    }
}

/// Hashes what begins with an [`Id`] by the id's own first bytes, which are random already.
pub(crate) type ById = BuildHasherDefault<IdHasher>;

/// See [`ById`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 ^= u64::from_le_bytes(*first);
        } else {
            for byte in bytes {
                self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
            }
        }
    }

    // The length of the id and the number of the kind: the first is always equal, the second may well collide.
    fn write_usize(&mut self, _: usize) {}
    fn write_isize(&mut self, number: isize) {
        self.0 ^= number as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
