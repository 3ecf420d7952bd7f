//! The header of a page. (`access/xlog_internal.h`)

use crate::fields::Fields;

/// Bytes of a header.
pub(crate) const SHORT: usize = 24;
/// Bytes of the header of the first page of a segment.
pub(crate) const LONG: usize = 40;
/// Bytes of a page, unless the server was built with another number.
pub const DEFAULT_BLOCK_SIZE: u32 = 8192;

/// The page goes on with a record of the page before.
pub(crate) const CONTINUES: u16 = 0x0001;
/// The page has a long header.
const IS_LONG: u16 = 0x0002;
/// The page should have gone on with a record, but that was abandoned.
pub(crate) const ABANDONS: u16 = 0x0008;
/// All flags that there are. The one of 4 says that full page images may be left out by an archiver.
const KNOWN: u16 = 0x000F;

/// What a page says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageHeader {
    pub(crate) magic: u16,
    pub(crate) flags: u16,
    pub(crate) timeline: u32,
    pub(crate) address: u64,
    /// Bytes of a record of the page before that are left.
    pub(crate) remaining: u32,
    /// Only on the first page of a segment.
    pub(crate) file: Option<FileHeader>,
}

/// What the first page of a segment says of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileHeader {
    pub(crate) system: u64,
    pub(crate) segment_size: u32,
    pub(crate) block_size: u32,
}

impl PageHeader {
    /// None if there are fewer bytes than a header has.
    pub(crate) fn parse(bytes: &[u8]) -> Option<PageHeader> {
        let mut fields = Fields::of(bytes);
        let mut header = PageHeader {
            magic: fields.u16()?,
            flags: fields.u16()?,
            timeline: fields.u32()?,
            address: fields.u64()?,
            remaining: fields.u32()?,
            file: None,
        };
        // Four bytes fill up to a multiple of eight.
        fields.u32()?;
        if !fields.rest().is_empty() {
            header.file = Some(FileHeader {
                system: fields.u64()?,
                segment_size: fields.u32()?,
                block_size: fields.u32()?,
            });
        }
        Some(header)
    }

    /// The flags are known, and the header is long exactly if it is the first of a segment.
    pub(crate) fn flags_fit(&self) -> bool {
        self.flags & !KNOWN == 0 && (self.flags & IS_LONG != 0) == self.file.is_some()
    }

    pub(crate) fn continues(&self) -> bool {
        self.flags & CONTINUES != 0
    }

    pub(crate) fn abandons(&self) -> bool {
        self.flags & ABANDONS != 0
    }
}

/// The major version of PostgreSQL that writes pages of this format; none if it is not known here.
pub fn major_of_magic(magic: u16) -> Option<u16> {
    match magic {
        0xD106 => Some(13),
        0xD10D => Some(14),
        0xD110 => Some(15),
        0xD113 => Some(16),
        0xD116 => Some(17),
        0xD118 => Some(18),
        _ => None,
    }
}
