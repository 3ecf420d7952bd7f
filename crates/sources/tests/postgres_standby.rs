//! What a standby holds at a place of the log, and that it follows on whatever happens.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::common::wal::{base, ship};
use crate::common::{World, all_to};
use vouchsafe_capture::{CaptureError, Source, Until};
use vouchsafe_model::SourceUrl;
use vouchsafe_sources::{PostgresStandby, Settings, StandbyHeld};
use vouchsafe_testkit::postgres::Postgres;

struct Pair {
    world: World,
    server: Postgres,
    standby: Postgres,
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

    fn hold(&self, user: &str) -> Result<StandbyHeld, CaptureError> {
        let own = url(&self.server, user);
        let standby = url(&self.standby, user);
        let standby = PostgresStandby::open(&standby, (&own, None), Path::new("/nowhere"));
        standby.expect("opens").hold(&self.world.ctx())
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
        let left = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(6%' AND pid <> pg_backend_pid()";
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
    refused("teller", "pg_wal_replay_pause");
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
