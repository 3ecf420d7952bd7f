//! No bytes make any reader panic or take memory without bound: neither arbitrary ones nor damaged good ones.

use crate::common::{self, Log, reader};
use proptest::prelude::*;
use vouchsafe_translog::wal::{History, WalReader};

/// Numbers that parsers trip over.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![Just(0), Just(1), Just(0x7f), Just(0xff), any::<u8>()]
}

/// Feeds the pieces, and goes on at whatever position comes out.
fn feed(bytes: &[u8], piece: usize) {
    let mut first = reader(common::SEGMENT);
    for piece in bytes.chunks(piece) {
        let result = first.feed(piece, |_| {});
        let status = first.status();
        assert!(
            status
                .verified
                .is_none_or(|verified| verified >= status.from.unwrap())
        );
        if result.is_err() {
            break;
        }
    }
    if let Some(position) = first.position() {
        let mut next = WalReader::resume(&position, History::of(common::timeline(1))).unwrap();
        let _ = next.feed(bytes, |_| {});
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_survived(bytes in prop::collection::vec(byte(), 0..20_000), piece in 1_usize..9000) {
        feed(&bytes, piece);
        // Behind a good page header.
        let mut log = Log::at_segment(1);
        log.page(0, 0);
        log.bytes.extend(&bytes);
        feed(&log.bytes, piece);
        let mut log = Log::at_segment(1);
        log.page(1, u32::MAX);
        log.bytes.extend(&bytes);
        feed(&log.bytes, piece);
        // In a record of any kind whose checksum fits.
        for (manager, info) in [(0, 0), (0, 0x70), (0, 0x90), (0, 0xD0), (1, 0), (1, 0x10), (1, 0xB0), (21, 0)] {
            let mut log = Log::at_segment(1);
            log.filler(1);
            log.record(manager, info, 1, &common::plain(&bytes[..bytes.len().min(200)]));
            feed(&log.bytes, piece);
        }
    }

    #[test]
    fn a_log_damaged_anywhere_is_survived(
        changes in prop::collection::vec((any::<prop::sample::Index>(), byte()), 1..8),
        piece in 1_usize..9000,
    ) {
        let mut log = Log::at_segment(1);
        log.commit(1, 2);
        log.filler(9_000);
        log.message("token", b"x");
        log.filler(10);
        for (at, byte) in changes {
            let at = at.index(log.bytes.len());
            log.bytes[at] = byte;
        }
        feed(&log.bytes, piece);
    }
}
