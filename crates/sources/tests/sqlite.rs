//! The kind `sqlite` on real databases.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::{self, Memory, World, all_to, assert_first_red, assert_green, open};
use rusqlite::Connection;
use vouchsafe_capture::{CaptureError, RestoreRequest, TreePath};
use vouchsafe_model::SourceUrl;
use vouchsafe_sources::Settings;

const SHOP: &str = "
    CREATE TABLE customers(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, balance REAL CHECK(balance >= 0));
    CREATE TABLE orders(id INTEGER PRIMARY KEY AUTOINCREMENT, customer INTEGER REFERENCES customers, note, doc BLOB,
                        total INTEGER GENERATED ALWAYS AS (length(doc)) VIRTUAL, twice INTEGER AS (customer * 2) STORED);
    CREATE TABLE settings(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
    CREATE TABLE \"odd \"\"name\"(rowid TEXT, \"a b\");
    CREATE TABLE \"nothing\"(x);
    CREATE INDEX by_customer ON orders(customer);
    CREATE VIEW totals AS SELECT customer, count(*) FROM orders GROUP BY customer;
    CREATE TRIGGER loud AFTER UPDATE ON orders BEGIN INSERT INTO \"nothing\" VALUES (1); END;
    CREATE VIRTUAL TABLE search USING fts5(body);
    INSERT INTO customers VALUES (1, 'ann', 10.5), (2, 'bob', 0);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
        INSERT INTO orders(customer, note, doc) SELECT 1 + i % 2, 'order ' || i, randomblob(i % 700) FROM n;
    INSERT INTO settings VALUES ('a', 1), ('b', '1'), ('c', NULL), ('d', X'31');
    INSERT INTO \"odd \"\"name\" VALUES ('r', 1.0), (NULL, 'x');
    INSERT INTO search VALUES ('the quick brown fox'), ('jumps over');
    PRAGMA user_version = 42;
";

fn shop(world: &World, mode: &str) -> String {
    let path = world.path("shop.db");
    let db = Connection::open(&path).expect("opens");
    db.execute_batch(&format!("PRAGMA journal_mode = {mode}; {SHOP}"))
        .expect("fills");
    format!("sqlite:{}", path.display())
}

#[test]
fn it_conforms_in_wal_mode() {
    let world = World::new();
    let url = shop(&world, "WAL");
    common::conformance::conforms(&world, &url, "target.db");
}

#[test]
fn the_policys_own_queries_are_asked_of_the_restored_database() {
    let world = World::new();
    let url = SourceUrl::parse(&shop(&world, "WAL")).expect("a source");
    let checked = |check: &str| {
        let checks = ["SELECT 1".to_owned(), check.to_owned()];
        let settings = Settings {
            checks: &checks,
            ..Settings::below(Path::new("/nowhere"))
        };
        vouchsafe_sources::open(&url, &settings).expect("opens")
    };
    let good = checked("SELECT count(*) = 500 FROM orders");
    let (captured, point) = world.capture(good.as_ref());
    let restored = world.restore(good.as_ref(), &point, &world.path("checked.db"));
    let rungs = world.compare(good.as_ref(), &restored, &captured, &point);
    assert_green(&rungs);
    assert_eq!(rungs.last().map(|r| r.name.as_str()), Some("checks"));
    for bad in [
        "SELECT count(*) > 500 FROM orders",
        "SELECT NULL",
        "SELECT 1, 2",
        "DELETE FROM orders RETURNING 1",
    ] {
        let source = checked(bad);
        let rungs = world.compare(source.as_ref(), &restored, &captured, &point);
        let said = assert_first_red(&rungs, "checks");
        assert!(said.contains(bad), "{said}");
    }
}

#[test]
fn it_conforms_in_rollback_mode() {
    let world = World::new();
    let url = shop(&world, "DELETE");
    common::conformance::conforms(&world, &url, "target.db");
}

#[test]
fn all_tables_are_digested_and_the_original_is_not_changed() {
    let world = World::new();
    let source = open(&shop(&world, "DELETE"));
    let before = fs::read(world.path("shop.db")).expect("reads");
    let (captured, point) = world.capture(source.as_ref());
    assert_eq!(fs::read(world.path("shop.db")).expect("reads"), before);
    let leftovers: Vec<_> = fs::read_dir(world.state()).expect("lists").collect();
    assert_eq!(leftovers.len(), 0, "the copy is gone: {leftovers:?}");
    assert_eq!(point.paths(), ["/shop.db"]);
    let manifest = captured.manifest.expect("a manifest");
    assert_eq!(manifest.method, "sqlite-rows/1");
    let count = |key: &str| manifest.entries.get(key).and_then(|e| e.count);
    assert_eq!(count("table:orders"), Some(500));
    assert_eq!(count("table:settings"), Some(4));
    assert_eq!(count("table:odd \"name"), Some(2));
    assert_eq!(count("table:nothing"), Some(0));
    assert_eq!(count("table:search_content"), Some(2));
    assert_eq!(count("foreign-keys"), Some(0));
    assert!(
        !manifest.entries.contains_key("table:search"),
        "a virtual table has no rows of its own"
    );
    assert_eq!(manifest.taken_at, captured.content_time);
}

/// A writer that adds a row and a checksum row in one transaction, as fast as it can.
fn under_writers(mode: &str, pause: std::time::Duration) {
    let world = World::new();
    let path = world.path("busy.db");
    let db = Connection::open(&path).expect("opens");
    db.execute_batch(&format!(
        "PRAGMA journal_mode = {mode}; CREATE TABLE a(x BLOB); CREATE TABLE b(n INTEGER); INSERT INTO b VALUES (0);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000)
            INSERT INTO a SELECT randomblob(1000) FROM n; UPDATE b SET n = 12000"
    ))
    .expect("fills");
    drop(db);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let db = Connection::open(&path).expect("opens");
            db.busy_timeout(std::time::Duration::from_secs(30)).expect("sets");
            let mut written = 0;
            while !stop.load(Ordering::Relaxed) {
                db.execute_batch("BEGIN IMMEDIATE; INSERT INTO a VALUES (randomblob(1000)); UPDATE b SET n = n + 1; COMMIT")
                    .expect("writes");
                written += 1;
                std::thread::sleep(pause);
            }
            written
        });
        let source = open(&format!("sqlite:{}", path.display()));
        for round in 0..3 {
            let (captured, point) = world.capture(source.as_ref());
            assert_eq!(point.issues, []);
            let restored = world.restore(
                source.as_ref(),
                &point,
                &world.path(&format!("copy-{round}.db")),
            );
            assert_green(&world.compare(source.as_ref(), &restored, &captured, &point));
            let copy = Connection::open(&restored.place).expect("opens");
            let sql = "SELECT (SELECT count(*) FROM a) - n FROM b";
            let torn: i64 = copy.query_row(sql, [], |row| row.get(0)).expect("reads");
            assert_eq!(torn, 0, "half a transaction was captured");
        }
        stop.store(true, Ordering::Relaxed);
        assert!(
            writer.join().expect("no panic") > 3,
            "the writer was held up all the time"
        );
    });
}

#[test]
fn a_busy_wal_database_is_captured_at_one_moment() {
    under_writers("WAL", std::time::Duration::ZERO);
}

#[test]
fn a_busy_rollback_database_is_captured_at_one_moment() {
    under_writers("DELETE", std::time::Duration::from_millis(1));
}

#[test]
fn what_is_only_in_the_log_is_captured() {
    let world = World::new();
    let url = shop(&world, "WAL");
    let keep = Connection::open(world.path("shop.db")).expect("opens");
    keep.execute_batch(
        "PRAGMA wal_autocheckpoint = 0; INSERT INTO \"nothing\" VALUES ('in the log')",
    )
    .expect("writes");
    let source = open(&url);
    let (captured, point) = world.capture(source.as_ref());
    let restored = world.restore(source.as_ref(), &point, &world.path("copy.db"));
    assert_green(&world.compare(source.as_ref(), &restored, &captured, &point));
    let copy = Connection::open(&restored.place).expect("opens");
    let found: String = copy
        .query_row("SELECT x FROM \"nothing\"", [], |row| row.get(0))
        .expect("reads");
    assert_eq!(found, "in the log");
    drop(keep);
}

#[test]
fn a_database_that_stays_locked_is_an_error_that_says_so() {
    let world = World::new();
    let url = shop(&world, "DELETE");
    let locker = Connection::open(world.path("shop.db")).expect("opens");
    locker.execute_batch("BEGIN EXCLUSIVE").expect("locks");
    // A clock on which waiting takes no time.
    let clock = vouchsafe_host::ManualClock::new(vouchsafe_model::Time::from_secs(0));
    let ctx = vouchsafe_capture::CaptureContext {
        clock: &clock,
        ..world.ctx()
    };
    let error = open(&url)
        .capture(&ctx, &mut Memory::default())
        .expect_err("locked");
    assert!(error.to_string().contains("lock"), "{error}");
}

#[test]
fn each_damage_reddens_its_rung() {
    type Damage = fn(&Path);
    fn sql(path: &Path, text: &str) {
        Connection::open(path)
            .expect("opens")
            .execute_batch(text)
            .expect("runs");
    }
    let damages: [(&str, &str, Damage); 12] = [
        ("opens", "", |p| {
            fs::write(
                p,
                "not a database at all, but long enough to be read as one",
            )
            .expect("writes")
        }),
        ("opens", "", |p| fs::remove_file(p).expect("removes")),
        ("opens", "", |p| {
            let mut bytes = fs::read(p).expect("reads");
            let at = bytes.len() / 2;
            bytes[at..at + 3000].fill(0x5a);
            fs::write(p, bytes).expect("writes");
        }),
        ("schema", "schema: expected", |p| {
            sql(p, "CREATE TABLE extra(x)")
        }),
        ("schema", "schema: expected", |p| {
            sql(p, "DROP TRIGGER loud")
        }),
        ("schema", "schema: expected", |p| {
            sql(p, "PRAGMA user_version = 43")
        }),
        ("content", "table:orders", |p| {
            sql(p, "DELETE FROM orders WHERE id = 77")
        }),
        ("content", "table:settings", |p| {
            sql(p, "UPDATE settings SET value = 1 WHERE key = 'b'")
        }),
        ("content", "table:odd \"name", |p| {
            sql(
                p,
                "UPDATE \"odd \"\"name\" SET \"a b\" = 1 WHERE _rowid_ = 1",
            )
        }),
        ("content", "table:search_content", |p| {
            sql(p, "DELETE FROM search WHERE search MATCH 'fox'")
        }),
        ("content", "foreign-keys", |p| {
            sql(
                p,
                "PRAGMA foreign_keys = OFF; UPDATE orders SET customer = 99 WHERE id = 1",
            )
        }),
        ("content", "table:nothing", |p| {
            sql(p, "INSERT INTO \"nothing\" VALUES (NULL)")
        }),
    ];
    let world = World::new();
    let source = open(&shop(&world, "DELETE"));
    let (captured, point) = world.capture(source.as_ref());
    for (number, (rung, expected, damage)) in damages.iter().enumerate() {
        let restored = world.restore(
            source.as_ref(),
            &point,
            &world.path(&format!("d{number}.db")),
        );
        damage(&restored.place);
        let actual = assert_first_red(
            &world.compare(source.as_ref(), &restored, &captured, &point),
            rung,
        );
        assert!(actual.contains(expected), "{expected} in {actual}");
    }
    let restored = world.restore(source.as_ref(), &point, &world.path("no-manifest.db"));
    let rungs = source
        .compare(&world.ctx(), &restored, None, &point)
        .expect("compares");
    assert_first_red(&rungs, "schema");
}

#[test]
fn spoiling_finds_something_in_every_database() {
    let cases = [
        ("CREATE TABLE t(x INTEGER PRIMARY KEY)", "content"),
        (
            "CREATE TABLE t(x NOT NULL); INSERT INTO t VALUES (NULL + 1)",
            "",
        ),
        (
            "CREATE TABLE t(x CHECK (x = 5)); INSERT INTO t VALUES (5)",
            "content",
        ),
        (
            "CREATE TABLE t(k TEXT PRIMARY KEY, v BLOB) WITHOUT ROWID; INSERT INTO t VALUES ('k', X'00')",
            "content",
        ),
        (
            "CREATE TABLE t(x INTEGER) STRICT; INSERT INTO t VALUES (9223372036854775807)",
            "content",
        ),
        (
            "CREATE TABLE t(a UNIQUE, b); INSERT INTO t VALUES (1, NULL), (2, NULL)",
            "content",
        ),
        ("", "schema"),
    ];
    for (sql, must_redden) in cases {
        let world = World::new();
        let db = Connection::open(world.path("t.db")).expect("opens");
        // One of the cases is no valid database on purpose: its insert fails.
        if db.execute_batch(sql).is_err() {
            assert_eq!(must_redden, "");
            continue;
        }
        drop(db);
        let source = open(&format!("sqlite:{}", world.path("t.db").display()));
        let (captured, point) = world.capture(source.as_ref());
        let restored = world.restore(source.as_ref(), &point, &world.path("copy.db"));
        let spoiled = source.spoil(&world.ctx(), &restored).expect("spoils");
        assert_eq!(spoiled.damage.must_redden, must_redden, "{sql}");
        assert_first_red(
            &world.compare(source.as_ref(), &restored, &captured, &point),
            must_redden,
        );
    }
}

#[test]
fn a_restore_goes_to_a_file_or_into_a_directory_and_never_over_data() {
    let world = World::new();
    let source = open(&shop(&world, "WAL"));
    let (_, point) = world.capture(source.as_ref());
    fs::create_dir(world.path("dir")).expect("a directory");
    let restored = world.restore(source.as_ref(), &point, &world.path("dir"));
    assert_eq!(restored.place, world.path("dir/shop.db"));
    assert_eq!(
        world
            .restore(source.as_ref(), &point, &world.path("new/"))
            .place,
        world.path("new/shop.db")
    );

    // The log of another database must not be replayed into the restored one.
    fs::write(world.path("old.db-wal"), "a foreign log").expect("writes");
    let refused = source.restore(&world.ctx(), &point, &all_to(&world.path("old.db")));
    assert!(matches!(refused, Err(CaptureError::Target { .. })));
    fs::write(world.path("old.db"), "old").expect("writes");
    let forced = RestoreRequest {
        to: world.path("old.db"),
        include: None,
        force: true,
        form: Default::default(),
        compare: Default::default(),
    };
    assert_eq!(
        source
            .restore(&world.ctx(), &point, &forced)
            .expect("restores")
            .issues,
        []
    );
    assert!(!world.path("old.db-wal").exists());
    Connection::open(world.path("old.db"))
        .and_then(|c| c.execute_batch("SELECT * FROM orders"))
        .expect("a database");

    let refused = source.restore(&world.ctx(), &point, &all_to(&world.path("shop.db")));
    assert!(matches!(refused, Err(CaptureError::Target { .. })));
    assert!(
        source.owns(&world.path("shop.db"))
            && source.owns(world.dir.path())
            && !source.owns(&world.path("old.db"))
    );

    let include = Some(TreePath::parse(b"orders").expect("a path"));
    let part = RestoreRequest {
        to: world.path("part.db"),
        include,
        force: false,
        form: Default::default(),
        compare: Default::default(),
    };
    assert!(source.restore(&world.ctx(), &point, &part).is_err());
    let names = |dir: &str| -> Vec<String> {
        let list = fs::read_dir(world.path(dir)).expect("lists");
        list.map(|e| {
            e.expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect()
    };
    assert_eq!(names("dir"), ["shop.db"], "nothing temporary is left");
}

#[test]
fn a_wrong_byte_from_the_vault_is_seen() {
    let world = World::new();
    let source = open(&shop(&world, "DELETE"));
    let (captured, mut point) = world.capture(source.as_ref());
    point.fault = common::memory::Fault::WrongByte;
    // Both the place of the last byte and what it means depend on the database; here it is the end of a row.
    let restored = world.restore(source.as_ref(), &point, &world.path("copy.db"));
    let rungs = world.compare(source.as_ref(), &restored, &captured, &point);
    assert!(
        rungs
            .iter()
            .any(|r| r.outcome == vouchsafe_model::RungOutcome::Red),
        "{rungs:#?}"
    );
}

#[test]
fn what_is_no_database_is_refused_and_a_damaged_one_is_incomplete() {
    let world = World::new();
    fs::write(
        world.path("text.db"),
        "this is a text and no database, and it is long enough to tell",
    )
    .expect("writes");
    let url = |name: &str| format!("sqlite:{}", world.path(name).display());
    let error = open(&url("text.db"))
        .capture(&world.ctx(), &mut Memory::default())
        .expect_err("no database");
    assert!(error.to_string().contains("no SQLite database"), "{error}");
    let error = open(&url("absent.db"))
        .discover(&world.ctx())
        .expect_err("absent");
    assert!(
        error.to_string().contains("there is no database"),
        "{error}"
    );
    assert!(
        !world.path("absent.db").exists(),
        "looking does not create it"
    );

    shop(&world, "DELETE");
    let mut bytes = fs::read(world.path("shop.db")).expect("reads");
    let at = bytes.len() / 2;
    bytes[at..at + 6000].fill(0x5a);
    fs::write(world.path("shop.db"), bytes).expect("writes");
    let (_, point) = world.capture(open(&url("shop.db")).as_ref());
    assert!(
        !point.issues.is_empty(),
        "damage of the original makes the point incomplete"
    );
}

#[test]
fn the_sample_database_is_made_once() {
    let world = World::new();
    let path = world.path("sample.db");
    vouchsafe_sources::write_sample_database(&path).expect("makes it");
    let before = fs::read(&path).expect("reads");
    assert!(vouchsafe_sources::write_sample_database(&path).is_err());
    assert_eq!(fs::read(&path).expect("reads"), before);
    let source = open(&format!("sqlite:{}", path.display()));
    let (captured, _) = world.capture(source.as_ref());
    let manifest = captured.manifest.expect("a manifest");
    assert_eq!(manifest.entries["table:orders"].count, Some(20_000));
}
