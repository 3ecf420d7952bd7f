//! A real MariaDB's binary log, read as `mariadb-binlog` reads it, file after file.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::Path;
use std::process::Command;

use vouchsafe_model::Time;
use vouchsafe_testkit::mariadb::MariaDb;
use vouchsafe_translog::binlog::{
    BinlogError, BinlogMeaning, BinlogReader, BinlogRecord, BinlogStatus, Closed, GtidState,
    LogGtid, Outcome,
};
use vouchsafe_translog::gtid::Continuity;

/// What `mariadb-binlog` says of one event.
#[derive(Debug, PartialEq, Eq)]
struct Dumped {
    time: String,
    server: u32,
    end: u32,
    words: String,
}

/// By the byte at which each event begins.
fn dump(path: &Path) -> BTreeMap<u64, Dumped> {
    let output = Command::new("mariadb-binlog")
        .args([
            "--no-defaults",
            "--verify-binlog-checksum",
            "--base64-output=decode-rows",
        ])
        .arg(path)
        .env("TZ", "UTC")
        .output()
        .expect("mariadb-binlog is not installed; run: apt-get install -y mariadb-client");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "mariadb-binlog: {errors}");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut events = BTreeMap::new();
    // An annotation is said together with the rows that it belongs to: first where each event begins, then what it is.
    let mut places = VecDeque::new();
    for line in text.lines() {
        if let Some(at) = line.strip_prefix("# at ").and_then(|at| at.parse().ok()) {
            places.push_back(at);
        } else if let Some(dumped) = parse(line) {
            events.insert(places.pop_front().expect(line), dumped);
        }
    }
    assert!(places.is_empty(), "{places:?}");
    assert!(events.len() > 2, "{text}");
    events
}

/// `#260131  4:05:06 server id 7  end_log_pos 256 CRC32 0x0a0b0c0d`, a tab, and what the event is.
fn parse(line: &str) -> Option<Dumped> {
    let (time, rest) = line.strip_prefix('#')?.split_once(" server id ")?;
    let (server, rest) = rest.split_once("  end_log_pos ")?;
    let (end, words) = rest.split_once(' ')?;
    let (_, words) = words.split_once('\t').unwrap_or(("", words));
    Some(Dumped {
        time: time.to_owned(),
        server: server.parse().ok()?,
        end: end.parse().ok()?,
        words: words.trim().to_owned(),
    })
}

/// In the words of `mariadb-binlog`.
fn described(record: &BinlogRecord) -> String {
    match &record.meaning {
        BinlogMeaning::Format(format) => format!("Start: binlog v 4, server v {}", format.version),
        BinlogMeaning::List(list) => {
            // It orders the list by domains, and breaks it over lines.
            let first = list.iter().min_by_key(|gtid| gtid.domain);
            format!(
                "Gtid list [{}",
                first.map(ToString::to_string).unwrap_or_default()
            )
        }
        BinlogMeaning::Begin(LogGtid::MariaDb(gtid, _)) => format!("GTID {gtid}"),
        BinlogMeaning::Closed(Closed::Rotated { file, position }) => {
            format!(
                "Rotate to {}  pos: {position}",
                String::from_utf8_lossy(file)
            )
        }
        BinlogMeaning::Closed(Closed::Stopped) => "Stop".to_owned(),
        BinlogMeaning::End(_) if record.kind.0 == 16 => "Xid = ".to_owned(),
        BinlogMeaning::End(_) if record.kind.0 == 2 => "Query".to_owned(),
        BinlogMeaning::End(_) if record.kind.0 == 38 => "XID = ".to_owned(),
        _ => String::new(),
    }
}

/// `260131  4:05:06` with the hour filled up by a space.
fn written(time: Time) -> String {
    let text = time.to_string();
    let (date, clock) = text.split_once('T').unwrap();
    let (hour, rest) = clock.split_once(':').unwrap();
    let hour: u32 = hour.parse().unwrap();
    format!("{} {hour:>2}:{}", date[2..].replace('-', ""), &rest[..5])
}

/// Reads a file in pieces of changing lengths, and holds it against `mariadb-binlog`.
fn checked(path: &Path, before: GtidState) -> (Vec<BinlogRecord>, BinlogStatus) {
    let bytes = fs::read(path).unwrap();
    let mut reader = BinlogReader::new(before);
    let mut records = Vec::new();
    let (mut rest, mut length) = (&bytes[..], 1);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(length.min(rest.len()));
        let fed = reader.feed(piece, |record| records.push(record));
        assert_eq!(fed, Ok(()), "{path:?} {:?}", reader.status());
        length = (length * 7 + 1) % 70_001;
        rest = after;
    }
    let status = reader.status();
    assert_eq!(status.verified, bytes.len() as u64);
    let dumped = dump(path);
    for record in &records {
        let Some(theirs) = dumped.get(&record.at) else {
            panic!("only we see {record:?}");
        };
        let ours = Dumped {
            time: written(record.time),
            server: record.server,
            end: record.end as u32,
            words: theirs.words.clone(),
        };
        assert_eq!(ours, *theirs);
        let expected = described(record);
        assert!(
            theirs.words.starts_with(&expected),
            "{expected}\n{theirs:?}"
        );
        let begins = matches!(record.meaning, BinlogMeaning::Begin(_));
        assert_eq!(begins, theirs.words.starts_with("GTID "), "{theirs:?}");
    }
    assert_eq!(records.len(), dumped.len());
    (records, status)
}

const WORK: &str = "
CREATE DATABASE d; USE d;
CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, body LONGBLOB) ENGINE=InnoDB;
CREATE TABLE m (id INT, body TEXT) ENGINE=MyISAM;
INSERT INTO t (body) VALUES ('a'), ('b');
BEGIN; INSERT INTO t (body) VALUES (REPEAT('x', 3000000)); SAVEPOINT a; INSERT INTO t (body) VALUES ('c');
ROLLBACK TO a; INSERT INTO t (body) VALUES ('d'); COMMIT;
BEGIN; INSERT INTO t (body) VALUES ('e'); INSERT INTO m VALUES (1, 'stays'); ROLLBACK;
INSERT INTO m VALUES (2, 'x'), (3, 'y');
SET binlog_format = STATEMENT;
INSERT INTO t (body) VALUES (REPEAT('s', 2000)); UPDATE t SET body = 'u' WHERE id < 3; SET @v = 'w';
INSERT INTO t (body) VALUES (@v);
SET binlog_format = ROW;
SET gtid_domain_id = 5; INSERT INTO t (body) VALUES ('other domain'); SET gtid_domain_id = 0;
XA START 'one'; INSERT INTO t (body) VALUES ('f'); XA END 'one'; XA PREPARE 'one'; XA COMMIT 'one';
XA START 'two'; INSERT INTO t (body) VALUES ('g'); XA END 'two'; XA PREPARE 'two'; XA ROLLBACK 'two';
XA START 'three'; INSERT INTO t (body) VALUES ('h'); XA END 'three'; XA COMMIT 'three' ONE PHASE;
CREATE TEMPORARY TABLE temporary (a INT); INSERT INTO temporary VALUES (1); DROP TEMPORARY TABLE temporary;
CREATE TABLE copied SELECT * FROM m; TRUNCATE m; ALTER TABLE t ADD COLUMN extra INT; ANALYZE TABLE t;
FLUSH BINARY LOGS;
DELETE FROM t WHERE id > 2; DROP TABLE copied;
";

fn all(server: &MariaDb) -> (Vec<BinlogRecord>, GtidState) {
    let mut before = GtidState::Unknown;
    let mut records = Vec::new();
    for path in server.logs() {
        let (more, status) = checked(&path, before);
        records.extend(more);
        assert_eq!(status.open, None);
        before = status.gtids;
    }
    (records, before)
}

fn position(server: &MariaDb) -> GtidState {
    GtidState::MariaDb(server.sql("SELECT @@gtid_binlog_pos").parse().unwrap())
}

#[test]
fn a_servers_log_is_read_as_mariadb_binlog_reads_it() {
    for options in [
        &[][..],
        &["--log-bin-compress=ON", "--binlog-format=MIXED"],
        &["--binlog-checksum=NONE"],
    ] {
        let mut server = MariaDb::start(options);
        server.sql(WORK);
        let expected = position(&server);
        server.stop();
        let (records, found) = all(&server);
        assert_eq!(found, expected);
        let begun = records.iter().filter_map(|record| match &record.meaning {
            BinlogMeaning::Begin(LogGtid::MariaDb(gtid, continuity)) => Some((gtid, continuity)),
            _ => None,
        });
        let begun: Vec<_> = begun.collect();
        let jumps =
            |(_, how): &&(_, &Continuity)| !matches!(how, Continuity::First | Continuity::Next);
        assert_eq!(begun.iter().find(jumps), None);
        let ended = records.iter().filter_map(|record| match &record.meaning {
            BinlogMeaning::End(transaction) => Some(transaction.outcome),
            _ => None,
        });
        let ended: Vec<Outcome> = ended.collect();
        assert_eq!(ended.len(), begun.len());
        assert_eq!(
            ended
                .iter()
                .filter(|how| **how == Outcome::Prepared)
                .count(),
            2,
            "{options:?}"
        );
        assert!(server.logs().len() >= 2);
    }
}

#[test]
fn a_log_that_is_being_written_is_whole_up_to_its_last_transaction() {
    let mut server = MariaDb::start(&["--sync-binlog=1"]);
    server.sql("CREATE DATABASE d; CREATE TABLE d.t (a INT); INSERT INTO d.t VALUES (1);");
    let expected = position(&server);
    let path = server.logs().pop().unwrap();
    let (_, status) = checked(&path, GtidState::Unknown);
    assert_eq!((status.gtids, status.closed), (expected.clone(), None));
    assert_eq!(status.whole, status.verified);
    // After a crash the file stays as it is, and the next one follows it.
    server.crash();
    server.start_again();
    server.sql("INSERT INTO d.t VALUES (2)");
    let expected = position(&server);
    server.stop();
    assert_eq!(all(&server).1, expected);
}

#[test]
fn a_file_that_is_missing_is_seen() {
    let mut server = MariaDb::start(&[]);
    let once = "INSERT INTO d.t VALUES (1); FLUSH BINARY LOGS;";
    server.sql(&format!(
        "CREATE DATABASE d; CREATE TABLE d.t (a INT); {once} {once} {once}"
    ));
    server.stop();
    let logs = server.logs();
    let (first, third) = (fs::read(&logs[0]).unwrap(), fs::read(&logs[2]).unwrap());
    let mut reader = BinlogReader::new(GtidState::Unknown);
    reader.feed(&first, |_| {}).unwrap();
    let mut next = BinlogReader::new(reader.status().gtids);
    let error = next.feed(&third, |_| {}).unwrap_err();
    let GtidState::MariaDb(last) = reader.status().gtids else {
        panic!("no position");
    };
    let BinlogError::Position { expected, found } = error else {
        panic!("{error}");
    };
    assert_eq!(expected, last);
    assert!(found.reaches(&expected) && found != expected);
}

#[test]
fn each_flipped_byte_of_a_servers_file_is_seen() {
    let mut server = MariaDb::start(&[]);
    server.sql("CREATE DATABASE d; CREATE TABLE d.t (a INT); INSERT INTO d.t VALUES (1);");
    server.stop();
    let path = server.logs().pop().unwrap();
    let bytes = fs::read(&path).unwrap();
    let (whole, _) = checked(&path, GtidState::Unknown);
    for at in 0..bytes.len() {
        // The lowest flag of the format says that the file is in use, and is not covered.
        let flip = if at == 21 { 2 } else { 1 };
        let mut damaged = bytes.clone();
        damaged[at] ^= flip;
        let mut reader = BinlogReader::new(GtidState::Unknown);
        let mut found = Vec::new();
        let result = reader.feed(&damaged, |record| found.push(record));
        assert!(
            result.is_err() || reader.status().verified < bytes.len() as u64,
            "{at}"
        );
        assert!(found.iter().all(|record| record.end <= at as u64), "{at}");
        assert_eq!(found[..], whole[..found.len()]);
    }
}
