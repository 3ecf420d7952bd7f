//! Where a source puts the transaction log that it follows.

use vouchsafe_format::Id;
use vouchsafe_format::fragment::{Commits, Position, Span};

use crate::error::CaptureError;

/// Takes the log of one stream, piece after piece, as the only writer.
///
/// What was appended is durable and was read back when the call returns; until then nothing of it may be removed from
/// where it came from.
///
/// After an error it is not known whether the piece, or a part of it, was kept. Either the same piece is given once
/// more, which never stores it twice; or [`LogSink::tip`] is asked, and the next piece begins where that says. If the
/// place in the stream was taken by another writer, every further call fails: whoever is to go on opens the stream anew.
pub trait LogSink: Send {
    /// Where the stream stands: settles first what an error has left open.
    fn tip(&mut self) -> Result<LogTip, CaptureError>;
    /// Appends a piece. One that is larger than an object may be is cut, where its positions count bytes.
    ///
    /// Positions before it that were left out, or that are given again, are kept as what they are, and told to
    /// whoever looks at the stream.
    fn append(&mut self, piece: LogPiece, log: Vec<u8>) -> Result<LogTip, CaptureError>;
}

/// What a source knows of a piece of log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogPiece {
    /// The timeline of the positions: another one whenever the database goes on from a point in its past.
    pub timeline: u64,
    /// The positions covered.
    pub span: Span,
    /// The first and the last commit, if there are any and their times are known.
    pub commits: Option<Commits>,
}

/// The end of a stream, of which everything is kept that its writer was told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogTip {
    /// The place that the next fragment takes; 0 of an empty stream.
    pub sequence: u64,
    /// The digest of the chain, by which copies in other vaults are shown to be equal.
    pub digest: Id,
    /// How far the log goes; nothing of an empty stream.
    pub reached: Option<LogReached>,
}

/// How far a log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogReached {
    /// On this timeline.
    pub timeline: u64,
    /// Up to and without this position.
    pub to: Position,
}
