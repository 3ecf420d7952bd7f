//! Whose log it is, and whether pages and records belong to it.

use super::error::WalError;
use super::event::Meaning;
use super::lsn::{Lsn, SegmentSize};
use super::page::{LONG, PageHeader, SHORT, major_of_magic};
use super::record::RecordHeader;
use super::timeline::History;

/// What every page of one log has in common.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) size: SegmentSize,
    pub(crate) block: u32,
    pub(crate) history: History,
    /// Taken from the first segment that is read, unless it is known.
    pub(crate) system: Option<u64>,
    /// Taken from the first page: its magic number, and the major version.
    pub(crate) format: Option<(u16, u16)>,
}

impl Identity {
    /// The major version of the server.
    pub(crate) fn major(&self) -> u16 {
        self.format.map_or(0, |(_, major)| major)
    }

    /// Where `lsn` lies in its page.
    pub(crate) fn offset(&self, lsn: Lsn) -> usize {
        // Less than the 32 bits of a page's length.
        (lsn.0 % u64::from(self.block)) as usize
    }

    /// How long the header of the page is in which `lsn` lies.
    pub(crate) fn header_length(&self, lsn: Lsn) -> usize {
        if self.size.offset(lsn) < self.block {
            LONG
        } else {
            SHORT
        }
    }

    /// That the page is of this log, wherever in it.
    pub(crate) fn check_page(&mut self, at: Lsn, page: &PageHeader) -> Result<(), WalError> {
        let found = page.magic;
        match self.format {
            Some((expected, _)) if expected != found => {
                return Err(WalError::OtherFormat {
                    at,
                    expected,
                    found,
                });
            }
            Some(_) => {}
            None => {
                let unknown = WalError::UnknownFormat { at, magic: found };
                self.format = Some((found, major_of_magic(found).ok_or(unknown)?));
            }
        }
        if !page.flags_fit() {
            let flags = page.flags;
            return Err(WalError::PageFlags { at, flags });
        }
        let Some(file) = page.file else {
            return Ok(());
        };
        let expected = *self.system.get_or_insert(file.system);
        if expected != file.system {
            let found = file.system;
            return Err(WalError::OtherSystem {
                at,
                expected,
                found,
            });
        }
        let (expected, found) = (self.size.bytes(), file.segment_size);
        if expected != found {
            return Err(WalError::OtherSegmentSize {
                at,
                expected,
                found,
            });
        }
        let (expected, found) = (self.block, file.block_size);
        if expected != found {
            return Err(WalError::OtherBlockSize {
                at,
                expected,
                found,
            });
        }
        Ok(())
    }

    /// That the page belongs here.
    pub(crate) fn check_place(&self, at: Lsn, page: &PageHeader) -> Result<(), WalError> {
        let found = Lsn(page.address);
        if found != at {
            return Err(WalError::PageAddress { at, found });
        }
        let (expected, found) = (self.history.timeline_at(at), page.timeline);
        if found != expected.number() {
            return Err(WalError::PageTimeline {
                at,
                expected,
                found,
            });
        }
        Ok(())
    }

    /// That the record can stand here, after `last`.
    pub(crate) fn check_header(
        &self,
        record: Lsn,
        header: &RecordHeader,
        last: Option<Lsn>,
    ) -> Result<(), WalError> {
        if !header.manager.exists(self.major()) {
            let id = header.manager.0;
            return Err(WalError::UnknownManager { record, id });
        }
        let found = header.prev;
        if last.map_or(found < record, |last| found == last) {
            return Ok(());
        }
        Err(WalError::BackLink {
            record,
            expected: last,
            found,
        })
    }

    /// That what the record says of timelines is so.
    pub(crate) fn check_meaning(&self, record: Lsn, meaning: &Meaning) -> Result<(), WalError> {
        let found = match meaning {
            Meaning::Checkpoint { timeline, .. } | Meaning::EndOfRecovery { timeline, .. } => {
                *timeline
            }
            _ => return Ok(()),
        };
        let expected = self.history.timeline_at(record);
        if found == expected {
            return Ok(());
        }
        Err(WalError::RecordTimeline {
            record,
            expected,
            found: found.number(),
        })
    }
}
