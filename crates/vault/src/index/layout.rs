//! The first page of the index's file: what it is of, and where its parts are.

use vouchsafe_format::Id;

use super::build::KEY;
use super::pages::{Fault, LARGE, SMALL, Section};
use super::record::{PACK_ROW, RECORD};

/// Where the parts of the file are, in the order in which they were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Entries, pack by pack.
    pub(super) records: Section,
    pub(super) packs: Section,
    /// Packs by their ids.
    pub(super) pack_keys: Section,
    /// Entries by their ids.
    pub(super) keys: Section,
    /// The first key of each page of `pack_keys`.
    pub(super) pack_fences: Section,
    /// The first key of each page of `keys`.
    pub(super) key_fences: Section,
    pub(super) filter: Section,
    /// Keys that several entries have.
    pub(super) shared: Section,
    /// Index files that it holds the entries of.
    pub(super) files: Section,
}

/// What else the first page says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) repository: Id,
    /// Whether `shared` names all such keys.
    pub(super) shared_is_whole: bool,
}

const MAGIC: &[u8; 24] = b"vouchsafe blob index 1\n\0";
/// Magic, repository, one number, and two for each part.
const LENGTH: usize = 24 + 32 + 8 + 9 * 16;

impl Layout {
    pub(super) fn encode(&self, stamp: &Stamp) -> Vec<u8> {
        let mut out = Vec::with_capacity(LENGTH);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(stamp.repository.as_bytes());
        out.extend_from_slice(&u64::from(stamp.shared_is_whole).to_le_bytes());
        for section in self.sections() {
            out.extend_from_slice(&section.start.to_le_bytes());
            out.extend_from_slice(&section.rows.to_le_bytes());
        }
        out
    }

    /// Reads a first page whose digest is right; nothing if it is none of ours, or of another form of file.
    ///
    /// # Errors
    /// [`Fault`] if the parts do not lie one behind the other, up to the file's end.
    pub(super) fn decode(page: &[u8], length: u64) -> Result<Option<(Layout, Stamp)>, Fault> {
        let Some(rest) = page.strip_prefix(MAGIC) else {
            return Ok(None);
        };
        let torn = || Fault::Other("its first page is damaged");
        let (id, rest) = rest.split_first_chunk::<32>().ok_or_else(torn)?;
        let (whole, rest) = rest.split_first_chunk::<8>().ok_or_else(torn)?;
        let mut pairs = rest.as_chunks::<16>().0.iter();
        let mut expected = SMALL as u64;
        let mut section = |width, page| {
            let pair = pairs.next().ok_or_else(torn)?.as_chunks::<8>().0;
            let [start, rows] =
                [pair.first(), pair.get(1)].map(|n| n.copied().map_or(0, u64::from_le_bytes));
            let section = Section {
                start,
                rows,
                width,
                page,
            };
            let end = section.end().filter(|end| *end <= length);
            if start != expected {
                return Err(Fault::Other("its parts do not lie side by side"));
            }
            expected = end.ok_or(Fault::Other("it is shorter than it says"))?;
            Ok(section)
        };
        let layout = Layout {
            records: section(RECORD, LARGE)?,
            packs: section(PACK_ROW, SMALL)?,
            pack_keys: section(KEY, SMALL)?,
            keys: section(KEY, SMALL)?,
            pack_fences: section(8, SMALL)?,
            key_fences: section(8, SMALL)?,
            filter: section(8, SMALL)?,
            shared: section(8, SMALL)?,
            files: section(32, SMALL)?,
        };
        if expected != length {
            return Err(Fault::Other("it is longer than it says"));
        }
        let stamp = Stamp {
            repository: Id::from_bytes(*id),
            shared_is_whole: u64::from_le_bytes(*whole) == 1,
        };
        Ok(Some((layout, stamp)))
    }

    fn sections(&self) -> [Section; 9] {
        [
            self.records,
            self.packs,
            self.pack_keys,
            self.keys,
            self.pack_fences,
            self.key_fences,
            self.filter,
            self.shared,
            self.files,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number() -> impl Strategy<Value = u64> {
        prop_oneof![
            0..100_u64,
            (0..100_u64).prop_map(|n| n * SMALL as u64),
            (0..64_u32).prop_map(|n| 1 << n),
            any::<u64>(),
        ]
    }

    proptest! {
        #[test]
        fn whatever_the_first_page_says_no_part_lies_beyond_the_end(
            numbers in prop::collection::vec(number(), 0..20),
            cut in 0..400_usize,
            length in number(),
        ) {
            let mut page = MAGIC.to_vec();
            page.extend_from_slice(&[7; 40]);
            page.extend(numbers.iter().flat_map(|n| n.to_le_bytes()));
            page.truncate(cut);
            if let Ok(Some((layout, _))) = Layout::decode(&page, length) {
                for section in layout.sections() {
                    prop_assert!(section.end().is_some_and(|end| end <= length));
                }
            }
        }

        #[test]
        fn what_was_written_is_read_and_a_longer_file_is_not(rows in prop::collection::vec(0..2000_u64, 9)) {
            let widths = [(RECORD, LARGE), (PACK_ROW, SMALL), (KEY, SMALL), (KEY, SMALL), (8, SMALL), (8, SMALL), (8, SMALL), (8, SMALL), (32, SMALL)];
            let mut at = SMALL as u64;
            let sections: Vec<Section> = rows
                .iter()
                .zip(widths)
                .map(|(rows, (width, page))| {
                    let section = Section { start: at, rows: *rows, width, page };
                    at = section.end().unwrap();
                    section
                })
                .collect();
            let layout = Layout {
                records: sections[0],
                packs: sections[1],
                pack_keys: sections[2],
                keys: sections[3],
                pack_fences: sections[4],
                key_fences: sections[5],
                filter: sections[6],
                shared: sections[7],
                files: sections[8],
            };
            let stamp = Stamp { repository: Id::of(b"r"), shared_is_whole: true };
            let page = layout.encode(&stamp);
            prop_assert_eq!(Layout::decode(&page, at).unwrap(), Some((layout, stamp)));
            prop_assert!(Layout::decode(&page, at + 1).is_err());
            prop_assert!(Layout::decode(&page, at - 1).is_err());
        }
    }
}
