//! After the end: whether what follows is really empty.

use super::error::WalError;
use super::event::{EndKind, EndOfLog};
use super::lsn::Lsn;
use super::page::{PageHeader, SHORT};

/// Looks at what comes after the end of a log: zeros, or pages from before the file was used again. A page that belongs
/// where it is shows that the end was none.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    pub(crate) end: EndOfLog,
    block: u64,
    magic: u16,
    /// The rest of the page has to be zeros.
    zeros: bool,
    head: [u8; SHORT],
    have: usize,
}

impl Watch {
    pub(crate) fn begin(end: EndOfLog, block: u64, magic: u16) -> Watch {
        Watch {
            end,
            block,
            magic,
            zeros: end.kind == EndKind::Zeros,
            head: [0; SHORT],
            have: 0,
        }
    }

    /// Takes bytes of one page, the first of which is at `next`; how many.
    pub(crate) fn take(&mut self, next: Lsn, bytes: &[u8]) -> Result<usize, WalError> {
        let offset = next.0 % self.block;
        if offset == 0 {
            self.have = 0;
        }
        if offset < SHORT as u64 && self.have as u64 == offset {
            let room = self.head.get_mut(self.have..).unwrap_or_default();
            let count = room.len().min(bytes.len());
            for (to, from) in room.iter_mut().zip(bytes) {
                *to = *from;
            }
            self.have += count;
            if self.have == SHORT {
                self.page(Lsn(next.0 - offset))?;
            }
            return Ok(count);
        }
        let left = usize::try_from(self.block - offset).unwrap_or(usize::MAX);
        let bytes = bytes.get(..left).unwrap_or(bytes);
        let found = if self.zeros {
            bytes.iter().position(|byte| *byte != 0)
        } else {
            None
        };
        match found {
            Some(at) => Err(self.not_empty(next.plus(at as u64))),
            None => Ok(bytes.len()),
        }
    }

    fn page(&mut self, at: Lsn) -> Result<(), WalError> {
        self.zeros = self.head == [0; SHORT];
        if self.zeros {
            return Ok(());
        }
        match PageHeader::parse(&self.head) {
            Some(page) if page.magic == self.magic && page.address == at.0 => Err(WalError::Hole {
                from: self.end.at,
                to: at,
            }),
            Some(page) if page.magic == self.magic && page.address < at.0 => Ok(()),
            _ => Err(self.not_empty(at)),
        }
    }

    fn not_empty(&self, at: Lsn) -> WalError {
        WalError::AfterEnd {
            end: self.end.at,
            at,
        }
    }
}
