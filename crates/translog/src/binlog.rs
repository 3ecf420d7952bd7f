//! The binary log of MariaDB (from 10.6) and MySQL (8.4 and 9), in its fourth version.
//!
//! Sources of the format: MySQL's internals manual, "Binary Log Events", and its headers `binlog_event.h` and
//! `control_events.h`; MariaDB's documentation of the replication protocol.

mod content;
mod error;
mod event;
mod gtids;
mod pending;
mod reader;
mod tagged;
mod transaction;

pub use error::BinlogError;
pub use event::{
    BinlogFormat, BinlogMeaning, BinlogRecord, Closed, EventKind, LogGtid, Outcome, Transaction,
};
pub use gtids::GtidState;
pub use pending::CONTENT_LIMIT;
pub use reader::{BinlogPosition, BinlogReader, BinlogStatus};
