//! Where in a log something stands: as every kind of database counts it.

use std::cmp::Ordering;
use std::fmt;

use super::encoding::Reader;

/// A place in a log, before which and after which there are bytes.
///
/// Places of different kinds cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Position {
    /// Counted in bytes from the log's beginning: PostgreSQL's LSN.
    Byte(u64),
    /// Counted in bytes within numbered files: the binary log of MySQL and MariaDB.
    File {
        /// The file's number.
        file: u64,
        /// Bytes from its beginning.
        offset: u64,
    },
    /// Something that only grows and says nothing of bytes: the time stamp of MongoDB's oplog (seconds in the upper
    /// half, the counter in the lower one), the transaction number of a SQLite log.
    Mark(u64),
}

/// The positions that a piece of a log covers: the first one, and the first one that no longer belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    from: Position,
    to: Position,
}

/// Two positions are not the ends of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no range of a log begins at {from} and ends at {to}")]
pub struct SpanError {
    /// The beginning.
    pub from: Position,
    /// The end.
    pub to: Position,
}

impl Position {
    /// Kind, then two numbers.
    fn parts(self) -> (u8, u64, u64) {
        match self {
            Position::Byte(at) => (1, 0, at),
            Position::File { file, offset } => (2, file, offset),
            Position::Mark(at) => (3, 0, at),
        }
    }

    fn of_parts(kind: u8, file: u64, at: u64) -> Option<Position> {
        match (kind, file) {
            (1, 0) => Some(Position::Byte(at)),
            (2, _) => Some(Position::File { file, offset: at }),
            (3, 0) => Some(Position::Mark(at)),
            _ => None,
        }
    }
}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Position) -> Option<Ordering> {
        let ((kind, file, at), (other_kind, other_file, other_at)) = (self.parts(), other.parts());
        (kind == other_kind).then(|| (file, at).cmp(&(other_file, other_at)))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Position::Byte(at) => write!(f, "byte {at}"),
            Position::File { file, offset } => write!(f, "byte {offset} of file {file}"),
            Position::Mark(at) => write!(f, "mark {at}"),
        }
    }
}

impl Span {
    /// From `from` up to but without `to`; both may be the same.
    ///
    /// # Errors
    /// [`SpanError`] when they are of different kinds or in the wrong order.
    pub fn new(from: Position, to: Position) -> Result<Span, SpanError> {
        if from <= to {
            Ok(Span { from, to })
        } else {
            Err(SpanError { from, to })
        }
    }

    /// The first position.
    pub fn from(&self) -> Position {
        self.from
    }

    /// The first position after it.
    pub fn to(&self) -> Position {
        self.to
    }

    /// Whether one piece with so many bytes of log can cover this.
    ///
    /// Where positions count bytes, the lengths agree. A piece lies in one file; if it holds the end of that file, it
    /// ends at the beginning of the next one. Where positions are marks, only a piece that covers nothing is empty.
    pub fn fits(&self, length: u64) -> bool {
        match (self.from, self.to) {
            (Position::Byte(from), Position::Byte(to)) => to.checked_sub(from) == Some(length),
            (
                Position::File { file, offset },
                Position::File {
                    file: last,
                    offset: end,
                },
            ) => {
                let within = last == file && end.checked_sub(offset) == Some(length);
                let to_its_end = file.checked_add(1) == Some(last) && end == 0;
                within || to_its_end
            }
            (Position::Mark(from), Position::Mark(to)) => from < to || length == 0,
            _ => false,
        }
    }

    pub(super) fn kind(&self) -> u8 {
        self.from.parts().0
    }

    /// Four numbers; the kind of the positions stands elsewhere.
    pub(super) fn push(&self, out: &mut Vec<u8>) {
        for position in [self.from, self.to] {
            let (_, file, at) = position.parts();
            out.extend_from_slice(&file.to_le_bytes());
            out.extend_from_slice(&at.to_le_bytes());
        }
    }

    pub(super) fn read(kind: u8, reader: &mut Reader<'_>) -> Option<Span> {
        let mut position = || Position::of_parts(kind, reader.u64()?, reader.u64()?);
        let (from, to) = (position()?, position()?);
        Span::new(from, to).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(file: u64, offset: u64) -> Position {
        Position::File { file, offset }
    }

    #[test]
    fn positions_are_compared_within_their_kind_only() {
        assert!(Position::Byte(3) < Position::Byte(4));
        assert!(file(1, 900) < file(2, 4));
        assert_eq!(Position::Byte(3).partial_cmp(&Position::Mark(4)), None);
        assert!(Span::new(Position::Byte(3), Position::Mark(4)).is_err());
        assert!(Span::new(file(2, 0), file(1, 9)).is_err());
        assert!(Span::new(file(2, 0), file(2, 0)).is_ok());
    }

    #[test]
    fn a_range_of_bytes_has_as_many_bytes() {
        let fits = |from, to, length| Span::new(from, to).unwrap().fits(length);
        assert!(fits(Position::Byte(5), Position::Byte(9), 4));
        assert!(!fits(Position::Byte(5), Position::Byte(9), 5));
        assert!(fits(file(7, 4), file(7, 10), 6));
        assert!(!fits(file(7, 4), file(7, 10), 5));
        assert!(fits(file(7, 4), file(8, 0), 1000));
        assert!(!fits(file(7, 4), file(8, 4), 1000));
        assert!(!fits(file(7, 4), file(9, 0), 1000));
        assert!(fits(Position::Mark(1), Position::Mark(2), 99));
        assert!(fits(Position::Mark(1), Position::Mark(2), 0));
        assert!(!fits(Position::Mark(1), Position::Mark(1), 1));
    }

    #[test]
    fn ranges_are_read_as_they_are_written() {
        for span in [
            Span::new(Position::Byte(1), Position::Byte(u64::MAX)),
            Span::new(file(u64::MAX, 3), file(u64::MAX, 4)),
            Span::new(Position::Mark(0), Position::Mark(0)),
        ] {
            let span = span.unwrap();
            let mut out = Vec::new();
            span.push(&mut out);
            assert_eq!(Span::read(span.kind(), &mut Reader::new(&out)), Some(span));
            for kind in [0, 4, 255] {
                assert_eq!(Span::read(kind, &mut Reader::new(&out)), None);
            }
        }
        let mut with_file = Vec::new();
        Span::new(file(1, 2), file(1, 3))
            .unwrap()
            .push(&mut with_file);
        assert_eq!(Span::read(1, &mut Reader::new(&with_file)), None);
    }
}
