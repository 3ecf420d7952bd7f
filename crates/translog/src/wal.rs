//! The write-ahead log of PostgreSQL 13 to 18.
//!
//! Source of the format: PostgreSQL's headers `access/xlog_internal.h`, `access/xlogrecord.h`, `access/xact.h`,
//! `access/rmgrlist.h`, `catalog/pg_control.h` and `replication/message.h`, on machines of little-endian byte order.

mod content;
mod error;
mod event;
mod identity;
mod lsn;
mod names;
mod page;
mod partial;
mod position;
mod reader;
mod record;
mod timeline;
mod watch;

pub use content::MESSAGE_LIMIT;
pub use error::{StartError, Truncated, WalError};
pub use event::{
    CommitTime, EndKind, EndOfLog, Meaning, Message, ResourceManager, WalEvent, WalRecord,
};
pub use lsn::{Lsn, LsnError, SegmentSize};
pub use names::WalFileName;
pub use page::{DEFAULT_BLOCK_SIZE, major_of_magic};
pub use position::{WalPosition, WalStart, WalStatus};
pub use reader::WalReader;
pub use timeline::{History, HistoryError, Timeline, TimelineRange};
