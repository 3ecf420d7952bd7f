//! Looking into snapshots: which one is meant, what is in it, where something is, what differs, and content in order.

mod archive;
mod content;
mod contents;
mod diff;
mod error;
mod find;
mod place;
mod select;
mod walk;

pub use archive::ArchiveReport;
pub use contents::Contents;
pub use diff::{Change, ChangeKind, DiffReport};
pub use error::{DumpError, LookupError, SelectError};
pub use find::{FindReport, Hit};
