//! Whole logs are verified, however they are cut; ends, timelines and abandoned records are seen for what they are.

use crate::common::{
    Log, PAGE, SEGMENT, SYSTEM, plain, read, reader, reader_on, records, timeline,
};
use proptest::prelude::*;
use vouchsafe_model::Time;
use vouchsafe_translog::wal::{
    EndKind, EndOfLog, History, Lsn, Meaning, StartError, WalError, WalEvent, WalPosition,
    WalReader,
};

#[test]
fn a_whole_log_is_verified_to_its_end() {
    let log = Log::sample();
    let mut reader = reader(log.start);
    let (events, result) = read(&mut reader, &log.bytes);
    assert_eq!(result, Ok(()));
    let found: Vec<u64> = records(&events).iter().map(|record| record.lsn.0).collect();
    assert_eq!(found, log.records);
    let status = reader.status();
    assert_eq!(status.from, Some(Lsn(log.start + 40)));
    assert_eq!(status.verified, Some(Lsn(log.next())));
    assert_eq!((status.major, status.system), (Some(15), Some(SYSTEM)));
    assert_eq!((status.truncated, status.end), (None, None));
    let newest = status.newest_commit.unwrap();
    assert_eq!(newest.time, "2000-01-01T00:00:04Z".parse::<Time>().unwrap());
    assert_eq!(Some(newest.lsn.0), log.records.last().copied());
}

#[test]
fn messages_come_out_and_long_ones_are_cut() {
    let mut log = Log::at_segment(1);
    log.message("token", b"one");
    log.message("token", &[9; 100_000]);
    let (events, _) = read(&mut reader(log.start), &log.bytes);
    let messages: Vec<_> = records(&events)
        .into_iter()
        .map(|record| match &record.meaning {
            Meaning::Message(message) => message,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(messages[0].prefix, b"token");
    assert_eq!(messages[0].content, b"one");
    assert_eq!(
        (messages[0].database, messages[0].transactional),
        (5, false)
    );
    assert_eq!(messages[1].length, 100_000);
    assert!((60_000..=65_536).contains(&messages[1].content.len()));
}

#[test]
fn the_end_is_where_zeros_or_an_old_page_begin() {
    let log = Log::sample();
    let end = |at: u64, kind, within: Option<u64>| EndOfLog {
        verified: Some(Lsn(log.next())),
        at: Lsn(at),
        kind,
        within: within.map(Lsn),
    };
    let mut zeros = log.clone();
    zeros.fill();
    let mut next = reader(log.start);
    let (events, result) = read(&mut next, &zeros.bytes);
    assert_eq!(result, Ok(()));
    let expected = end(log.next(), EndKind::Zeros, None);
    assert_eq!(events.last(), Some(&WalEvent::End(expected)));
    assert_eq!(next.status().end, Some(expected));
    // The file of an older segment, used again, follows the last one that is full.
    let mut full = log.clone();
    let left = (SEGMENT - full.next() % SEGMENT) as usize;
    let pages = left.div_ceil(PAGE as usize) - 1;
    full.filler(left - 24 - pages * 24);
    assert!(full.next().is_multiple_of(SEGMENT));
    let old = Log::sample();
    let bytes = [&full.bytes[..], &old.bytes[..SEGMENT as usize]].concat();
    let mut next = reader(log.start);
    let (events, result) = read(&mut next, &bytes);
    assert_eq!(result, Ok(()));
    let address = Lsn(old.start);
    let expected = EndOfLog {
        verified: Some(Lsn(full.next())),
        ..end(full.next(), EndKind::Old { address }, None)
    };
    assert_eq!(events.last(), Some(&WalEvent::End(expected)));
    // Within a record that never came to its end.
    let at = full.records.last().copied();
    let cut = (full.bytes.len() as u64 - PAGE) as usize;
    let bytes = [&full.bytes[..cut], &vec![0; 3 * PAGE as usize]].concat();
    let (events, result) = read(&mut reader(log.start), &bytes);
    assert_eq!(result, Ok(()));
    let expected = end(full.next() - PAGE, EndKind::Zeros, at);
    assert_eq!(events.last(), Some(&WalEvent::End(expected)));
}

#[test]
fn an_abandoned_record_counts_as_not_written() {
    let mut log = Log::at_segment(2);
    log.filler(50);
    let prev = log.prev;
    let abandoned = log.filler(20_000);
    // The server crashed when the first page was written; the log goes on at the second.
    log.bytes.truncate(PAGE as usize);
    log.prev = prev;
    log.records.pop();
    log.page(8, 0);
    let body = [abandoned.to_le_bytes(), 1_i64.to_le_bytes()].concat();
    log.record(0, 0xD0, 0, &plain(&body));
    log.commit(3, 5);
    let (events, result) = read(&mut reader(log.start), &log.bytes);
    assert_eq!(result, Ok(()));
    let at = Lsn(log.start + PAGE);
    let record = Lsn(abandoned);
    assert!(events.contains(&WalEvent::Abandoned { record, at }));
    assert_eq!(records(&events).len(), log.records.len());
    let noted = &records(&events)[1].meaning;
    assert!(matches!(noted, Meaning::AfterAbandoned { record, .. } if record.0 == abandoned));
}

#[test]
fn a_switch_of_timelines_is_followed_and_none_but_that_of_the_history() {
    let mut old = Log::at_segment(3);
    old.filler(100);
    old.commit(7, 1_000_000);
    let mut new = old.clone();
    old.filler(30_000);
    let switch = new.next();
    let body = [
        &0_i64.to_le_bytes()[..],
        &2_u32.to_le_bytes(),
        &1_u32.to_le_bytes(),
    ]
    .concat();
    new.timeline = 2;
    new.record(0, 0x90, 0, &plain(&body));
    new.filler(30_000);
    let file = format!("1\t{}\tno recovery target specified\n", Lsn(switch));
    let history = History::parse(timeline(2), file.as_bytes()).unwrap();
    let (events, result) = read(&mut reader_on(new.start, history.clone()), &new.bytes);
    assert_eq!(result, Ok(()));
    assert_eq!(records(&events).len(), new.records.len());
    // What was read from the old timeline up to the switch is gone on with.
    let mut first = reader(old.start);
    let _ = read(&mut first, &old.bytes[..(switch - old.start) as usize]);
    let position = first.position().unwrap();
    let mut second = WalReader::resume(&position, history.clone()).unwrap();
    let (_, result) = read(&mut second, &new.bytes[(switch - old.start) as usize..]);
    assert_eq!(result, Ok(()));
    assert_eq!(second.status().verified, Some(Lsn(new.next())));
    // What goes beyond the switch is in no log of the new timeline.
    let mut first = reader(old.start);
    let _ = read(&mut first, &old.bytes);
    let error = WalReader::resume(&first.position().unwrap(), history.clone()).unwrap_err();
    let expected = StartError::Diverged {
        timeline: timeline(1),
        newest: timeline(2),
        switch: Lsn(switch),
        verified: Lsn(old.next()),
    };
    assert_eq!(error, expected);
    // The old log is not that of the history, nor is the new one that of the old timeline.
    let (_, result) = read(&mut reader_on(old.start, history), &old.bytes);
    let at = Lsn(old.start + PAGE);
    let (expected, found) = (timeline(2), 1);
    assert_eq!(
        result,
        Err(WalError::PageTimeline {
            at,
            expected,
            found
        })
    );
    let (_, result) = read(&mut reader(new.start), &new.bytes);
    let record = Lsn(switch);
    let (expected, found) = (timeline(1), 2);
    assert_eq!(
        result,
        Err(WalError::RecordTimeline {
            record,
            expected,
            found
        })
    );
}

#[test]
fn reading_begins_within_a_record_and_goes_on_after_any() {
    let log = Log::sample();
    let mut all = reader(log.start);
    let (events, _) = read(&mut all, &log.bytes);
    // The second segment begins within a record.
    let begin = SEGMENT as usize;
    let mut part = reader(log.start + SEGMENT);
    let (found, result) = read(&mut part, &log.bytes[begin..]);
    assert_eq!(result, Ok(()));
    assert!(!found.is_empty() && events.ends_with(&found));
    assert_eq!(part.status().from, Some(records(&found)[0].lsn));
    assert_eq!(part.status().verified, all.status().verified);
    for cut in log.records.iter().map(|at| (at - log.start) as usize + 10) {
        let mut first = reader(log.start);
        let (mut found, _) = read(&mut first, &log.bytes[..cut]);
        let Some(position) = first.position() else {
            panic!("no position at {cut}");
        };
        let text = serde_json::to_string(&position).unwrap();
        assert_eq!(
            serde_json::from_str::<WalPosition>(&text).unwrap(),
            position
        );
        let history = History::of(timeline(1));
        let mut second = WalReader::resume(&position, history).unwrap();
        let from = (position.verified.0 - log.start) as usize;
        let (more, result) = read(&mut second, &log.bytes[from..]);
        assert_eq!(result, Ok(()));
        found.extend(more);
        assert_eq!(found, events);
        assert_eq!(second.position(), all.position());
    }
}

#[test]
fn nonsensical_starts_are_refused() {
    let log = Log::sample();
    let mut all = reader(log.start);
    let _ = read(&mut all, &log.bytes);
    let good = all.position().unwrap();
    let resume = |change: &dyn Fn(&mut WalPosition)| {
        let mut position = good.clone();
        change(&mut position);
        WalReader::resume(&position, History::of(timeline(1))).unwrap_err()
    };
    let place = |lsn| StartError::Place { lsn: Lsn(lsn) };
    assert_eq!(resume(&|p| p.verified.0 += 1), place(good.verified.0 + 1));
    assert_eq!(resume(&|p| p.verified = Lsn(PAGE + 8)), place(PAGE + 8));
    assert_eq!(
        resume(&|p| p.verified = Lsn(SEGMENT + 32)),
        place(SEGMENT + 32)
    );
    assert_eq!(resume(&|p| p.verified = Lsn(1 << 63)), place(1 << 63));
    let bytes = 0;
    assert_eq!(
        resume(&|p| p.block_size = 0),
        StartError::BlockSize { bytes }
    );
    assert_eq!(
        resume(&|p| p.segment_size = 0),
        StartError::SegmentSize { bytes }
    );
    let magic = 0xD121;
    assert_eq!(
        resume(&|p| p.magic = magic),
        StartError::UnknownFormat { magic }
    );
    let newest = timeline(1);
    let refused = |timeline| StartError::NotAnAncestor { timeline, newest };
    assert_eq!(resume(&|p| p.timeline = 0), refused(0));
    assert_eq!(resume(&|p| p.timeline = 2), refused(2));
}

proptest! {
    #[test]
    fn pieces_yield_what_the_whole_yields(cuts in prop::collection::vec(1_usize..60_000, 1..40)) {
        let log = Log::sample();
        let mut whole = reader(log.start);
        let (expected, _) = read(&mut whole, &log.bytes);
        let mut pieces = reader(log.start);
        let mut found = Vec::new();
        let mut rest = &log.bytes[..];
        for cut in cuts.into_iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            pieces.feed(piece, |event| found.push(event)).unwrap();
            rest = after;
        }
        prop_assert_eq!(found, expected);
        prop_assert_eq!(pieces.status(), whole.status());
    }
}

#[test]
fn single_bytes_yield_what_the_whole_yields() {
    let mut log = Log::at_segment(1);
    log.filler(10);
    log.commit(1, 1);
    log.filler(9_000);
    log.switch();
    log.commit(2, 2);
    let (expected, _) = read(&mut reader(log.start), &log.bytes);
    let mut reader = reader(log.start);
    let mut found = Vec::new();
    for byte in &log.bytes {
        reader.feed(&[*byte], |event| found.push(event)).unwrap();
    }
    assert_eq!(found, expected);
}
