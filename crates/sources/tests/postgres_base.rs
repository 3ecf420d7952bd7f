//! Whole PostgreSQL servers, by base backup, on a real one.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::{self, World, all_to, assert_first_red, assert_green, open};
use vouchsafe_capture::{CaptureError, Form, RestoreRequest};
use vouchsafe_model::{DigestManifest, Issue};
use vouchsafe_testkit::postgres::Postgres;

/// A server with two databases in it, and its URL.
fn served(initdb: &[&str]) -> (Postgres, String) {
    let server = Postgres::start_with(initdb, &[]);
    server.sql_in("postgres", "CREATE DATABASE shop; CREATE ROLE app LOGIN");
    server.sql_in(
        "shop",
        "CREATE TABLE orders AS SELECT n, repeat('x', 200) AS note FROM generate_series(1, 20000) n; \
         CREATE INDEX ON orders (n)",
    );
    let url = server.url("").replace("/?", "?");
    (server, url)
}

fn entry(manifest: &DigestManifest, key: &str) -> String {
    manifest
        .entries
        .get(key)
        .expect("it is noted")
        .digest
        .clone()
}

#[test]
fn a_busy_server_is_copied_and_comes_back_whole() {
    let world = World::new();
    let (server, url) = served(&["--data-checksums"]);
    let source = open(&url);
    let stop = AtomicBool::new(false);
    let (captured, point) = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                server.sql_in("shop", "UPDATE orders SET note = note || 'y' WHERE n % 10 = 0; INSERT INTO orders VALUES (0, 'busy')");
            }
        });
        let done = world.capture(source.as_ref());
        stop.store(true, Ordering::SeqCst);
        done
    });
    assert_eq!(point.issues, []);
    let manifest = captured.manifest.clone().expect("a manifest");
    assert_eq!(manifest.method, "postgres-base/1");
    let system = server.sql_in(
        "postgres",
        "SELECT system_identifier FROM pg_control_system()",
    );
    assert_eq!(entry(&manifest, "system"), system);
    assert!(entry(&manifest, "start").starts_with("1 0/"));
    assert_eq!(entry(&manifest, "checksums"), "true");

    let restored = world.restore(source.as_ref(), &point, &world.path("served"));
    assert_green(&world.compare(source.as_ref(), &restored, &captured, &point));
    // Once more, after it was opened.
    assert_green(&world.compare(source.as_ref(), &restored, &captured, &point));

    let again = source.restore(&world.ctx(), &point, &all_to(&restored.place));
    assert!(
        matches!(again, Err(CaptureError::Target { .. })),
        "{again:?}"
    );
    let files = RestoreRequest {
        form: Form::Files,
        ..all_to(&world.path("files"))
    };
    source
        .restore(&world.ctx(), &point, &files)
        .expect("restores");
    assert!(world.path("files/data/backup_label").is_file());
    assert!(world.path("files/data/global/pg_control").is_file());

    // What was noted of another moment or another server is not what this one is.
    for (key, wrong) in [("system", "1"), ("end", "1 FF/0"), ("end", "2 0/1")] {
        let mut other = captured.clone();
        let manifest = other.manifest.as_mut().expect("a manifest");
        manifest.entries.get_mut(key).expect("noted").digest = wrong.to_owned();
        let rungs = world.compare(source.as_ref(), &restored, &other, &point);
        assert_first_red(&rungs, "position");
    }
}

#[test]
fn damage_is_seen_with_checksums_and_without() {
    for (initdb, rung) in [(&["--data-checksums"][..], "checksums"), (&[][..], "opens")] {
        let world = World::new();
        let (_server, url) = served(initdb);
        let source = open(&url);
        let (captured, point) = world.capture(source.as_ref());
        let restored = world.restore(source.as_ref(), &point, &world.path("served"));
        assert_green(&world.compare(source.as_ref(), &restored, &captured, &point));
        let spoiled = source.spoil(&world.ctx(), &restored).expect("spoils");
        assert_eq!(spoiled.damage.must_redden, rung);
        let rungs = world.compare(source.as_ref(), &restored, &captured, &point);
        assert_first_red(&rungs, rung);
        // The damaged copy becomes a sound point, which is wrong.
        let parsed = vouchsafe_model::SourceUrl::parse(&url).expect("a source");
        let settings = vouchsafe_sources::Settings::below(std::path::Path::new("/nowhere"));
        let copy =
            vouchsafe_sources::open_copy(&parsed, &settings, &restored.place).expect("opens");
        let (_, wrong) = world.capture(copy.as_ref());
        let twin = world.restore(source.as_ref(), &wrong, &world.path("twin"));
        let rungs = world.compare(source.as_ref(), &twin, &captured, &wrong);
        assert_first_red(&rungs, rung);
    }
}

#[test]
fn a_file_that_is_not_the_servers_own_is_named() {
    let world = World::new();
    let (_server, url) = served(&[]);
    let source = open(&url);
    let (_, mut point) = world.capture(source.as_ref());
    point.fault = common::memory::Fault::WrongByte;
    let restored = source
        .restore(&world.ctx(), &point, &all_to(&world.path("wrong")))
        .expect("restores");
    let said = &restored.issues.first().expect("an issue").message;
    assert!(said.contains("pg_verifybackup: error"), "{said}");

    // The log is whole now, and a file of the data is not.
    point.fault = common::memory::Fault::None;
    point.damage("postgres/data/global/pg_filenode.map");
    let restored = source
        .restore(&world.ctx(), &point, &all_to(&world.path("another")))
        .expect("restores");
    let named = |issue: &Issue| {
        issue.place == "global/pg_filenode.map" && issue.message.contains("the server stated")
    };
    assert!(restored.issues.iter().any(named), "{:?}", restored.issues);
}

#[test]
fn what_cannot_be_copied_whole_is_refused() {
    let world = World::new();
    let (server, url) = served(&[]);
    server.sql_in("postgres", "CREATE ROLE plain LOGIN");
    let plain = open(&url.replace("postgres@", "plain@"));
    let refused = plain.capture(&world.ctx(), &mut common::Memory::default());
    let said = refused.expect_err("no replication").to_string();
    assert!(said.contains("REPLICATION"), "{said}");

    let elsewhere = server.directory("elsewhere");
    server.sql_in(
        "postgres",
        &format!("CREATE TABLESPACE other LOCATION '{}'", elsewhere.display()),
    );
    let refused = open(&url).capture(&world.ctx(), &mut common::Memory::default());
    let said = refused.expect_err("two tablespaces").to_string();
    assert!(said.contains("tablespace"), "{said}");
}
