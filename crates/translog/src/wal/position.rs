//! Where a reader begins, where it is, and from where another one can go on.

use serde::{Deserialize, Serialize};

use super::error::{StartError, Truncated};
use super::event::{CommitTime, EndOfLog};
use super::lsn::{Lsn, SegmentSize};
use super::page::{DEFAULT_BLOCK_SIZE, LONG, SHORT, major_of_magic};
use super::timeline::{History, Timeline};

/// Where to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalStart {
    /// How long a segment is.
    pub segment_size: SegmentSize,
    /// How long a page is.
    pub block_size: u32,
    /// The first byte that will be fed: the beginning of a page, usually that of a segment. If it lies within a record,
    /// the rest of that record is passed over.
    pub lsn: Lsn,
    /// The timeline to be read, with its ancestors.
    pub history: History,
    /// The server, if it is known; else it is the one that the first segment names.
    pub system: Option<u64>,
}

/// What another reader needs in order to go on after the last verified record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalPosition {
    /// How long a segment is.
    pub segment_size: u32,
    /// How long a page is.
    pub block_size: u32,
    /// The format of the pages.
    pub magic: u16,
    /// The server, if it is known.
    pub system: Option<u64>,
    /// The timeline that was read.
    pub timeline: u32,
    /// The first verified byte.
    pub from: Lsn,
    /// Up to where everything is verified: the next byte to be fed.
    pub verified: Lsn,
    /// The last verified record.
    pub last_record: Option<Lsn>,
    /// The newest of the verified commits.
    pub newest_commit: Option<CommitTime>,
}

/// What a reader knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalStatus {
    /// The major version of PostgreSQL that wrote the log; none before the first page.
    pub major: Option<u16>,
    /// The server's system identifier, once a segment's first page was read.
    pub system: Option<u64>,
    /// The next byte to be fed.
    pub next: Lsn,
    /// The first record that was read whole, or its place.
    pub from: Option<Lsn>,
    /// From there up to here every record is contiguous and verified. After a switch that is the end of the segment,
    /// although its empty rest may not have been fed.
    pub verified: Option<Lsn>,
    /// The last verified record.
    pub last_record: Option<Lsn>,
    /// The newest of the verified commits. Commits do not come in the order of their times.
    pub newest_commit: Option<CommitTime>,
    /// Where the log stops, if what was fed reaches beyond.
    pub end: Option<EndOfLog>,
    /// The record that has begun and is not whole.
    pub truncated: Option<Truncated>,
}

impl WalStart {
    /// At the beginning of a segment, with pages of the usual length; none if there is no such segment.
    pub fn at_segment(
        segment_size: SegmentSize,
        segment: u64,
        history: History,
    ) -> Option<WalStart> {
        Some(WalStart {
            segment_size,
            block_size: DEFAULT_BLOCK_SIZE,
            lsn: segment_size.start_of(segment)?,
            history,
            system: None,
        })
    }

    pub(crate) fn check(&self) -> Result<(), StartError> {
        check_block_size(self.block_size)?;
        let fits = self.lsn.0.is_multiple_of(u64::from(self.block_size));
        check_place(self.lsn, fits)
    }
}

impl WalPosition {
    /// Checks that what was read up to here is also in `history`; the position there.
    pub(crate) fn check(&self, history: &History) -> Result<(SegmentSize, u16), StartError> {
        check_block_size(self.block_size)?;
        let bytes = self.segment_size;
        let size = SegmentSize::new(bytes).ok_or(StartError::SegmentSize { bytes })?;
        let block = u64::from(self.block_size);
        let offset = self.verified.0 % block;
        let long = u64::from(size.offset(self.verified)) < block;
        let header = if long { LONG } else { SHORT } as u64;
        let fits = offset.is_multiple_of(8) && (offset == 0 || offset >= header);
        check_place(self.verified, fits)?;
        let magic = self.magic;
        let major = major_of_magic(magic).ok_or(StartError::UnknownFormat { magic })?;
        let newest = history.timeline();
        let range = Timeline::new(self.timeline).and_then(|timeline| history.range_of(timeline));
        let range = range.ok_or(StartError::NotAnAncestor {
            timeline: self.timeline,
            newest,
        })?;
        match range.until {
            Some(switch) if switch < self.verified => Err(StartError::Diverged {
                timeline: range.timeline,
                newest,
                switch,
                verified: self.verified,
            }),
            _ => Ok((size, major)),
        }
    }
}

fn check_block_size(bytes: u32) -> Result<(), StartError> {
    if bytes.is_power_of_two() && (1 << 10..=1 << 16).contains(&bytes) {
        Ok(())
    } else {
        Err(StartError::BlockSize { bytes })
    }
}

/// Half of all places are enough for every log, and leave room to count upwards.
fn check_place(lsn: Lsn, fits: bool) -> Result<(), StartError> {
    if fits && lsn.0 < 1 << 63 {
        Ok(())
    } else {
        Err(StartError::Place { lsn })
    }
}
