//! Following the write-ahead logs of real databases, through everything that other programs do with them.

use std::fs;
use std::path::Path;

use crate::common;
use crate::common::sqlite::{Followed, program, row, rows};
use vouchsafe_capture::{CaptureError, Until};
use vouchsafe_format::fragment::Position;
use vouchsafe_model::{LogGapCause, SourceUrl};
use vouchsafe_sources::open_log;
use vouchsafe_translog::sqlite::{HEADER, RECORD_HEADER, RecordReader, Salts, Step};

/// The bytes of each generation of the log that is in records.
fn generations(log: &[u8]) -> Vec<(Salts, Vec<u8>)> {
    let mut out: Vec<(Salts, Vec<u8>)> = Vec::new();
    let mut reader = RecordReader::at(0);
    reader
        .feed(log, |step| {
            if let Step::Record { record, bytes, .. } = step {
                if record.from == 0 {
                    out.push((record.salts, Vec::new()));
                }
                let (_, log) = out.last_mut().expect("it has begun");
                log.extend_from_slice(&bytes[RECORD_HEADER..]);
            }
        })
        .expect("sound records");
    out
}

fn shipped(followed: &Followed) -> Vec<u8> {
    let parts = followed.log.parts.iter();
    parts.flat_map(|part| part.log.clone()).collect()
}

fn log_of(followed: &Followed) -> Vec<u8> {
    fs::read(followed.world.path("shop.db-wal")).expect("a log")
}

#[test]
fn a_log_is_followed_as_it_grows_byte_for_byte() {
    let mut followed = Followed::new();
    let db = followed.program();
    row(&db, 100);
    followed.follow();
    for size in [10, 5000, 300_000, 1] {
        row(&db, size);
        followed.tick();
        // What is rolled back is not shipped, also if it was in the log for a while.
        db.execute_batch("PRAGMA cache_spill = 5; BEGIN")
            .expect("begins");
        for _ in 0..50 {
            row(&db, 20_000);
        }
        followed.catch_up();
        db.execute_batch("ROLLBACK").expect("rolls back");
    }
    row(&db, 77);
    followed.catch_up();
    followed.assert_gaps(0);
    let found = generations(&shipped(&followed));
    let (_, last) = found.last().expect("a generation");
    let actual = log_of(&followed);
    assert!(last.len() > HEADER + 300_000);
    assert_eq!(&actual[..last.len()], last.as_slice());
    assert_eq!(followed.issues, Vec::<String>::new());
}

#[test]
fn a_long_log_is_emptied_and_nothing_of_it_is_missed() {
    let mut followed = Followed::new();
    let db = followed.program();
    followed.follow();
    let mut longest = 0;
    for round in 0..400 {
        row(&db, 60_000);
        std::thread::sleep(std::time::Duration::from_millis(10));
        if round % 10 == 0 {
            followed.tick();
        }
        longest = longest.max(log_of(&followed).len());
    }
    followed.catch_up();
    followed.assert_gaps(0);
    let found = generations(&shipped(&followed));
    assert!(found.len() > 2, "it was begun anew {} times", found.len());
    let all: usize = found.iter().map(|(_, log)| log.len()).sum();
    assert!(all > 400 * 60_000, "{all}");
    assert!(longest < 20 << 20, "{longest}");
    assert_eq!(followed.issues, Vec::<String>::new());
}

#[test]
fn it_is_gone_on_with_where_it_was_left() {
    let mut followed = Followed::new();
    let db = followed.program();
    for round in 0..4 {
        row(&db, 500);
        followed.follow();
        row(&db, 500);
        // Also of what was noted and not shipped nothing is missing.
        if round % 2 == 0 {
            followed.catch_up();
        }
        followed.leave();
        row(&db, 500);
    }
    followed.follow();
    followed.catch_up();
    followed.assert_gaps(0);
    let found = generations(&shipped(&followed));
    let (_, last) = found.last().expect("a generation");
    assert_eq!(&log_of(&followed)[..last.len()], last.as_slice());
}

#[test]
fn what_is_torn_by_a_crash_is_noted_anew() {
    let mut followed = Followed::new();
    let db = followed.program();
    row(&db, 500);
    followed.follow();
    followed.catch_up();
    followed.leave();
    // Half a record, as a crash leaves it.
    let spool = followed.world.state().join("sqlite-wal");
    let newest = fs::read_dir(&spool).expect("lists").flatten();
    let newest = newest
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "records"))
        .max()
        .expect("a file");
    let mut bytes = fs::read(&newest).expect("reads");
    let torn = bytes[..RECORD_HEADER - 7].to_vec();
    bytes.extend(torn);
    fs::write(&newest, bytes).expect("writes");
    row(&db, 500);
    followed.follow();
    followed.catch_up();
    followed.assert_gaps(0);
    generations(&shipped(&followed));
}

#[test]
fn while_it_is_held_nobody_begins_the_log_anew_unseen() {
    let mut followed = Followed::new();
    let db = followed.program();
    followed.follow();
    for _ in 0..20 {
        row(&db, 3000);
        // It may be refused, or come to nothing, or be done where all was seen: never a gap.
        let other = followed.program();
        for mode in ["PASSIVE", "FULL", "RESTART", "TRUNCATE"] {
            other
                .busy_timeout(std::time::Duration::ZERO)
                .expect("waits");
            let _ = other.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()));
        }
        row(&other, 3000);
        drop(other);
        followed.tick();
        std::thread::sleep(std::time::Duration::from_millis(150));
    }
    followed.catch_up();
    followed.assert_gaps(0);
    generations(&shipped(&followed));
}

#[test]
fn a_log_that_was_begun_anew_while_nobody_looked_is_a_gap_with_its_cause() {
    let mut followed = Followed::new();
    let db = followed.program();
    row(&db, 500);
    followed.follow();
    followed.catch_up();
    let before = followed.end();
    followed.leave();
    row(&db, 500);
    let (busy, _, _): (i64, i64, i64) = db
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .expect("a checkpoint");
    assert_eq!(busy, 0);
    row(&db, 500);
    followed.follow();
    followed.until("the gap", |f| !f.gaps.is_empty());
    followed.catch_up();
    followed.assert_gaps(1);
    let gap = &followed.gaps[0];
    assert_eq!(gap.cause, LogGapCause::Removed);
    let Some(Position::Byte(from)) = gap.from else {
        panic!("{gap:?}");
    };
    assert!(from >= before);
    // From there on a new base can be rolled forward.
    let (_, point) = common::wal::base_by(&followed.world, followed.source().as_ref());
    row(&db, 500);
    followed.catch_up();
    let mut memory = vouchsafe_capture::Log {
        chart: vouchsafe_capture::LogChart::draw(&followed.log, None).expect("draws"),
        reader: &followed.log,
    };
    memory.chart.problems.clear();
    let to = followed.world.path("restored.db");
    let source = followed.source();
    let ctx = followed.world.ctx();
    let fetched = source
        .fetch_log(&ctx, &point, &memory, Until::End, &to)
        .expect("fetches");
    source
        .replay(&ctx, &point, &common::all_to(&to), fetched, false)
        .expect("replays");
    assert_eq!(rows(&to), rows(&followed.database));
}

#[test]
fn another_database_in_its_place_is_a_gap_and_not_mixed_in() {
    let mut followed = Followed::new();
    let db = followed.program();
    row(&db, 500);
    followed.follow();
    followed.catch_up();
    let other = followed.world.path("other.db");
    let second = program(&other);
    second
        .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (id INTEGER PRIMARY KEY, at INTEGER, pad BLOB)")
        .expect("fills");
    drop(second);
    drop(db);
    for ending in ["-wal", "-shm"] {
        let _ = fs::remove_file(followed.world.path(&format!("shop.db{ending}")));
    }
    fs::rename(&other, &followed.database).expect("replaces it");
    let db = followed.program();
    row(&db, 500);
    followed.until("the gap", |f| !f.gaps.is_empty());
    assert_eq!(followed.gaps[0].cause, LogGapCause::Diverged);
    followed.catch_up();
    followed.assert_gaps(1);
}

#[test]
fn a_spool_that_is_lost_is_a_gap() {
    let mut followed = Followed::new();
    let db = followed.program();
    row(&db, 500);
    followed.follow();
    followed.catch_up();
    followed.leave();
    fs::remove_dir_all(followed.world.state().join("sqlite-wal")).expect("removes it");
    row(&db, 500);
    followed.follow();
    followed.until("the gap", |f| !f.gaps.is_empty());
    followed.catch_up();
    followed.assert_gaps(1);
    assert_eq!(followed.gaps[0].cause, LogGapCause::SpoolLost);
}

#[test]
fn only_what_every_vault_has_leaves_the_spool() {
    let mut followed = Followed::new();
    let db = followed.program();
    followed.follow();
    for _ in 0..12 {
        row(&db, 1_500_000);
        followed.catch_up();
    }
    let spool = followed.world.state().join("sqlite-wal");
    let count = || fs::read_dir(&spool).expect("lists").count();
    let before = count();
    assert!(before > 3, "{before}");
    let follower = followed.follower.as_ref().expect("it is followed");
    follower
        .release(followed.reached().expect("shipped"))
        .expect("releases");
    // The newest one stays, and the lock.
    assert_eq!(count(), 2);
    row(&db, 10);
    followed.catch_up();
    followed.assert_gaps(0);
    followed.leave();
    followed.follow();
    followed.catch_up();
    followed.assert_gaps(0);
}

#[test]
fn a_database_that_has_no_such_log_is_refused_with_the_remedy() {
    let followed = Followed::new();
    followed
        .program()
        .execute_batch("PRAGMA journal_mode = DELETE")
        .expect("changes it");
    let url = SourceUrl::parse(&followed.url).expect("a URL");
    let log = open_log(&url, None, Path::new("/nowhere")).expect("a log");
    let Err(CaptureError::Unreadable {
        message, remedy, ..
    }) = log.flushed(&followed.world.ctx())
    else {
        panic!("it has none");
    };
    assert!(message.contains("`delete`"), "{message}");
    assert!(remedy.contains("journal_mode = WAL"), "{remedy}");
}

#[test]
fn what_captures_the_folder_leaves_the_memory_of_locks_alone() {
    let mut followed = Followed::new();
    let db = followed.program();
    followed.follow();
    row(&db, 500);
    fs::write(followed.world.path("other-shm"), "a file like any other").expect("writes");
    let folder = common::open(&format!("files:{}", followed.world.dir.path().display()));
    let (captured, point) = followed.world.capture(folder.as_ref());
    let left_out = captured.left_out.join(", ");
    assert!(
        left_out.contains("shop.db-shm (SQLite's shared memory"),
        "{left_out}"
    );
    let paths = point.paths().join(" ");
    for there in ["/shop.db ", "/shop.db-wal", "/other-shm"] {
        assert!(paths.contains(there), "{there} in {paths}");
    }
    assert!(!paths.contains("shop.db-shm"), "{paths}");
    row(&db, 500);
    followed.catch_up();
    followed.assert_gaps(0);
}
