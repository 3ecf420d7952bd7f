//! A file of a binary log, fed in pieces: what comes out does not depend on the pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_translog::binlog::{BinlogReader, GtidState};

fuzz_target!(|input: (u16, &[u8])| {
    let (piece, bytes) = input;
    let mut whole = BinlogReader::new(GtidState::Unknown);
    let mut pieces = BinlogReader::new(GtidState::Unknown);
    let (mut expected, mut found) = (Vec::new(), Vec::new());
    let _ = whole.feed(bytes, |record| expected.push(record));
    for piece in bytes.chunks(usize::from(piece) + 1) {
        if pieces.feed(piece, |record| found.push(record)).is_err() {
            break;
        }
    }
    assert_eq!(expected, found);
    let status = whole.status();
    assert!(status.whole <= status.verified && status.verified <= bytes.len() as u64);
    assert_eq!(status.gtids, pieces.status().gtids);
});
