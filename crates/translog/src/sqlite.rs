//! SQLite's write-ahead log, in its only version (3007000).
//!
//! Source of the format: "WAL-mode File Format" on sqlite.org, and section 4 of "Database File Format".

mod frame;
mod header;
mod record;
mod replay;

pub use frame::{FRAME_HEADER, Frame, FrameError, WalCursor};
pub use header::{HEADER, HeaderError, Salts, Sum, WalHeader};
pub use record::{Joint, RECORD_HEADER, RECORD_LIMIT, Record, RecordError, Stamp};
pub use replay::{Looked, RecordReader, ReplayError, Step};
