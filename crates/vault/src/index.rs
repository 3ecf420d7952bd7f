//! Where blobs are: all index files of a repository as one compact table in memory, 48 bytes for each blob.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hash, Hasher};

use vouchsafe_format::{BlobKind, Id, IndexPack, OVERHEAD, PackedBlob};

/// A repository's blobs, by id. A blob may lie in several packs.
#[derive(Clone, Debug, Default)]
pub struct BlobIndex {
    files: BTreeSet<Id>,
    packs: Vec<Pack>,
    /// Sorted by id, kind, pack, offset.
    entries: Vec<Entry>,
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
    /// This index and the blobs of further index files.
    pub fn with(mut self, files: impl IntoIterator<Item = (Id, Vec<IndexPack>)>) -> BlobIndex {
        let mut numbers: HashMap<Id, u32, ById> = (0..)
            .zip(&self.packs)
            .map(|(number, pack)| (pack.id, number))
            .collect();
        for (file, packs) in files {
            if !self.files.insert(file) {
                continue;
            }
            for pack in packs {
                let next = u32::try_from(self.packs.len()).unwrap_or(u32::MAX);
                let number = *numbers.entry(pack.id).or_insert_with(|| {
                    self.packs.push(Pack {
                        id: pack.id,
                        bytes: 0,
                    });
                    next
                });
                self.entries
                    .extend(pack.blobs.iter().map(|blob| Entry::new(number, blob)));
            }
        }
        self.entries.sort_unstable();
        self.entries.dedup();
        self.measure_packs();
        self
    }

    /// The index files that went into it.
    pub fn files(&self) -> &BTreeSet<Id> {
        &self.files
    }

    /// Whether the blob is stored.
    pub fn contains(&self, kind: BlobKind, id: &Id) -> bool {
        !self.copies(kind, id).is_empty()
    }

    /// Where the blob is stored; the first of several places.
    pub fn place(&self, kind: BlobKind, id: &Id) -> Option<Place> {
        self.places(kind, id).next()
    }

    /// All places where the blob is stored.
    pub fn places(&self, kind: BlobKind, id: &Id) -> impl Iterator<Item = Place> + '_ {
        self.copies(kind, id)
            .iter()
            .filter_map(|entry| self.to_place(entry))
    }

    /// Number of entries: blobs, counted once for each place.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no blob.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All packs, each with the bytes it must have, header included.
    pub fn packs(&self) -> impl ExactSizeIterator<Item = (Id, u64)> + '_ {
        self.packs.iter().map(|pack| (pack.id, pack.bytes))
    }

    /// Bytes that a pack must have, by its number; 0 if there is no such pack.
    pub fn pack_bytes(&self, number: u32) -> u64 {
        self.packs.get(number as usize).map_or(0, |pack| pack.bytes)
    }

    /// All blobs, pack by pack, in the order of their bytes.
    pub fn by_pack(&self) -> Vec<(Id, Vec<PackedBlob>)> {
        let mut out: Vec<(Id, Vec<PackedBlob>)> = self
            .packs
            .iter()
            .map(|pack| (pack.id, Vec::new()))
            .collect();
        for entry in &self.entries {
            if let Some((_, blobs)) = out.get_mut(entry.number() as usize) {
                blobs.push(entry.to_blob());
            }
        }
        for (_, blobs) in &mut out {
            blobs.sort_unstable_by_key(|blob| blob.offset);
        }
        out
    }

    fn copies(&self, kind: BlobKind, id: &Id) -> &[Entry] {
        let key = (*id.as_bytes(), tree_bit(kind));
        let from = self.entries.partition_point(|entry| entry.key() < key);
        let rest = self.entries.get(from..).unwrap_or_default();
        let count = rest.iter().take_while(|entry| entry.key() == key).count();
        rest.get(..count).unwrap_or_default()
    }

    fn to_place(&self, entry: &Entry) -> Option<Place> {
        let number = entry.number();
        let blob = entry.to_blob();
        self.packs.get(number as usize).map(|pack| Place {
            pack: pack.id,
            number,
            offset: blob.offset,
            length: blob.length,
            uncompressed_length: blob.uncompressed_length,
        })
    }

    fn measure_packs(&mut self) {
        for pack in &mut self.packs {
            pack.bytes = HEADER_FRAME;
        }
        for entry in &self.entries {
            let listed = if entry.uncompressed == 0 {
                PLAIN_ENTRY
            } else {
                COMPRESSED_ENTRY
            };
            if let Some(pack) = self.packs.get_mut(entry.number() as usize) {
                pack.bytes += u64::from(entry.length) + listed;
            }
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

#[derive(Clone, Debug)]
struct Pack {
    id: Id,
    bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Entry {
    id: [u8; 32],
    /// The highest bit tells trees; the others are the pack's number.
    pack: u32,
    offset: u32,
    length: u32,
    /// 0 if it is not compressed.
    uncompressed: u32,
}

impl Entry {
    fn new(number: u32, blob: &PackedBlob) -> Entry {
        Entry {
            id: *blob.id.as_bytes(),
            pack: number & !TREE | tree_bit(blob.kind),
            offset: blob.offset,
            length: blob.length,
            uncompressed: blob.uncompressed_length.unwrap_or(0),
        }
    }

    fn key(&self) -> ([u8; 32], u32) {
        (self.id, self.pack & TREE)
    }

    fn number(&self) -> u32 {
        self.pack & !TREE
    }

    fn to_blob(self) -> PackedBlob {
        PackedBlob {
            id: Id::from_bytes(self.id),
            kind: if self.pack & TREE == 0 {
                BlobKind::Data
            } else {
                BlobKind::Tree
            },
            offset: self.offset,
            length: self.length,
            uncompressed_length: Some(self.uncompressed).filter(|length| *length > 0),
        }
    }
}

const TREE: u32 = 1 << 31;
const PLAIN_ENTRY: u64 = 37;
const COMPRESSED_ENTRY: u64 = 41;
/// What a header takes besides its entries: the overhead of sealing and 4 bytes of length.
const HEADER_FRAME: u64 = OVERHEAD as u64 + 4;

fn tree_bit(kind: BlobKind) -> u32 {
    match kind {
        BlobKind::Data => 0,
        BlobKind::Tree => TREE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_format::{MasterKey, PackWriter, seal_blob};

    fn blob(text: &[u8], kind: BlobKind, offset: u32) -> PackedBlob {
        PackedBlob {
            id: Id::of(text),
            kind,
            offset,
            length: 40,
            uncompressed_length: None,
        }
    }

    #[test]
    fn an_entry_takes_48_bytes() {
        assert_eq!(size_of::<Entry>(), 48);
    }

    #[test]
    fn blobs_are_found_in_all_their_places() {
        let one = IndexPack {
            id: Id::of(b"1"),
            blobs: vec![blob(b"a", BlobKind::Data, 0)],
        };
        let two = IndexPack {
            id: Id::of(b"2"),
            blobs: vec![
                blob(b"b", BlobKind::Data, 40),
                blob(b"a", BlobKind::Data, 0),
            ],
        };
        let index = BlobIndex::default()
            .with([(Id::of(b"i"), vec![one])])
            .with([(Id::of(b"j"), vec![two.clone()]), (Id::of(b"k"), vec![two])]);
        assert_eq!(index.len(), 3);
        assert_eq!(index.places(BlobKind::Data, &Id::of(b"a")).count(), 2);
        assert!(index.contains(BlobKind::Data, &Id::of(b"b")));
        assert!(!index.contains(BlobKind::Tree, &Id::of(b"b")));
        assert!(!index.contains(BlobKind::Data, &Id::of(b"c")));
        let by_pack = index.by_pack();
        assert_eq!(
            by_pack[1].1.iter().map(|b| b.offset).collect::<Vec<_>>(),
            [0, 40]
        );
    }

    #[test]
    fn a_packs_size_follows_from_its_blobs() {
        let key = MasterKey::from_random([7; 64]).unwrap();
        let mut pack = PackWriter::new(BlobKind::Tree);
        for text in [b"hello".as_slice(), b"world"] {
            let sealed = seal_blob(&key, [1; 16], BlobKind::Tree, text, None).unwrap();
            pack.add(Id::of(text), &sealed.bytes, sealed.uncompressed_length)
                .unwrap();
        }
        let pack = pack.finish(&key, [2; 16]).unwrap();
        let listed = IndexPack {
            id: pack.id,
            blobs: pack.blobs,
        };
        let index = BlobIndex::default().with([(Id::of(b"i"), vec![listed])]);
        assert_eq!(
            index.packs().collect::<Vec<_>>(),
            [(pack.id, pack.bytes.len() as u64)]
        );
    }
}
