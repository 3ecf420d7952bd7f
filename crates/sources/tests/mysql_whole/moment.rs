//! MySQL servers that are brought to moments by their binary log, and every way in which that must fail.

use std::path::PathBuf;

use super::{PLUGIN, while_writing};
use crate::common::binlog::{BinlogInMemory, Followed};
use crate::common::{self, Point, World, all_to, assert_first_red, assert_green, open};
use crate::mysql_inside::{MySql, inside};
use vouchsafe_capture::{Captured, LogReader, LoggedId, ReplayError, Restored, Source, Until};
use vouchsafe_format::fragment::Position;
use vouchsafe_model::{Rung, Time};
use vouchsafe_translog::binlog::{BinlogMeaning, BinlogReader, LogGtid, Transaction};

/// A server whose log is followed, and a base of it.
struct Shop {
    server: MySql,
    followed: Followed,
    source: Box<dyn Source>,
    captured: Captured,
    point: Point,
    count: usize,
}

fn server(options: &[&str]) -> MySql {
    let server = MySql::start(options);
    server.sql(PLUGIN);
    server.sql(
        "CREATE DATABASE shop; CREATE TABLE shop.t (id int AUTO_INCREMENT PRIMARY KEY, pad text, at datetime(6)); \
         CREATE TABLE shop.noise (id int AUTO_INCREMENT PRIMARY KEY, x int); CREATE TABLE shop.gone (x int)",
    );
    server
}

impl Shop {
    /// A base that is made while others write, also what changes nothing.
    fn new(options: &[&str]) -> Shop {
        let server = server(options);
        let mut followed = Followed::begin(&server);
        followed.tick();
        rows(&server, 3);
        let url = server.url("root", "");
        let source = open(&url);
        let (captured, point) = with_noise(&server, 3, || common::wal::base(&followed.world, &url));
        Shop {
            server,
            followed,
            source,
            captured,
            point,
            count: 0,
        }
    }

    fn world(&self) -> &World {
        &self.followed.world
    }

    fn log(&self) -> &BinlogInMemory {
        &self.followed.log
    }

    fn restored(&mut self, until: Until) -> Result<Restored, ReplayError> {
        self.count += 1;
        let to = self.world().path(&format!("served-{}", self.count));
        self.restored_by(&self.log().clone(), until, to)
    }

    fn restored_by(
        &self,
        log: &BinlogInMemory,
        until: Until,
        to: PathBuf,
    ) -> Result<Restored, ReplayError> {
        let ctx = self.world().ctx();
        let fetched = self
            .source
            .fetch_log(&ctx, &self.point, &log.log(), until, &to);
        if fetched.is_err() {
            assert!(!to.exists(), "nothing is left of what failed");
        }
        let restored = self
            .source
            .replay(&ctx, &self.point, &all_to(&to), fetched?, true)?;
        assert_eq!(restored.issues, []);
        Ok(restored)
    }

    fn compare(&self, restored: &Restored) -> Vec<Rung> {
        self.world()
            .compare(self.source.as_ref(), restored, &self.captured, &self.point)
    }

    /// The rows of a restored server, by stock MySQL.
    fn ids(&self, restored: &Restored) -> Vec<u64> {
        ids(&MySql::on_copy_of(&restored.place.join("data")))
    }

    /// The transactions that were shipped, in their order.
    fn transactions(&self) -> Vec<Transaction> {
        let mut out = Vec::new();
        let (last, _) = self.server.end_of_log();
        let mut gtids = Default::default();
        for file in 1..=last {
            let mut reader = BinlogReader::new(gtids);
            let bytes = self.log().file(file);
            let fed = reader.feed(&bytes, |record| {
                if let BinlogMeaning::End(transaction) = record.meaning {
                    out.push(transaction);
                }
            });
            fed.expect("it is sound");
            gtids = reader.status().gtids;
        }
        out
    }
}

/// While others write: rows, and what only has a name in the log.
fn with_noise<T>(server: &MySql, writers: usize, work: impl FnOnce() -> T) -> T {
    const WORK: &str = "BEGIN; INSERT INTO shop.noise (x) VALUES (1); INSERT INTO shop.noise (x) VALUES (2); COMMIT; \
        FLUSH PRIVILEGES; DROP TABLE IF EXISTS shop.nothing; CREATE TABLE IF NOT EXISTS shop.noise (x int);";
    while_writing(server, (writers, WORK), work)
}

fn ids(server: &MySql) -> Vec<u64> {
    let rows = server.sql("SELECT id FROM shop.t ORDER BY id");
    rows.lines()
        .map(|id| id.parse().expect("a number"))
        .collect()
}

/// Rows in transactions of their own, and between each two of them a microsecond of the server's clock at which no row was
/// on its way, with how many there were.
fn rows(server: &MySql, count: usize) -> Vec<(usize, Time)> {
    let one = "INSERT INTO shop.t (pad, at) VALUES (repeat('x', 300), NOW(6)); \
         SELECT count(*), CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS UNSIGNED) FROM shop.t; DO SLEEP(0.002);\n";
    let said = server.sql(&one.repeat(count));
    let read = |line: &str| {
        let (count, micros) = line.split_once('\t').expect("two fields");
        let micros: i64 = micros.parse().expect("a time");
        (count.parse().expect("a number"), Time::from_micros(micros))
    };
    said.lines().map(read).collect()
}

#[test]
fn at_any_microsecond_exactly_what_mysql_had_committed_by_then_is_there() {
    inside(
        "mysql_whole::moment::at_any_microsecond_exactly_what_mysql_had_committed_by_then_is_there",
        || {
            let mut shop = Shop::new(&["--max-binlog-size=64K"]);
            let mut marks = Vec::new();
            for round in 0..4 {
                let server = &shop.server;
                marks.extend(with_noise(server, 2, || rows(server, 25)));
                if round == 2 {
                    shop.server.sql(
                        "CREATE TABLE shop.late (x int PRIMARY KEY); INSERT INTO shop.late VALUES (1), (2); DROP TABLE shop.gone; \
                         BEGIN; INSERT INTO shop.t (pad) VALUES ('never'); ROLLBACK; \
                         BEGIN; SAVEPOINT a; INSERT INTO shop.late VALUES (8); ROLLBACK TO a; INSERT INTO shop.late VALUES (9); COMMIT; \
                         CREATE USER app@'%' IDENTIFIED BY 'x'; SET GLOBAL event_scheduler = ON; \
                         CREATE TRIGGER shop.doubled AFTER INSERT ON shop.late FOR EACH ROW INSERT INTO shop.noise (x) VALUES (NEW.x); \
                         INSERT INTO shop.late VALUES (10); \
                         SET gtid_next = 'AUTOMATIC:nightly'; INSERT INTO shop.late VALUES (11); ALTER TABLE shop.late ADD y int",
                    );
                }
                shop.followed.tick();
            }
            shop.followed.catch_up(&shop.server);
            assert!(shop.server.logs().len() > 2);
            let all = ids(&shop.server);
            for at in [0, marks.len() / 3, marks.len() / 2, marks.len() - 2] {
                let (count, moment) = marks[at];
                let restored = shop.restored(Until::Time(moment)).expect("restores");
                assert_eq!(shop.ids(&restored), all[..count], "{moment}");
                if at == marks.len() / 2 {
                    let rungs = shop.compare(&restored);
                    assert_green(&rungs);
                    let names: Vec<&str> = rungs.iter().map(|r| r.name.as_str()).collect();
                    assert_eq!(
                        names,
                        ["opens", "position", "moment", "tokens", "checksums"]
                    );
                }
            }

            // A transaction is part of its own microsecond and not of the one before.
            let transactions = shop.transactions();
            let (middle, _) = marks[marks.len() / 2];
            let before_middle = marks[marks.len() / 2 - 1].1;
            let one = transactions.iter().find(|t| t.time > before_middle);
            let one = one.expect("a transaction").time;
            let at = |moment| {
                shop.source.fetch_log(
                    &shop.world().ctx(),
                    &shop.point,
                    &shop.log().log(),
                    Until::Time(moment),
                    &shop.world().path("fetched"),
                )
            };
            let newest = |moment| {
                let newest = at(moment).expect("fetches").target.newest;
                std::fs::remove_dir_all(shop.world().path("fetched")).expect("removes");
                newest
            };
            assert!(middle > 0 && newest(one) == Some(one));
            assert!(newest(Time::from_micros(one.micros() - 1)) < Some(one));

            // All of it.
            let restored = shop.restored(Until::End).expect("restores");
            assert_green(&shop.compare(&restored));
            let served = MySql::on_copy_of(&restored.place.join("data"));
            for query in [
                "SELECT * FROM shop.t ORDER BY id",
                "SELECT * FROM shop.noise ORDER BY id",
                "SELECT * FROM shop.late ORDER BY x",
                "SELECT User FROM mysql.user WHERE User = 'app'",
                "SHOW TABLES FROM shop",
                "SELECT token FROM vouchsafe.heartbeat ORDER BY chain",
            ] {
                assert_eq!(served.sql(query), shop.server.sql(query), "{query}");
            }
            // By its own account the server has exactly the original's transactions.
            let executed = |server: &MySql| server.sql("SELECT @@GLOBAL.gtid_executed");
            assert_eq!(executed(&served), executed(&shop.server));

            // Beyond either end nothing is done.
            let last = transactions[transactions.len() - 1].time;
            let beyond = shop.restored(Until::Time(Time::from_micros(last.micros() + 1)));
            assert!(
                matches!(beyond, Err(ReplayError::TooLate { .. })),
                "{beyond:?}"
            );
            let early = shop.restored(Until::Time(transactions[0].time));
            assert!(
                matches!(early, Err(ReplayError::TooEarly { .. })),
                "{early:?}"
            );
        },
    );
}

#[test]
fn a_position_and_a_transaction_of_mysql_are_reached_exactly() {
    inside(
        "mysql_whole::moment::a_position_and_a_transaction_of_mysql_are_reached_exactly",
        || {
            let mut shop = Shop::new(&[]);
            rows(&shop.server, 5);
            shop.server.sql(
                "SET gtid_next = 'AUTOMATIC:nightly'; INSERT INTO shop.t (pad) VALUES ('tagged')",
            );
            let (file, offset) = shop.server.end_of_log();
            let there = ids(&shop.server);
            rows(&shop.server, 5);
            shop.followed.catch_up(&shop.server);
            for at in [offset, offset + 1] {
                let until = Until::Position(Position::File { file, offset: at });
                let restored = shop.restored(until).expect("restores");
                assert_eq!(shop.ids(&restored), there);
                assert_green(&shop.compare(&restored));
            }
            let uuid = shop.server.sql("SELECT @@server_uuid");
            let named = |text: String| Until::Transaction(LoggedId::parse(&text).expect("a name"));
            let restored = shop
                .restored(named(format!("{uuid}:nightly:1")))
                .expect("restores");
            assert_eq!(shop.ids(&restored), there);
            assert_green(&shop.compare(&restored));
            let unknown = shop.restored(named(format!("{uuid}:1000000")));
            assert!(
                matches!(unknown, Err(ReplayError::TooLate { .. })),
                "{unknown:?}"
            );
            for early in [
                named(format!("{uuid}:1")),
                Until::Position(Position::File { file: 1, offset: 4 }),
            ] {
                let early = shop.restored(early);
                assert!(
                    matches!(early, Err(ReplayError::TooEarly { .. })),
                    "{early:?}"
                );
            }
            let offset = 1 << 30;
            let late = shop.restored(Until::Position(Position::File { file, offset }));
            assert!(matches!(late, Err(ReplayError::TooLate { .. })), "{late:?}");
        },
    );
}

#[test]
fn a_gap_in_a_log_of_mysql_or_damage_to_it_is_never_crossed() {
    inside(
        "mysql_whole::moment::a_gap_in_a_log_of_mysql_or_damage_to_it_is_never_crossed",
        || {
            let mut shop = Shop::new(&[]);
            for _ in 0..4 {
                rows(&shop.server, 10);
                shop.followed.catch_up(&shop.server);
                shop.followed.tick();
            }
            let whole = shop.log().clone();
            let to = |name: &str| shop.world().path(name);
            let sound = shop.restored_by(&whole, Until::End, to("sound"));
            assert!(sound.is_ok());
            let middle = whole.pieces.len() - 2;
            let broken = |log: &BinlogInMemory, name: &str| {
                let end = shop.restored_by(log, Until::End, to(name));
                end.expect_err(name)
            };

            let mut dropped = whole.clone();
            dropped.pieces.remove(middle);
            let end = broken(&dropped, "dropped");
            assert!(end.to_string().contains("breaks off"), "{end}");

            let mut swapped = whole.clone();
            let last = swapped.pieces[middle + 1].1.clone();
            swapped.pieces[middle].1 = last;
            let end = broken(&swapped, "swapped");
            assert!(matches!(end, ReplayError::Broken { .. }), "{end}");

            let mut flipped = whole.clone();
            let bytes = &mut flipped.pieces[middle].1;
            let at = bytes.len() / 2;
            bytes[at] ^= 4;
            let end = broken(&flipped, "flipped");
            assert!(matches!(end, ReplayError::Broken { .. }), "{end}");

            // The log does not reach back to the base.
            let mut late = whole.clone();
            let begin = Position::File { file: 1, offset: 0 };
            late.pieces
                .retain(|(cut, _)| cut.piece.span.from() != begin);
            let end = broken(&late, "late");
            assert!(matches!(end, ReplayError::NotCovered { .. }), "{end}");

            // The log of another server, which has files of the same numbers.
            let other = server(&[]);
            let mut foreign = Followed::begin(&other);
            rows(&other, 20);
            other.sql(&"INSERT INTO shop.t (pad) VALUES (repeat('x', 60000));\n".repeat(60));
            foreign.catch_up(&other);
            let end = broken(&foreign.log, "foreign");
            assert!(matches!(end, ReplayError::Broken { .. }), "{end}");
            foreign.follower.stop();
        },
    );
}

#[test]
fn a_base_of_mysql_is_found_in_the_log_that_was_begun_anew_and_in_the_old_one() {
    inside(
        "mysql_whole::moment::a_base_of_mysql_is_found_in_the_log_that_was_begun_anew_and_in_the_old_one",
        || {
            let mut shop = Shop::new(&[]);
            rows(&shop.server, 10);
            shop.followed.catch_up(&shop.server);
            let old = ids(&shop.server);
            shop.server.sql("RESET BINARY LOGS AND GTIDS");
            rows(&shop.server, 3);
            shop.followed.follower.stop();
            shop.followed.begin_again(&shop.server);
            shop.followed.until("the gap", |f| !f.gaps.is_empty());
            shop.followed.catch_up(&shop.server);
            let url = shop.server.url("root", "");
            let (captured, point) = common::wal::base(shop.world(), &url);
            // The same names of transactions as in the old log, and more.
            rows(&shop.server, 150);
            shop.followed.catch_up(&shop.server);

            let restored = shop.restored(Until::End).expect("restores");
            assert_eq!(shop.ids(&restored), old);
            let window = shop.log().window().expect("a window");
            let needed = |captured: &Captured| {
                let manifest = captured.manifest.as_ref().expect("a manifest");
                shop.source.log_needed_from(manifest, &window.runs)
            };
            let begin = Position::File { file: 1, offset: 0 };
            assert_eq!(needed(&shop.captured), Some(begin));
            assert!(needed(&captured).is_some());
            (shop.captured, shop.point) = (captured, point);
            let restored = shop.restored(Until::End).expect("restores");
            assert_eq!(shop.ids(&restored), ids(&shop.server));
            assert_green(&shop.compare(&restored));
        },
    );
}

#[test]
fn a_base_of_mysql_that_is_made_when_a_file_has_just_begun_is_found() {
    inside(
        "mysql_whole::moment::a_base_of_mysql_that_is_made_when_a_file_has_just_begun_is_found",
        || {
            let mut shop = Shop::new(&[]);
            // With the new file all names of the old one are in the data, and nothing is in the new one; or something is
            // that changed nothing.
            for more in ["", "FLUSH PRIVILEGES"] {
                rows(&shop.server, 3);
                shop.server.sql(&format!(
                    "FLUSH PRIVILEGES; FLUSH PRIVILEGES; FLUSH BINARY LOGS; {more}"
                ));
                let (file, offset) = shop.server.end_of_log();
                let url = shop.server.url("root", "");
                let (captured, point) = common::wal::base(shop.world(), &url);
                let manifest = captured.manifest.as_ref().expect("a manifest");
                let position = manifest.entries["position"].digest.clone();
                let place = format!("bin.{file:06} {offset} ");
                assert!(position.starts_with(&place), "{position}: {place}");
                (shop.captured, shop.point) = (captured, point);
                let there = ids(&shop.server);
                rows(&shop.server, 5);
                shop.followed.catch_up(&shop.server);
                let restored = shop.restored(Until::End).expect("restores");
                assert_eq!(shop.ids(&restored), ids(&shop.server), "{more}");
                assert_green(&shop.compare(&restored));
                // Exactly the base.
                let until = Until::Position(Position::File { file, offset });
                let restored = shop.restored(until).expect("restores");
                assert_eq!(shop.ids(&restored), there, "{more}");
                assert_green(&shop.compare(&restored));
            }
        },
    );
}

#[test]
fn a_stop_of_mysql_at_another_transaction_is_seen() {
    inside(
        "mysql_whole::moment::a_stop_of_mysql_at_another_transaction_is_seen",
        || {
            let mut shop = Shop::new(&[]);
            rows(&shop.server, 20);
            shop.followed.catch_up(&shop.server);
            let (file, offset) = shop.server.end_of_log();
            for _ in 0..3 {
                rows(&shop.server, 2);
                shop.followed.tick();
            }
            shop.followed.catch_up(&shop.server);
            let until = Until::Position(Position::File { file, offset });
            let restored = shop.restored(until).expect("restores");
            assert_green(&shop.compare(&restored));

            // Of the transactions around the moment one too few or too many was run.
            let mut moved = restored.clone();
            let log = moved.replayed.as_mut().expect("a log");
            let one = log.around.before.pop().expect("a transaction");
            log.around.after.insert(0, one);
            assert_first_red(&shop.compare(&moved), "moment");
            let mut moved = restored.clone();
            let log = moved.replayed.as_mut().expect("a log");
            let one = *log.around.after.first().expect("a transaction");
            assert!(matches!(one.transaction, LoggedId::OfServer { .. }));
            log.around.before.push(one);
            assert_first_red(&shop.compare(&moved), "moment");

            // The token after the moment is missing.
            let mut moved = restored.clone();
            let log = moved.replayed.as_mut().expect("a log");
            assert!(log.tokens_beyond.len() > 1);
            log.tokens_beyond.remove(0);
            assert_first_red(&shop.compare(&moved), "tokens");

            // The server has run something more, and its log of the replay does not say so.
            let data = restored.place.join("data");
            let mut stray = MySql::on_copy(&data, &["--skip-grant-tables", "--log-bin=stray"]);
            stray.sql("CREATE DATABASE stray");
            stray.stop();
            let kept = shop.world().path("kept");
            let data = data.display().to_string();
            let (kept, stray) = (kept.display(), stray.data());
            let there = shop.world().dir.path();
            common::sh(
                there,
                &format!("mv {data} {kept} && cp -a {} {data}", stray.display()),
            );
            let said = assert_first_red(&shop.compare(&restored), "position");
            assert_eq!(said.matches("found").count(), 1, "{said}");
            common::sh(there, &format!("rm -r {data} && mv {kept} {data}"));
            assert_green(&shop.compare(&restored));

            // The log that the server was given ends elsewhere, or what it says of itself is gone.
            let given = restored.place.join("binlog");
            let given = common::sh(&given, "ls -d $PWD/binlog.* | tail -n 1");
            let bytes = std::fs::read(&given).expect("reads");
            let mut ends = Vec::new();
            let mut reader = BinlogReader::new(Default::default());
            let fed = reader.feed(&bytes, |record| {
                if let BinlogMeaning::End(ended) = &record.meaning
                    && matches!(ended.gtid, LogGtid::MySql(_))
                {
                    ends.push(record.end);
                }
            });
            fed.expect("it is sound");
            let cut = usize::try_from(ends[ends.len() - 2]).expect("small");
            std::fs::write(&given, &bytes[..cut]).expect("writes");
            assert_first_red(&shop.compare(&restored), "position");
            std::fs::write(&given, &bytes).expect("writes");
            common::sh(&restored.place.join("data"), "rm vouchsafe-replayed.0*");
            assert_first_red(&shop.compare(&restored), "position");
        },
    );
}
