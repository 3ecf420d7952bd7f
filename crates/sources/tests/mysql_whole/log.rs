//! The binary log of MySQL servers, followed through what happens to them.

use super::PLUGIN;
use crate::common::binlog::{Followed, assert_same_bytes};
use crate::mysql_inside::{MySql, inside};
use vouchsafe_format::fragment::Position;
use vouchsafe_model::LogGapCause;

fn server(options: &[&str]) -> MySql {
    let server = MySql::start(options);
    server.sql(PLUGIN);
    server.sql(
        "CREATE DATABASE shop; CREATE TABLE shop.t (n int AUTO_INCREMENT PRIMARY KEY, pad text)",
    );
    server
}

fn rows(server: &MySql, count: usize) {
    let one = "INSERT INTO shop.t (pad) VALUES (repeat('x', 1000));\n";
    server.sql(&one.repeat(count));
}

#[test]
fn a_binary_log_of_mysql_is_followed_byte_for_byte_and_nothing_is_lost() {
    inside(
        "mysql_whole::log::a_binary_log_of_mysql_is_followed_byte_for_byte_and_nothing_is_lost",
        || {
            let mut server = server(&["--max-binlog-size=256K"]);
            server.sql(
                "CREATE USER follower@localhost; \
                 GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO follower@localhost; \
                 GRANT CREATE, SELECT, INSERT, UPDATE ON vouchsafe.* TO follower@localhost",
            );
            // The least rights are enough.
            let mut followed = Followed::begin_as(&server.url("follower", ""));
            followed.tick();
            for round in 0..3 {
                rows(&server, 150);
                server.sql(
                    "SET gtid_next = 'AUTOMATIC:nightly'; INSERT INTO shop.t (pad) VALUES ('tagged'); FLUSH PRIVILEGES",
                );
                followed.catch_up(&server);
                if round == 1 {
                    // We are away, and the server is killed and comes back.
                    followed.follower.stop();
                    server.crash();
                    server.start_again();
                    rows(&server, 10);
                    followed.begin_again(&server);
                }
                server.sql("FLUSH BINARY LOGS");
            }
            followed.catch_up(&server);
            followed.log.assert_gaps(0);
            assert_eq!(followed.gaps, [], "{:?}", followed.issues);
            assert_same_bytes(&followed, &server);
            assert!(server.logs().len() > 4);
            let mut tokens: Vec<_> = followed.log.pieces.iter().collect();
            tokens.retain(|(cut, _)| cut.token.is_some());
            assert!(tokens.len() >= 3);
            let uuid = server.sql("SELECT @@server_uuid");
            assert_eq!(followed.follower.server(), Some(uuid));
            followed.follower.stop();
        },
    );
}

#[test]
fn what_mysql_has_purged_begun_anew_or_never_written_is_a_gap_with_its_cause() {
    inside(
        "mysql_whole::log::what_mysql_has_purged_begun_anew_or_never_written_is_a_gap_with_its_cause",
        || {
            let server = server(&[]);
            let mut followed = Followed::begin(&server);
            rows(&server, 10);
            followed.catch_up(&server);
            let before = followed.log.reached().expect("something").to;
            followed.follower.stop();
            server.sql("FLUSH BINARY LOGS; FLUSH BINARY LOGS");
            rows(&server, 10);
            let (current, _) = server.end_of_log();
            let name = format!("bin.{current:06}");
            for _ in 0..300 {
                server.sql(&format!("PURGE BINARY LOGS TO '{name}'"));
                if server.sql("SHOW BINARY LOGS").starts_with(&name) {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
            followed.begin_again(&server);
            followed.catch_up(&server);
            let [gap] = followed.gaps.as_slice() else {
                panic!("{:?}", followed.gaps);
            };
            assert_eq!((gap.cause, gap.from), (LogGapCause::Removed, Some(before)));
            let (file, offset) = (current, 0);
            assert_eq!(gap.to, Some(Position::File { file, offset }));
            followed.log.assert_gaps(1);

            // The same numbers of transactions once more, of others.
            followed.follower.stop();
            server.sql("RESET BINARY LOGS AND GTIDS");
            rows(&server, 300);
            followed.begin_again(&server);
            followed.until("the gap", |f| f.gaps.len() > 1);
            assert_eq!(followed.gaps[1].cause, LogGapCause::Diverged);
            assert!(followed.gaps[1].to > followed.gaps[1].from);
            followed.catch_up(&server);
            followed.log.assert_gaps(2);

            let other = super::log::server(&[]);
            followed.follower.stop();
            let pieces = followed.log.pieces.len();
            followed.begin_again(&other);
            followed.until("the gap", |f| f.gaps.len() > 2);
            followed.tick();
            assert_eq!(followed.gaps[2].cause, LogGapCause::OtherServer);
            assert_eq!(followed.log.pieces.len(), pieces);
            followed.follower.stop();
        },
    );
}

#[test]
fn a_server_of_mysql_that_names_no_transactions_is_not_followed() {
    inside(
        "mysql_whole::log::a_server_of_mysql_that_names_no_transactions_is_not_followed",
        || {
            for (option, says) in [
                ("--gtid-mode=OFF_PERMISSIVE", "gtid_mode=ON"),
                ("--binlog-order-commits=OFF", "binlog_order_commits=ON"),
            ] {
                let server = server(&[option]);
                let mut followed = Followed::begin(&server);
                let said = followed.tick().issues.join("; ");
                assert!(said.contains(says), "{said}");
                assert!(followed.log.pieces.is_empty());
                followed.follower.stop();
            }
        },
    );
}
