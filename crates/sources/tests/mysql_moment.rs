//! MariaDB servers that are brought to moments by their binary log, and every way in which that must fail.

use std::path::PathBuf;
use std::time::Duration;

use crate::common::binlog::{BinlogInMemory, Followed, end_of_log};
use crate::common::{self, Point, World, all_to, assert_first_red, assert_green, open};
use vouchsafe_capture::{Captured, LogReached, LoggedId, ReplayError, Restored, Source, Until};
use vouchsafe_format::fragment::Position;
use vouchsafe_model::Time;
use vouchsafe_testkit::mariadb::MariaDb;
use vouchsafe_translog::binlog::BinlogMeaning;
use vouchsafe_translog::token::Token;

/// A server whose log is followed, and a base of it.
struct Shop {
    server: MariaDb,
    followed: Followed,
    source: Box<dyn Source>,
    captured: Captured,
    point: Point,
    count: usize,
}

/// A transaction of the original, by its number in the table, with the second that its log bears.
type Row = (u64, i64);

impl Shop {
    fn new(options: &[&str]) -> Shop {
        let server = MariaDb::start(options);
        server.sql(
            "CREATE DATABASE shop; CREATE TABLE shop.t (id int AUTO_INCREMENT PRIMARY KEY, pad text, at datetime(6)); \
             CREATE TABLE shop.plain (id int) ENGINE=Aria; CREATE TABLE shop.gone (x int)",
        );
        let mut followed = Followed::begin(&server);
        followed.tick();
        rows(&server, 3);
        let url = server.url("root", "").replace("/?", "?");
        let source = open(&url);
        let (captured, point) = common::wal::base(&followed.world, &url);
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

    /// Restores into a new directory and compares all rungs.
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

    fn compare(&self, restored: &Restored) -> Vec<vouchsafe_model::Rung> {
        self.world()
            .compare(self.source.as_ref(), restored, &self.captured, &self.point)
    }

    /// The rows of a restored server.
    fn ids(&self, restored: &Restored) -> Vec<u64> {
        let served = MariaDb::on_copy_of(&restored.place.join("data"));
        ids(&served)
    }
}

fn ids(server: &MariaDb) -> Vec<u64> {
    let rows = server.sql("SELECT id FROM shop.t ORDER BY id");
    rows.lines()
        .map(|id| id.parse().expect("a number"))
        .collect()
}

/// Rows in transactions of their own.
fn rows(server: &MariaDb, count: usize) {
    let one = "INSERT INTO shop.t (pad, at) VALUES (repeat('x', 300), NOW(6));\n";
    server.sql(&one.repeat(count));
}

/// What the server itself has committed, with the second in which each row was.
fn committed(server: &MariaDb) -> Vec<Row> {
    let rows = server.sql("SELECT id, FLOOR(UNIX_TIMESTAMP(at)) FROM shop.t ORDER BY id");
    let read = |row: &str| {
        let (id, second) = row.split_once('\t').expect("two fields");
        (
            id.parse().expect("a number"),
            second.parse().expect("a second"),
        )
    };
    rows.lines().map(read).collect()
}

fn before(rows: &[Row], second: i64) -> Vec<u64> {
    let there = rows.iter().filter(|(_, at)| *at < second);
    there.map(|(id, _)| *id).collect()
}

fn second(at: i64) -> Until {
    Until::Time(Time::from_secs(at))
}

#[test]
fn at_any_second_exactly_what_mariadb_had_committed_by_then_is_there() {
    for format in ["ROW", "MIXED"] {
        let option = format!("--binlog-format={format}");
        let mut shop = Shop::new(&[&option, "--max-binlog-size=64K"]);
        for round in 0..6 {
            rows(&shop.server, 30);
            if round == 3 {
                // What is no plain row: definitions, statements on tables without transactions, what is temporary,
                // what is rolled back, a trigger.
                shop.server.sql(
                    "CREATE TABLE shop.late (x int); INSERT INTO shop.late VALUES (1), (2); DROP TABLE shop.gone; \
                     INSERT INTO shop.plain VALUES (7); \
                     CREATE TEMPORARY TABLE shop.tmp AS SELECT 5 AS x; INSERT INTO shop.late SELECT x FROM shop.tmp; \
                     BEGIN; INSERT INTO shop.t (pad) VALUES ('never'); ROLLBACK; \
                     BEGIN; SAVEPOINT a; INSERT INTO shop.late VALUES (8); ROLLBACK TO a; INSERT INTO shop.late VALUES (9); COMMIT; \
                     CREATE USER app@'%' IDENTIFIED BY 'x'; \
                     CREATE TRIGGER shop.doubled AFTER INSERT ON shop.late FOR EACH ROW INSERT INTO shop.plain VALUES (NEW.x); \
                     INSERT INTO shop.late VALUES (10)",
                );
            }
            if round % 2 == 1 {
                shop.server.sql("FLUSH BINARY LOGS");
            }
            shop.followed.tick();
            std::thread::sleep(Duration::from_millis(400));
        }
        shop.followed.catch_up(&shop.server);
        assert!(shop.server.logs().len() > 2);
        let all = committed(&shop.server);
        let (first, last) = (all[5].1, all[all.len() - 1].1);
        assert!(last - first >= 2, "it took some seconds");
        for at in [first + 1, (first + last) / 2, last] {
            let restored = shop.restored(second(at)).expect("restores");
            assert_eq!(shop.ids(&restored), before(&all, at), "at {at}");
        }
        // A moment within a second is the beginning of that second.
        let within = Until::Time(Time::from_micros((last - 1) * 1_000_000 + 900_000));
        let restored = shop.restored(within).expect("restores");
        assert_eq!(shop.ids(&restored), before(&all, last - 1));
        let rungs = shop.compare(&restored);
        assert_green(&rungs);
        let names: Vec<&str> = rungs.iter().map(|r| r.name.as_str()).collect();
        assert_eq!(
            names,
            ["opens", "position", "moment", "tokens", "checksums"]
        );

        // All of it.
        let restored = shop.restored(Until::End).expect("restores");
        assert_green(&shop.compare(&restored));
        let served = MariaDb::on_copy_of(&restored.place.join("data"));
        for query in [
            "SELECT * FROM shop.t ORDER BY id",
            "SELECT x FROM shop.late ORDER BY x",
            "SELECT id FROM shop.plain ORDER BY id",
            "SELECT User FROM mysql.user WHERE User = 'app'",
            "SHOW TABLES FROM shop",
            "SELECT token FROM vouchsafe.heartbeat ORDER BY chain",
        ] {
            assert_eq!(served.sql(query), shop.server.sql(query), "{query}");
        }

        // Beyond either end nothing is done.
        let beyond = shop.restored(second(last + 3600));
        assert!(
            matches!(beyond, Err(ReplayError::TooLate { .. })),
            "{beyond:?}"
        );
        let early = shop.restored(second(all[0].1 - 3600));
        assert!(
            matches!(early, Err(ReplayError::TooEarly { .. })),
            "{early:?}"
        );
    }
}

#[test]
fn a_position_and_a_transaction_of_a_binary_log_are_reached_exactly() {
    let mut shop = Shop::new(&[]);
    rows(&shop.server, 5);
    let (file, offset) = end_of_log(&shop.server);
    let gtid = shop.server.sql("SELECT @@gtid_binlog_pos");
    let there = ids(&shop.server);
    rows(&shop.server, 5);
    shop.followed.catch_up(&shop.server);
    for at in [offset, offset + 1] {
        let until = Until::Position(Position::File { file, offset: at });
        let restored = shop.restored(until).expect("restores");
        assert_eq!(shop.ids(&restored), there);
        assert_green(&shop.compare(&restored));
    }
    let mut parts = gtid.split('-').map(|n| n.parse::<u64>().expect("a number"));
    let mut next = || parts.next().expect("a part");
    let named = |domain: u64, server: u64, sequence| LoggedId::Gtid {
        domain: domain as u32,
        server: server as u32,
        sequence,
    };
    let (domain, number, sequence) = (next(), next(), next());
    let restored = shop
        .restored(Until::Transaction(named(domain, number, sequence)))
        .expect("restores");
    assert_eq!(shop.ids(&restored), there);
    let unknown = shop.restored(Until::Transaction(named(domain, number, 1_000_000)));
    assert!(unknown.is_err(), "{unknown:?}");
    let early = Until::Position(Position::File { file: 1, offset: 4 });
    let early = shop.restored(early);
    assert!(
        matches!(early, Err(ReplayError::TooEarly { .. })),
        "{early:?}"
    );
    let late = Until::Position(Position::File {
        file,
        offset: 1 << 30,
    });
    let late = shop.restored(late);
    assert!(matches!(late, Err(ReplayError::TooLate { .. })), "{late:?}");
}

#[test]
fn a_gap_in_a_binary_log_or_damage_to_it_is_never_crossed() {
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

    let mut dropped = whole.clone();
    dropped.pieces.remove(middle);
    let end = shop
        .restored_by(&dropped, Until::End, to("a"))
        .expect_err("a gap");
    assert!(end.to_string().contains("breaks off"), "{end}");

    let mut swapped = whole.clone();
    let last = swapped.pieces[middle + 1].1.clone();
    swapped.pieces[middle].1 = last;
    let end = shop
        .restored_by(&swapped, Until::End, to("b"))
        .expect_err("swapped");
    assert!(matches!(end, ReplayError::Broken { .. }), "{end}");

    let mut flipped = whole.clone();
    let bytes = &mut flipped.pieces[middle].1;
    let at = bytes.len() / 2;
    bytes[at] ^= 4;
    let end = shop
        .restored_by(&flipped, Until::End, to("c"))
        .expect_err("flipped");
    assert!(matches!(end, ReplayError::Broken { .. }), "{end}");

    // The log does not reach back to the base.
    let mut late = whole.clone();
    late.pieces
        .retain(|(cut, _)| cut.piece.span.from() != Position::File { file: 1, offset: 0 });
    let end = shop
        .restored_by(&late, Until::End, to("d"))
        .expect_err("its beginning is missing");
    assert!(matches!(end, ReplayError::NotCovered { .. }), "{end}");

    // The log of another server, which has files of the same numbers.
    let other = MariaDb::start(&[]);
    other.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id int AUTO_INCREMENT PRIMARY KEY, pad text, at datetime(6))");
    let mut foreign = Followed::begin(&other);
    rows(&other, 200);
    foreign.catch_up(&other);
    let end = shop
        .restored_by(&foreign.log, Until::End, to("e"))
        .expect_err("another server's");
    assert!(matches!(end, ReplayError::Broken { .. }), "{end}");
    foreign.follower.stop();
}

#[test]
fn a_base_is_found_in_the_log_that_was_begun_anew_and_in_the_old_one() {
    let mut shop = Shop::new(&[]);
    rows(&shop.server, 10);
    shop.followed.catch_up(&shop.server);
    let old = ids(&shop.server);
    shop.server.sql("RESET MASTER");
    rows(&shop.server, 3);
    shop.followed.follower.stop();
    shop.followed.begin_again(&shop.server);
    shop.followed.until("the gap", |f| !f.gaps.is_empty());
    shop.followed.catch_up(&shop.server);
    let url = shop.server.url("root", "").replace("/?", "?");
    let (captured, point) = common::wal::base(shop.world(), &url);
    rows(&shop.server, 10);
    shop.followed.catch_up(&shop.server);

    // The old base with the old log.
    let newest = LogReached {
        timeline: 1,
        to: shop.followed.gaps[0].from.expect("a place"),
    };
    assert!(
        shop.log()
            .reached()
            .is_some_and(|reached| newest.to < reached.to)
    );
    let restored = shop.restored(Until::End).expect("restores");
    assert_eq!(shop.ids(&restored), old);
    // The new base with the new log, and what each needs of it.
    let window = vouchsafe_capture::LogReader::window(shop.log()).expect("a window");
    let needed = |captured: &Captured| {
        let manifest = captured.manifest.as_ref().expect("a manifest");
        shop.source.log_needed_from(manifest, &window.runs)
    };
    assert_eq!(
        needed(&shop.captured),
        Some(Position::File { file: 1, offset: 0 })
    );
    assert!(needed(&captured).is_some());
    (shop.captured, shop.point) = (captured, point);
    let restored = shop.restored(Until::End).expect("restores");
    assert_eq!(shop.ids(&restored), ids(&shop.server));
    assert_green(&shop.compare(&restored));
}

#[test]
fn a_stop_of_mariadb_at_another_transaction_is_seen() {
    let mut shop = Shop::new(&[]);
    rows(&shop.server, 20);
    shop.followed.catch_up(&shop.server);
    let (file, offset) = end_of_log(&shop.server);
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
    log.around.before.push(one);
    assert_first_red(&shop.compare(&moved), "moment");

    // The token after the moment is missing.
    let mut moved = restored.clone();
    let log = moved.replayed.as_mut().expect("a log");
    assert!(log.tokens_beyond.len() > 1);
    log.tokens_beyond.remove(0);
    assert_first_red(&shop.compare(&moved), "tokens");

    // The log that the server was given ends elsewhere, or what it says of itself is gone.
    let given = restored.place.join("binlog");
    let given = common::sh(&given, "ls -d $PWD/binlog.* | tail -n 1");
    let bytes = std::fs::read(&given).expect("reads");
    let mut ends = Vec::new();
    let mut reader = vouchsafe_translog::binlog::BinlogReader::new(Default::default());
    let fed = reader.feed(&bytes, |record| {
        if matches!(record.meaning, BinlogMeaning::End(_)) {
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
}

/// Two that follow the log of one server have a chain each; of one of them the log may hold nothing between the base
/// and the moment. The table tells which token comes next.
#[test]
fn of_a_chain_without_a_token_since_the_base_the_table_of_mariadb_tells_what_comes_next() {
    let mut shop = Shop::new(&[]);
    let at = |count| Time::from_secs(1_800_000_000 + count);
    let mut other = vec![Token::first([9; 8], at(0))];
    for count in 1..4 {
        other.push(other[count - 1].next(at(count as i64)));
    }
    let beat = |server: &MariaDb, token: &Token| {
        server.sql(&format!(
            "INSERT INTO vouchsafe.heartbeat VALUES ('0909090909090909', 'vouchsafe {token}') \
             ON DUPLICATE KEY UPDATE token = VALUES(token)"
        ));
    };
    beat(&shop.server, &other[0]);
    shop.server.sql("FLUSH BINARY LOGS");
    let url = shop.server.url("root", "").replace("/?", "?");
    (shop.captured, shop.point) = common::wal::base(shop.world(), &url);
    let mut places = Vec::new();
    let mut note = |server: &MariaDb| {
        let (file, offset) = end_of_log(server);
        places.push(Until::Position(Position::File { file, offset }));
    };
    rows(&shop.server, 1);
    note(&shop.server);
    shop.followed.tick();
    rows(&shop.server, 1);
    note(&shop.server);
    for token in &other[1..3] {
        beat(&shop.server, token);
        rows(&shop.server, 1);
        note(&shop.server);
    }
    shop.followed.catch_up(&shop.server);
    for until in &places {
        let restored = shop.restored(*until).expect("restores");
        assert_green(&shop.compare(&restored));
    }
    let mut restored = shop.restored(places[1]).expect("restores");
    let log = restored.replayed.as_mut().expect("a log");
    let text = other[1].text().into_bytes();
    let before = log.tokens_beyond.len();
    log.tokens_beyond.retain(|token| *token != text);
    assert!(log.tokens_beyond.len() < before);
    let said = assert_first_red(&shop.compare(&restored), "tokens");
    assert!(said.contains("after token 0"), "{said}");
}

/// The same by an older base and a longer log as by a newer one and a shorter log.
#[test]
fn a_moment_of_mariadb_holds_the_same_by_whichever_base_and_a_changed_row_is_seen() {
    let mut shop = Shop::new(&[]);
    // A counter that no log tells of.
    shop.server.sql("CREATE USER teller@'%' IDENTIFIED BY 'x'; BEGIN; INSERT INTO shop.t (pad) VALUES ('never'); ROLLBACK");
    rows(&shop.server, 10);
    let url = shop.server.url("root", "").replace("/?", "?");
    let (captured, point) = common::wal::base(shop.world(), &url);
    rows(&shop.server, 10);
    shop.followed.catch_up(&shop.server);
    let (file, offset) = end_of_log(&shop.server);
    let until = Until::Position(Position::File { file, offset });
    let older = shop.restored(until).expect("restores");
    (shop.captured, shop.point) = (captured, point);
    let newer = shop.restored(until).expect("restores");
    let contents = |restored: &Restored| {
        let found = shop.source.contents(&shop.world().ctx(), restored);
        found.expect("digests").expect("a method")
    };
    let (one, two) = (contents(&older), contents(&newer));
    assert_eq!(one.differences(&two), []);
    for part in [
        "rows:`shop` t",
        "schema:`shop` table t",
        "grants:account teller@%",
    ] {
        assert!(one.entries.contains_key(part), "{part}: {one:#?}");
    }
    let ctx = shop.world().ctx();
    let spoiled = shop.source.alter(&ctx, &newer).expect("alters");
    let differences = contents(&older).differences(&contents(&newer));
    let parts: Vec<&str> = differences.iter().map(|d| d.part.as_str()).collect();
    assert!(
        parts.len() == 1 && parts[0].starts_with("rows:"),
        "{}: {parts:?}",
        spoiled.damage.detail
    );
}
