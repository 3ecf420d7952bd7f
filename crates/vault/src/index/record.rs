//! One entry of the index as a row of fixed width, in memory and in the file.

use vouchsafe_format::{BlobKind, Id, OVERHEAD, PackedBlob};

/// Where one copy of a blob lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Record {
    id: [u8; 32],
    /// The highest bit tells trees; the others are the pack's number.
    pack: u32,
    offset: u32,
    pub(super) length: u32,
    /// 0 if it is not compressed.
    uncompressed: u32,
}

/// Bytes of a record in the file.
pub(super) const RECORD: usize = 48;

/// Most packs of an index.
pub(super) const MOST_PACKS: u32 = TREE - 1;

const TREE: u32 = 1 << 31;

impl Record {
    pub(super) fn new(pack: u32, blob: &PackedBlob) -> Record {
        Record {
            id: *blob.id.as_bytes(),
            pack: pack & !TREE | tree_bit(blob.kind),
            offset: blob.offset,
            length: blob.length,
            uncompressed: blob.uncompressed_length.unwrap_or(0),
        }
    }

    pub(super) fn is(&self, kind: BlobKind, id: &Id) -> bool {
        self.id == *id.as_bytes() && self.pack & TREE == tree_bit(kind)
    }

    /// The number of its pack.
    pub(super) fn pack(&self) -> u32 {
        self.pack & !TREE
    }

    /// What it is searched by.
    pub(super) fn key(&self) -> u64 {
        key_of(&self.id)
    }

    pub(super) fn blob(&self) -> PackedBlob {
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

    /// Bytes that the blob takes in its pack, with its entry in the header.
    pub(super) fn bytes(&self) -> u64 {
        let listed = if self.uncompressed == 0 {
            PLAIN_ENTRY
        } else {
            COMPRESSED_ENTRY
        };
        u64::from(self.length) + listed
    }

    pub(super) fn to_bytes(self) -> [u8; RECORD] {
        let mut out = [0; RECORD];
        out[..32].copy_from_slice(&self.id);
        let numbers = [self.pack, self.offset, self.length, self.uncompressed];
        for (field, number) in out[32..].as_chunks_mut::<4>().0.iter_mut().zip(numbers) {
            *field = number.to_le_bytes();
        }
        out
    }

    pub(super) fn from_bytes(bytes: &[u8; RECORD]) -> Record {
        let mut id = [0; 32];
        id.copy_from_slice(&bytes[..32]);
        let mut numbers = [0; 4];
        for (number, field) in numbers.iter_mut().zip(bytes[32..].as_chunks::<4>().0) {
            *number = u32::from_le_bytes(*field);
        }
        let [pack, offset, length, uncompressed] = numbers;
        Record {
            id,
            pack,
            offset,
            length,
            uncompressed,
        }
    }
}

/// A pack and where its records are: those from `first` to the first one of the next pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PackRow {
    pub(super) id: Id,
    pub(super) first: u32,
    pub(super) count: u32,
    /// Bytes that it must have, header included.
    pub(super) bytes: u64,
}

/// Bytes of a pack's row in the file.
pub(super) const PACK_ROW: usize = 48;

impl PackRow {
    pub(super) fn new(id: Id, first: u32, records: &[Record]) -> PackRow {
        PackRow {
            id,
            first,
            count: u32::try_from(records.len()).unwrap_or(u32::MAX),
            bytes: records.iter().map(Record::bytes).sum::<u64>() + HEADER_FRAME,
        }
    }

    /// The numbers of its records.
    pub(super) fn records(&self) -> std::ops::Range<u32> {
        self.first..self.first.saturating_add(self.count)
    }

    pub(super) fn to_bytes(self) -> [u8; PACK_ROW] {
        let mut out = [0; PACK_ROW];
        out[..32].copy_from_slice(self.id.as_bytes());
        out[32..36].copy_from_slice(&self.first.to_le_bytes());
        out[36..40].copy_from_slice(&self.count.to_le_bytes());
        out[40..].copy_from_slice(&self.bytes.to_le_bytes());
        out
    }

    pub(super) fn from_bytes(bytes: &[u8; PACK_ROW]) -> PackRow {
        let (mut id, mut numbers, mut size) = ([0; 32], [[0; 4]; 2], [0; 8]);
        id.copy_from_slice(&bytes[..32]);
        numbers[0].copy_from_slice(&bytes[32..36]);
        numbers[1].copy_from_slice(&bytes[36..40]);
        size.copy_from_slice(&bytes[40..]);
        PackRow {
            id: Id::from_bytes(id),
            first: u32::from_le_bytes(numbers[0]),
            count: u32::from_le_bytes(numbers[1]),
            bytes: u64::from_le_bytes(size),
        }
    }
}

/// What an id is searched by: its first bytes, so that the order of keys is that of ids.
pub(super) fn key_of(id: &[u8; 32]) -> u64 {
    id.first_chunk::<8>().map_or(0, |b| u64::from_be_bytes(*b))
}

/// The records of a pack, in the order of its bytes, each once.
pub(super) fn records(pack: u32, blobs: &[PackedBlob]) -> Vec<Record> {
    let mut out: Vec<Record> = blobs.iter().map(|blob| Record::new(pack, blob)).collect();
    let order = |record: &Record| (record.offset, *record);
    if !out.is_sorted_by(|a, b| order(a) < order(b)) {
        out.sort_unstable_by_key(order);
        out.dedup();
    }
    out
}

fn tree_bit(kind: BlobKind) -> u32 {
    match kind {
        BlobKind::Data => 0,
        BlobKind::Tree => TREE,
    }
}

const PLAIN_ENTRY: u64 = 37;
const COMPRESSED_ENTRY: u64 = 41;
/// What a header takes besides its entries: the overhead of sealing and 4 bytes of length.
const HEADER_FRAME: u64 = OVERHEAD as u64 + 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_go_both_ways() {
        assert_eq!(size_of::<Record>(), RECORD);
        let blob = PackedBlob {
            id: Id::of(b"x"),
            kind: BlobKind::Tree,
            offset: 1,
            length: 40,
            uncompressed_length: Some(7),
        };
        let record = Record::new(9, &blob);
        assert_eq!(Record::from_bytes(&record.to_bytes()), record);
        assert_eq!((record.pack(), record.blob()), (9, blob));
        let row = PackRow::new(Id::of(b"p"), 3, &[record]);
        assert_eq!(PackRow::from_bytes(&row.to_bytes()), row);
        assert_eq!(row.records(), 3..4);
    }
}
