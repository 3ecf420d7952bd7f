//! What a real MySQL 9.7 wrote and said, kept in files: its binary log, and what its functions say of sets of GTIDs.
//!
//! The files were made by a server of Debian's `sid`, with rows, statements, compressed transactions, two phases and
//! tags. The texts beside them are what its own `mysqlbinlog` says, cut to the places, times and identifiers.

use std::collections::BTreeMap;

use vouchsafe_model::Time;
use vouchsafe_translog::binlog::{
    BinlogMeaning, BinlogReader, BinlogRecord, Closed, GtidState, LogGtid, Outcome,
};
use vouchsafe_translog::gtid::GtidSet;

const FILES: [(&[u8], &str); 3] = [
    (
        include_bytes!("golden/mysql-9.7/bin.000001"),
        include_str!("golden/mysql-9.7/bin.000001.txt"),
    ),
    (
        include_bytes!("golden/mysql-9.7/bin.000002"),
        include_str!("golden/mysql-9.7/bin.000002.txt"),
    ),
    (
        include_bytes!("golden/mysql-9.7/bin.000003"),
        include_str!("golden/mysql-9.7/bin.000003.txt"),
    ),
];
const EXECUTED: &str = include_str!("golden/mysql-9.7/executed.txt");
const FUNCTIONS: &str = include_str!("golden/mysql-9.7/gtids.txt");

/// Kinds of which `mysqlbinlog` prints only what they do: counters, variables, the text of a statement.
const WITHOUT_A_LINE: [u8; 3] = [5, 14, 29];

/// What `mysqlbinlog` says of one event.
#[derive(Debug, Default)]
struct Dumped {
    /// The events of a compressed transaction have their place behind it, like the event that follows it.
    lines: Vec<String>,
    /// In microseconds.
    committed: Option<i64>,
    gtid: Option<String>,
    length: Option<u64>,
}

/// By the byte at which each event begins.
fn dump(text: &str) -> BTreeMap<u64, Dumped> {
    let mut events: BTreeMap<u64, Dumped> = BTreeMap::new();
    let mut at = 0;
    for line in text.lines() {
        if let Some(place) = line.strip_prefix("# at ") {
            at = place.parse().unwrap();
            continue;
        }
        let event = events.entry(at).or_default();
        let after = |mark: &str, end: char| {
            let (_, rest) = line.split_once(mark)?;
            rest.split(end).next()
        };
        if let Some(micros) = after("immediate_commit_timestamp=", ' ') {
            event.committed = event.committed.or(micros.parse().ok());
        }
        if let Some(gtid) = after("GTID_NEXT= '", '\'')
            && gtid != "AUTOMATIC"
        {
            event.gtid = Some(gtid.to_owned());
        }
        if let Some(length) = after("transaction_length=", ' ') {
            event.length = length.parse().ok();
        }
        if line.contains("end_log_pos") {
            event.lines.push(line.to_owned());
        }
    }
    events
}

fn read(bytes: &[u8], before: GtidState) -> (Vec<BinlogRecord>, BinlogReader) {
    let mut reader = BinlogReader::new(before);
    let mut records = Vec::new();
    for piece in bytes.chunks(37) {
        reader.feed(piece, |record| records.push(record)).unwrap();
    }
    (records, reader)
}

#[test]
fn a_servers_log_is_read_as_mysqlbinlog_reads_it() {
    let mut state = GtidState::Unknown;
    let mut outcomes = Vec::new();
    for (at, (bytes, text)) in FILES.into_iter().enumerate() {
        let (records, reader) = read(bytes, state);
        let dumped = dump(text);
        for at in dumped.keys().filter(|at| **at < bytes.len() as u64) {
            assert!(
                records.iter().any(|record| record.at == *at),
                "only they see {at}"
            );
        }
        let mut begun = None;
        for record in &records {
            let Some(theirs) = dumped.get(&record.at) else {
                assert!(
                    WITHOUT_A_LINE.contains(&record.kind.0),
                    "only we see {record:?}"
                );
                continue;
            };
            let end = format!("end_log_pos {} ", record.end);
            let ends = theirs.lines.iter().any(|line| line.contains(&end));
            assert!(ends, "{record:?} {theirs:?}");
            match &record.meaning {
                BinlogMeaning::Begin(LogGtid::MySql(gtid)) => {
                    assert_eq!(Some(gtid.to_string()), theirs.gtid);
                    begun = Some((record.at, theirs.committed, theirs.length));
                }
                BinlogMeaning::End(transaction) => {
                    let (begin, committed, length) = begun.take().unwrap();
                    assert_eq!(transaction.begin, begin);
                    assert_eq!(Some(transaction.time), committed.map(Time::from_micros));
                    assert_eq!(Some(record.end - begin), length, "{transaction:?}");
                    outcomes.push(transaction.outcome);
                }
                _ => assert_eq!(theirs.gtid, None, "{record:?}"),
            }
        }
        let status = reader.status();
        assert_eq!(
            (status.verified, status.whole),
            (bytes.len() as u64, bytes.len() as u64)
        );
        match status.closed {
            Some(Closed::Rotated { file, position: 4 }) => {
                assert_eq!(file, format!("bin.00000{}", at + 2).as_bytes());
            }
            Some(Closed::Stopped) => assert_eq!(at, 2),
            other => panic!("{other:?}"),
        }
        assert_eq!(reader.format().unwrap().checksums, at < 2);
        state = status.gtids;
    }
    let expected: GtidSet = EXECUTED.parse().unwrap();
    assert_eq!(state, GtidState::MySql(expected.clone()));
    assert_eq!(
        outcomes.len() as u64,
        expected
            .iter()
            .map(|(_, numbers)| numbers.count())
            .sum::<u64>()
    );
    assert_eq!(
        outcomes
            .iter()
            .filter(|how| **how == Outcome::Prepared)
            .count(),
        2
    );
}

#[test]
fn sets_of_gtids_are_what_the_servers_functions_say() {
    let mut lines = 0;
    for line in FUNCTIONS.lines() {
        let cells: Vec<String> = line
            .split('\t')
            .map(|cell| cell.replace("\\n", "\n"))
            .collect();
        let [a, b, difference, subset, canonical] = &cells[..] else {
            panic!("{line}");
        };
        let (x, y): (GtidSet, GtidSet) = (a.parse().unwrap(), b.parse().unwrap());
        // The server begins a line with each server.
        let shown = |set: &GtidSet| set.to_string().replace(',', ",\n");
        assert_eq!(shown(&x.subtract(&y)), *difference, "{line}");
        assert_eq!(u8::from(x.is_subset(&y)).to_string(), *subset, "{line}");
        assert_eq!(shown(&x), *canonical, "{line}");
        lines += 1;
    }
    assert!(lines >= 100);
}

#[test]
fn each_flipped_byte_of_the_servers_file_is_seen() {
    let (bytes, _) = FILES[0];
    let (whole, _) = read(bytes, GtidState::Unknown);
    for at in (0..bytes.len()).filter(|at| *at != 21) {
        let mut damaged = bytes.to_vec();
        damaged[at] ^= 0x10;
        let mut reader = BinlogReader::new(GtidState::Unknown);
        let mut found = Vec::new();
        let result = reader.feed(&damaged, |record| found.push(record));
        assert!(
            result.is_err() || reader.status().verified <= at as u64,
            "{at}"
        );
        assert!(found.iter().all(|record| record.end <= at as u64), "{at}");
        assert_eq!(found[..], whole[..found.len()]);
    }
}
