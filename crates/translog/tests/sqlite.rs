//! SQLite's write-ahead log as SQLite writes it, and everything that can be wrong with it and with records of it.

use std::process::Command;
use std::sync::OnceLock;

use proptest::prelude::*;
use vouchsafe_model::Time;
use vouchsafe_translog::sqlite::{
    HEADER, Joint, RECORD_HEADER, Record, RecordReader, ReplayError, Salts, Stamp, Step, Sum,
    WalCursor, WalHeader,
};

/// A log of twenty transactions, by the stock program.
fn log() -> &'static [u8] {
    static LOG: OnceLock<Vec<u8>> = OnceLock::new();
    LOG.get_or_init(|| {
        let directory =
            std::env::temp_dir().join(format!("translog-sqlite-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let mut script =
            "PRAGMA page_size = 1024; PRAGMA journal_mode = WAL; CREATE TABLE t (x);\n".to_owned();
        for size in 0..19 {
            script.push_str(&format!(
                "INSERT INTO t VALUES (zeroblob({}));\n",
                size * 150
            ));
        }
        script.push_str(".shell cp db-wal copy\n");
        let done = Command::new("sh")
            .args(["-c", "printf '%s' \"$1\" | sqlite3 -bail db", "sh", &script])
            .current_dir(&directory)
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        let log = std::fs::read(directory.join("copy")).unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
        log
    })
}

/// How many transactions there are, and up to where.
fn read(log: &[u8]) -> Option<(u32, u64, Sum)> {
    let mut cursor = WalCursor::after(WalHeader::parse(log).ok()?);
    let mut commits = 0;
    while let Some(rest) = log.get(usize::try_from(cursor.offset()).unwrap()..) {
        let Ok(frame) = cursor.next(rest) else { break };
        commits += u32::from(frame.commit.is_some());
    }
    Some((commits, cursor.offset(), cursor.sum()))
}

/// Records as they are made: a look for every `by` frames that end a transaction.
fn records(log: &[u8], by: usize) -> Vec<u8> {
    let mut cursor = WalCursor::after(WalHeader::parse(log).unwrap());
    let (mut out, mut from, mut commits, mut time) = (Vec::new(), 0_u64, 0, 0);
    while let Some(rest) = log.get(usize::try_from(cursor.offset()).unwrap()..) {
        let Ok(frame) = cursor.next(rest) else { break };
        commits += usize::from(frame.commit.is_some());
        if frame.commit.is_none() || commits % by != 0 {
            continue;
        }
        time += 1;
        let record = Record {
            joint: if from == 0 {
                Joint::First
            } else {
                Joint::GoesOn
            },
            whole: true,
            begun: Time::from_secs(time),
            time: Time::from_secs(time),
            salts: cursor.header().salts,
            generation: 0,
            from,
            to: cursor.offset(),
            sum: cursor.sum(),
            stamp: Stamp::default(),
        };
        out.extend(record.to_bytes());
        out.extend(&log[usize::try_from(from).unwrap()..usize::try_from(cursor.offset()).unwrap()]);
        from = cursor.offset();
    }
    out
}

/// The looks in records, up to where they are sound.
fn looks(records: &[u8], piece: usize) -> (Vec<(i64, u64)>, Result<(), ReplayError>) {
    let mut reader = RecordReader::at(0);
    let mut out = Vec::new();
    for piece in records.chunks(piece.max(1)) {
        let fed = reader.feed(piece, |step| {
            if let Step::Look(looked) = step {
                out.push((looked.time.micros(), looked.commits));
            }
        });
        if fed.is_err() {
            return (out, fed);
        }
    }
    (out, Ok(()))
}

#[test]
fn a_log_that_sqlite_wrote_is_read_to_its_end() {
    let log = log();
    let (commits, end, _) = read(log).unwrap();
    assert_eq!(commits, 20);
    assert_eq!(end, log.len() as u64);
}

#[test]
fn each_flipped_byte_of_a_log_is_seen() {
    let log = log();
    let (_, _, sum) = read(log).unwrap();
    let mut damaged = log.to_vec();
    for at in 0..log.len() {
        damaged[at] ^= 1;
        // The order of words is told by a bit of the first ones, which is summed as well.
        if let Some((_, end, found)) = read(&damaged) {
            assert!(end <= at as u64, "byte {at} was read over: {end}");
            assert_ne!(found, sum);
        }
        damaged[at] ^= 1;
    }
}

#[test]
fn what_is_left_of_an_older_log_is_its_end() {
    let log = log();
    let mut mixed = log.to_vec();
    let frame = 24 + 1024;
    // The same log under other salts, from the sixth frame on.
    for at in (HEADER + 5 * frame..log.len()).step_by(frame) {
        mixed[at + 8] ^= 0xff;
    }
    let (_, end, _) = read(&mixed).unwrap();
    assert_eq!(end, (HEADER + 5 * frame) as u64);
}

#[test]
fn records_are_read_as_they_are_written_wherever_they_are_cut() {
    for by in [1, 3, 20] {
        let records = records(log(), by);
        for piece in [1, 95, 97, 5000, usize::MAX] {
            let (looks, end) = looks(&records, piece);
            assert_eq!(end, Ok(()));
            assert_eq!(looks.len(), 20 / by);
            assert!(looks.iter().all(|(_, commits)| *commits == by as u64));
        }
    }
}

#[test]
fn each_flipped_byte_of_records_is_seen_or_is_a_time() {
    let records = records(log(), 4);
    let (sound, _) = looks(&records, usize::MAX);
    let mut damaged = records.clone();
    let mut heads = Vec::new();
    let mut at = 0;
    while let Ok(Some(record)) = Record::parse(&records[at..]) {
        heads.push(at);
        at += RECORD_HEADER + record.length();
    }
    for at in 0..records.len() {
        // Times and stamps are what they say; objects in vaults are sealed.
        let head = heads.iter().rev().find(|head| **head <= at).unwrap();
        let is_free = matches!(at - head, 16..32 | 72..96) || at - head == 8;
        damaged[at] ^= 1;
        let (found, end) = looks(&damaged, usize::MAX);
        assert!(
            is_free || end.is_err() || found.len() < sound.len(),
            "byte {at}"
        );
        damaged[at] ^= 1;
    }
}

#[test]
fn a_record_that_is_missing_repeated_or_out_of_place_is_seen() {
    let records = records(log(), 4);
    let mut parts = Vec::new();
    let mut rest = records.as_slice();
    while let Ok(Some(record)) = Record::parse(rest) {
        let (part, after) = rest.split_at(RECORD_HEADER + record.length());
        parts.push(part);
        rest = after;
    }
    assert_eq!(parts.len(), 5);
    for order in [&[1, 2][..], &[0, 2], &[0, 1, 1], &[0, 2, 1], &[0, 1, 0]] {
        let mixed: Vec<u8> = order.iter().flat_map(|at| parts[*at].to_vec()).collect();
        let (_, end) = looks(&mixed, usize::MAX);
        assert!(
            matches!(
                end,
                Err(ReplayError::Order { .. } | ReplayError::Gap { .. })
            ),
            "{order:?}: {end:?}"
        );
    }
}

#[test]
fn salts_and_sums_are_shown_and_stored_as_sqlite_does() {
    assert_eq!(
        Salts([0xab, 0, 0, 0, 0, 0, 0, 1]).to_string(),
        "ab00000000000001"
    );
    let bytes = [1, 2, 3, 4, 5, 6, 7, 8];
    assert_eq!(Sum::of_bytes(bytes).to_bytes(), bytes);
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_survived_as_sqlite_logs(
        bytes in prop::collection::vec(any::<u8>(), 0..4000),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        piece in 1_usize..3000,
    ) {
        let _ = read(&bytes);
        let _ = looks(&bytes, piece);
        let mut damaged = log().to_vec();
        let mut records = records(log(), 2);
        for (at, byte) in changes {
            let place = at.index(damaged.len());
            damaged[place] = byte;
            let place = at.index(records.len());
            records[place] = byte;
        }
        let _ = read(&damaged);
        let _ = looks(&records, piece);
    }
}
