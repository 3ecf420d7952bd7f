//! A real server's log, read as `pg_waldump` reads it; real crashes, timelines and used-again files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::common::waldump::{self, Dumped, agree};
use crate::common::{self, SEGMENT, reader, reader_on, records, size, timeline};
use vouchsafe_model::Time;
use vouchsafe_testkit::postgres::Postgres;
use vouchsafe_translog::wal::{
    EndKind, History, Lsn, Meaning, Timeline, WalEvent, WalFileName, WalReader, WalRecord,
};

const SETTINGS: [&str; 6] = [
    "wal_level=logical",
    "max_prepared_transactions=5",
    "wal_keep_size=1GB",
    "autovacuum=off",
    "full_page_writes=on",
    "archive_mode=off",
];

fn server(more: &[&str]) -> Postgres {
    let settings: Vec<&str> = SETTINGS.iter().chain(more).copied().collect();
    Postgres::start_with(&["--wal-segsize=1", "-k"], &settings)
}

/// The segments of a timeline in the server's own directory, from the first that is there on, in one piece.
fn log(server: &Postgres, timeline: Timeline) -> (Lsn, Vec<u8>) {
    let mut segments = BTreeMap::new();
    for entry in fs::read_dir(server.data().join("pg_wal")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if let Some(WalFileName::Segment {
            timeline: of,
            segment,
        }) = WalFileName::parse(&name, size())
            && of == timeline
        {
            assert_eq!(
                WalFileName::parse(&name, size()).unwrap().name(size()),
                name
            );
            segments.insert(segment, entry.path());
        }
    }
    let (first, last) = (
        *segments.keys().next().unwrap(),
        *segments.keys().last().unwrap(),
    );
    assert_eq!(
        segments.len() as u64,
        last - first + 1,
        "segments are missing"
    );
    let bytes = segments.values().flat_map(|path| fs::read(path).unwrap());
    (size().start_of(first).unwrap(), bytes.collect())
}

/// What `pg_waldump` reads from `from` on, and where it found no record any more, if it says so.
fn dump(server: &Postgres, timeline: Timeline, from: Lsn) -> (Vec<Dumped>, Option<Lsn>) {
    let mut program = server.client("pg_waldump");
    program.env("TZ", "UTC").env("LC_ALL", "C");
    program.arg("-p").arg(server.data().join("pg_wal"));
    program.args(["-t", &timeline.to_string(), "-s", &from.to_string()]);
    let output = program.output().expect("pg_waldump runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = waldump::lines(&text);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(lines.len() > 1, "{text}\n{errors}");
    (lines, waldump::end(&errors))
}

/// Feeds pieces of changing lengths.
fn feed(reader: &mut WalReader, bytes: &[u8]) -> Vec<WalEvent> {
    let mut events = Vec::new();
    let (mut rest, mut length) = (bytes, 1);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(length.min(rest.len()));
        let fed = reader.feed(piece, |event| events.push(event));
        assert_eq!(fed, Ok(()), "after {:?}", reader.status());
        length = (length * 7 + 1) % 70_001;
        rest = after;
    }
    events
}

fn written_up_to(server: &Postgres) -> Lsn {
    server
        .sql("SELECT pg_current_wal_flush_lsn()")
        .parse()
        .unwrap()
}

/// Records of many kinds, some of them longer than a segment.
const WORK: &str = "
CREATE TABLE t (id int PRIMARY KEY, body text);
CREATE INDEX ON t USING gin (to_tsvector('simple', body));
CREATE INDEX ON t USING brin (id);
CREATE INDEX ON t USING hash (id);
CREATE INDEX ON t USING gist (int4range(id, id + 1));
CREATE INDEX ON t USING spgist (body text_ops);
CREATE SEQUENCE s;
INSERT INTO t SELECT i, 'row ' || i FROM generate_series(1, 3000) i;
BEGIN; INSERT INTO t VALUES (-1, 'a'); SAVEPOINT a; INSERT INTO t VALUES (-2, 'b'); SAVEPOINT b;
INSERT INTO t VALUES (-3, 'c'); ROLLBACK TO a; INSERT INTO t VALUES (-4, 'd'); COMMIT;
BEGIN; INSERT INTO t VALUES (-5, 'e'); ROLLBACK;
BEGIN; DELETE FROM t WHERE id < 100; PREPARE TRANSACTION 'two'; COMMIT PREPARED 'two';
BEGIN; DELETE FROM t WHERE id < 200; PREPARE TRANSACTION 'two'; ROLLBACK PREPARED 'two';
BEGIN; CREATE TABLE dropped (a int); INSERT INTO dropped VALUES (1); PREPARE TRANSACTION 'two'; COMMIT PREPARED 'two';
BEGIN; DROP TABLE dropped; PREPARE TRANSACTION 'two'; COMMIT PREPARED 'two';
SELECT pg_logical_emit_message(false, 'token', 'one');
SELECT pg_logical_emit_message(true, 'token', '');
BEGIN; SELECT pg_logical_emit_message(true, 'token', 'two'); SAVEPOINT x;
SELECT pg_logical_emit_message(true, 'token', 'three'); COMMIT;
SELECT pg_create_restore_point('before the switch');
SELECT nextval('s'); SELECT pg_switch_wal();
CREATE DATABASE other STRATEGY wal_log; DROP DATABASE other;
UPDATE t SET body = body || repeat('x', 500); VACUUM t; TRUNCATE t; CHECKPOINT;
";

/// Of a server that has stopped, so that the log does not grow meanwhile.
fn checked_against_the_dump(server: &Postgres, history: History) -> Vec<WalEvent> {
    let timeline = history.timeline();
    let (start, bytes) = log(server, timeline);
    let mut reader = reader_on(start.0, history);
    let events = feed(&mut reader, &bytes);
    let status = reader.status();
    let (dumped, end) = dump(server, timeline, status.from.unwrap());
    agree(&events, &dumped, status.major.unwrap());
    assert_eq!(status.verified, end, "{status:?}");
    events
}

#[test]
fn a_servers_log_is_read_as_pg_waldump_reads_it() {
    let mut server = server(&[]);
    server.sql(WORK);
    // Longer than a segment, so that it lies in three or four.
    server.sql("SELECT pg_logical_emit_message(false, 'long', repeat('x', 2500000))");
    server.sql("SELECT pg_switch_wal(); INSERT INTO t VALUES (1, 'last');");
    server.stop("INT");
    let events = checked_against_the_dump(&server, History::of(timeline(1)));
    let of = |manager: &str| {
        let named = |each: &&WalRecord| each.manager.name() == Some(manager);
        records(&events).into_iter().filter(named).count()
    };
    for manager in [
        "XLOG",
        "Transaction",
        "Storage",
        "Database",
        "Standby",
        "Heap2",
        "Heap",
        "Btree",
        "Hash",
        "Gin",
        "Gist",
        "Sequence",
        "SPGist",
        "BRIN",
        "LogicalMessage",
    ] {
        assert!(of(manager) > 0, "no records of {manager}");
    }
    let prepared = |each: &&WalRecord| matches!(each.meaning, Meaning::Prepare { .. });
    assert_eq!(records(&events).into_iter().filter(prepared).count(), 4);
}

#[test]
fn the_newest_commit_is_that_of_the_server() {
    let server = server(&["track_commit_timestamp=on"]);
    server.sql("CREATE TABLE t (a int); INSERT INTO t VALUES (1);");
    let stamp = "SELECT to_char(timestamp AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM pg_last_committed_xact()";
    let expected: Time = server.sql(stamp).parse().unwrap();
    let (start, bytes) = log(&server, timeline(1));
    let mut reader = reader(start.0);
    feed(&mut reader, &bytes);
    assert_eq!(reader.status().newest_commit.unwrap().time, expected);
    let system = server.sql("SELECT system_identifier FROM pg_control_system()");
    assert_eq!(reader.status().system.unwrap().to_string(), system);
    assert_eq!(reader.status().major, Some(15));
}

#[test]
fn a_files_second_use_is_the_end_and_so_are_zeros() {
    let server = server(&["wal_keep_size=0", "min_wal_size=2MB", "max_wal_size=4MB"]);
    server.sql("CREATE TABLE t (a text)");
    let fill = "INSERT INTO t SELECT repeat('x', 900) FROM generate_series(1, 1500)";
    let mut ends_with_old = false;
    for _ in 0..6 {
        server.sql(&format!("{fill}; CHECKPOINT; {fill}; CHECKPOINT;"));
        let least = written_up_to(&server);
        let (start, bytes) = log(&server, timeline(1));
        let most = server
            .sql("SELECT pg_current_wal_insert_lsn()")
            .parse()
            .unwrap();
        let mut reader = reader(start.0);
        let events = feed(&mut reader, &bytes);
        let verified = reader.status().verified.unwrap();
        assert!(
            least <= verified && verified <= most,
            "{least} {verified} {most}"
        );
        assert!(matches!(events.last(), Some(WalEvent::End(end)) if end.within.is_none()));
        // The file after the last that is written belonged to an older segment, as its first page shows.
        let next = size().segment_of(verified) + 1;
        let at = (next * SEGMENT - start.0) as usize;
        if let Some(page) = bytes
            .get(at..)
            .filter(|page| page.iter().any(|byte| *byte != 0))
        {
            let position = reader.position().unwrap();
            let mut beyond = common::reader(next * SEGMENT);
            let (events, result) = common::read(&mut beyond, page);
            assert_eq!(result, Ok(()), "{position:?}");
            ends_with_old |=
                matches!(events.last(), Some(WalEvent::End(end)) if end.kind != EndKind::Zeros);
        }
    }
    assert!(ends_with_old, "no file was used again");
}

#[test]
fn a_recovery_is_followed_along_its_history() {
    // It takes nobody in before the recovery has ended.
    let mut server = server(&["hot_standby=off"]);
    server.sql("CREATE TABLE t (a int); INSERT INTO t VALUES (1);");
    server.stop("INT");
    let (start, bytes) = log(&server, timeline(1));
    let mut old = reader(start.0);
    feed(&mut old, &bytes);
    server.place("recovery.signal", b"");
    server.place("postgresql.auto.conf", b"restore_command = 'false'\n");
    server.start_again();
    server.sql("INSERT INTO t VALUES (2); CHECKPOINT;");
    server.stop("INT");
    let file = fs::read(server.data().join("pg_wal/00000002.history")).unwrap();
    let history = History::parse(timeline(2), &file).unwrap();
    let switch = history.range_of(timeline(2)).unwrap().from;
    assert_eq!(old.status().verified, Some(switch));
    // The segment of the switch begins with the old timeline's bytes.
    let (start, bytes) = log(&server, timeline(2));
    let segment = size().segment_of(switch);
    assert_eq!(history.file_of(segment, size()), timeline(2));
    assert_eq!(size().start_of(segment), Some(start));
    let events = checked_against_the_dump(&server, history.clone());
    let begins = |each: &&WalRecord| match each.meaning {
        Meaning::EndOfRecovery { previous, .. } | Meaning::Checkpoint { previous, .. } => {
            previous == 1 && each.lsn >= switch
        }
        _ => false,
    };
    assert!(records(&events).iter().any(begins));
    // What was read of the old timeline is gone on with in the new one.
    let position = old.position().unwrap();
    let mut next = WalReader::resume(&position, history).unwrap();
    feed(
        &mut next,
        &bytes[(position.verified.0 - start.0) as usize..],
    );
    let last = records(&events).last().map(|each| each.end);
    assert_eq!(next.status().verified, last);
}

#[test]
fn a_record_that_a_crash_left_open_is_abandoned() {
    let mut server = server(&[]);
    server.sql("CREATE TABLE t (a int)");
    let begun: Lsn = server
        .sql("SELECT pg_current_wal_insert_lsn()")
        .parse()
        .unwrap();
    server.sql("SELECT pg_logical_emit_message(false, 'long', repeat('x', 2500000)); INSERT INTO t VALUES (1);");
    server.stop("QUIT");
    // As if what follows the record's first segment had never been written.
    let lost = size().segment_of(begun) + 1;
    for segment in lost..lost + 40 {
        let timeline = timeline(1);
        let name = WalFileName::Segment { timeline, segment }.name(size());
        remove(&server.data().join("pg_wal").join(name));
    }
    server.start_again();
    server.sql("INSERT INTO t VALUES (2)");
    server.stop("INT");
    let events = checked_against_the_dump(&server, History::of(timeline(1)));
    let at = size().start_of(lost).unwrap();
    let abandoned =
        |event: &WalEvent| matches!(event, WalEvent::Abandoned { at: page, .. } if *page == at);
    assert!(events.iter().any(abandoned), "{:?}", events.last());
    let noted = |each: &&WalRecord| matches!(each.meaning, Meaning::AfterAbandoned { .. });
    assert!(records(&events).iter().any(noted));
}

fn remove(path: &Path) {
    if path.exists() {
        fs::remove_file(path).unwrap();
    }
}
