//! What can be wrong with a binary log, each with the place in the file.

use super::event::EventKind;
use crate::gtid::{Gtid, GtidSet, MariaPosition};

/// The file is damaged here, or does not follow the one before. What was verified before stays so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BinlogError {
    /// Not a binary log.
    #[error("the file begins with {found:02x?} and is no binary log")]
    Magic {
        /// Its first four bytes.
        found: [u8; 4],
    },
    /// Encrypted by the server: the bytes can be kept, nothing in them is verified.
    #[error(
        "from byte {at} on the server has encrypted the log; its bytes can be kept but not verified"
    )]
    Encrypted {
        /// Where that begins.
        at: u64,
    },
    /// The first event does not describe the format, or describes another one.
    #[error("byte {at}: the log's format is not described, or is not one that is known here")]
    UnknownFormat {
        /// The event.
        at: u64,
    },
    /// Shorter than any event of its kind.
    #[error("event at byte {at}: it cannot have {size} bytes")]
    Size {
        /// The event.
        at: u64,
        /// As its header says.
        size: u32,
    },
    /// Longer than what is looked into.
    #[error("event at byte {at}: {size} bytes are more than can be looked into")]
    TooLong {
        /// The event.
        at: u64,
        /// As its header says.
        size: u32,
    },
    /// The event does not end where its length says.
    #[error("event at byte {at}: it says that it ends at {found}, not at {expected}")]
    End {
        /// The event.
        at: u64,
        /// By its length, in 32 bits.
        expected: u32,
        /// As its header says.
        found: u32,
    },
    /// The bytes are not those that the server wrote.
    #[error("event at byte {at}: its checksum does not fit its {size} bytes")]
    Checksum {
        /// The event.
        at: u64,
        /// Its length.
        size: u32,
    },
    /// The content is not what such an event has.
    #[error("event at byte {at}: its content is not that of an event of kind {}", kind.0)]
    Malformed {
        /// The event.
        at: u64,
        /// Its kind.
        kind: EventKind,
    },
    /// A transaction begins, or the file ends, before the one before has ended.
    #[error("event at byte {at}: the transaction that began at byte {begun} has not ended")]
    Unfinished {
        /// The event.
        at: u64,
        /// The open transaction.
        begun: u64,
    },
    /// An event after the one that ends the file.
    #[error("event at byte {at}: the file has ended before")]
    AfterEnd {
        /// The event.
        at: u64,
    },
    /// A transaction that was in the log already.
    #[error("event at byte {at}: transaction {gtid} is in the log twice")]
    Repeated {
        /// The event.
        at: u64,
        /// The transaction.
        gtid: Gtid,
    },
    /// The file does not follow the one before: MySQL.
    #[error(
        "the file does not follow the one before: transactions {missing} are between, and it does not know of {unknown}"
    )]
    Previous {
        /// What comes before this file and was not in those before.
        missing: GtidSet,
        /// What was in those before and does not come before this file.
        unknown: GtidSet,
    },
    /// The file does not follow the one before: MariaDB.
    #[error(
        "the file does not follow the one before: it begins at {found}, that one ended at {expected}"
    )]
    Position {
        /// Where the one before ended.
        expected: MariaPosition,
        /// Where this one begins.
        found: MariaPosition,
    },
}
