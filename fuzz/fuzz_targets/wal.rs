//! PostgreSQL's log, fed in pieces: what comes out does not depend on the pieces, and a position can be gone on from.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_translog::wal::{History, SegmentSize, Timeline, WalReader, WalStart};

fuzz_target!(|input: (u16, &[u8])| {
    let (piece, bytes) = input;
    let history = History::of(Timeline::FIRST);
    let size = SegmentSize::new(1 << 20).unwrap();
    let start = WalStart::at_segment(size, 1, history.clone()).unwrap();
    let mut whole = WalReader::new(start.clone()).unwrap();
    let mut pieces = WalReader::new(start).unwrap();
    let (mut expected, mut found) = (Vec::new(), Vec::new());
    let result = whole.feed(bytes, |event| expected.push(event));
    for piece in bytes.chunks(usize::from(piece) + 1) {
        if pieces.feed(piece, |event| found.push(event)).is_err() {
            break;
        }
    }
    assert_eq!(expected, found);
    let (status, other) = (whole.status(), pieces.status());
    assert_eq!((status.from, status.verified), (other.from, other.verified));
    if let Some(position) = whole.position() {
        let mut next = WalReader::resume(&position, history).unwrap();
        let at = position.verified.0.saturating_sub(1 << 20) as usize;
        if let Some(rest) = bytes.get(at..) {
            let again = next.feed(rest, |_| {});
            assert_eq!(again.is_err(), result.is_err());
        }
    }
});
