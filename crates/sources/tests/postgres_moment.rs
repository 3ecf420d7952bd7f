//! A real server brought to moments in its past, by a base and its log.

use std::cell::RefCell;
use std::path::Path;

use crate::common::wal::{self, Shipped, base, ship};
use crate::common::{Point, World, all_to, assert_first_red};
use vouchsafe_capture::{Captured, FetchedLog, ReplayError, Restored, Source, Until};
use vouchsafe_format::fragment::Position;
use vouchsafe_model::{RungOutcome, SourceUrl, Span, Time};
use vouchsafe_sources::Settings;
use vouchsafe_testkit::postgres::Postgres;
use vouchsafe_translog::token::Token;

/// A server with rows that were committed one by one, its base, and its log.
struct Past {
    world: World,
    server: Postgres,
    url: String,
    captured: Captured,
    point: Point,
    token: RefCell<Token>,
}

const CLOCK: &str = "to_char(pg_xact_commit_timestamp(xmin) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";

impl Past {
    fn new() -> Past {
        Past::with("")
    }

    /// The same, where `sql` was run before the base.
    fn with(sql: &str) -> Past {
        let world = World::new();
        let server = wal::server();
        server.sql("CREATE TABLE t (id serial PRIMARY KEY, pad text); INSERT INTO t (pad) VALUES ('before the base')");
        if !sql.is_empty() {
            server.sql(sql);
        }
        let url = server.url("").replace("/?", "?");
        let (captured, point) = base(&world, &url);
        Past {
            world,
            server,
            url,
            captured,
            point,
            token: RefCell::new(Token::first([3; 8], Time::from_secs(1_800_000_000))),
        }
    }

    /// Rows, each in a transaction of its own, and tokens between them.
    fn rows(&self, count: usize) {
        let mut sql = String::new();
        for at in 0..count {
            if at % 10 == 0 {
                let token = self.token.borrow().clone();
                sql += &beat(&token);
                self.token
                    .replace(token.next(Time::from_secs(1_800_000_000)));
            }
            sql += "INSERT INTO t (pad) VALUES (repeat('x', 700));\n";
        }
        self.server.sql(&sql);
    }

    /// When the server itself says that each row was committed.
    fn committed(&self) -> Vec<(u64, Time)> {
        let rows = self
            .server
            .sql(&format!("SELECT id, {CLOCK} FROM t ORDER BY id"));
        let read = |row: &str| {
            let (id, time) = row.split_once('|').expect("two fields");
            (id.parse().expect("a number"), time.parse().expect("a time"))
        };
        rows.lines().map(read).collect()
    }

    fn source(&self, checks: &[String]) -> Box<dyn Source> {
        let url = SourceUrl::parse(&self.url).expect("a source");
        let settings = Settings {
            checks,
            ..Settings::below(Path::new("/nowhere"))
        };
        vouchsafe_sources::open(&url, &settings).expect("opens")
    }

    fn fetched(
        &self,
        shipped: &Shipped,
        until: Until,
        name: &str,
    ) -> Result<Restored, ReplayError> {
        let to = self.world.path(name);
        let (source, ctx) = (self.source(&[]), self.world.ctx());
        let fetched = source.fetch_log(&ctx, &self.point, &shipped.log(), until, &to)?;
        source.replay(&ctx, &self.point, &all_to(&to), fetched, true)
    }

    /// Restores, and holds the rows against those that were committed by then.
    fn has_exactly(&self, shipped: &Shipped, until: Until, ids: &[u64], name: &str) -> Restored {
        let restored = self.fetched(shipped, until, name).expect("restores");
        assert_eq!(restored.issues, []);
        let list: Vec<String> = ids.iter().map(u64::to_string).collect();
        let check = format!(
            "SELECT coalesce(string_agg(id::text, ',' ORDER BY id), '') = '{}' FROM t",
            list.join(",")
        );
        let source = self.source(&[check]);
        let rungs = self
            .world
            .compare(source.as_ref(), &restored, &self.captured, &self.point);
        for rung in &rungs {
            assert_eq!(
                rung.outcome,
                RungOutcome::Green,
                "{until}: {}: {}",
                rung.name,
                rung.actual
            );
        }
        for name in [
            "opens",
            "position",
            "moment",
            "tokens",
            "checksums",
            "checks",
        ] {
            assert!(rungs.iter().any(|rung| rung.name == name), "no {name}");
        }
        restored
    }
}

/// Commits a token.
fn beat(token: &Token) -> String {
    format!("SELECT pg_logical_emit_message(true, 'vouchsafe', '{token}');\n")
}

/// Those that were committed at or before a moment.
fn by(committed: &[(u64, Time)], until: Time) -> Vec<u64> {
    let there = committed.iter().filter(|(_, time)| *time <= until);
    there.map(|(id, _)| *id).collect()
}

/// Numbers that a seed gives, the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

#[test]
fn at_any_moment_exactly_what_was_committed_by_then_is_there() {
    let past = Past::new();
    for _ in 0..6 {
        past.rows(120);
        past.server.sql("SELECT pg_sleep(0.05)");
    }
    let committed = past.committed();
    let shipped = ship(&past.server, &[1]);
    assert!(shipped.wal.parts.len() > 10, "{}", shipped.wal.parts.len());
    let (first, newest) = (committed[1].1, committed.last().unwrap().1);
    let claimed = shipped.commits.last().unwrap().1;
    assert_eq!(newest, claimed);
    let mut numbers = Numbers(20_260_930);
    let mut moments: Vec<Time> = (0..9)
        .map(|_| {
            first.plus(Span::from_micros(
                numbers.below(newest.since(first).micros()),
            ))
        })
        .collect();
    // At a commit, right before it, and the newest that is claimed.
    moments.extend([
        committed[300].1,
        committed[300].1.minus(Span::from_micros(1)),
        newest,
    ]);
    for (count, moment) in moments.into_iter().enumerate() {
        let ids = by(&committed, moment);
        let restored = past.has_exactly(&shipped, Until::Time(moment), &ids, &format!("m{count}"));
        std::fs::remove_dir_all(restored.place).unwrap();
    }
    let all: Vec<u64> = committed.iter().map(|(id, _)| *id).collect();
    let restored = past.has_exactly(&shipped, Until::End, &all, "end");
    // The rung is one that can go red.
    let wrong = past.source(&["SELECT count(*) = 3 FROM t".to_owned()]);
    let rungs = past
        .world
        .compare(wrong.as_ref(), &restored, &past.captured, &past.point);
    assert_first_red(&rungs, "checks");

    let beyond = Until::Time(newest.plus(Span::from_secs(1)));
    let refused = past.fetched(&shipped, beyond, "beyond");
    assert!(
        matches!(refused, Err(ReplayError::TooLate { newest: Some(n), .. }) if n == newest),
        "{refused:?}"
    );
    let before = Until::Time(committed[0].1.minus(Span::from_secs(1)));
    let refused = past.fetched(&shipped, before, "before");
    assert!(
        matches!(refused, Err(ReplayError::TooEarly { .. })),
        "{refused:?}"
    );
    // Nothing is left of what was refused.
    assert!(!past.world.path("beyond").exists() && !past.world.path("before").exists());

    let (end, time) = shipped.commits[shipped.commits.len() - 100];
    let position = Until::Position(Position::Byte(end.0));
    let there = by(&committed, time);
    assert!(there.len() < all.len());
    past.has_exactly(&shipped, position, &there, "position");
}

/// Two that ship the log of one server have a chain each. At the beginning of the window one may have no token yet
/// between the base and the moment, at the end none after it.
#[test]
fn at_the_edges_of_the_window_and_between_any_two_tokens_of_two_chains_the_rungs_are_green() {
    let at = |count| Time::from_secs(1_800_000_000 + count);
    let mut own = vec![Token::first([4; 8], at(0))];
    let mut other = vec![Token::first([9; 8], at(0))];
    for count in 1..4 {
        own.push(own[count - 1].next(at(count as i64)));
        other.push(other[count - 1].next(at(count as i64)));
    }
    let past = Past::with(&beat(&other[0]));
    let row = "INSERT INTO t (pad) VALUES ('x');\n";
    for token in [&own[0], &own[1], &other[1], &own[2], &other[2]] {
        past.server.sql(&format!("{row}{}", beat(token)));
    }
    past.server.sql(row);
    let committed = past.committed();
    let shipped = ship(&past.server, &[1]);
    let first = committed[1].1;
    let moments = shipped.commits.iter().map(|(_, time)| *time);
    let moments: Vec<Time> = moments.filter(|time| first <= *time).collect();
    assert_eq!(moments.len(), 11, "rows and tokens");
    for (count, moment) in moments.iter().enumerate() {
        let ids = by(&committed, *moment);
        let name = format!("edge-{count}");
        let restored = past.has_exactly(&shipped, Until::Time(*moment), &ids, &name);
        std::fs::remove_dir_all(restored.place).unwrap();
    }
    // What is missing of either chain is seen as ever.
    let restored = past.has_exactly(
        &shipped,
        Until::Time(moments[3]),
        &by(&committed, moments[3]),
        "missing",
    );
    let source = past.source(&[]);
    for (from, to) in [(&own[2], &own[3]), (&other[2], &other[3])] {
        let mut wrong = restored.clone();
        let log = wrong.replayed.as_mut().expect("a log");
        let beyond = log.tokens_beyond.iter_mut();
        for text in beyond.filter(|text| **text == from.text().into_bytes()) {
            *text = to.text().into_bytes();
        }
        let rungs = past
            .world
            .compare(source.as_ref(), &wrong, &past.captured, &past.point);
        assert_first_red(&rungs, "tokens");
    }
}

#[test]
fn a_gap_in_the_log_or_damage_to_it_is_never_crossed() {
    let past = Past::new();
    past.rows(300);
    let committed = past.committed();
    let whole = ship(&past.server, &[1]);
    let newest = committed.last().unwrap().1;
    let middle = whole.wal.parts.len() - 3;
    let refused = |shipped: &Shipped, until: Time, name: &str| {
        let refused = past
            .fetched(shipped, Until::Time(until), name)
            .expect_err("refused");
        assert!(!past.world.path(name).exists());
        refused
    };
    // A piece is missing: what lies before it can be reached, what lies behind it cannot.
    let mut gap = whole.clone();
    gap.wal.parts.remove(middle);
    let error = refused(&gap, newest, "gap");
    let ReplayError::TooLate {
        newest: Some(reached),
        ..
    } = error
    else {
        panic!("{error:?}");
    };
    assert!(reached < newest);
    past.has_exactly(
        &gap,
        Until::Time(reached),
        &by(&committed, reached),
        "before-the-gap",
    );

    let mut flipped = whole.clone();
    let bytes = &mut flipped.wal.parts[middle].log;
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    let error = refused(&flipped, newest, "flipped");
    assert!(matches!(error, ReplayError::Broken { .. }), "{error:?}");

    let mut swapped = whole.clone();
    let (one, other) = (
        swapped.wal.parts[middle].log.clone(),
        swapped.wal.parts[middle - 1].log.clone(),
    );
    let length = one.len().min(other.len());
    swapped.wal.parts[middle].log[..length].copy_from_slice(&other[..length]);
    swapped.wal.parts[middle - 1].log[..length].copy_from_slice(&one[..length]);
    let error = refused(&swapped, newest, "swapped");
    assert!(matches!(error, ReplayError::Broken { .. }), "{error:?}");

    // The log begins after the base.
    let mut late = whole.clone();
    late.wal.parts.drain(..whole.wal.parts.len() - 2);
    let error = refused(&late, newest, "late");
    assert!(matches!(error, ReplayError::NotCovered { .. }), "{error:?}");

    // Another server's log.
    let other = Past::new();
    other.rows(300);
    let foreign = ship(&other.server, &[1]);
    let error = past
        .fetched(&foreign, Until::End, "foreign")
        .expect_err("refused");
    let ReplayError::Broken { message, .. } = &error else {
        panic!("{error:?}");
    };
    assert!(message.contains("written by system"), "{message}");
}

#[test]
fn a_change_of_timeline_is_followed_to_where_the_database_was_at_that_moment() {
    let mut past = Past::new();
    past.rows(50);
    let before = past.committed();
    past.server.sql("SELECT pg_switch_wal()");
    past.server.stop("INT");
    // Recovers to the end of its log, and goes on on a new timeline.
    past.server.place("recovery.signal", b"");
    past.server
        .place("postgresql.auto.conf", b"restore_command = 'false'\n");
    past.server.start_again();
    let promoted = past
        .server
        .sql("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')");
    past.rows(50);
    let after = past.committed();
    let shipped = ship(&past.server, &[1, 2]);
    let on_second = shipped
        .wal
        .parts
        .iter()
        .filter(|part| part.piece.timeline == 2)
        .count();
    assert!(on_second > 0);
    let promoted: Time = promoted.parse().unwrap();
    for (name, until) in [
        ("first", before[20].1),
        (
            "between",
            before.last().unwrap().1.plus(Span::from_millis(1)),
        ),
        ("second", after[80].1),
        ("newest", after.last().unwrap().1),
    ] {
        let ids = by(&after, until);
        let restored = past.has_exactly(&shipped, Until::Time(until), &ids, name);
        let target = restored.replayed.unwrap().target;
        let expected = if until < promoted { 1 } else { 2 };
        assert_eq!(target.timeline, expected, "{name}");
    }
    // Without its history the second timeline leads nowhere.
    let mut unknown = shipped.clone();
    unknown.histories.clear();
    let refused = past.fetched(&unknown, Until::Time(after[80].1), "unknown");
    assert!(
        matches!(refused, Err(ReplayError::TooLate { .. })),
        "{refused:?}"
    );
    // Nor is the end of the first one taken for the end of the log.
    let refused = past.fetched(&unknown, Until::End, "unknown");
    assert!(
        matches!(refused, Err(ReplayError::Broken { .. })),
        "{refused:?}"
    );
}

#[test]
fn a_stop_at_another_place_is_seen() {
    let past = Past::new();
    past.rows(60);
    let committed = past.committed();
    let shipped = ship(&past.server, &[1]);
    let (until, later) = (committed[40].1, committed[50].1);
    let ids = by(&committed, until);
    let restored = past.has_exactly(&shipped, Until::Time(until), &ids, "stopped");
    let source = past.source(&[]);
    // What would have to be there at a later moment, and what at an earlier one.
    let fetched = |until: Time, name: &str| {
        let to = past.world.path(name);
        let ctx = past.world.ctx();
        let log = shipped.log();
        let fetched = source.fetch_log(&ctx, &past.point, &log, Until::Time(until), &to);
        fetched.expect("fetches")
    };
    let sound = restored.replayed.clone().expect("a log");
    let (later, earlier) = (fetched(later, "later"), fetched(committed[30].1, "earlier"));
    let judged = |replayed: FetchedLog, rung: &str| {
        let wrong = Restored {
            replayed: Some(replayed),
            ..restored.clone()
        };
        let rungs = past
            .world
            .compare(source.as_ref(), &wrong, &past.captured, &past.point);
        assert_first_red(&rungs, rung)
    };
    for other in [&later, &earlier] {
        let said = judged(
            FetchedLog {
                target: other.target.clone(),
                ..sound.clone()
            },
            "position",
        );
        assert!(said.contains("stopped at"), "{said}");
        let said = judged(
            FetchedLog {
                around: other.around.clone(),
                ..sound.clone()
            },
            "moment",
        );
        assert!(said.contains("transaction"), "{said}");
    }
    // A token that comes next and leaves one out.
    let mut skipped = sound.clone();
    skipped.tokens_beyond.remove(0);
    judged(skipped, "tokens");
    // The files that were replayed are looked at.
    let mut names: Vec<_> = std::fs::read_dir(&sound.place)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.sort();
    let first = names.first().unwrap();
    let mut bytes = std::fs::read(first).unwrap();
    // In the first record, behind the page's header of 40 bytes.
    bytes[60] ^= 1;
    std::fs::write(first, bytes).unwrap();
    judged(sound, "tokens");
}

/// Restored from an older base and a longer log, and from a newer one and a shorter log, a moment holds the same, and
/// whatever is changed in one of them is seen.
#[test]
fn a_moment_holds_the_same_by_whichever_base_and_each_change_is_seen() {
    let mut past = Past::with(
        "CREATE ROLE teller; CREATE SEQUENCE s; CREATE UNLOGGED TABLE u AS SELECT 1; \
         SELECT lo_from_bytea(0, 'large'); CREATE TABLE p (id int, v text) PARTITION BY RANGE (id); \
         CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100); CREATE MATERIALIZED VIEW m AS SELECT 7 AS x",
    );
    past.server.sql("CREATE DATABASE second");
    past.rows(20);
    let (newer, point) = base(&past.world, &past.url);
    past.server.sql("INSERT INTO p VALUES (1, 'a'); SELECT nextval('s'); BEGIN; INSERT INTO p VALUES (2, 'b'); ROLLBACK");
    past.rows(20);
    let until = Until::Time(past.committed().last().unwrap().1);
    let shipped = ship(&past.server, &[1]);
    let older = past.fetched(&shipped, until, "older").expect("restores");
    (past.captured, past.point) = (newer, point);
    let newer = past.fetched(&shipped, until, "newer").expect("restores");
    let target = |restored: &Restored| restored.replayed.as_ref().expect("a log").target.end;
    assert_eq!(target(&older), target(&newer));
    let source = past.source(&[]);
    let contents = |restored: &Restored| {
        let found = source.contents(&past.world.ctx(), restored);
        found.expect("digests").expect("a method")
    };
    let (one, two) = (contents(&older), contents(&newer));
    assert_eq!(one.differences(&two), []);
    for part in [
        "rows:\"postgres\" public.t",
        "rows:\"postgres\" public.p1",
        "sequence:\"postgres\" public.s",
        "rows:\"postgres\" public.m",
        "large-objects:\"postgres\"",
        "schema:\"second\" database",
        "grants:role teller",
    ] {
        assert!(one.entries.contains_key(part), "{part}: {one:#?}");
    }
    let changed = |what: &str| {
        let differences = contents(&older).differences(&contents(&newer));
        let parts: Vec<String> = differences.into_iter().map(|d| d.part).collect();
        assert!(!parts.is_empty(), "{what} was not seen");
        parts
    };
    let spoiled = source.alter(&past.world.ctx(), &newer).expect("alters");
    let parts = changed(&spoiled.damage.detail);
    assert!(
        parts.len() == 1 && parts[0].starts_with("rows:\"postgres\" "),
        "{parts:?}"
    );
}
