//! The index of a repository of ordinary size, in memory: 48 bytes for each entry, and 5 to 11 to find it.

use std::collections::HashMap;

use vouchsafe_format::{BlobKind, Id, PackedBlob};

use super::ById;
use super::record::{MOST_PACKS, PackRow, Record, key_of, records};

/// Packs and their records, pack by pack.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    packs: Vec<PackRow>,
    numbers: HashMap<Id, u32, ById>,
    records: Vec<Record>,
    /// Numbers of records, plus one; 0 is free. A power of two in length, searched from where a record's key points.
    slots: Vec<u32>,
}

impl Table {
    /// Adds a pack that is not there yet. Nothing is added if there are too many.
    pub(super) fn add(&mut self, id: Id, blobs: &[PackedBlob]) -> bool {
        let (Ok(number), Ok(first)) = (
            u32::try_from(self.packs.len()),
            u32::try_from(self.records.len()),
        ) else {
            return false;
        };
        let new = records(number, blobs);
        if number >= MOST_PACKS || self.records.len() + new.len() >= u32::MAX as usize {
            return false;
        }
        self.packs.push(PackRow::new(id, first, &new));
        self.numbers.insert(id, number);
        self.records.extend(new);
        true
    }

    /// Makes what was added since the last time findable.
    pub(super) fn finish(&mut self) {
        self.records.shrink_to_fit();
        let wanted = (self.records.len() + self.records.len() / 3 + 1).next_power_of_two();
        self.slots = vec![0; wanted];
        for (number, record) in (1..).zip(&self.records) {
            let mut at = start(record.key(), wanted);
            while let Some(slot) = self.slots.get_mut(at) {
                if *slot == 0 {
                    *slot = number;
                    break;
                }
                at = (at + 1) & (wanted - 1);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn packs(&self) -> &[PackRow] {
        &self.packs
    }

    pub(super) fn number(&self, pack: &Id) -> Option<u32> {
        self.numbers.get(pack).copied()
    }

    /// A pack's records.
    pub(super) fn records_of(&self, row: &PackRow) -> &[Record] {
        let range = row.records();
        self.records
            .get(range.start as usize..range.end as usize)
            .unwrap_or_default()
    }

    /// The numbers of a blob's records, and these, in the order of their packs.
    pub(super) fn find(
        &self,
        kind: BlobKind,
        id: &Id,
    ) -> impl Iterator<Item = (u32, &Record)> + use<'_> {
        let (id, mask) = (*id, self.slots.len().wrapping_sub(1));
        let mut at = start(key_of(id.as_bytes()), self.slots.len());
        let chain = std::iter::from_fn(move || {
            let number = self.slots.get(at)?.checked_sub(1)?;
            at = (at + 1) & mask;
            Some((number, self.records.get(number as usize)?))
        });
        chain.filter(move |(_, record)| record.is(kind, &id))
    }
}

/// Where the search for a key begins. Other bits than those that the file is sorted by would do no better: they are
/// a digest's.
fn start(key: u64, slots: usize) -> usize {
    (key as usize) & slots.wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowded_table_finds_all_and_ends_its_searches() {
        let mut table = Table::default();
        assert_eq!(table.find(BlobKind::Data, &Id::of(b"x")).count(), 0);
        let blobs: Vec<PackedBlob> = (0..1000_u32)
            .map(|n| PackedBlob {
                // All keys are equal: the worst that can be.
                id: Id::from_bytes(
                    [[1; 28].as_slice(), &n.to_le_bytes()]
                        .concat()
                        .try_into()
                        .unwrap(),
                ),
                kind: BlobKind::Data,
                offset: n * 40,
                length: 40,
                uncompressed_length: None,
            })
            .collect();
        for (name, part) in [b"1", b"2", b"3"].into_iter().zip(blobs.chunks(400)) {
            assert!(table.add(Id::of(name), part));
        }
        assert!(table.add(Id::of(b"4"), &blobs[..1]));
        table.finish();
        for (number, blob) in (0..).zip(&blobs) {
            let found: Vec<u32> = table.find(blob.kind, &blob.id).map(|(n, _)| n).collect();
            assert_eq!(
                found,
                if number == 0 {
                    vec![0, 1000]
                } else {
                    vec![number]
                }
            );
            assert_eq!(table.find(BlobKind::Tree, &blob.id).count(), 0);
        }
        assert_eq!(table.find(BlobKind::Data, &Id::of(b"x")).count(), 0);
    }
}
