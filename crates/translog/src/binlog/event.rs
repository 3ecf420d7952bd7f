//! What comes out of a binary log.

use vouchsafe_model::Time;

use crate::gtid::{Continuity, Gtid, GtidSet, MariaGtid};
use crate::token::Token;

/// A verified event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BinlogRecord {
    /// The byte of the file at which it begins.
    pub at: u64,
    /// The byte after it.
    pub end: u64,
    /// Its kind.
    pub kind: EventKind,
    /// The server that wrote it first.
    pub server: u32,
    /// Its flags.
    pub flags: u16,
    /// In whole seconds.
    pub time: Time,
    /// What it says, as far as it concerns us.
    pub meaning: BinlogMeaning,
    /// The heartbeat token that it writes, if it writes one: in the text of a statement, or in a row.
    pub token: Option<Token>,
}

/// The number of a kind of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventKind(pub u8);

/// What an event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BinlogMeaning {
    /// The format of the file.
    Format(BinlogFormat),
    /// All transactions before this file: MySQL.
    Previous(GtidSet),
    /// The last transactions before this file, of each domain and server: MariaDB. The newest of a domain is its last.
    List(Vec<MariaGtid>),
    /// A transaction begins.
    Begin(LogGtid),
    /// A transaction ends.
    End(Transaction),
    /// The file ends.
    Closed(Closed),
    /// Anything else.
    Other,
}

/// The format of a file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BinlogFormat {
    /// As the server tells it, like `10.11.19-MariaDB-log`.
    pub version: String,
    /// Every event ends with a checksum.
    pub checksums: bool,
    /// The server was writing the file, or crashed while it did.
    pub in_use: bool,
}

impl BinlogFormat {
    /// Written by MariaDB, not by MySQL.
    pub fn is_mariadb(&self) -> bool {
        self.version.contains("MariaDB")
    }
}

/// Which transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogGtid {
    /// MySQL's.
    MySql(Gtid),
    /// MariaDB's, and how it follows the one before in its domain.
    MariaDb(MariaGtid, Continuity),
    /// The server gives no identifiers.
    Anonymous,
}

/// A transaction that is in the log as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Which.
    pub gtid: LogGtid,
    /// The byte at which it begins.
    pub begin: u64,
    /// When: MySQL says it in microseconds, MariaDB in seconds.
    pub time: Time,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Committed, or a statement that stands for itself.
    Committed,
    /// Rolled back after it had changed what cannot be rolled back.
    RolledBack,
    /// The first of two phases.
    Prepared,
}

/// How a file ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closed {
    /// The log goes on in another file.
    Rotated {
        /// Its name.
        file: Vec<u8>,
        /// Where in it, usually 4.
        position: u64,
    },
    /// The server was stopped.
    Stopped,
}

impl EventKind {
    pub(crate) const QUERY: EventKind = EventKind(2);
    pub(crate) const STOP: EventKind = EventKind(3);
    pub(crate) const ROTATE: EventKind = EventKind(4);
    pub(crate) const FORMAT: EventKind = EventKind(15);
    pub(crate) const XID: EventKind = EventKind(16);
    const WRITE_ROWS_OLD: EventKind = EventKind(23);
    const UPDATE_ROWS_OLD: EventKind = EventKind(24);
    pub(crate) const INCIDENT: EventKind = EventKind(26);
    const WRITE_ROWS: EventKind = EventKind(30);
    const UPDATE_ROWS: EventKind = EventKind(31);
    pub(crate) const GTID: EventKind = EventKind(33);
    pub(crate) const ANONYMOUS: EventKind = EventKind(34);
    pub(crate) const PREVIOUS: EventKind = EventKind(35);
    pub(crate) const XA_PREPARE: EventKind = EventKind(38);
    pub(crate) const PAYLOAD: EventKind = EventKind(40);
    pub(crate) const TAGGED_GTID: EventKind = EventKind(42);
    pub(crate) const MARIA_GTID: EventKind = EventKind(162);
    pub(crate) const MARIA_LIST: EventKind = EventKind(163);
    pub(crate) const MARIA_ENCRYPTION: EventKind = EventKind(164);
    pub(crate) const MARIA_COMPRESSED_QUERY: EventKind = EventKind(165);

    /// Rows that are written, or written over.
    pub(crate) fn holds_rows(self) -> bool {
        matches!(
            self,
            EventKind::WRITE_ROWS_OLD
                | EventKind::UPDATE_ROWS_OLD
                | EventKind::WRITE_ROWS
                | EventKind::UPDATE_ROWS
        )
    }
}
