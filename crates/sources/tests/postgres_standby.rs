//! What a standby holds at a place of the log, and that it follows on whatever happens.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::common::wal::{base, ship};
use crate::common::{World, all_to};
use vouchsafe_capture::{CaptureContext, CaptureError, Progress, Source, Until};
use vouchsafe_model::SourceUrl;
use vouchsafe_sources::{PostgresStandby, Settings, StandbyHeld};
use vouchsafe_testkit::postgres::Postgres;

struct Pair {
    world: World,
    server: Postgres,
    standby: Postgres,
}

/// Does a deed where this phase begins for the first time.
struct At<'d>(&'static str, Mutex<Option<&'d (dyn Fn() + Sync)>>);

impl Progress for At<'_> {
    fn phase(&self, name: &str, _total_items: Option<u64>, _total_bytes: Option<u64>) {
        if name == self.0
            && let Some(deed) = self.1.lock().expect("a lock").take()
        {
            deed();
        }
    }

    fn advance(&self, _items: u64, _bytes: u64) {}
}

fn url(server: &Postgres, user: &str) -> SourceUrl {
    let url = server.url("").replace("/?", "?");
    SourceUrl::parse(&url.replace("postgres@", &format!("{user}@"))).expect("a source")
}

impl Pair {
    fn new() -> Pair {
        let server = Postgres::start_with(
            &["--wal-segsize=1", "--data-checksums"],
            &["wal_keep_size=1GB", "full_page_writes=on"],
        );
        server.sql("CREATE TABLE t (id serial PRIMARY KEY, pad text)");
        let standby = server.standby();
        Pair {
            world: World::new(),
            server,
            standby,
        }
    }

    fn opened(&self, user: &str) -> PostgresStandby {
        let own = url(&self.server, user);
        let standby = url(&self.standby, user);
        let standby = PostgresStandby::open(&standby, (&own, None), Path::new("/nowhere"));
        standby.expect("opens")
    }

    fn hold(&self, user: &str) -> Result<StandbyHeld, CaptureError> {
        self.opened(user).hold(&self.world.ctx())
    }

    /// The same, and `deed` is done as soon as the replay goes on, before any row is read.
    fn hold_while(&self, deed: &(dyn Fn() + Sync)) -> Result<StandbyHeld, CaptureError> {
        let at = At("digest the rows", Mutex::new(Some(deed)));
        let ctx = CaptureContext {
            progress: &at,
            ..self.world.ctx()
        };
        let held = self.opened("postgres").hold(&ctx);
        assert!(at.1.lock().expect("a lock").is_none(), "it was done");
        held
    }

    fn is_paused(&self) -> bool {
        self.standby.sql("SELECT pg_get_wal_replay_pause_state()") == "paused"
    }

    /// Until the standby replays nothing because somebody reads, or has replayed everything.
    fn stuck_or_through(&self) -> bool {
        let all = self.server.sql("SELECT pg_current_wal_insert_lsn()");
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'startup' AND wait_event = 'relation'";
        let through = format!("SELECT pg_last_wal_replay_lsn() >= '{all}'");
        let begun = Instant::now();
        loop {
            if self.standby.sql(waits) == "1" {
                return true;
            }
            if self.standby.sql(&through) == "t" {
                return false;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "it goes on");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Until the standby has all that the server has.
    fn followed(&self) {
        let begun = Instant::now();
        let all = self.server.sql("SELECT count(*) FROM t");
        while self.standby.sql("SELECT count(*) FROM t") != all {
            assert!(begun.elapsed() < Duration::from_secs(60), "it follows");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn goes_on(&self) {
        assert_eq!(
            self.standby.sql("SELECT pg_get_wal_replay_pause_state()"),
            "not paused"
        );
        self.server.sql("INSERT INTO t (pad) VALUES ('more')");
        self.followed();
        let left = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%FROM pg_sleep(%' AND pid <> pg_backend_pid()";
        assert_eq!(self.standby.sql(left), "0", "nothing waits there");
    }
}

#[test]
fn what_a_standby_held_is_what_a_restore_to_that_place_holds() {
    let pair = Pair::new();
    pair.server.sql(
        "CREATE SEQUENCE s; SELECT nextval('s'); CREATE UNLOGGED TABLE u AS SELECT 1; SELECT lo_from_bytea(0, 'large')",
    );
    pair.server.sql("CREATE DATABASE second");
    pair.server.sql_in(
        "second",
        "CREATE TABLE t2 AS SELECT generate_series(1, 50) AS n",
    );
    let own = url(&pair.server, "postgres");
    let source = vouchsafe_sources::open(&own, &Settings::below(Path::new("/nowhere")));
    let source: Box<dyn Source> = source.expect("opens");
    let (_, point) = base(&pair.world, &pair.server.url("").replace("/?", "?"));
    for round in 0..3 {
        pair.server.sql(&format!(
            "INSERT INTO t (pad) SELECT 'x' FROM generate_series(1, 50); SELECT nextval('s'); \
             BEGIN; INSERT INTO t (pad) VALUES ('never'); ROLLBACK; DELETE FROM t WHERE id % 7 = {round}"
        ));
        pair.followed();
        let held = pair.hold("postgres").expect("holds");
        pair.goes_on();
        let shipped = ship(&pair.server, &[1]);
        let to = pair.world.path(&format!("served-{round}"));
        let (ctx, until) = (pair.world.ctx(), Until::Position(held.position));
        let fetched = source
            .fetch_log(&ctx, &point, &shipped.log(), until, &to)
            .expect("fetches");
        assert_eq!(fetched.target.end, held.position);
        let restored = source
            .replay(&ctx, &point, &all_to(&to), fetched, false)
            .expect("restores");
        let contents = source.contents(&ctx, &restored).expect("digests");
        let contents = contents.expect("a method");
        assert_eq!(contents.differences(&held.contents), []);
        assert!(
            contents.entries.contains_key("rows:\"second\" public.t2"),
            "{contents:#?}"
        );
        assert!(!contents.entries.contains_key("rows:\"postgres\" public.u"));
        // One row more or less is seen.
        source.alter(&ctx, &restored).expect("alters");
        let altered = source.contents(&ctx, &restored).expect("digests");
        assert!(
            !altered
                .expect("a method")
                .differences(&held.contents)
                .is_empty()
        );
    }
}

#[test]
fn a_standby_that_cannot_be_held_is_left_as_it_was() {
    let pair = Pair::new();
    let refused = |user: &str, word: &str| {
        let error = pair.hold(user).expect_err("refused").to_string();
        assert!(error.contains(word), "{error}");
    };
    // Without the right to pause, and without that to read.
    pair.server.sql(
        "CREATE ROLE teller LOGIN; CREATE TABLE hidden (x int); INSERT INTO t (pad) VALUES ('x')",
    );
    pair.followed();
    refused(
        "teller",
        "may not call pg_wal_replay_pause() and pg_wal_replay_resume()",
    );
    // With one of the rights it is not paused either: nobody could resume it.
    pair.server.sql(
        "GRANT EXECUTE ON FUNCTION pg_wal_replay_pause() TO teller; INSERT INTO t (pad) VALUES ('w')",
    );
    pair.followed();
    refused("teller", "may not call pg_wal_replay_resume()");
    pair.goes_on();
    pair.server.sql(
        "GRANT EXECUTE ON FUNCTION pg_wal_replay_pause(), pg_wal_replay_resume() TO teller; \
         INSERT INTO t (pad) VALUES ('y')",
    );
    pair.followed();
    refused("teller", "permission denied");
    pair.goes_on();
    pair.server
        .sql("GRANT pg_read_all_data TO teller; INSERT INTO t (pad) VALUES ('z')");
    pair.followed();
    let held = pair.hold("teller");
    assert!(held.is_ok(), "{held:?}");
    pair.goes_on();
    // Somebody else's pause is not ended by us.
    pair.standby.sql("SELECT pg_wal_replay_pause()");
    refused("postgres", "paused already");
    assert_eq!(pair.standby.sql("SELECT pg_is_wal_replay_paused()"), "t");
    pair.standby.sql("SELECT pg_wal_replay_resume()");
    // What follows nobody is none.
    let own = url(&pair.server, "postgres");
    let itself = PostgresStandby::open(&own, (&own, None), Path::new("/nowhere")).expect("opens");
    let error = itself.hold(&pair.world.ctx()).expect_err("refused");
    assert!(error.to_string().contains("no standby"), "{error}");
}

#[test]
fn rows_are_as_they_were_also_where_a_table_is_emptied_or_rewritten_meanwhile() {
    let pair = Pair::new();
    pair.server.sql(
        "INSERT INTO t (pad) SELECT 'x' FROM generate_series(1, 50); \
         CREATE TABLE n AS SELECT generate_series(1, 30) AS n; \
         CREATE MATERIALIZED VIEW m AS SELECT count(*) AS c FROM t",
    );
    for deed in [
        "TRUNCATE t",
        "REFRESH MATERIALIZED VIEW m",
        "ALTER TABLE n ALTER COLUMN n TYPE bigint",
        "DROP TABLE n",
    ] {
        pair.server.sql("INSERT INTO t (pad) VALUES ('more')");
        pair.followed();
        let before = pair.hold("postgres").expect("holds");
        let stuck = Mutex::new(false);
        let held = pair.hold_while(&|| {
            pair.server.sql(deed);
            *stuck.lock().expect("a lock") = pair.stuck_or_through();
        });
        let held = held.expect("holds");
        assert_eq!(before.contents.differences(&held.contents), [], "{deed}");
        assert!(stuck.into_inner().expect("a lock"), "{deed}: replay waits");
        pair.goes_on();
        let after = pair.hold("postgres").expect("holds");
        assert!(
            !held.contents.differences(&after.contents).is_empty(),
            "{deed}: it is seen later"
        );
    }

    // Where replay may not wait for us, we are ended, and it is said.
    pair.standby
        .sql("ALTER SYSTEM SET max_standby_streaming_delay = 0");
    pair.standby.sql("SELECT pg_reload_conf()");
    let held = pair.hold_while(&|| {
        pair.server.sql("TRUNCATE t");
        assert!(!pair.stuck_or_through());
    });
    let error = held.expect_err("ended").to_string();
    assert!(error.contains("max_standby_streaming_delay"), "{error}");
    pair.goes_on();
}

#[test]
fn what_a_transaction_has_locked_that_goes_on_keeps_no_standby_paused() {
    let pair = Pair::new();
    pair.server.sql("INSERT INTO t (pad) VALUES ('x')");
    pair.followed();
    let mut open = pair.server.client("psql");
    open.args(["-XAtq", "-d", "postgres", "-c"]);
    open.arg(
        "BEGIN; TRUNCATE t; SELECT txid_current(); SELECT pg_switch_wal(); SELECT pg_sleep(600)",
    );
    let mut open = open.stdout(Stdio::null()).spawn().expect("psql runs");
    let begun = Instant::now();
    let locked = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted";
    while pair.standby.sql(locked) == "0" {
        assert!(begun.elapsed() < Duration::from_secs(60), "it is replayed");
        std::thread::sleep(Duration::from_millis(20));
    }
    let begun = Instant::now();
    let held = pair.hold("postgres");
    let took = begun.elapsed();
    open.kill().expect("it can be ended");
    open.wait().expect("it ends");
    pair.server
        .sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND pid <> pg_backend_pid()");
    let error = held.expect_err("refused").to_string();
    assert!(error.contains("lock timeout"), "{error}");
    assert!(took < PostgresStandby::LONGEST / 2);
    pair.goes_on();
}

/// Whoever is started with this in its environment holds the standby named there, and waits while that is paused.
const HOLDS: &str = "VOUCHSAFE_TEST_HOLDS_STANDBY";
const LONGEST: Duration = Duration::from_secs(6);

fn holds_for_ever(standby: &str) {
    let standby = SourceUrl::parse(standby).expect("a source");
    let standby = PostgresStandby::open(&standby, (&standby, None), Path::new("/nowhere"));
    let wait = || loop {
        std::thread::sleep(Duration::from_secs(60));
    };
    let at = At("digest the schema", Mutex::new(Some(&wait)));
    let world = World::new();
    let ctx = CaptureContext {
        progress: &at,
        ..world.ctx()
    };
    let held = standby.expect("opens").paused_at_most(LONGEST).hold(&ctx);
    panic!("it was held: {held:?}");
}

#[test]
fn a_standby_goes_on_where_whoever_paused_it_was_killed() {
    if let Ok(standby) = env::var(HOLDS) {
        return holds_for_ever(&standby);
    }
    let pair = Pair::new();
    // A server that looks whether its clients are there would end what waits for one that is not.
    pair.server.sql(
        "ALTER ROLE postgres SET client_connection_check_interval = '50ms'; INSERT INTO t (pad) VALUES ('x')",
    );
    pair.followed();
    let standby = pair.standby.url("").replace("/?", "?");
    let name = "postgres_standby::a_standby_goes_on_where_whoever_paused_it_was_killed";
    let mut killed = Command::new(env::current_exe().expect("a program"));
    killed.args(["--exact", name, "--nocapture"]);
    killed.env(HOLDS, &standby).stdout(Stdio::null());
    // What it leaves behind goes with what is ours.
    killed.env("TMPDIR", pair.world.dir.path());
    let mut killed = killed.spawn().expect("starts");
    let begun = Instant::now();
    while !pair.is_paused() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it is paused");
        assert!(matches!(killed.try_wait(), Ok(None)), "it still holds");
        std::thread::sleep(Duration::from_millis(20));
    }
    killed.kill().expect("it can be killed");
    killed.wait().expect("it ends");
    let killed = Instant::now();
    // Long enough that the server has looked for it many times.
    std::thread::sleep(LONGEST / 4);
    assert!(pair.is_paused(), "nobody has resumed it yet");
    while pair.is_paused() {
        assert!(killed.elapsed() < LONGEST * 3, "it is resumed by itself");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(killed.elapsed() < LONGEST + LONGEST / 2);
    pair.goes_on();
}
