//! Following the binary log of real MariaDB servers, through whatever happens to them.

use std::path::Path;
use std::process::Command;

use crate::common;
use crate::common::binlog::{Followed, assert_same_bytes, end_of_log};
use vouchsafe_format::fragment::Position;
use vouchsafe_host::files;
use vouchsafe_model::{LogGapCause, SecretRef, SourceUrl};
use vouchsafe_sources::open_log;
use vouchsafe_testkit::mariadb::MariaDb;

fn server(options: &[&str]) -> MariaDb {
    let server = MariaDb::start(options);
    server.sql(
        "CREATE DATABASE shop; CREATE TABLE shop.t (n int AUTO_INCREMENT PRIMARY KEY, pad text)",
    );
    server
}

fn rows(server: &MariaDb, count: u32) {
    server.sql(&format!(
        "INSERT INTO shop.t (pad) SELECT repeat('x', 1000) FROM seq_1_to_{count}"
    ));
}

/// The processes that a receiver of ours runs in, by the directory that they write to.
fn receivers(followed: &Followed) -> Vec<u32> {
    let spool = followed.world.state().join("binlog");
    let spool = spool.to_str().expect("a path").to_owned();
    let mut out = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("processes").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else {
            continue;
        };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains("--stop-never") && line.contains(&spool) {
            assert!(!line.contains("password"), "{line}");
            out.push(pid);
        }
    }
    out
}

fn kill(pid: u32) {
    send("KILL", &pid.to_string());
}

fn send(signal: &str, pid: &str) {
    let done = Command::new("sh")
        .args(["-c", "kill -\"$1\" \"$2\"", "sh", signal, pid])
        .status();
    assert!(done.expect("sh runs").success());
}

#[test]
fn a_binary_log_is_followed_as_it_grows_byte_for_byte() {
    for format in ["ROW", "MIXED", "STATEMENT"] {
        let format = format!("--binlog-format={format}");
        let server = server(&[&format, "--max-binlog-size=1M"]);
        let mut followed = Followed::begin(&server);
        followed.tick();
        for _ in 0..4 {
            rows(&server, 700);
            followed.tick();
            server.sql("FLUSH BINARY LOGS");
        }
        followed.catch_up(&server);
        assert!(server.logs().len() > 2, "the server went on to other files");
        followed.log.assert_gaps(0);
        assert_same_bytes(&followed, &server);
        assert_eq!(followed.gaps, []);

        // Tokens follow one another, however the server writes them.
        let mut tokens: Vec<_> = followed
            .log
            .pieces
            .iter()
            .filter_map(|(cut, _)| cut.token.clone())
            .collect();
        tokens.dedup();
        assert!(tokens.len() >= 3, "{format}: {tokens:?}");
        for pair in tokens.windows(2) {
            assert!(pair[1].sequence > pair[0].sequence);
            assert_eq!(pair[1].chain, pair[0].chain);
        }
        let newest = followed.log.pieces.last().expect("a piece").0.newest_commit;
        assert!(newest.is_some());

        // Only what was shipped leaves the spool, and the file that is written stays.
        followed.release();
        let (current, _) = end_of_log(&server);
        rows(&server, 10);
        followed.catch_up(&server);
        followed.log.assert_gaps(0);
        let spool = followed.world.state().join("binlog");
        let left = common::sh(&spool, "find . -type f | sort");
        assert_eq!(left.lines().count(), 1, "{left}");
        assert!(left.ends_with(&format!("bin.{current:06}")), "{left}");
        followed.follower.stop();
        assert_eq!(receivers(&followed), Vec::<u32>::new());
    }
}

#[test]
fn a_crash_of_the_server_the_receiver_or_us_loses_nothing_of_a_binary_log() {
    let mut server = server(&["--max-binlog-size=1M"]);
    let mut followed = Followed::begin(&server);
    followed.tick();
    for round in 0..3 {
        rows(&server, 300);
        followed.catch_up(&server);

        // The receiver is killed; the next one writes its file anew, and nothing is shipped twice.
        let running = receivers(&followed);
        assert_eq!(running.len(), 1, "{running:?}");
        kill(running[0]);
        rows(&server, 50);
        followed.catch_up(&server);

        // We are killed: the receiver goes on without us until the next one begins.
        let stale = receivers(&followed);
        followed.begin_again(&server);
        rows(&server, 50);
        followed.catch_up(&server);
        followed.until("the old receiver's end", |f| {
            !receivers(f).iter().any(|pid| stale.contains(pid))
        });

        // The server is killed while somebody writes.
        std::thread::scope(|scope| {
            let writing = scope.spawn(|| {
                for _ in 0..40 {
                    let _ = Command::new("mariadb")
                        .args([
                            "--no-defaults",
                            "--user=root",
                            "-e",
                            "INSERT INTO shop.t (pad) VALUES (repeat('y', 5000))",
                        ])
                        .arg(format!("--socket={}", server.socket().display()))
                        .output();
                }
            });
            followed.tick();
            writing.join().expect("it ends");
        });
        server.crash();
        for _ in 0..3 {
            followed.tick();
        }
        if round == 1 {
            // And we are not there when it comes back, and our spool is gone.
            followed.follower.stop();
            std::fs::remove_dir_all(followed.world.state().join("binlog")).expect("removes");
        }
        server.start_again();
        followed.begin_again(&server);
        rows(&server, 20);
        followed.catch_up(&server);
    }
    followed.log.assert_gaps(0);
    assert_eq!(followed.gaps, [], "{:?}", followed.issues);
    assert_same_bytes(&followed, &server);
    followed.follower.stop();
}

/// Has the server remove what lies before this file. It keeps what it still sends to a receiver that has just ended.
fn purge_to(server: &MariaDb, current: u64) {
    let name = format!("bin.{current:06}");
    for _ in 0..300 {
        server.sql(&format!("PURGE BINARY LOGS TO '{name}'"));
        if server.sql("SHOW BINARY LOGS").starts_with(&name) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("the server keeps what lies before {name}");
}

#[test]
fn purged_logs_are_a_gap_with_its_cause_and_the_log_goes_on() {
    let server = server(&[]);
    let mut followed = Followed::begin(&server);
    rows(&server, 10);
    followed.catch_up(&server);
    let before = followed.log.reached().expect("something").to;
    followed.follower.stop();
    server.sql("FLUSH BINARY LOGS; FLUSH BINARY LOGS");
    rows(&server, 10);
    server.sql("FLUSH BINARY LOGS");
    let (current, _) = end_of_log(&server);
    purge_to(&server, current);
    rows(&server, 10);
    followed.begin_again(&server);
    followed.catch_up(&server);
    let [gap] = followed.gaps.as_slice() else {
        panic!("{:?}", followed.gaps);
    };
    assert_eq!(gap.cause, LogGapCause::Removed, "{gap:?}");
    assert_eq!(gap.from, Some(before));
    let to = Position::File {
        file: current,
        offset: 0,
    };
    assert_eq!(gap.to, Some(to));
    followed.log.assert_gaps(1);

    // Whoever lags, but finds the next file there, loses nothing.
    followed.follower.stop();
    server.sql("FLUSH BINARY LOGS");
    rows(&server, 10);
    followed.begin_again(&server);
    followed.catch_up(&server);
    followed.log.assert_gaps(1);
    followed.follower.stop();
}

#[test]
fn a_log_that_the_server_begins_anew_is_a_gap_and_not_mixed_with_the_old_one() {
    let server = server(&[]);
    let mut followed = Followed::begin(&server);
    rows(&server, 200);
    followed.catch_up(&server);
    let before = followed.log.reached().expect("something").to;
    server.sql("RESET MASTER");
    rows(&server, 300);
    // A receiver does not notice by itself that its file is gone.
    for pid in receivers(&followed) {
        kill(pid);
    }
    followed.until("the gap", |f| !f.gaps.is_empty());
    assert_eq!(
        followed.gaps[0].cause,
        LogGapCause::Diverged,
        "{:?}",
        followed.gaps
    );
    assert_eq!(followed.gaps[0].from, Some(before));
    assert!(
        followed.gaps[0].to > followed.gaps[0].from,
        "positions only grow"
    );
    followed.catch_up(&server);
    followed.log.assert_gaps(1);
    assert_eq!(followed.gaps.len(), 1, "{:?}", followed.gaps);

    // The same once more, with a log that becomes longer than what was shipped while nobody looked.
    followed.follower.stop();
    server.sql("RESET MASTER");
    rows(&server, 2000);
    followed.begin_again(&server);
    followed.until("the second gap", |f| f.gaps.len() > 1);
    assert_eq!(followed.gaps[1].cause, LogGapCause::Diverged);
    followed.catch_up(&server);
    followed.log.assert_gaps(2);
    followed.follower.stop();
}

#[test]
fn another_mariadb_server_is_a_gap_and_nothing_of_it_is_shipped() {
    let first = server(&[]);
    let mut followed = Followed::begin(&first);
    rows(&first, 10);
    followed.catch_up(&first);
    let pieces = followed.log.pieces.len();
    followed.follower.stop();
    let second = server(&[]);
    rows(&second, 500);
    followed.begin_again(&second);
    followed.until("the gap", |f| !f.gaps.is_empty());
    for _ in 0..3 {
        followed.tick();
    }
    assert_eq!(followed.gaps.len(), 1);
    assert_eq!(followed.gaps[0].cause, LogGapCause::OtherServer);
    assert_eq!(followed.gaps[0].to, None);
    assert_eq!(followed.log.pieces.len(), pieces);
    // The old one comes back, and its log goes on.
    followed.begin_again(&first);
    rows(&first, 10);
    followed.catch_up(&first);
    followed.log.assert_gaps(0);
    followed.follower.stop();
}

#[test]
fn a_replica_that_is_written_to_later_gets_its_name_and_is_the_same_server() {
    let server = server(&[]);
    server.sql("SET GLOBAL read_only = 1");
    let mut followed = Followed::begin(&server);
    rows(&server, 10);
    followed.catch_up(&server);
    assert_eq!(followed.follower.server().as_deref(), Some("7"));
    followed.follower.stop();
    server.sql("SET GLOBAL read_only = 0");
    followed.begin_again(&server);
    rows(&server, 10);
    followed.catch_up(&server);
    assert_eq!(followed.gaps, []);
    followed.log.assert_gaps(0);
    let named = followed.follower.server().expect("a name");
    assert!(named.starts_with("7-"), "{named}");
    followed.follower.stop();
}

#[test]
fn a_password_that_is_changed_meanwhile_is_read_anew() {
    let server = server(&[]);
    server.sql(
        "CREATE USER follower@localhost IDENTIFIED BY 'first'; GRANT ALL ON *.* TO follower@localhost",
    );
    let url = server.url("follower", "").replace("/?", "?");
    let mut followed = Followed::begin(&server);
    let file = followed.world.path("password");
    let write = |password: &[u8]| files::write_atomic(&file, password, 0o600).expect("writes");
    write(b"first");
    let password = SecretRef::File(file.clone());
    let url = SourceUrl::parse(&url).expect("a URL");
    let log = open_log(&url, Some(&password), Path::new("/nowhere")).expect("a log");
    let names = ("shop-db/base", "0123abcd");
    followed.follower = log
        .follow(&followed.world.ctx(), names, None, None)
        .expect("it begins");
    followed.catch_up(&server);

    server.sql("ALTER USER follower@localhost IDENTIFIED BY 'second'");
    for pid in receivers(&followed) {
        kill(pid);
    }
    followed.until("a refusal", |f| {
        f.issues.iter().any(|said| said.contains("password"))
    });
    write(b"second");
    rows(&server, 10);
    followed.catch_up(&server);
    followed.log.assert_gaps(0);
    followed.follower.stop();
}

#[test]
fn a_server_that_hangs_holds_nobody_up_for_ever() {
    let server = server(&[]);
    let mut followed = Followed::begin(&server);
    rows(&server, 10);
    followed.catch_up(&server);
    assert_eq!(followed.issues, Vec::<String>::new());
    let pid = std::fs::read_to_string(server.socket().with_file_name("pid")).expect("a number");
    send("STOP", pid.trim());
    let said = followed.tick().issues.join("; ");
    assert!(said.contains("does not answer"), "{said}");
    send("CONT", pid.trim());
    rows(&server, 10);
    followed.catch_up(&server);
    followed.log.assert_gaps(0);
    assert_eq!(followed.gaps, []);
    followed.follower.stop();
}

#[test]
fn damage_in_the_spool_is_received_once_more() {
    let server = server(&[]);
    let mut followed = Followed::begin(&server);
    rows(&server, 50);
    followed.catch_up(&server);
    followed.follower.stop();
    // What comes next is written to the spool while nobody reads it, and is damaged there.
    let (number, _) = end_of_log(&server);
    let spool = followed.world.state().join("binlog");
    let file = common::sh(&spool, "find . -type f");
    rows(&server, 50);
    let path = spool.join(&file);
    let mut bytes = std::fs::read(server.data().join(format!("bin.{number:06}"))).expect("reads");
    bytes[21] &= !1;
    let last = bytes.len() - 500;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).expect("writes");
    followed.begin_again(&server);
    followed.catch_up(&server);
    let said = followed.issues.join("; ");
    assert!(said.contains("damaged"), "{said}");
    followed.log.assert_gaps(0);
    assert_eq!(followed.gaps, []);
    assert_same_bytes(&followed, &server);
    followed.follower.stop();
}

#[test]
fn the_least_rights_are_enough_to_follow_a_binary_log() {
    let server = server(&[]);
    server.sql(
        "CREATE USER follower@localhost; GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO follower@localhost; \
         GRANT CREATE, SELECT, INSERT, UPDATE ON vouchsafe.* TO follower@localhost; \
         CREATE USER blind@localhost; GRANT REPLICATION SLAVE ON *.* TO blind@localhost; \
         CREATE USER deaf@localhost; GRANT BINLOG MONITOR ON *.* TO deaf@localhost; \
         GRANT CREATE, SELECT, INSERT, UPDATE ON vouchsafe.* TO deaf@localhost",
    );
    let url = |user: &str| server.url(user, "").replace("/?", "?");
    let mut followed = Followed::begin_as(&url("follower"));
    rows(&server, 10);
    followed.catch_up(&server);
    assert_eq!(followed.issues, Vec::<String>::new());
    assert!(
        followed
            .log
            .pieces
            .last()
            .expect("a piece")
            .0
            .token
            .is_some()
    );
    followed.follower.stop();
    for (user, right) in [("blind", "BINLOG MONITOR"), ("deaf", "REPLICATION SLAVE")] {
        let mut without = Followed::begin_as(&url(user));
        without.until("a refusal", |f| {
            f.issues.iter().any(|said| said.contains(right))
        });
        assert!(without.log.pieces.is_empty());
        without.follower.stop();
    }
}

#[test]
fn a_server_without_a_log_and_one_database_have_none_to_follow() {
    let without = MariaDb::start(&["--skip-log-bin"]);
    let mut followed = Followed::begin(&without);
    let said = followed.tick().issues.join("; ");
    assert!(said.contains("log_bin"), "{said}");
    let url = SourceUrl::parse(&without.url("root", "shop")).expect("a URL");
    let refused = open_log(&url, None, Path::new("/nowhere"));
    let said = refused.err().expect("it is a dump").to_string();
    assert!(said.contains("rolled forward"), "{said}");
}
