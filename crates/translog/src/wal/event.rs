//! What comes out of a log.

use vouchsafe_model::Time;

use super::lsn::Lsn;
use super::timeline::Timeline;

/// What was found next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WalEvent {
    /// A record whose checksum and back-link fit.
    Record(WalRecord),
    /// A record that was never finished, since the server crashed: it counts as not written.
    Abandoned {
        /// Where it had begun.
        record: Lsn,
        /// The page at which it would have gone on.
        at: Lsn,
    },
    /// Nothing is written from here on.
    End(EndOfLog),
}

/// A verified record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalRecord {
    /// Where it begins.
    pub lsn: Lsn,
    /// Where the next one can begin at the earliest: what the server calls the end of the record.
    pub end: Lsn,
    /// Where the record before it begins.
    pub prev: Lsn,
    /// Its length with its header.
    pub length: u32,
    /// The transaction that wrote it, or 0.
    pub xid: u32,
    /// Who replays it.
    pub manager: ResourceManager,
    /// Flags and kind, as the resource manager has them.
    pub info: u8,
    /// What it says, as far as it concerns us.
    pub meaning: Meaning,
}

/// The number of a resource manager: a kind of records. (`access/rmgrlist.h`)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ResourceManager(pub u8);

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// A transaction was committed.
    Commit {
        /// When.
        time: Time,
        /// Which; none if the record is too long to be looked into so far.
        transaction: Option<u32>,
        /// In two phases.
        prepared: bool,
    },
    /// A transaction was rolled back.
    Abort {
        /// When.
        time: Time,
        /// Which; none if the record is too long to be looked into so far.
        transaction: Option<u32>,
        /// In two phases.
        prepared: bool,
    },
    /// The first of two phases.
    Prepare {
        /// When.
        time: Time,
        /// Which.
        transaction: u32,
    },
    /// What `pg_logical_emit_message` wrote.
    Message(Message),
    /// The rest of the segment is empty.
    Switch,
    /// A checkpoint.
    Checkpoint {
        /// Where a recovery from it begins.
        redo: Lsn,
        /// The timeline on which it was made.
        timeline: Timeline,
        /// The timeline before, the same unless the server was just promoted.
        previous: u32,
        /// At a shutdown, or as the first record after a recovery.
        shutdown: bool,
        /// When.
        time: Time,
    },
    /// A recovery ended and a timeline begins.
    EndOfRecovery {
        /// When.
        time: Time,
        /// The new timeline.
        timeline: Timeline,
        /// The one it comes from.
        previous: u32,
    },
    /// What `pg_create_restore_point` wrote.
    RestorePoint {
        /// When.
        time: Time,
        /// Its name.
        name: Vec<u8>,
    },
    /// The first record after an abandoned one.
    AfterAbandoned {
        /// The abandoned record.
        record: Lsn,
        /// When this was noted.
        time: Time,
    },
    /// Anything else.
    Other,
}

/// A message in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The number of the database in which it was written.
    pub database: u32,
    /// It counts only if its transaction is committed.
    pub transactional: bool,
    /// Whose message it is.
    pub prefix: Vec<u8>,
    /// What it says, at most [`MESSAGE_LIMIT`](super::MESSAGE_LIMIT) bytes of it.
    pub content: Vec<u8>,
    /// How long it is.
    pub length: u64,
}

/// The time of a commit, and its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CommitTime {
    /// The record.
    pub lsn: Lsn,
    /// When the server says that it was.
    pub time: Time,
}

/// The end of what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndOfLog {
    /// Up to where everything is verified; none if nothing is.
    pub verified: Option<Lsn>,
    /// Where the end was seen.
    pub at: Lsn,
    /// What was seen there.
    pub kind: EndKind,
    /// The record that is not there as a whole.
    pub within: Option<Lsn>,
}

/// What the end of a log looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndKind {
    /// Zeros.
    Zeros,
    /// A page of an older part of the log, from before the segment's file was used again.
    Old {
        /// Where that page belonged.
        address: Lsn,
    },
}

impl ResourceManager {
    /// Checkpoints, switches, page images.
    pub const XLOG: ResourceManager = ResourceManager(0);
    /// Commits and aborts.
    pub const TRANSACTION: ResourceManager = ResourceManager(1);
    /// Messages.
    pub const LOGICAL_MESSAGE: ResourceManager = ResourceManager(21);

    /// The name that PostgreSQL's programs show; none for one that an extension brings.
    pub fn name(self) -> Option<&'static str> {
        NAMES.get(usize::from(self.0)).copied()
    }

    /// Whether a server of this major version has it. The numbers from 128 on are for extensions, since version 15.
    pub(crate) fn exists(self, major: u16) -> bool {
        usize::from(self.0) < NAMES.len() || (self.0 >= 128 && major >= 15)
    }
}

/// By number; the same from version 13 to 18.
const NAMES: [&str; 22] = [
    "XLOG",
    "Transaction",
    "Storage",
    "CLOG",
    "Database",
    "Tablespace",
    "MultiXact",
    "RelMap",
    "Standby",
    "Heap2",
    "Heap",
    "Btree",
    "Hash",
    "Gin",
    "Gist",
    "Sequence",
    "SPGist",
    "BRIN",
    "CommitTs",
    "ReplicationOrigin",
    "Generic",
    "LogicalMessage",
];
