//! What is known of one fragment's log, and the digest that chains it to all before it.

use super::encoding::Reader;
use super::position::Span;
use super::stream::StreamName;
use crate::id::Id;

/// One fragment's log, within the fragment itself or within the segment it went into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// The writer that shipped it.
    pub epoch: u64,
    /// The positions it covers.
    pub span: Span,
    /// The commits in it, if there are any and their times are known.
    pub commits: Option<Commits>,
    /// Its bytes.
    pub length: u32,
}

/// When the first and the last transaction of a piece were committed, in microseconds since 1970-01-01T00:00:00Z.
///
/// First and last by their places in the log; databases do not promise that times only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Commits {
    /// Of the first commit.
    pub first: i64,
    /// Of the last commit.
    pub last: i64,
}

/// Bytes of a piece in a segment's table.
pub(super) const ENTRY: usize = 8 + 4 + 32 + 17;

impl Piece {
    /// An entry of a segment's table.
    pub(super) fn push(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&self.length.to_le_bytes());
        self.span.push(out);
        Commits::push(self.commits, out);
    }

    /// An entry of the table of a segment whose positions are of this kind.
    pub(super) fn read(kind: u8, reader: &mut Reader<'_>) -> Option<Piece> {
        Some(Piece {
            epoch: reader.u64()?,
            length: reader.u32()?,
            span: Span::read(kind, reader)?,
            commits: Commits::read(reader)?,
        })
    }
}

impl Commits {
    pub(super) fn push(commits: Option<Commits>, out: &mut Vec<u8>) {
        out.push(u8::from(commits.is_some()));
        let Commits { first, last } = commits.unwrap_or(Commits { first: 0, last: 0 });
        out.extend_from_slice(&first.to_le_bytes());
        out.extend_from_slice(&last.to_le_bytes());
    }

    /// Nothing if these bytes are no commits; none within if they say that there are none.
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Option<Commits>> {
        let (there, first, last) = (reader.u8()?, reader.i64()?, reader.i64()?);
        match (there, first, last) {
            (0, 0, 0) => Some(None),
            (1, first, last) => Some(Some(Commits { first, last })),
            _ => None,
        }
    }

    /// Of both, one after the other.
    pub(super) fn then(before: Option<Commits>, after: Option<Commits>) -> Option<Commits> {
        match (before, after) {
            (Some(before), Some(after)) => Some(Commits {
                first: before.first,
                last: after.last,
            }),
            (one, other) => one.or(other),
        }
    }
}

/// What every digest of a chain begins with.
const TAG: &[u8] = b"vouchsafe-log-chain-1";

/// The digest of the chain up to and with a piece. It says nothing of keys, so all vaults have the same chain.
pub(super) fn chained(
    previous: Id,
    stream: &StreamName,
    sequence: u64,
    timeline: u64,
    piece: &Piece,
    log: Id,
) -> Id {
    let mut message = TAG.to_vec();
    message.extend_from_slice(previous.as_bytes());
    stream.push(&mut message);
    message.extend_from_slice(&sequence.to_le_bytes());
    message.extend_from_slice(&timeline.to_le_bytes());
    message.push(piece.span.kind());
    piece.push(&mut message);
    message.extend_from_slice(log.as_bytes());
    Id::of(&message)
}

#[cfg(test)]
mod tests {
    use super::super::Position;
    use super::*;

    fn piece() -> Piece {
        Piece {
            epoch: 1,
            span: Span::new(Position::Byte(2), Position::Byte(5)).unwrap(),
            commits: Some(Commits { first: -1, last: 7 }),
            length: 3,
        }
    }

    #[test]
    fn pieces_are_read_as_they_are_written() {
        for commits in [None, piece().commits] {
            let piece = Piece { commits, ..piece() };
            let mut out = Vec::new();
            piece.push(&mut out);
            assert_eq!(out.len(), ENTRY);
            assert_eq!(Piece::read(1, &mut Reader::new(&out)), Some(piece));
            for cut in 0..out.len() {
                assert_eq!(Piece::read(1, &mut Reader::new(&out[..cut])), None);
            }
        }
        let mut out = Vec::new();
        Piece {
            commits: None,
            ..piece()
        }
        .push(&mut out);
        // No commits, but the time of one.
        out[ENTRY - 1] = 1;
        assert_eq!(Piece::read(1, &mut Reader::new(&out)), None);
    }

    #[test]
    fn whatever_is_another_gives_another_digest() {
        let name = |system: &str, stream: &str| StreamName::new(system, stream).unwrap();
        let (zero, log) = (Id::from_bytes([0; 32]), Id::of(b"log"));
        let base = chained(zero, &name("ab", "c"), 4, 5, &piece(), log);
        let mark = Piece {
            span: Span::new(Position::Mark(2), Position::Mark(5)).unwrap(),
            ..piece()
        };
        let others = [
            chained(log, &name("ab", "c"), 4, 5, &piece(), log),
            chained(zero, &name("a", "bc"), 4, 5, &piece(), log),
            chained(zero, &name("ab", "c"), 5, 5, &piece(), log),
            chained(zero, &name("ab", "c"), 4, 4, &piece(), log),
            chained(zero, &name("ab", "c"), 4, 5, &mark, log),
            chained(zero, &name("ab", "c"), 4, 5, &piece(), zero),
        ];
        assert!(others.iter().all(|other| *other != base));
    }
}
