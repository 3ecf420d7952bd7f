//! Why something could not be done with a log stream.

use vouchsafe_format::CompressError;
use vouchsafe_format::fragment::{
    ContentError, JoinError, OpenError, Position, SealLogError, StreamName,
};
use vouchsafe_store::StoreError;

/// Work on a log stream failed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An object is not what it should be.
    #[error(
        "{object} in {store}, which holds the log {stream} {}, is damaged; use another copy of the vault",
        beginning(*position)
    )]
    Damaged {
        /// The object.
        object: String,
        /// The store.
        store: String,
        /// The stream.
        stream: Box<StreamName>,
        /// The position that it begins at or lies behind, if that is known.
        position: Option<Position>,
        /// What is wrong.
        source: Box<LogDamage>,
    },
    /// No object holds this part of the log.
    #[error(
        "the log {stream} in {store} has no object {object}, with which it goes on {}; use another copy of the vault",
        beginning(*position)
    )]
    Missing {
        /// The object that would hold it.
        object: String,
        /// The store.
        store: String,
        /// The stream.
        stream: Box<StreamName>,
        /// The position that it begins at or lies behind, if that is known.
        position: Option<Position>,
    },
    /// Somebody else has gone on from the same place.
    #[error(
        "fragment {sequence} of the log {stream} in {store} is another writer's: stop all writers but one, and open the stream anew"
    )]
    Fork {
        /// The place.
        sequence: u64,
        /// The stream.
        stream: Box<StreamName>,
        /// The store.
        store: String,
    },
    /// The stream went on, and was compacted or expired, while this writer was not looking.
    #[error(
        "the log {stream} in {store} has gone on beyond fragment {sequence} without this writer; open the stream anew"
    )]
    Overtaken {
        /// The place at which this writer stood.
        sequence: u64,
        /// The stream.
        stream: Box<StreamName>,
        /// The store.
        store: String,
    },
    /// Something of an append that had failed is kept, so the log does not go on where this piece begins.
    #[error(
        "an earlier piece of the log {stream} was kept; ask where it stands, and go on from there"
    )]
    Moved {
        /// The stream.
        stream: Box<StreamName>,
    },
    /// What was stored did not come back as it was.
    #[error(
        "{object} was stored in {store} and does not read back; nothing of it counts: append it again"
    )]
    NoReadBack {
        /// The object.
        object: String,
        /// The store.
        store: String,
    },
    /// The store does not keep writers apart.
    #[error(
        "{store} does not refuse a second object of one name, so that two writers of a log would not notice each other; \
         take a store that does, or make sure that there is only one"
    )]
    Unguarded {
        /// The store.
        store: String,
    },
    /// The store takes nothing but a repository's objects.
    #[error("{store} has no room for logs beside a repository; take another store")]
    NoRoom {
        /// The store.
        store: String,
    },
    /// Positions and bytes do not fit, or there are too many that cannot be cut.
    #[error("this piece of the log {stream} cannot be stored; cut it where its positions allow it")]
    Content {
        /// The stream.
        stream: Box<StreamName>,
        /// What is wrong.
        source: ContentError,
    },
    /// Fragments that should follow one another do not.
    #[error("fragments of a log cannot be put together")]
    Join(#[from] JoinError),
    /// Something could not be sealed.
    #[error("a piece of a log could not be sealed")]
    Seal(#[from] SealLogError),
    /// The compressor could not be made.
    #[error("a log cannot be compressed")]
    Compress(#[from] CompressError),
    /// Whoever is given the log takes no more of it.
    #[error("the log could not be handed on")]
    Target(#[source] std::io::Error),
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// What is wrong with a stored log object.
#[derive(Debug, thiserror::Error)]
pub enum LogDamage {
    /// It does not open as what it is called.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It is longer than any log object.
    #[error("it has more than the {most} bytes that it may have")]
    TooLong {
        /// The most bytes.
        most: u64,
    },
    /// It opens, but does not go on from what is before it.
    #[error("it does not go on from what is before it in the chain")]
    Chain,
}

fn beginning(position: Option<Position>) -> String {
    position.map_or_else(
        || "at an unknown position".to_owned(),
        |at| format!("from {at} on"),
    )
}
