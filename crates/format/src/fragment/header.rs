//! What an object says of itself, sealed: its place in the stream and in the chain, and what it covers.

use super::encoding::Reader;
use super::keys::StreamId;
use super::name::{LogName, Part};
use super::piece::Commits;
use super::position::Span;
use super::stream::StreamName;
use super::stretch::Link;
use super::{Kind, MAX_COUNT};
use crate::id::Id;

/// The header of a fragment or segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// What the object is.
    pub kind: Kind,
    /// The system and the stream.
    pub stream: StreamName,
    /// The place of the first fragment, from 0.
    pub sequence: u64,
    /// How many fragments; one if it is a fragment.
    pub count: u32,
    /// The writer of the first fragment: a number that is raised each time a writer begins or takes over.
    pub epoch: u64,
    /// The writer of the last fragment.
    pub last_epoch: u64,
    /// The timeline of the positions: another one whenever the database goes on from a point in its past.
    pub timeline: u64,
    /// The positions covered.
    pub span: Span,
    /// The first and the last commit, if there are any and their times are known.
    pub commits: Option<Commits>,
    /// The digest of the chain before the first fragment; all zero before the first one of the stream.
    pub previous: Id,
    /// The digest of the chain up to and with the last fragment.
    pub digest: Id,
    /// Bytes of the payload when it is decompressed; of a segment with its table.
    pub length: u32,
    /// Whether the payload is stored as a zstd frame.
    pub compressed: bool,
}

/// The plaintext of a header is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Too few bytes, or values that no header has.
    #[error("the header is malformed")]
    Malformed,
    /// Bytes after its end.
    #[error("the header has bytes after its end")]
    Trailing,
    /// More than such an object may hold.
    #[error("{length} bytes are more than the {limit} that such an object may hold")]
    TooLong {
        /// Bytes that the payload would have.
        length: u32,
        /// Bytes that it may have.
        limit: usize,
    },
    /// A number of fragments that such an object cannot have at this place.
    #[error("an object of this kind does not hold {count} fragments from {sequence} on")]
    Count {
        /// The place of the first.
        sequence: u64,
        /// How many there would be.
        count: u32,
    },
    /// The first fragment of a stream, and no other, has no predecessor.
    #[error("only the first fragment of a stream has no predecessor")]
    Predecessor,
}

impl Header {
    /// The place of the last fragment.
    pub fn last(&self) -> u64 {
        self.end().saturating_sub(1)
    }

    /// The first place after it.
    pub fn end(&self) -> u64 {
        self.sequence.saturating_add(self.count.into())
    }

    /// The place that the fragment after it takes.
    pub fn next(&self) -> Link {
        Link {
            sequence: self.end(),
            previous: self.digest,
        }
    }

    /// What the object is called where the stream is called so.
    pub fn name(&self, stream: StreamId) -> LogName {
        let part = match self.kind {
            Kind::Fragment => Part::Fragment {
                sequence: self.sequence,
            },
            Kind::Segment => Part::Segment {
                first: self.sequence,
                last: self.last(),
            },
        };
        LogName { stream, part }
    }

    /// The plaintext of the header.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![u8::from(self.compressed)];
        out.extend_from_slice(&self.length.to_le_bytes());
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&self.last_epoch.to_le_bytes());
        out.extend_from_slice(&self.timeline.to_le_bytes());
        out.push(self.span.kind());
        self.span.push(&mut out);
        Commits::push(self.commits, &mut out);
        out.extend_from_slice(self.previous.as_bytes());
        out.extend_from_slice(self.digest.as_bytes());
        self.stream.push(&mut out);
        out
    }

    /// The header of an object of this kind with this plaintext.
    ///
    /// # Errors
    /// [`HeaderError`].
    pub fn decode(kind: Kind, plaintext: &[u8]) -> Result<Header, HeaderError> {
        let mut reader = Reader::new(plaintext);
        let header = read(kind, &mut reader).ok_or(HeaderError::Malformed)?;
        if !reader.is_empty() {
            return Err(HeaderError::Trailing);
        }
        let (length, limit) = (header.length, kind.limit());
        if usize::try_from(length).is_ok_and(|length| length > limit) {
            return Err(HeaderError::TooLong { length, limit });
        }
        check_place(kind, header.sequence, header.count, header.previous)?;
        Ok(header)
    }
}

/// Whether an object of this kind can take this place.
pub(super) fn check_place(
    kind: Kind,
    sequence: u64,
    count: u32,
    previous: Id,
) -> Result<(), HeaderError> {
    let most = match kind {
        Kind::Fragment => 1,
        Kind::Segment => MAX_COUNT,
    };
    let has_room = sequence.checked_add(count.into()).is_some();
    if !(1..=most).contains(&count) || !has_room {
        return Err(HeaderError::Count { sequence, count });
    }
    if (sequence == 0) != (previous == Link::FIRST.previous) {
        return Err(HeaderError::Predecessor);
    }
    Ok(())
}

fn read(kind: Kind, reader: &mut Reader<'_>) -> Option<Header> {
    let compressed = match reader.u8()? {
        0 => false,
        1 => true,
        _ => return None,
    };
    let (length, sequence, count) = (reader.u32()?, reader.u64()?, reader.u32()?);
    let (epoch, last_epoch, timeline) = (reader.u64()?, reader.u64()?, reader.u64()?);
    let positions = reader.u8()?;
    Some(Header {
        kind,
        sequence,
        count,
        epoch,
        last_epoch,
        timeline,
        span: Span::read(positions, reader)?,
        commits: Commits::read(reader)?,
        previous: Id::from_bytes(reader.array()?),
        digest: Id::from_bytes(reader.array()?),
        stream: StreamName::read(reader)?,
        length,
        compressed,
    })
}
