//! What an object holds, whoever seals it: one piece of a log or several that follow one another.

use std::fmt;

use super::encoding::Reader;
use super::header::{Header, HeaderError, check_place};
use super::piece::{Commits, ENTRY, Piece, chained};
use super::position::Span;
use super::stream::StreamName;
use super::{Kind, MAX_FRAGMENT, MAX_SEGMENT};
use crate::id::Id;

/// A place in the chain of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Link {
    /// Counted from 0.
    pub sequence: u64,
    /// The digest of the chain before it.
    pub previous: Id,
}

impl Link {
    /// The first place of every stream.
    pub const FIRST: Link = Link {
        sequence: 0,
        previous: Id::from_bytes([0; 32]),
    };
}

/// What a fragment's writer states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The system and the stream.
    pub stream: StreamName,
    /// Its place in the chain.
    pub link: Link,
    /// The writer: a number that is raised each time a writer begins or takes over.
    pub epoch: u64,
    /// The timeline of the positions.
    pub timeline: u64,
    /// The positions covered.
    pub span: Span,
    /// The first and the last commit, if there are any and their times are known.
    pub commits: Option<Commits>,
}

/// The log of one fragment or segment, and what is known of it. Every part fits the others.
#[derive(Clone, PartialEq, Eq)]
pub struct Stretch {
    header: Header,
    pieces: Vec<Piece>,
    log: Vec<u8>,
}

/// These parts are no fragment and no segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// More bytes of log than a fragment or segment may hold.
    #[error("{length} bytes are more than the {limit} that such an object may hold")]
    TooLong {
        /// Bytes that there are.
        length: usize,
        /// Bytes that there may be.
        limit: usize,
    },
    /// A piece whose positions do not go with its bytes.
    #[error("fragment {sequence} cannot cover its positions with {length} bytes")]
    Length {
        /// The place of the piece.
        sequence: u64,
        /// Its bytes.
        length: u32,
    },
    /// A piece that does not follow the one before it, or is by an older writer.
    #[error("fragment {sequence} does not go on where the one before it ends")]
    Order {
        /// The place of the piece.
        sequence: u64,
    },
    /// The pieces have together more or fewer bytes than there are, or the table is malformed.
    #[error("the table of the segment does not describe what is in it")]
    Table,
    /// What the header says is not what is there.
    #[error("the header says something else than what is there")]
    Header,
    /// No such place in a stream.
    #[error(transparent)]
    Place(#[from] HeaderError),
}

impl Stretch {
    /// A fragment.
    ///
    /// # Errors
    /// [`ContentError`] when positions and bytes do not fit, or there are more bytes than [`MAX_FRAGMENT`].
    pub fn fragment(draft: Draft, log: Vec<u8>) -> Result<Stretch, ContentError> {
        let too_long = ContentError::TooLong {
            length: log.len(),
            limit: MAX_FRAGMENT,
        };
        let piece = Piece {
            epoch: draft.epoch,
            span: draft.span,
            commits: draft.commits,
            length: u32::try_from(log.len()).map_err(|_| too_long)?,
        };
        let place = Place {
            kind: Kind::Fragment,
            stream: draft.stream,
            link: draft.link,
            timeline: draft.timeline,
        };
        Stretch::assemble(place, vec![piece], log)
    }

    /// What an object's opened header and payload hold, only if they fit each other.
    ///
    /// # Errors
    /// [`ContentError`].
    pub fn from_payload(header: &Header, payload: Vec<u8>) -> Result<Stretch, ContentError> {
        let (pieces, log) = match header.kind {
            Kind::Fragment => {
                let piece = Piece {
                    epoch: header.epoch,
                    span: header.span,
                    commits: header.commits,
                    length: header.length,
                };
                (vec![piece], payload)
            }
            Kind::Segment => split_table(header, payload)?,
        };
        let place = Place {
            kind: header.kind,
            stream: header.stream.clone(),
            link: Link {
                sequence: header.sequence,
                previous: header.previous,
            },
            timeline: header.timeline,
        };
        let mut stretch = Stretch::assemble(place, pieces, log)?;
        // How it was stored is no part of what it holds.
        stretch.header.compressed = header.compressed;
        if stretch.header != *header {
            return Err(ContentError::Header);
        }
        stretch.header.compressed = false;
        Ok(stretch)
    }

    /// What its header says. Whether it is stored compressed is only known of an object.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The fragments in it, in their order.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The log, of all fragments one after the other.
    pub fn log(&self) -> &[u8] {
        &self.log
    }

    /// The log, without a copy.
    pub fn into_log(self) -> Vec<u8> {
        self.log
    }

    /// What is sealed: the log, of a segment with its table before it.
    pub fn payload(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.header.kind == Kind::Segment {
            out.reserve_exact(self.pieces.len() * ENTRY + self.log.len());
            for piece in &self.pieces {
                piece.push(&mut out);
            }
        }
        out.extend_from_slice(&self.log);
        out
    }

    pub(super) fn assemble(
        place: Place,
        pieces: Vec<Piece>,
        log: Vec<u8>,
    ) -> Result<Stretch, ContentError> {
        let Place {
            kind,
            stream,
            link,
            timeline,
        } = place;
        let Link { sequence, previous } = link;
        let count = u32::try_from(pieces.len()).unwrap_or(u32::MAX);
        check_place(kind, sequence, count, previous)?;
        let (limit, table) = match kind {
            Kind::Fragment => (MAX_FRAGMENT, 0),
            Kind::Segment => (MAX_SEGMENT, pieces.len() * ENTRY),
        };
        let length = log.len().saturating_add(table);
        let too_long = ContentError::TooLong { length, limit };
        if length > limit {
            return Err(too_long);
        }
        let (first, last) = check_pieces(sequence, &pieces)?;
        let digest = digest_of(&stream, link, timeline, &pieces, &log)?;
        let commits = pieces
            .iter()
            .fold(None, |all, piece| Commits::then(all, piece.commits));
        let span = Span::new(first.span.from(), last.span.to());
        let header = Header {
            kind,
            stream,
            sequence,
            count,
            epoch: first.epoch,
            last_epoch: last.epoch,
            timeline,
            span: span.map_err(|_| ContentError::Order { sequence })?,
            commits,
            previous,
            digest,
            length: u32::try_from(length).map_err(|_| too_long)?,
            compressed: false,
        };
        Ok(Stretch {
            header,
            pieces,
            log,
        })
    }
}

impl fmt::Debug for Stretch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stretch")
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

/// Where a stretch stands.
pub(super) struct Place {
    pub(super) kind: Kind,
    pub(super) stream: StreamName,
    pub(super) link: Link,
    pub(super) timeline: u64,
}

/// The first and the last piece, if each fits its bytes and follows the one before it.
fn check_pieces(sequence: u64, pieces: &[Piece]) -> Result<(Piece, Piece), ContentError> {
    let mut before: Option<&Piece> = None;
    for (sequence, piece) in (sequence..).zip(pieces) {
        if !piece.span.fits(piece.length.into()) {
            return Err(ContentError::Length {
                sequence,
                length: piece.length,
            });
        }
        let follows = before.is_none_or(|before| {
            before.span.to() == piece.span.from() && before.epoch <= piece.epoch
        });
        if !follows {
            return Err(ContentError::Order { sequence });
        }
        before = Some(piece);
    }
    match (pieces.first(), pieces.last()) {
        (Some(first), Some(last)) => Ok((*first, *last)),
        _ => Err(ContentError::Table),
    }
}

/// The digest of the chain after the last piece.
fn digest_of(
    stream: &StreamName,
    link: Link,
    timeline: u64,
    pieces: &[Piece],
    log: &[u8],
) -> Result<Id, ContentError> {
    let mut rest = log;
    let mut logs = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let length = usize::try_from(piece.length).unwrap_or(usize::MAX);
        let (one, after) = rest.split_at_checked(length).ok_or(ContentError::Table)?;
        logs.push(one);
        rest = after;
    }
    if !rest.is_empty() {
        return Err(ContentError::Table);
    }
    let places = (link.sequence..).zip(pieces).zip(Id::of_each(&logs));
    Ok(
        places.fold(link.previous, |previous, ((sequence, piece), log)| {
            chained(previous, stream, sequence, timeline, piece, log)
        }),
    )
}

/// A segment's table, and the log after it.
fn split_table(
    header: &Header,
    mut payload: Vec<u8>,
) -> Result<(Vec<Piece>, Vec<u8>), ContentError> {
    let count = usize::try_from(header.count).unwrap_or(usize::MAX);
    let table = payload
        .get(..count.saturating_mul(ENTRY))
        .ok_or(ContentError::Table)?;
    let mut reader = Reader::new(table);
    let pieces: Option<Vec<Piece>> = (0..count)
        .map(|_| Piece::read(header.span.kind(), &mut reader))
        .collect();
    let pieces = pieces.ok_or(ContentError::Table)?;
    payload.drain(..count * ENTRY);
    Ok((pieces, payload))
}
