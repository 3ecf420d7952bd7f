//! Whole PostgreSQL servers, read from their own data directory while they run.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::{Memory, World, assert_green};
use vouchsafe_capture::Source;
use vouchsafe_model::SourceUrl;
use vouchsafe_sources::{OpenSourceError, Settings};
use vouchsafe_testkit::postgres::Postgres;

fn served(initdb: &[&str]) -> Postgres {
    let server = Postgres::start_with(initdb, &[]);
    server.sql_in("postgres", "CREATE DATABASE shop; CREATE ROLE app LOGIN");
    server.sql_in(
        "shop",
        "CREATE TABLE orders AS SELECT n, repeat('x', 200) AS note FROM generate_series(1, 20000) n; \
         CREATE INDEX ON orders (n); CREATE UNLOGGED TABLE cache AS SELECT n FROM generate_series(1, 5000) n; \
         CHECKPOINT",
    );
    server
}

fn url(server: &Postgres) -> String {
    server.url("").replace("/?", "?")
}

fn reading(url: &str, directory: &Path) -> Box<dyn Source> {
    try_reading(url, directory).expect("opens")
}

fn try_reading(url: &str, directory: &Path) -> Result<Box<dyn Source>, OpenSourceError> {
    let url = SourceUrl::parse(url).expect("a source");
    let settings = Settings {
        data_directory: Some(directory),
        ..Settings::below(Path::new("/nowhere"))
    };
    vouchsafe_sources::open(&url, &settings)
}

fn refusal(world: &World, source: &dyn Source) -> String {
    let refused = source.capture(&world.ctx(), &mut Memory::default());
    refused.expect_err("is refused").to_string()
}

/// Where the rows of a table of `shop` lie.
fn file_of(server: &Postgres, table: &str) -> PathBuf {
    let sql = format!("SELECT pg_relation_filepath('{table}')");
    server.data().join(server.sql_in("shop", &sql))
}

#[test]
fn a_busy_server_is_read_and_comes_back_whole() {
    for initdb in [&["--data-checksums"][..], &[][..]] {
        let world = World::new();
        let server = served(initdb);
        let source = reading(&url(&server), &server.data());
        let stop = AtomicBool::new(false);
        let (captured, point) = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    server.sql_in(
                        "shop",
                        "UPDATE orders SET note = note || 'y' WHERE n % 10 = 0; \
                         CREATE TABLE short AS SELECT * FROM orders; TRUNCATE short; DROP TABLE short; \
                         CREATE TEMP TABLE t AS SELECT * FROM orders; VACUUM orders; CHECKPOINT",
                    );
                }
            });
            let done = world.capture(source.as_ref());
            stop.store(true, Ordering::SeqCst);
            done
        });
        assert_eq!(point.issues, []);
        let manifest = captured.manifest.clone().expect("a manifest");
        assert_eq!(manifest.method, "postgres-base/1");
        let left = server.sql_in(
            "postgres",
            "SELECT (SELECT count(*) FROM pg_replication_slots) || ' ' || pg_is_in_recovery()",
        );
        assert_eq!(left, "0 false", "nothing stays behind in the server");

        let restored = world.restore(source.as_ref(), &point, &world.path("served"));
        assert_green(&world.compare(source.as_ref(), &restored, &captured, &point));
        let data = restored.place.join("data");
        let rows = Postgres::on_copy_of(&data);
        assert_eq!(
            rows.sql_in("shop", "SELECT count(DISTINCT n) FROM orders"),
            "20000"
        );
        assert_eq!(
            rows.sql_in("shop", "SELECT count(*) FROM cache"),
            "0",
            "unlogged"
        );
    }
}

#[test]
fn both_ways_of_reading_make_the_same_base() {
    let world = World::new();
    let server = served(&["--data-checksums"]);
    let through = crate::common::open(&url(&server));
    let (_, asked) = world.capture(through.as_ref());
    let direct = reading(&url(&server), &server.data());
    let (_, read) = world.capture(direct.as_ref());
    let names = |point: &crate::common::Point| {
        let mut names: BTreeSet<String> = point.paths().into_iter().collect();
        // The log has moved on, statistics come and go, and a map of tablespaces that says nothing is not needed.
        names.retain(|name| {
            let moves = ["/pg_wal/", "/pg_stat/", "/tablespace_map"];
            !moves.iter().any(|part| name.contains(part))
        });
        names
    };
    let (read, asked) = (names(&read), names(&asked));
    let differ: Vec<_> = read.symmetric_difference(&asked).collect();
    assert!(differ.is_empty(), "{differ:?}");
    assert!(read.iter().any(|n| n.ends_with("/data/backup_manifest")));
}

#[test]
fn a_page_that_disk_has_damaged_is_named() {
    let world = World::new();
    let server = served(&["--data-checksums"]);
    let table = file_of(&server, "orders");
    let place = 7 * 8192 + 5000;
    let mut file = File::options()
        .read(true)
        .write(true)
        .open(&table)
        .expect("opens");
    let mut byte = [0];
    file.seek(SeekFrom::Start(place)).expect("is there");
    file.read_exact(&mut byte).expect("reads");
    file.seek(SeekFrom::Start(place)).expect("is there");
    file.write_all(&[byte[0] ^ 0xff]).expect("writes");
    let source = reading(&url(&server), &server.data());
    let said = refusal(&world, source.as_ref());
    let relative = table
        .strip_prefix(server.data())
        .expect("below")
        .display()
        .to_string();
    assert!(said.contains(&format!("in {relative}: 7")), "{said}");
    // Written anew, it is as it should be.
    file.seek(SeekFrom::Start(place)).expect("is there");
    file.write_all(&byte).expect("writes");
    world.capture(source.as_ref());
}

#[test]
fn the_directory_of_another_server_is_refused() {
    let world = World::new();
    let server = served(&[]);
    let other = Postgres::start();
    let said = refusal(&world, reading(&url(&server), &other.data()).as_ref());
    assert!(said.contains("is not the data directory of"), "{said}");
    // A copy of the same server, which has its identifier.
    let copy = world.path("copy");
    crate::common::sh(
        Path::new("/"),
        &format!("cp -a '{}' '{}'", server.data().display(), copy.display()),
    );
    let said = refusal(&world, reading(&url(&server), &copy).as_ref());
    assert!(said.contains("is not the data directory of"), "{said}");
    let said = refusal(
        &world,
        reading(&url(&server), &world.path("nothing")).as_ref(),
    );
    assert!(said.contains("pg_control"), "{said}");
    fs::remove_dir_all(&copy).expect("removes");
}

#[test]
fn what_may_not_be_asked_and_what_is_no_server_is_told() {
    let world = World::new();
    let server = served(&[]);
    server.sql_in("postgres", "CREATE ROLE plain LOGIN");
    let plain = url(&server).replace("postgres@", "plain@");
    let said = refusal(&world, reading(&plain, &server.data()).as_ref());
    assert!(said.contains("grant the user EXECUTE"), "{said}");
    // No superuser, and no slot, but what it takes.
    server.sql_in(
        "postgres",
        "GRANT EXECUTE ON FUNCTION pg_backup_start, pg_backup_stop TO plain",
    );
    let source = reading(&plain, &server.data());
    let (captured, point) = world.capture(source.as_ref());
    let restored = world.restore(source.as_ref(), &point, &world.path("served"));
    assert_green(&world.compare(source.as_ref(), &restored, &captured, &point));

    let one = try_reading(&server.url("shop"), &server.data());
    assert!(matches!(
        one,
        Err(OpenSourceError::DataDirectoryMeaningless { .. })
    ));

    let standby = server.standby();
    let said = refusal(&world, reading(&url(&standby), &standby.data()).as_ref());
    assert!(said.contains("is a standby"), "{said}");
    drop(standby);

    let elsewhere = server.directory("elsewhere");
    server.sql_in(
        "postgres",
        &format!("CREATE TABLESPACE other LOCATION '{}'", elsewhere.display()),
    );
    let said = refusal(&world, reading(&url(&server), &server.data()).as_ref());
    assert!(said.contains("tablespaces"), "{said}");
}
