//! Streams of log fragments for tests.

use vouchsafe_format::fragment::{
    Commits, Draft, Header, Link, LogKeys, LogName, Position, SealedLog, Span, StreamName, Stretch,
    open, seal,
};

use super::{key, noise};

/// The keys of [`key`].
pub fn keys() -> LogKeys {
    LogKeys::of(&key())
}

pub fn stream() -> StreamName {
    StreamName::new("shop-db", "pitr/wal").unwrap()
}

pub fn bytes(from: u64, to: u64) -> Span {
    Span::new(Position::Byte(from), Position::Byte(to)).unwrap()
}

/// A draft that covers so many bytes from a position on, by writer 1 on timeline 1.
pub fn draft(link: Link, from: u64, length: u64) -> Draft {
    Draft {
        stream: stream(),
        link,
        epoch: 1,
        timeline: 1,
        span: bytes(from, from + length),
        commits: None,
    }
}

/// Some log that compresses a little.
pub fn some_log(seed: u64, length: usize) -> Vec<u8> {
    let mut log = noise(seed, length);
    log.iter_mut().step_by(2).for_each(|byte| *byte &= 3);
    log
}

/// Fragments of these lengths that follow one another, the first at byte 1000.
pub fn fragments(lengths: &[usize]) -> Vec<Stretch> {
    let (mut link, mut at, mut out) = (Link::FIRST, 1000, Vec::new());
    for (seed, length) in (1..).zip(lengths) {
        let mut draft = draft(link, at, *length as u64);
        let time = i64::try_from(seed).unwrap() * 1_000_000;
        draft.commits = (seed % 3 != 0).then_some(Commits {
            first: time,
            last: time + 500,
        });
        let fragment = Stretch::fragment(draft, some_log(seed, *length)).unwrap();
        link = fragment.header().next();
        at += *length as u64;
        out.push(fragment);
    }
    out
}

pub fn headers(stretches: &[Stretch]) -> Vec<Header> {
    stretches.iter().map(|s| s.header().clone()).collect()
}

/// Sealed without compression.
pub fn sealed(stretch: &Stretch, random: u8) -> SealedLog {
    seal(&keys(), stretch, [random; 32], None).unwrap()
}

pub fn opened(name: &LogName, bytes: &[u8]) -> Stretch {
    open(&keys(), name, bytes).unwrap()
}

/// The payload of a segment, put together as `docs/format.md` has it: its table, then the log.
pub fn payload_of(segment: &Stretch) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in segment.pieces() {
        out.extend_from_slice(&piece.epoch.to_le_bytes());
        out.extend_from_slice(&piece.length.to_le_bytes());
        for position in [piece.span.from(), piece.span.to()] {
            let (file, at) = match position {
                Position::File { file, offset } => (file, offset),
                Position::Byte(at) | Position::Mark(at) => (0, at),
            };
            out.extend_from_slice(&file.to_le_bytes());
            out.extend_from_slice(&at.to_le_bytes());
        }
        let commits = piece.commits.unwrap_or(Commits { first: 0, last: 0 });
        out.push(u8::from(piece.commits.is_some()));
        out.extend_from_slice(&commits.first.to_le_bytes());
        out.extend_from_slice(&commits.last.to_le_bytes());
    }
    out.extend_from_slice(segment.log());
    out
}
