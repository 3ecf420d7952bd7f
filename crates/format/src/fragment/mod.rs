//! Log fragments and segments: sealed pieces of a database's transaction log, the same for every kind of database.
//!
//! A [`Stretch`] is what an object holds, whoever seals it: its place in the stream, the positions it covers, and the
//! log itself. [`seal`] makes an object of it for one vault, [`open`] takes it out again, [`Stretch::join`] compacts
//! fragments to a segment, and [`Chain::of`] tells from headers what is whole, what is missing and what has forked.
//! The bytes are described in `docs/format.md`; the reasons are in decision 74.

pub mod chain;
mod encoding;
mod header;
mod join;
mod keys;
mod name;
mod piece;
mod position;
mod seal;
mod stream;
mod stretch;

pub use chain::{Chain, Event, Run};
pub use header::{Header, HeaderError};
pub use join::JoinError;
pub use keys::{KeyId, LogKeys, StreamId};
pub use name::{LogName, NameError, Part};
pub use piece::{Commits, Piece};
pub use position::{Position, Span, SpanError};
pub use seal::{OpenError, SealLogError, SealedLog, open, open_header, seal, sealed_length};
pub use stream::{StreamName, StreamNameError};
pub use stretch::{ContentError, Draft, Link, Stretch};

/// The version of the format that is written here, and the only one that there is.
pub const VERSION: u8 = 1;
/// Most bytes of log in a fragment: 32 MiB. The largest record of any log has room in it.
pub const MAX_FRAGMENT: usize = 32 << 20;
/// Most bytes in a segment, its table included: 64 MiB.
pub const MAX_SEGMENT: usize = 64 << 20;
/// Most fragments in a segment.
pub const MAX_COUNT: u32 = 1 << 16;
/// So many bytes from the beginning of an object always hold its header: enough for [`open_header`].
pub const PREFIX: usize = 1024;

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// One piece, as it was shipped.
    Fragment,
    /// What fragments were compacted into.
    Segment,
}

impl Kind {
    /// Most bytes that the payload may hold.
    pub const fn limit(self) -> usize {
        match self {
            Kind::Fragment => MAX_FRAGMENT,
            Kind::Segment => MAX_SEGMENT,
        }
    }

    pub(crate) const fn byte(self) -> u8 {
        match self {
            Kind::Fragment => 1,
            Kind::Segment => 2,
        }
    }

    pub(crate) const fn of_byte(byte: u8) -> Option<Kind> {
        match byte {
            1 => Some(Kind::Fragment),
            2 => Some(Kind::Segment),
            _ => None,
        }
    }
}
