//! What can be wrong with a log, each with the place.

use super::lsn::Lsn;
use super::timeline::Timeline;

/// The log is damaged here, or it is not the log that was asked for. What was verified before stays so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WalError {
    /// Written by a version that is not known here: its bytes can be kept, nothing in them is verified.
    #[error("page {at}: unknown format {magic:04X}; its bytes can be kept but not verified")]
    UnknownFormat {
        /// The page.
        at: Lsn,
        /// What it says of itself.
        magic: u16,
    },
    /// A page of another format than those before it.
    #[error("page {at}: format {found:04X} after pages of format {expected:04X}")]
    OtherFormat {
        /// The page.
        at: Lsn,
        /// The format of the pages before.
        expected: u16,
        /// What the page says of itself.
        found: u16,
    },
    /// A page header that no server writes there.
    #[error("page {at}: its header has the flags {flags:04X}, which do not belong there")]
    PageFlags {
        /// The page.
        at: Lsn,
        /// The flags.
        flags: u16,
    },
    /// The segments of this log have another length.
    #[error("page {at}: segments of {found} bytes, not {expected}")]
    OtherSegmentSize {
        /// The page.
        at: Lsn,
        /// As the reader was told.
        expected: u32,
        /// As the page says.
        found: u32,
    },
    /// The pages of this log have another length.
    #[error("page {at}: pages of {found} bytes, not {expected}")]
    OtherBlockSize {
        /// The page.
        at: Lsn,
        /// As the reader was told.
        expected: u32,
        /// As the page says.
        found: u32,
    },
    /// The log of another server.
    #[error("page {at}: written by system {found}, not by {expected}")]
    OtherSystem {
        /// The page.
        at: Lsn,
        /// The system identifier that was expected.
        expected: u64,
        /// The one that was found.
        found: u64,
    },
    /// A page that belongs to a later place.
    #[error("page {at}: it belongs to {found}")]
    PageAddress {
        /// Where it was found.
        at: Lsn,
        /// Where it says that it belongs.
        found: Lsn,
    },
    /// A page of a timeline to which this place does not belong.
    #[error("page {at}: on timeline {found}, this place belongs to timeline {expected}")]
    PageTimeline {
        /// The page.
        at: Lsn,
        /// As the history has it.
        expected: Timeline,
        /// As the page has it.
        found: u32,
    },
    /// A page goes on with a record that had not begun.
    #[error("page {at}: it goes on with a record, but none is open")]
    UnexpectedContinuation {
        /// The page.
        at: Lsn,
    },
    /// A page should go on with a record and does not.
    #[error("page {at}: it does not go on with the record that began at {record}")]
    NoContinuation {
        /// The record.
        record: Lsn,
        /// The page.
        at: Lsn,
    },
    /// A page goes on with a record of another length.
    #[error("page {at}: {found} bytes are left of a record, it should be {expected}")]
    ContinuationLength {
        /// The page.
        at: Lsn,
        /// What is left of the record.
        expected: u32,
        /// What the page says is left.
        found: u32,
    },
    /// A record shorter than its header, or longer than any can be.
    #[error("record {record}: it cannot have {length} bytes")]
    RecordLength {
        /// The record.
        record: Lsn,
        /// The length in its header.
        length: u32,
    },
    /// A record of a resource manager that this version does not have.
    #[error("record {record}: there is no resource manager {id}")]
    UnknownManager {
        /// The record.
        record: Lsn,
        /// Its number.
        id: u8,
    },
    /// The record does not follow the one that was read before it.
    #[error("record {record}: it says that it follows {found}, not {}", expected.map_or_else(|| "an earlier one".to_owned(), |lsn| lsn.to_string()))]
    BackLink {
        /// The record.
        record: Lsn,
        /// The record before; none if that was not read.
        expected: Option<Lsn>,
        /// What the record has.
        found: Lsn,
    },
    /// The bytes are not those that the server wrote.
    #[error("record {record}: its checksum does not fit its {length} bytes")]
    Checksum {
        /// The record.
        record: Lsn,
        /// How long it is.
        length: u32,
        /// With how many zeros it ends. If these reach over what was not written yet, the record is not damaged but
        /// was read too early.
        zeros: u32,
    },
    /// The checksum fits, but the content is not what the version writes.
    #[error("record {record}: its content is not what this version of PostgreSQL writes")]
    Malformed {
        /// The record.
        record: Lsn,
    },
    /// A record that speaks of another timeline than the one to which it belongs.
    #[error(
        "record {record}: it speaks of timeline {found}, this place belongs to timeline {expected}"
    )]
    RecordTimeline {
        /// The record.
        record: Lsn,
        /// As the history has it.
        expected: Timeline,
        /// As the record has it.
        found: u32,
    },
    /// After what looked like the end the log goes on: pages between are missing.
    #[error("the log stops at {from} and goes on at page {to}: what lies between is missing")]
    Hole {
        /// Where it stops.
        from: Lsn,
        /// The first page after.
        to: Lsn,
    },
    /// After what looked like the end come bytes that are neither zeros nor an old page.
    #[error("the log stops at {end}, but what follows at {at} is not empty")]
    AfterEnd {
        /// Where it stops.
        end: Lsn,
        /// The bytes that should be zeros.
        at: Lsn,
    },
}

/// The log was fed up to the middle of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the log ends within the record {record}: {} bytes of it are missing", missing.map_or_else(|| "an unknown number of".to_owned(), |n| n.to_string()))]
pub struct Truncated {
    /// The record; if it began before what was read, the first byte that was read.
    pub record: Lsn,
    /// How many of its bytes are missing; none if its length is among them.
    pub missing: Option<u32>,
}

/// A reader cannot begin there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// Not a page size that a server can have.
    #[error("pages of a log have 1, 2, 4 … 64 KiB, not {bytes} bytes")]
    BlockSize {
        /// As given.
        bytes: u32,
    },
    /// Not a segment size that a server can have.
    #[error("segments have a power of two between 1 MiB and 1 GiB, not {bytes} bytes")]
    SegmentSize {
        /// As given.
        bytes: u32,
    },
    /// The place is not the beginning of a page, or not a place where a record can begin.
    #[error("reading cannot begin at {lsn}")]
    Place {
        /// As given.
        lsn: Lsn,
    },
    /// The format noted in the position is not known here.
    #[error("the position is in a log of unknown format {magic:04X}")]
    UnknownFormat {
        /// As given.
        magic: u16,
    },
    /// The history does not lead through the timeline on which the position is.
    #[error("timeline {timeline} is not in the history of timeline {newest}")]
    NotAnAncestor {
        /// Of the position.
        timeline: u32,
        /// Of the history.
        newest: Timeline,
    },
    /// The new timeline left the old one before the position: what was read after that is not in it.
    #[error("timeline {newest} left timeline {timeline} at {switch}, which lies before {verified}")]
    Diverged {
        /// Of the position.
        timeline: Timeline,
        /// Of the history.
        newest: Timeline,
        /// Where it was left.
        switch: Lsn,
        /// Up to where was read.
        verified: Lsn,
    },
}
