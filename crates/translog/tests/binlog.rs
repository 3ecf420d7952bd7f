//! Files of MySQL's and MariaDB's binary logs: what is verified, how files follow each other, what is damaged.

use crate::common::binlog::{self, File, query};
use proptest::prelude::*;
use vouchsafe_model::Time;
use vouchsafe_translog::binlog::{
    BinlogError, BinlogMeaning, BinlogReader, BinlogRecord, CONTENT_LIMIT, Closed, EventKind,
    GtidState, LogGtid, Outcome, Transaction,
};
use vouchsafe_translog::gtid::{Continuity, MariaGtid};

fn read(
    bytes: &[u8],
    before: GtidState,
) -> (Vec<BinlogRecord>, Result<(), BinlogError>, BinlogReader) {
    let mut reader = BinlogReader::new(before);
    let mut records = Vec::new();
    let result = reader.feed(bytes, |record| records.push(record));
    (records, result, reader)
}

fn transactions(records: &[BinlogRecord]) -> Vec<&Transaction> {
    let ends = records.iter().filter_map(|record| match &record.meaning {
        BinlogMeaning::End(transaction) => Some(transaction),
        _ => None,
    });
    ends.collect()
}

fn set(last: u64) -> GtidState {
    let text = format!("07070707-0707-0707-0707-070707070707:1-{last}");
    GtidState::MySql(text.parse().unwrap())
}

#[test]
fn a_file_of_mysql_is_verified_to_its_end() {
    for checksums in [true, false] {
        let file = binlog::mysql(checksums);
        let (records, result, reader) = read(&file.bytes, set(4));
        assert_eq!(result, Ok(()));
        assert_eq!(
            records.iter().map(|record| record.at).collect::<Vec<_>>(),
            file.events
        );
        let found: Vec<(u64, Outcome, i64)> = transactions(&records)
            .into_iter()
            .map(|each| match &each.gtid {
                LogGtid::MySql(gtid) => (gtid.number, each.outcome, each.time.micros()),
                other => panic!("{other:?}"),
            })
            .collect();
        let expected = [
            (5, Outcome::Committed, 2_000_000),
            (6, Outcome::Committed, 5_000_000),
            (7, Outcome::Prepared, 4_000_000),
            (8, Outcome::Committed, 3_000_000),
            (9, Outcome::RolledBack, 9_000_000),
        ];
        assert_eq!(found, expected);
        let status = reader.status();
        assert_eq!(status.verified, file.bytes.len() as u64);
        assert_eq!((status.whole, status.open), (status.verified, None));
        assert_eq!(status.newest_commit, Some(Time::from_secs(5)));
        assert_eq!(status.gtids, set(9));
        let closed = Closed::Rotated {
            file: b"bin.000002".to_vec(),
            position: 4,
        };
        assert_eq!(status.closed, Some(closed));
    }
}

#[test]
fn a_file_that_does_not_follow_is_seen() {
    let file = binlog::mysql(true);
    let previous = |before: u64| match read(&file.bytes, set(before)).1 {
        Err(BinlogError::Previous { missing, unknown }) => {
            (missing.to_string(), unknown.to_string())
        }
        other => panic!("{other:?}"),
    };
    let uuid = "07070707-0707-0707-0707-070707070707";
    assert_eq!(previous(2), (format!("{uuid}:3-4"), String::new()));
    assert_eq!(previous(6), (String::new(), format!("{uuid}:5-6")));
    let mut file = File::new("10.11.19-MariaDB-log", true);
    let entry = |domain: u32, server: u32, sequence: u64| {
        [
            &domain.to_le_bytes()[..],
            &server.to_le_bytes(),
            &sequence.to_le_bytes(),
        ]
        .concat()
    };
    // The newest of a domain is its last.
    let list = [
        3_u32.to_le_bytes().to_vec(),
        entry(0, 2, 3),
        entry(0, 1, 42),
        entry(5, 1, 1),
    ]
    .concat();
    file.event(163, 1, &list);
    let before = |text: &str| GtidState::MariaDb(text.parse().unwrap());
    assert_eq!(read(&file.bytes, before("0-1-42,5-1-1")).1, Ok(()));
    let (_, result, _) = read(&file.bytes, before("0-1-41,5-1-1"));
    let (expected, found) = (
        "0-1-41,5-1-1".parse().unwrap(),
        "0-1-42,5-1-1".parse().unwrap(),
    );
    assert_eq!(result, Err(BinlogError::Position { expected, found }));
}

#[test]
fn transactions_of_mariadb_are_followed() {
    let mut file = File::new("10.6.1-MariaDB", true);
    let gtid = |sequence: u64, flags: u8| {
        [
            &sequence.to_le_bytes()[..],
            &3_u32.to_le_bytes(),
            &[flags],
            &[0; 6],
        ]
        .concat()
    };
    file.event(163, 1, &0_u32.to_le_bytes());
    file.event(162, 10, &gtid(1, 1));
    file.query(11, "CREATE TABLE t (a int)");
    file.event(162, 12, &gtid(2, 4));
    file.query(12, "INSERT INTO t VALUES (1)");
    file.event(16, 13, &[0; 8]);
    file.event(162, 14, &gtid(5, 0));
    file.event(165, 14, &query("compressed"));
    file.query(15, "COMMIT");
    file.event(162, 16, &gtid(6, 64));
    file.query(16, "XA END X'61',X'',1");
    file.event(38, 17, &[0; 16]);
    file.event(162, 18, &gtid(7, 128));
    file.query(19, "XA COMMIT X'61',X'',1");
    let (records, result, reader) = read(&file.bytes, GtidState::Unknown);
    assert_eq!(result, Ok(()));
    let found: Vec<(LogGtid, Outcome, i64)> = transactions(&records)
        .into_iter()
        .map(|each| {
            (
                each.gtid.clone(),
                each.outcome,
                each.time.micros() / 1_000_000,
            )
        })
        .collect();
    let gtid = |sequence: u64, continuity: Continuity| {
        let (domain, server) = (3, 1);
        let gtid = MariaGtid {
            domain,
            server,
            sequence,
        };
        LogGtid::MariaDb(gtid, continuity)
    };
    let expected = [
        (gtid(1, Continuity::First), Outcome::Committed, 11),
        (gtid(2, Continuity::Next), Outcome::Committed, 13),
        (gtid(5, Continuity::Gap(3..=4)), Outcome::Committed, 15),
        (gtid(6, Continuity::Next), Outcome::Prepared, 17),
        (gtid(7, Continuity::Next), Outcome::Committed, 19),
    ];
    assert_eq!(found, expected);
    assert_eq!(
        reader.status().gtids,
        GtidState::MariaDb("3-1-7".parse().unwrap())
    );
    assert!(reader.format().unwrap().is_mariadb());
}

#[test]
fn each_flipped_byte_of_a_file_with_checksums_is_seen() {
    let file = binlog::mysql(true);
    for at in 0..file.bytes.len() {
        // The lowest flag of the format says that the file is in use, and is not covered.
        for flip in if at == 21 {
            [2, 0x80, 0xfe]
        } else {
            [1, 0x80, 0xff]
        } {
            let mut bytes = file.bytes.clone();
            bytes[at] ^= flip;
            let (records, result, reader) = read(&bytes, set(4));
            let ends: Vec<u64> = file
                .events
                .iter()
                .copied()
                .filter(|event| *event <= at as u64)
                .collect();
            let last = ends.last().copied().unwrap_or_default();
            assert!(
                records.iter().all(|record| record.end <= last.max(4)),
                "{at}"
            );
            assert!(reader.status().verified <= last.max(4), "{at}");
            // A length that reaches beyond the file may look as if more had to come.
            let truncated = reader.status().verified < reader.status().next;
            assert!(result.is_err() || truncated, "{at}");
        }
    }
}

#[test]
fn every_truncation_leaves_whole_events_and_whole_transactions() {
    let file = binlog::mysql(true);
    let (all, _, _) = read(&file.bytes, set(4));
    for cut in 4..file.bytes.len() {
        let (records, result, reader) = read(&file.bytes[..cut], set(4));
        assert_eq!(result, Ok(()));
        assert_eq!(records, all[..records.len()]);
        let status = reader.status();
        assert_eq!(
            status.verified,
            records.last().map_or(4, |record| record.end)
        );
        assert_eq!(status.open.is_none(), status.whole == status.verified);
        assert!(status.open.is_none_or(|begun| begun == status.whole));
    }
}

#[test]
fn reading_goes_on_after_any_whole_transaction() {
    for file in [binlog::mysql(true), binlog::mysql(false)] {
        let (all, _, whole) = read(&file.bytes, set(4));
        for cut in 200..file.bytes.len() {
            let (mut records, _, first) = read(&file.bytes[..cut], set(4));
            // Only what has ended counts, and is not read again.
            let position = first.position().unwrap();
            let ended = transactions(&records).len() as u64;
            assert_eq!(position.gtids, set(4 + ended), "{cut}");
            records.retain(|record| record.end <= position.whole);
            let text = serde_json::to_string(&position).unwrap();
            let mut next = BinlogReader::resume(&serde_json::from_str(&text).unwrap());
            let rest = &file.bytes[position.whole as usize..];
            next.feed(rest, |record| records.push(record)).unwrap();
            assert_eq!(records, all, "{cut}");
            assert_eq!(next.status(), whole.status());
        }
        assert_eq!(whole.position(), None);
    }
    // A position that nobody has noted.
    let (_, _, reader) = read(&File::new("8.4.3", true).bytes, GtidState::Unknown);
    for place in [0, u64::MAX - 10] {
        let mut position = reader.position().unwrap();
        position.whole = place;
        let mut next = BinlogReader::resume(&position);
        let _ = next.feed(&binlog::mysql(true).bytes, |_| {});
    }
}

#[test]
fn an_event_that_is_missing_repeated_or_out_of_place_is_seen() {
    let file = binlog::mysql(true);
    let ends = |at: usize| {
        file.events
            .get(at + 1)
            .map_or(file.bytes.len(), |end| *end as usize)
    };
    for at in 1..file.events.len() - 1 {
        let (from, to) = (file.events[at] as usize, ends(at));
        let missing = [&file.bytes[..from], &file.bytes[to..]].concat();
        let twice = [&file.bytes[..to], &file.bytes[from..]].concat();
        for bytes in [missing, twice] {
            let (_, result, reader) = read(&bytes, set(4));
            assert!(
                matches!(result, Err(BinlogError::End { .. })),
                "{at}: {result:?}"
            );
            assert!(reader.status().verified <= to as u64);
        }
    }
}

#[test]
fn what_no_server_writes_is_refused() {
    let last = |file: &File| read(&file.bytes, GtidState::Unknown).1.unwrap_err();
    let new = || File::new("8.4.3", true);
    let at = new().bytes.len() as u64;
    let (_, result, _) = read(b"RIFF", GtidState::Unknown);
    assert_eq!(result, Err(BinlogError::Magic { found: *b"RIFF" }));
    let (_, result, _) = read(b"\xfdbin", GtidState::Unknown);
    assert_eq!(result, Err(BinlogError::Encrypted { at: 0 }));
    let mut file = new();
    file.event(164, 1, &[0; 17]);
    let end = file.bytes.len() as u64;
    assert_eq!(last(&file), BinlogError::Encrypted { at: end });
    let mut file = new();
    file.bytes.truncate(4);
    file.query(1, "BEGIN");
    assert_eq!(last(&file), BinlogError::UnknownFormat { at: 4 });
    let mut file = new();
    file.gtid(7, 1, 1);
    let second = file.gtid(7, 2, 1);
    assert_eq!(
        last(&file),
        BinlogError::Unfinished {
            at: second,
            begun: at
        }
    );
    let mut file = new();
    file.previous(7, 0);
    file.transaction(7, 1, 1);
    file.transaction(7, 1, 1);
    assert!(matches!(last(&file), BinlogError::Repeated { gtid, .. } if gtid.number == 1));
    let mut file = new();
    file.event(3, 1, &[]);
    let after = file.query(1, "BEGIN");
    assert_eq!(last(&file), BinlogError::AfterEnd { at: after });
    let mut file = new();
    file.gtid(7, 1, 1);
    let stop = file.event(3, 1, &[]);
    assert_eq!(
        last(&file),
        BinlogError::Unfinished {
            at: stop,
            begun: at
        }
    );
    let mut file = new();
    file.event(35, 1, &[1, 2, 3]);
    let kind = EventKind(35);
    assert_eq!(last(&file), BinlogError::Malformed { at, kind });
    let mut file = new();
    file.event(35, 1, &vec![0; CONTENT_LIMIT + 1]);
    assert!(matches!(last(&file), BinlogError::TooLong { at: found, .. } if found == at));
}

#[test]
fn a_stop_without_checksums_has_no_body() {
    let mut file = File::new("8.4.3", false);
    file.event(3, 1, &[]);
    let (records, result, reader) = read(&file.bytes, GtidState::Unknown);
    assert_eq!(result, Ok(()));
    assert_eq!(records.len(), 2);
    assert_eq!(reader.status().closed, Some(Closed::Stopped));
    assert_eq!(reader.status().verified, file.bytes.len() as u64);
}

proptest! {
    #[test]
    fn pieces_of_a_file_yield_what_the_whole_yields(
        cuts in prop::collection::vec(1_usize..200, 1..40), checksums in any::<bool>(),
    ) {
        let file = binlog::mysql(checksums);
        let (expected, _, whole) = read(&file.bytes, set(4));
        let mut reader = BinlogReader::new(set(4));
        let mut found = Vec::new();
        let mut rest = &file.bytes[..];
        for cut in cuts.into_iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            reader.feed(piece, |record| found.push(record)).unwrap();
            rest = after;
        }
        prop_assert_eq!(found, expected);
        prop_assert_eq!(reader.status(), whole.status());
    }

    #[test]
    fn arbitrary_files_are_survived(
        bytes in prop::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(19), Just(255), any::<u8>()], 0..3000),
        kind in prop_oneof![Just(2_u8), Just(4), Just(33), Just(35), Just(42), Just(162), Just(163), any::<u8>()],
        checksums in any::<bool>(),
    ) {
        let _ = read(&bytes, GtidState::Unknown);
        let mut file = File::new("10.11.19-MariaDB", checksums);
        file.bytes.extend(&bytes);
        let _ = read(&file.bytes, GtidState::Unknown);
        // An event of any kind whose checksum fits.
        let mut file = File::new("10.11.19-MariaDB", checksums);
        file.event(kind, 1, &bytes);
        let _ = read(&file.bytes, GtidState::Unknown);
    }

    #[test]
    fn a_file_damaged_anywhere_is_survived(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8), checksums in any::<bool>(),
    ) {
        let mut file = binlog::mysql(checksums);
        for (at, byte) in changes {
            let at = at.index(file.bytes.len());
            file.bytes[at] = byte;
        }
        let (_, _, reader) = read(&file.bytes, set(4));
        let status = reader.status();
        prop_assert!(status.whole <= status.verified && status.verified <= status.next);
    }
}
