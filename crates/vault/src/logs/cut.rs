//! A piece of log that is larger than an object may be, cut into several.

use std::ops::Range;

use vouchsafe_capture::LogPiece;
use vouchsafe_format::fragment::{ContentError, Position, Span};

/// A part of a piece, and which of its bytes those are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) piece: LogPiece,
    pub(super) bytes: Range<usize>,
}

/// The parts of a piece of `length` bytes, each with at most `most`, for the place `sequence` and those after it.
///
/// The times of commits are said of the last part: a time is reached when all that is before it is there. What is
/// counted by marks cannot be cut, for nothing tells which bytes belong to which mark.
pub(super) fn cut(
    piece: LogPiece,
    length: usize,
    sequence: u64,
    most: usize,
) -> Result<Vec<Part>, ContentError> {
    if !piece.span.fits(length as u64) {
        return Err(ContentError::Length {
            sequence,
            length: u32::try_from(length).unwrap_or(u32::MAX),
        });
    }
    let limit = most;
    let too_long = ContentError::TooLong { length, limit };
    if length <= most {
        let bytes = 0..length;
        return Ok(vec![Part { piece, bytes }]);
    }
    let (mut out, mut done) = (Vec::new(), 0);
    let mut from = piece.span.from();
    while done < length {
        let end = length.min(done.saturating_add(most));
        let is_last = end == length;
        let to = if is_last {
            piece.span.to()
        } else {
            beyond(from, end - done).ok_or(too_long)?
        };
        out.push(Part {
            piece: LogPiece {
                timeline: piece.timeline,
                span: Span::new(from, to).map_err(|_| ContentError::Order { sequence })?,
                commits: piece.commits.filter(|_| is_last),
            },
            bytes: done..end,
        });
        (from, done) = (to, end);
    }
    Ok(out)
}

/// So many bytes after a position, if it counts bytes.
pub(super) fn beyond(position: Position, bytes: usize) -> Option<Position> {
    let bytes = u64::try_from(bytes).ok()?;
    match position {
        Position::Byte(at) => Some(Position::Byte(at.checked_add(bytes)?)),
        Position::File { file, offset } => Some(Position::File {
            file,
            offset: offset.checked_add(bytes)?,
        }),
        Position::Mark(_) => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use vouchsafe_format::fragment::Commits;

    fn piece(from: Position, to: Position) -> LogPiece {
        LogPiece {
            timeline: 1,
            span: Span::new(from, to).unwrap(),
            commits: Some(Commits { first: 1, last: 2 }),
        }
    }

    #[test]
    fn parts_cover_the_piece_and_only_the_last_one_knows_its_commits() {
        let file = |file, offset| Position::File { file, offset };
        for (from, to) in [
            (Position::Byte(5), Position::Byte(30)),
            (file(3, 5), file(3, 30)),
            (file(3, 5), file(4, 0)),
        ] {
            let parts = cut(piece(from, to), 25, 0, 10).unwrap();
            let bytes: Vec<_> = parts.iter().map(|part| part.bytes.clone()).collect();
            assert_eq!(bytes, [0..10, 10..20, 20..25]);
            assert_eq!(parts[0].piece.span.from(), from);
            assert_eq!(parts[2].piece.span.to(), to);
            for (before, after) in parts.iter().zip(&parts[1..]) {
                assert_eq!(before.piece.span.to(), after.piece.span.from());
                assert_eq!(before.piece.commits, None);
            }
            assert_eq!(parts[2].piece.commits, piece(from, to).commits);
            for part in &parts {
                assert!(part.piece.span.fits(part.bytes.len() as u64));
            }
        }
    }

    #[test]
    fn marks_are_not_cut_and_what_does_not_fit_is_refused() {
        let marks = piece(Position::Mark(1), Position::Mark(9));
        assert!(matches!(
            cut(marks, 11, 0, 10),
            Err(ContentError::TooLong { .. })
        ));
        assert_eq!(cut(marks, 10, 0, 10).unwrap().len(), 1);
        let bytes = piece(Position::Byte(0), Position::Byte(9));
        assert!(matches!(
            cut(bytes, 10, 0, 100),
            Err(ContentError::Length { .. })
        ));
    }
}
