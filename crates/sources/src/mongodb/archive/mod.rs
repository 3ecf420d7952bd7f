//! The archive of `mongodump` and `mongorestore`, version 0.1, read and written as streams.
//!
//! Its format is told by the tools' own sources (`common/archive` and `docs/archive.md` in
//! <https://github.com/mongodb/mongo-tools>). All numbers are little-endian; a terminator is `ff ff ff ff`, which is no
//! length of a document.
//!
//! - the magic `6d e2 99 81`; a header document; a document for each namespace; a terminator;
//! - blocks: a namespace's header document, documents as the server stores them, a terminator. Blocks of different
//!   namespaces may take turns;
//! - the end of each namespace: a header document that says so, with the CRC-64/XZ of all of its documents, and a
//!   terminator.
//!
//! Nothing is taken on trust: lengths, structure and order are looked at, no more than one document is held in memory,
//! and an archive that stops before the last namespace has ended is an error.

mod bson;
mod read;
mod write;

#[cfg(test)]
mod tests;

use crc_fast::{CrcAlgorithm, Digest};

pub(super) use bson::check;
pub(super) use read::{ArchiveReader, Event};
pub(super) use write::{ArchiveWriter, write_prelude};

/// The first bytes.
const MAGIC: [u8; 4] = [0x6d, 0xe2, 0x99, 0x81];
/// What ends the prelude and every block.
const TERMINATOR: [u8; 4] = [0xff; 4];
/// The version that is read and written.
const VERSION: &str = "0.1";
/// The largest document: what the server takes from users, and what it allows itself beyond.
pub(super) const LARGEST: usize = (16 << 20) + (16 << 10);
/// How many bytes all documents of a prelude may have.
const LARGEST_PRELUDE: u64 = 256 << 20;

/// The sum over a namespace's documents, begun.
fn sum() -> Digest {
    Digest::new(CrcAlgorithm::Crc64Xz)
}

/// What an archive says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// How many collections were dumped at once.
    pub(super) concurrent_collections: i32,
    /// The version of the server that was dumped, like `7.0.14`.
    pub(super) server_version: String,
    /// The version of the program that wrote it.
    pub(super) tool_version: String,
}

/// One collection or view, as the prelude announces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Namespace {
    /// The database; empty for the oplog.
    pub(super) db: String,
    /// The collection.
    pub(super) collection: String,
    /// Options and indexes in canonical Extended JSON; may be empty.
    pub(super) metadata: String,
    /// Bytes of its documents as far as they were known; only for progress.
    pub(super) size: i32,
    /// Empty for a collection; otherwise `view` or `timeseries`.
    pub(super) kind: String,
}

/// All that stands before the blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prelude {
    pub(super) header: Header,
    pub(super) namespaces: Vec<Namespace>,
}

/// The database and collection under which an archive holds a part of the oplog.
const OPLOG: (&str, &str) = ("", "oplog");

/// What is wrong with an archive, and at which byte.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    /// It does not begin as archives do.
    #[error("it is not an archive of mongodump: it does not begin with 6d e2 99 81")]
    Magic,
    /// Another version of the format.
    #[error("the archive has version `{version}`; only {VERSION} is read")]
    Version {
        /// What its header says.
        version: String,
    },
    /// The bytes end where more must come.
    #[error("the archive ends at byte {at}, in the middle of {within}")]
    Truncated {
        /// The offset.
        at: u64,
        /// What it ends in.
        within: &'static str,
    },
    /// A document is not one.
    #[error("at byte {at} of the archive: {message}")]
    Malformed {
        /// The offset at which the document begins.
        at: u64,
        /// What is wrong with it.
        message: String,
    },
    /// What came is not what was announced.
    #[error("at byte {at} of the archive: {namespace} {message}")]
    Order {
        /// The offset at which its header begins.
        at: u64,
        /// `database.collection`.
        namespace: String,
        /// What is wrong with it.
        message: &'static str,
    },
    /// The sum over a namespace's documents is another one.
    #[error(
        "{namespace}: the archive has the sum {expected:016x} for its documents, they have {actual:016x}"
    )]
    Sum {
        /// `database.collection`.
        namespace: String,
        /// What the archive says.
        expected: u64,
        /// What its documents give.
        actual: u64,
    },
    /// The bytes end before every namespace has.
    #[error("the archive ends before {namespace} has ended")]
    Unended {
        /// `database.collection`.
        namespace: String,
    },
    /// Reading failed.
    #[error("the archive cannot be read at byte {at}: {source}")]
    Io {
        /// The offset.
        at: u64,
        /// Why.
        source: std::io::Error,
    },
}

impl Namespace {
    /// `database.collection`.
    pub(super) fn name(&self) -> String {
        full_name(&self.db, &self.collection)
    }
}

fn full_name(db: &str, collection: &str) -> String {
    if db.is_empty() {
        return collection.to_owned();
    }
    format!("{db}.{collection}")
}
