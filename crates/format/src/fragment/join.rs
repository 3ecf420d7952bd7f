//! Compacting: fragments that follow one another become a segment, whose chain outlives them.

use super::header::Header;
use super::stretch::{ContentError, Draft, Link, Place, Stretch};
use super::{Kind, Piece};

/// Some fragments and segments do not make a segment together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// There are none.
    #[error("nothing was given to be joined")]
    Nothing,
    /// One is of another system or stream.
    #[error("part {part} is of another stream")]
    Stream {
        /// Which one, from 0.
        part: usize,
    },
    /// One does not take the place after the one before it, or its chain is another.
    #[error("part {part} does not follow the one before it in the chain")]
    Chain {
        /// Which one, from 0.
        part: usize,
    },
    /// One is of another timeline. A segment ends where the timeline does.
    #[error("part {part} is of another timeline")]
    Timeline {
        /// Which one, from 0.
        part: usize,
    },
    /// One leaves positions out, or repeats some. A segment ends there.
    #[error("part {part} does not begin at the position where the one before it ends")]
    Position {
        /// Which one, from 0.
        part: usize,
    },
    /// Together they are no segment: too large, or the epoch goes back.
    #[error(transparent)]
    Content(#[from] ContentError),
}

impl Stretch {
    /// The segment that holds these fragments and segments, which are in their order.
    ///
    /// It repeats the first one's predecessor, the last digest, and all that was known of each fragment.
    ///
    /// # Errors
    /// [`JoinError`] when they do not follow one another without a gap, or are too large together.
    pub fn join(parts: &[Stretch]) -> Result<Stretch, JoinError> {
        let first = parts.first().ok_or(JoinError::Nothing)?.header();
        for (part, (before, after)) in (1..).zip(parts.iter().zip(parts.iter().skip(1))) {
            follows(part, before.header(), after.header())?;
        }
        let pieces: Vec<Piece> = parts.iter().flat_map(Stretch::pieces).copied().collect();
        let logs: Vec<&[u8]> = parts.iter().map(Stretch::log).collect();
        let length = logs.iter().map(|log| log.len()).sum();
        if length > Kind::Segment.limit() {
            let limit = Kind::Segment.limit();
            return Err(ContentError::TooLong { length, limit }.into());
        }
        let place = Place {
            kind: Kind::Segment,
            stream: first.stream.clone(),
            link: Link {
                sequence: first.sequence,
                previous: first.previous,
            },
            timeline: first.timeline,
        };
        Ok(Stretch::assemble(place, pieces, logs.concat())?)
    }

    /// The fragments in it, each by itself and with its own place in the chain: what [`Stretch::join`] has put together.
    ///
    /// # Errors
    /// [`ContentError`], which no stretch that was opened or joined gives.
    pub fn split(&self) -> Result<Vec<Stretch>, ContentError> {
        let header = self.header();
        let mut link = Link {
            sequence: header.sequence,
            previous: header.previous,
        };
        let (mut out, mut rest) = (Vec::with_capacity(self.pieces().len()), self.log());
        for piece in self.pieces() {
            let length = usize::try_from(piece.length).unwrap_or(usize::MAX);
            let (log, after) = rest.split_at_checked(length).ok_or(ContentError::Table)?;
            rest = after;
            let draft = Draft {
                stream: header.stream.clone(),
                link,
                epoch: piece.epoch,
                timeline: header.timeline,
                span: piece.span,
                commits: piece.commits,
            };
            let fragment = Stretch::fragment(draft, log.to_vec())?;
            link = fragment.header().next();
            out.push(fragment);
        }
        Ok(out)
    }
}

/// Whether `after` goes on where `before` ends.
fn follows(part: usize, before: &Header, after: &Header) -> Result<(), JoinError> {
    let link = Link {
        sequence: after.sequence,
        previous: after.previous,
    };
    if before.stream != after.stream {
        Err(JoinError::Stream { part })
    } else if before.next() != link {
        Err(JoinError::Chain { part })
    } else if before.timeline != after.timeline {
        Err(JoinError::Timeline { part })
    } else if before.span.to() != after.span.from() {
        Err(JoinError::Position { part })
    } else {
        Ok(())
    }
}
