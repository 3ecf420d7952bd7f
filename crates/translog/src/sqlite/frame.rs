//! Frames: pages as transactions left them, each bound to all before it by the running sum.

use super::header::{HEADER, Salts, Sum, WalHeader};
use crate::fields::Fields;

/// Bytes before the page in a frame.
pub const FRAME_HEADER: usize = 24;

/// A verified frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The number of the page, from 1.
    pub page: u32,
    /// Where it ends a transaction: how many pages the database then has.
    pub commit: Option<u32>,
    /// The page.
    pub content: &'a [u8],
}

/// Why bytes are not the next frame. At the end of a log that is what comes there: nothing, what is left of an older
/// generation, or a frame that is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// There are too few.
    #[error("the frame at byte {at} is cut short")]
    Short {
        /// Where it begins.
        at: u64,
    },
    /// It is of another generation.
    #[error("the frame at byte {at} is of the log {found}")]
    Generation {
        /// Where it begins.
        at: u64,
        /// Of which.
        found: Salts,
    },
    /// It does not follow on what came before, or is damaged.
    #[error("the sum of the frame at byte {at} is wrong")]
    Sum {
        /// Where it begins.
        at: u64,
    },
    /// Pages are counted from 1.
    #[error("the frame at byte {at} is of page 0")]
    Page {
        /// Where it begins.
        at: u64,
    },
}

/// A place in a log between two frames, up to which all was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalCursor {
    header: WalHeader,
    offset: u64,
    sum: Sum,
}

impl WalCursor {
    /// Right behind the header.
    pub fn after(header: WalHeader) -> WalCursor {
        WalCursor {
            header,
            offset: HEADER as u64,
            sum: header.sum,
        }
    }

    /// At another place of the same generation, of which offset and sum were noted.
    #[must_use]
    pub fn moved_to(self, offset: u64, sum: Sum) -> WalCursor {
        WalCursor {
            offset,
            sum,
            ..self
        }
    }

    /// The header of the log.
    pub fn header(&self) -> &WalHeader {
        &self.header
    }

    /// Bytes from the beginning of the log.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The sum of all before it.
    pub fn sum(&self) -> Sum {
        self.sum
    }

    /// Bytes of every frame.
    pub fn frame_length(&self) -> usize {
        FRAME_HEADER + usize::try_from(self.header.page_size).unwrap_or(usize::MAX - FRAME_HEADER)
    }

    /// Verifies the frame at the beginning of `bytes` and goes on behind it.
    ///
    /// # Errors
    /// [`FrameError`]; then the cursor stays.
    pub fn next<'a>(&mut self, bytes: &'a [u8]) -> Result<Frame<'a>, FrameError> {
        let at = self.offset;
        let short = FrameError::Short { at };
        let bytes = bytes.get(..self.frame_length()).ok_or(short)?;
        let (head, content) = bytes.split_at_checked(FRAME_HEADER).ok_or(short)?;
        let (summed, _) = head.split_at_checked(8).ok_or(short)?;
        let mut fields = Fields::of(head);
        let mut word = || fields.array().map(u32::from_be_bytes).ok_or(short);
        let (page, pages) = (word()?, word()?);
        let salts = Salts(fields.array().ok_or(short)?);
        if salts != self.header.salts {
            return Err(FrameError::Generation { at, found: salts });
        }
        let stored = Sum::of_bytes(fields.array().ok_or(short)?);
        let big_endian = self.header.big_endian;
        let sum = self.sum.then(summed, big_endian).then(content, big_endian);
        if sum != stored {
            return Err(FrameError::Sum { at });
        }
        if page == 0 {
            return Err(FrameError::Page { at });
        }
        self.sum = sum;
        self.offset = self.offset.saturating_add(bytes.len() as u64);
        Ok(Frame {
            page,
            commit: (pages != 0).then_some(pages),
            content,
        })
    }
}
