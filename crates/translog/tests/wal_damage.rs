//! Each damage to a log is seen, and what lies before it stays verified.

use crate::common::{Log, PAGE, SEGMENT, SYSTEM, encode, read, reader, records};
use proptest::prelude::*;
use vouchsafe_translog::wal::{EndKind, Lsn, WalError, WalEvent, WalReader};

/// A log short enough to damage each byte of it.
fn short() -> Log {
    let mut log = Log::at_segment(1);
    log.filler(100);
    log.commit(7, 1_000_000);
    log.message("token", b"content");
    log.filler(9_000);
    log.commit(8, 3_000_000);
    log
}

/// The damaged log is never read to its end, and everything before `at` still is.
fn is_seen(log: &Log, bytes: &[u8], at: u64) -> (WalReader, Result<(), WalError>) {
    let mut reader = reader(log.start);
    let (events, result) = read(&mut reader, bytes);
    let whole: Vec<u64> = log
        .records
        .iter()
        .copied()
        .filter(|lsn| *lsn <= at)
        .collect();
    let before = whole.len().saturating_sub(1);
    let found: Vec<u64> = records(&events).iter().map(|record| record.lsn.0).collect();
    // The record with the damage is not among them, each one before it is.
    assert_eq!(found, log.records[..before], "{at:x}: {result:?}");
    let verified = reader.status().verified.unwrap();
    assert!(verified.0 <= at, "{verified} {at:x}");
    (reader, result)
}

/// The damage lies in the page's header or in what fills up to eight bytes, which no checksum covers.
fn is_in_a_record(log: &Log, at: u64) -> bool {
    let header = if at % SEGMENT < PAGE { 40 } else { 24 };
    let reader = &mut reader(log.start);
    let (events, _) = read(reader, &log.bytes);
    let pads = records(&events).into_iter().any(|record| {
        // Page headers between do not change how far the end is from a multiple of eight.
        let pad = (8 - record.length as u64 % 8) % 8;
        at >= record.end.0 - pad && at < record.end.0
    });
    at % PAGE >= header && !pads
}

#[test]
fn each_flipped_byte_in_a_record_is_seen() {
    let log = short();
    for at in 0..log.bytes.len() {
        let lsn = log.start + at as u64;
        // Within the long record every byte is like the others.
        if !is_in_a_record(&log, lsn) || (at > 600 && at < 8_000 && at % 97 != 0) {
            continue;
        }
        for flip in [1_u8, 0x80, 0xff] {
            let mut bytes = log.bytes.clone();
            bytes[at] ^= flip;
            let _ = is_seen(&log, &bytes, lsn);
            // A byte that becomes zero is most likely to look like the end.
            bytes[at] = 0;
            if bytes[at] != log.bytes[at] {
                let _ = is_seen(&log, &bytes, lsn);
            }
        }
    }
}

#[test]
fn a_length_of_zero_before_a_record_is_no_end() {
    let log = short();
    let at = (log.records[1] - log.start) as usize;
    let mut bytes = log.bytes.clone();
    bytes[at..at + 4].fill(0);
    let (_, result) = is_seen(&log, &bytes, log.records[1]);
    assert!(matches!(result, Err(WalError::AfterEnd { end, .. }) if end.0 == log.records[1]));
}

#[test]
fn whatever_is_changed_in_a_page_header_is_seen() {
    let log = Log::sample();
    for page in [0, PAGE, SEGMENT] {
        let length = if page == PAGE { 24 } else { 40 };
        for at in (page..page + length).map(|at| at as usize) {
            let mut bytes = log.bytes.clone();
            bytes[at] ^= 0xff;
            let mut damaged = reader(log.start);
            let (_, result) = read(&mut damaged, &bytes);
            let (within, harmless) = (at % PAGE as usize, [20, 21, 22, 23]);
            // Fills up to eight bytes; and what is left of a record where none is open.
            let harmless = harmless.contains(&within) || (page == 0 && (16..20).contains(&within));
            // The first segment says whose log it is, unless that is known.
            let first = page == 0 && (24..32).contains(&within);
            if harmless {
                assert_eq!(result, Ok(()), "{at}");
            } else if first {
                assert!(
                    matches!(result, Err(WalError::OtherSystem { at, .. }) if at.0 == log.start + SEGMENT)
                );
            } else {
                assert!(result.is_err(), "{at}");
                assert!(
                    damaged
                        .status()
                        .verified
                        .is_none_or(|lsn| lsn.0 <= log.start + page)
                );
            }
        }
    }
}

#[test]
fn a_page_that_is_missing_or_empty_is_seen() {
    let log = Log::sample();
    for page in [1_usize, 2, 40, 128] {
        let at = page * PAGE as usize;
        let next = at + PAGE as usize;
        let lsn = Lsn(log.start + at as u64);
        let missing = [&log.bytes[..at], &log.bytes[next..]].concat();
        let mut damaged = reader(log.start);
        let (_, result) = read(&mut damaged, &missing);
        assert!(damaged.status().verified.unwrap() <= lsn);
        match result {
            Err(WalError::PageAddress { at, found }) => {
                assert_eq!((at, found), (lsn, lsn.plus(PAGE)));
            }
            // The first page of a segment is longer.
            Err(WalError::PageFlags { at, .. }) => assert_eq!(at, lsn),
            other => panic!("{page}: {other:?}"),
        }
        let mut empty = log.bytes.clone();
        empty[at..next].fill(0);
        let (_, result) = read(&mut reader(log.start), &empty);
        let to = lsn.plus(PAGE);
        assert_eq!(result, Err(WalError::Hole { from: lsn, to }), "{page}");
    }
}

#[test]
fn a_segment_in_the_place_of_another_is_seen() {
    let mut log = Log::at_segment(3);
    for _ in 0..40 {
        log.filler(90_000);
    }
    let segment = |n: usize| &log.bytes[n * SEGMENT as usize..(n + 1) * SEGMENT as usize];
    // A later one.
    let bytes = [segment(0), segment(2), segment(1)].concat();
    let (_, result) = read(&mut reader(log.start), &bytes);
    let at = Lsn(log.start + SEGMENT);
    let found = at.plus(SEGMENT);
    assert_eq!(result, Err(WalError::PageAddress { at, found }));
    // An earlier one looks like a file that was used again: the log ends there, and that it goes on after is seen.
    let bytes = [segment(0), segment(0), segment(2)].concat();
    let (events, result) = read(&mut reader(log.start), &bytes);
    let ends = |event: &WalEvent| {
        matches!(event, WalEvent::End(end)
            if end.kind == EndKind::Old { address: Lsn(log.start) } && end.within.is_some())
    };
    assert!(events.iter().any(ends));
    let to = found;
    assert_eq!(result, Err(WalError::Hole { from: at, to }));
}

#[test]
fn a_segment_of_another_server_is_seen() {
    let log = Log::sample();
    let mut other = log.clone();
    let at = SEGMENT as usize;
    other.bytes[at + 24..at + 32].copy_from_slice(&7_u64.to_le_bytes());
    let (_, result) = read(&mut reader(log.start), &other.bytes);
    let expected = WalError::OtherSystem {
        at: Lsn(log.start + SEGMENT),
        expected: SYSTEM,
        found: 7,
    };
    assert_eq!(result, Err(expected));
}

#[test]
fn an_unknown_format_is_said_and_nothing_is_verified() {
    let mut log = short();
    log.bytes[..2].copy_from_slice(&0xD121_u16.to_le_bytes());
    let mut unknown = reader(log.start);
    let (events, result) = read(&mut unknown, &log.bytes);
    let (at, magic) = (Lsn(log.start), 0xD121);
    assert_eq!(result, Err(WalError::UnknownFormat { at, magic }));
    assert_eq!((events, unknown.status().verified), (Vec::new(), None));
    // The same again, whatever is fed.
    assert_eq!(unknown.feed(&[0], |_| ()), result);
}

#[test]
fn a_record_that_does_not_follow_is_seen() {
    let mut log = short();
    let before = log.prev;
    log.prev = log.records[0];
    let record = Lsn(log.filler(10));
    let (_, result) = read(&mut reader(log.start), &log.bytes);
    let expected = WalError::BackLink {
        record,
        expected: Some(Lsn(before)),
        found: Lsn(log.records[0]),
    };
    assert_eq!(result, Err(expected));
}

#[test]
fn records_that_no_server_writes_are_refused() {
    for (manager, length, expected) in [
        (22, 24, "there is no resource manager 22"),
        (127, 24, "there is no resource manager 127"),
        (10, 23, "it cannot have 23 bytes"),
        (10, 0x4000_0000, "it cannot have 1073741824 bytes"),
    ] {
        let mut log = short();
        let mut bytes = encode(manager, 0, 0, log.prev, &[]);
        bytes[..4].copy_from_slice(&u32::to_le_bytes(length));
        log.raw(&bytes);
        let (_, result) = read(&mut reader(log.start), &log.bytes);
        let error = result.unwrap_err().to_string();
        assert!(error.ends_with(expected), "{error}");
    }
    // Since version 15 extensions bring their own.
    let mut log = short();
    log.record(128, 0, 0, &[1]);
    assert_eq!(read(&mut reader(log.start), &log.bytes).1, Ok(()));
    // A commit without a time.
    let mut log = short();
    let record = Lsn(log.record(1, 0, 9, &[255, 4, 1, 2, 3, 4]));
    let (_, result) = read(&mut reader(log.start), &log.bytes);
    assert_eq!(result, Err(WalError::Malformed { record }));
}

#[test]
fn every_truncation_is_named() {
    let log = short();
    for cut in 41..log.bytes.len() {
        let mut cut_off = reader(log.start);
        let (events, result) = read(&mut cut_off, &log.bytes[..cut]);
        assert_eq!(result, Ok(()));
        let status = cut_off.status();
        let next = log.start + cut as u64;
        match status.truncated {
            Some(truncated) => {
                assert!(log.records.contains(&truncated.record.0));
                assert_eq!(status.verified, Some(truncated.record), "{cut}");
            }
            None => {
                let verified = status.verified.unwrap().0;
                // What fills up to eight bytes may be missing, or a page has just begun.
                assert!(verified.abs_diff(next) < 8 || next % PAGE < 24, "{cut}");
            }
        }
        assert!(
            records(&events)
                .iter()
                .all(|record| record.end.0 <= next + 7)
        );
    }
}

proptest! {
    #[test]
    fn damaged_logs_are_survived_and_nothing_damaged_is_verified(
        at in 0_usize..300_000, bytes in prop::collection::vec(any::<u8>(), 1..60),
    ) {
        let log = Log::sample();
        let mut damaged = log.bytes.clone();
        let at = at % (damaged.len() - bytes.len());
        damaged[at..at + bytes.len()].copy_from_slice(&bytes);
        let mut whole = reader(log.start);
        let (expected, _) = read(&mut whole, &log.bytes);
        let (found, _) = read(&mut reader(log.start), &damaged);
        let (expected, found) = (records(&expected), records(&found));
        // Whatever comes out is what was written, in its order.
        prop_assert_eq!(&found[..], &expected[..found.len()]);
    }
}
