//! The beginning of a log file, which names its generation.

use std::fmt;

/// Bytes of the header.
pub const HEADER: usize = 32;

const MAGIC: u32 = 0x377f_0682;
const VERSION: u32 = 3_007_000;
/// Of the header, all but the sum itself is summed.
const SUMMED: usize = 24;

/// What tells one generation of a log from the next: SQLite begins its file anew with others, and every frame bears
/// them. Zeros stand for no log at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Salts(pub [u8; 8]);

/// The running sum, in which every frame up to a place has its part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    first: u32,
    second: u32,
}

/// What stands at the beginning of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalHeader {
    /// Bytes of a page.
    pub page_size: u32,
    /// Its generation.
    pub salts: Salts,
    /// The sum at its end.
    pub sum: Sum,
    /// Whether words are summed with their first byte as the highest.
    pub big_endian: bool,
}

/// Why bytes are not the header of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// There are too few.
    #[error("a log begins with {HEADER} bytes, and there are {found}")]
    Short {
        /// So many.
        found: usize,
    },
    /// They are something else, or of a version that is not known.
    #[error("it does not begin as a write-ahead log of SQLite does")]
    Foreign,
    /// The size of pages is none.
    #[error("pages of {size} bytes do not exist")]
    PageSize {
        /// What it says.
        size: u32,
    },
    /// The sum is not that of the bytes.
    #[error("the sum of its header is wrong")]
    Sum,
}

impl Salts {
    /// No log.
    pub const NONE: Salts = Salts([0; 8]);
}

impl fmt::Display for Salts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Sum {
    /// As it is stored: big-endian words.
    pub fn of_bytes(bytes: [u8; 8]) -> Sum {
        let [a, b, c, d, e, f, g, h] = bytes;
        Sum {
            first: u32::from_be_bytes([a, b, c, d]),
            second: u32::from_be_bytes([e, f, g, h]),
        }
    }

    /// As it is stored.
    pub fn to_bytes(self) -> [u8; 8] {
        let ([a, b, c, d], [e, f, g, h]) = (self.first.to_be_bytes(), self.second.to_be_bytes());
        [a, b, c, d, e, f, g, h]
    }

    /// With more bytes: whole pairs of words.
    pub(super) fn then(self, bytes: &[u8], big_endian: bool) -> Sum {
        let word = |bytes: [u8; 4]| match big_endian {
            true => u32::from_be_bytes(bytes),
            false => u32::from_le_bytes(bytes),
        };
        let (pairs, _) = bytes.as_chunks::<8>();
        pairs.iter().fold(self, |sum, [a, b, c, d, e, f, g, h]| {
            let first = sum.first.wrapping_add(word([*a, *b, *c, *d]));
            let first = first.wrapping_add(sum.second);
            let second = sum.second.wrapping_add(word([*e, *f, *g, *h]));
            Sum {
                first,
                second: second.wrapping_add(first),
            }
        })
    }
}

impl WalHeader {
    /// Reads it from the first bytes of a log.
    pub fn parse(bytes: &[u8]) -> Result<WalHeader, HeaderError> {
        let short = HeaderError::Short { found: bytes.len() };
        let bytes = bytes.first_chunk::<HEADER>().ok_or(short)?;
        let (words, _) = bytes.as_chunks::<4>();
        let mut words = words.iter().map(|word| u32::from_be_bytes(*word));
        let mut next = || words.next().unwrap_or_default();
        let (magic, version, page_size, _sequence) = (next(), next(), next(), next());
        if magic & !1 != MAGIC || version != VERSION {
            return Err(HeaderError::Foreign);
        }
        if !page_size.is_power_of_two() || !(512..=65536).contains(&page_size) {
            return Err(HeaderError::PageSize { size: page_size });
        }
        let big_endian = magic & 1 == 1;
        let (summed, stored) = bytes.split_at(SUMMED);
        let sum = Sum::default().then(summed, big_endian);
        if sum.to_bytes() != stored {
            return Err(HeaderError::Sum);
        }
        let mut salts = Salts::NONE;
        if let Some(bytes) = bytes.get(16..24) {
            salts.0.copy_from_slice(bytes);
        }
        Ok(WalHeader {
            page_size,
            salts,
            sum,
            big_endian,
        })
    }
}
