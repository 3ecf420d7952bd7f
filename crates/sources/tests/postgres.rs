//! The kind `postgres` on a real server.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::shop::Shop;
use crate::common::{self, World, all_to, assert_first_red, assert_green, open};
use vouchsafe_capture::{CaptureError, Form, RestoreRequest, Source};
use vouchsafe_model::SourceUrl;
use vouchsafe_model::policy::Digests;
use vouchsafe_sources::Settings;

/// Ends a writer, also when the test fails.
struct EndOf<'a>(&'a AtomicBool);

impl Drop for EndOf<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn it_conforms() {
    let world = World::new();
    let shop = Shop::new();
    common::conformance::conforms(&world, &shop.url, "restored");
}

#[test]
fn all_databases_conform() {
    let world = World::new();
    let shop = Shop::new();
    let all = shop.url.replace(&format!("/{}?", shop.name), "/*?");
    assert_ne!(all, shop.url);
    common::conformance::conforms(&world, &all, "restored");
}

#[test]
fn every_kind_of_change_is_seen_in_its_part() {
    let world = World::new();
    let shop = Shop::new();
    let app = shop.role("app");
    let before = shop.manifest(&world);
    let again = shop.manifest(&world);
    assert_eq!(
        before.differences(&again),
        [],
        "what does not change has one digest"
    );
    let count = |key: &str| before.entries.get(key).and_then(|e| e.count);
    assert_eq!(count("rows:public.orders"), Some(2000));
    assert_eq!(count("rows:stock.moves_2025"), Some(30));
    assert_eq!(count("rows:public.\"odd \"\"name\""), Some(3));
    assert_eq!(count("rows:public.nothing"), Some(1));
    assert_eq!(count("large-objects"), Some(1));
    assert!(
        !before.entries.contains_key("rows:stock.moves"),
        "a partitioned table has no rows of its own"
    );
    let changes = [
        (
            "ALTER TABLE orders ADD COLUMN more int",
            "schema:columns public.orders",
        ),
        (
            "ALTER TABLE orders ALTER COLUMN state DROP DEFAULT",
            "schema:columns public.orders",
        ),
        (
            "ALTER TABLE customers ALTER COLUMN born SET NOT NULL",
            "schema:columns public.customers",
        ),
        ("DROP INDEX by_state", "schema:index public.by_state"),
        (
            "ALTER TABLE orders DROP CONSTRAINT orders_customer_fkey",
            "schema:constraint",
        ),
        (
            "CREATE OR REPLACE VIEW totals AS SELECT customer, sum(total + 1) FROM orders GROUP BY customer",
            "schema:relation public.totals",
        ),
        (
            "CREATE OR REPLACE FUNCTION add_one(a int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a + 2'",
            "schema:function",
        ),
        ("ALTER TABLE orders DISABLE TRIGGER loud", "schema:trigger"),
        ("ALTER TYPE state ADD VALUE 'lost'", "schema:type"),
        ("ALTER DOMAIN positive SET DEFAULT 1", "schema:type"),
        ("DROP RULE quiet ON customers", "schema:rule"),
        (
            "ALTER POLICY own ON customers USING (true)",
            "schema:policy",
        ),
        (
            "ALTER TABLE customers DISABLE ROW LEVEL SECURITY",
            "schema:relation public.customers",
        ),
        (
            "ALTER SEQUENCE tickets INCREMENT 6",
            "schema:sequence public.tickets",
        ),
        (
            "COMMENT ON TABLE orders IS 'something else'",
            "schema:comment",
        ),
        ("DROP EXTENSION pg_trgm", "schema:extension pg_trgm"),
        (
            "ALTER PUBLICATION news DROP TABLE orders",
            "schema:publication",
        ),
        ("DROP STATISTICS apart", "schema:statistics"),
        (
            "DROP TABLE stock.moves_rest",
            "schema:relation stock.moves_rest",
        ),
        ("DROP AGGREGATE product (numeric)", "schema:aggregate"),
        (
            "ALTER DATABASE DB SET statement_timeout = '2h'",
            "schema:database",
        ),
        (
            "GRANT DELETE ON orders TO APP",
            "grants:relation public.orders",
        ),
        (
            "REVOKE UPDATE (note) ON orders FROM APP",
            "grants:column public.orders.note",
        ),
        (
            "ALTER TABLE nothing OWNER TO postgres",
            "grants:relation public.nothing",
        ),
        (
            "GRANT EXECUTE ON FUNCTION add_one TO APP WITH GRANT OPTION",
            "grants:function",
        ),
        (
            "ALTER DEFAULT PRIVILEGES IN SCHEMA stock REVOKE SELECT ON TABLES FROM APP",
            "grants:default privileges",
        ),
        ("ALTER ROLE APP CONNECTION LIMIT 8", "grants:role"),
        ("GRANT pg_monitor TO APP", "grants:role"),
        ("SELECT setval('tickets', 5)", "sequence:public.tickets"),
        (
            "UPDATE orders SET total = total + 0.01 WHERE id = 7",
            "rows:public.orders",
        ),
        ("DELETE FROM orders WHERE id = 7", "rows:public.orders"),
        (
            "INSERT INTO \"odd \"\"name\" VALUES (1, NULL)",
            "rows:public.\"odd",
        ),
        (
            "UPDATE \"odd \"\"name\" SET \"select\" = NULL WHERE \"select\" = ''",
            "rows:public.\"odd",
        ),
        (
            "UPDATE customers SET photo = '\\x00' WHERE id = 3",
            "rows:public.customers",
        ),
        (
            "UPDATE stock.moves SET pieces = 0 WHERE item = 'item 1'",
            "rows:stock.moves_2025",
        ),
        (
            "SELECT lo_put(oid, 0, 'A'::bytea) FROM pg_largeobject_metadata",
            "large-objects",
        ),
    ];
    let mut last = before;
    for (sql, part) in changes {
        shop.sql(&sql.replace("APP", &app).replace("DB", &shop.name));
        let now = shop.manifest(&world);
        let seen: Vec<_> = last.differences(&now).into_iter().map(|d| d.part).collect();
        assert!(
            seen.iter().any(|key| key.starts_with(part)),
            "{sql}: {part} is not in {seen:?}"
        );
        last = now;
    }
}

#[test]
fn a_busy_database_is_captured_at_one_moment() {
    let world = World::new();
    let shop = Shop::new();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _end = EndOf(&stop);
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                shop.sql(
                    "BEGIN; INSERT INTO customers (name) SELECT 'busy ' || gen_random_uuid() FROM generate_series(1, 50); \
                     INSERT INTO orders (customer, total, note) SELECT max(id), 1, 'busy' FROM customers; \
                     UPDATE orders SET total = total + 1 WHERE id % 10 = 0; COMMIT",
                );
            }
        });
        for round in 0..3 {
            let source = open(&shop.url);
            let (captured, point) = world.capture(source.as_ref());
            let place = world.path(&format!("busy-{round}"));
            let restored = world.restore(source.as_ref(), &point, &place);
            assert_green(&world.compare(source.as_ref(), &restored, &captured, &point));
        }
    });
}

#[test]
fn it_is_restored_as_files_and_into_a_running_server() {
    let world = World::new();
    let shop = Shop::new();
    let source = open(&shop.url);
    let (_, point) = world.capture(source.as_ref());

    let files = RestoreRequest {
        form: Form::Files,
        ..all_to(&world.path("files"))
    };
    source
        .restore(&world.ctx(), &point, &files)
        .expect("restores");
    let listed = shop
        .server
        .client("pg_restore")
        .arg("--list")
        .arg(world.path("files/database.dump"))
        .output()
        .expect("pg_restore runs");
    assert!(String::from_utf8_lossy(&listed.stdout).contains("TABLE DATA public orders"));

    let other = shop.role("other");
    let running = |url: &str, force| {
        let request = RestoreRequest {
            force,
            ..all_to(Path::new(url))
        };
        source.restore(&world.ctx(), &point, &request)
    };
    let target = shop.url.replacen(&shop.name, &other, 1);
    let restored = running(&target, false).expect("restores");
    assert!(restored.place.display().to_string().contains(&other));
    let rows = |database: &str| {
        shop.server
            .sql_in(database, "SELECT count(*), sum(total) FROM orders")
    };
    assert_eq!(rows(&other), rows(&shop.name));

    let again = running(&target, false);
    assert!(
        matches!(again, Err(CaptureError::Target { .. })),
        "{again:?}"
    );
    shop.server.sql_in(&other, "DELETE FROM orders");
    running(&target, true).expect("replaces");
    assert_eq!(rows(&other), rows(&shop.name));

    let itself = running(&shop.url, false);
    assert!(
        matches!(itself, Err(CaptureError::Target { .. })),
        "{itself:?}"
    );
    assert!(source.owns(Path::new(&shop.url)));
    assert!(!source.owns(Path::new(&target)));
    assert!(!source.owns(&world.path("files")));
}

/// The source at `url`, dumped by three processes at once.
fn dumped_by_three(url: &str) -> Box<dyn Source> {
    let parsed = SourceUrl::parse(url).expect("a source");
    let settings = Settings {
        dump_jobs: Some(3),
        ..Settings::below(Path::new("/nowhere"))
    };
    vouchsafe_sources::open(&parsed, &settings).expect("opens")
}

#[test]
fn what_several_processes_dump_at_once_comes_back() {
    let world = World::new();
    let shop = Shop::new();
    let all = shop.url.replace(&format!("/{}?", shop.name), "/*?");
    for (url, dump) in [
        (&shop.url, "database.dump".to_owned()),
        (&all, format!("db-{}/database.dump", shop.name)),
    ] {
        let kind = if url == &all { "all" } else { "one" };
        let source = dumped_by_three(url);
        let (captured, point) = world.capture(source.as_ref());
        let place = world.path(&format!("served-{kind}"));
        let restored = world.restore(source.as_ref(), &point, &place);
        assert_green(&world.compare(source.as_ref(), &restored, &captured, &point));

        let place = world.path(&format!("files-{kind}"));
        let files = RestoreRequest {
            form: Form::Files,
            ..all_to(&place)
        };
        source
            .restore(&world.ctx(), &point, &files)
            .expect("restores");
        assert!(place.join(&dump).join("toc.dat").is_file());
        let tables = fs::read_dir(place.join(&dump)).expect("a directory");
        assert!(tables.count() > 5, "each table has a file of its own");

        let mut damaged = point;
        damaged.fault = common::memory::Fault::Failed;
        let wrong = world.path(&format!("wrong-{kind}"));
        let failed = source.restore(&world.ctx(), &damaged, &all_to(&wrong));
        let said = failed
            .expect_err("a table's file cannot be had")
            .to_string();
        assert!(said.contains("database.dump"), "{said}");
    }
    let left: Vec<String> = fs::read_dir(world.ctx().work_dir)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().display().to_string())
        .collect();
    assert!(
        left.iter().all(|name| !name.starts_with("dump-")),
        "{left:?}"
    );
}

#[test]
fn damage_above_the_vault_reddens_its_own_rung() {
    let world = World::new();
    let shop = Shop::new();
    let source = open(&shop.url);
    let (captured, point) = world.capture(source.as_ref());
    // The manifest of a moment ago is held against what came later.
    for (sql, rung) in [
        ("SELECT setval('tickets', 1000)", None),
        ("GRANT DELETE ON orders TO PUBLIC", Some("grants")),
        ("DROP INDEX by_state", Some("schema")),
    ] {
        shop.sql(sql);
        let (_, later) = world.capture(source.as_ref());
        let place = world.path(&format!("later-{}", rung.unwrap_or("none")));
        let restored = world.restore(source.as_ref(), &later, &place);
        let rungs = world.compare(source.as_ref(), &restored, &captured, &later);
        match rung {
            None => assert_green(&rungs),
            Some(rung) => drop(assert_first_red(&rungs, rung)),
        }
    }
    let restored = world.restore(source.as_ref(), &point, &world.path("no-files"));
    std::fs::remove_file(restored.place.join("data/global/pg_control")).expect("removes");
    let rungs = world.compare(source.as_ref(), &restored, &captured, &point);
    assert_first_red(&rungs, "opens");
}

#[test]
fn the_policys_own_queries_are_asked_of_the_restored_database() {
    let world = World::new();
    let shop = Shop::new();
    let parsed = SourceUrl::parse(&shop.url).expect("a source");
    let checked = |checks: &[&str]| {
        let checks: Vec<String> = checks.iter().map(|c| (*c).to_owned()).collect();
        let settings = Settings {
            checks: &checks,
            ..Settings::below(Path::new("/nowhere"))
        };
        vouchsafe_sources::open(&parsed, &settings).expect("opens")
    };
    let good = checked(&["SELECT count(*) = 2000 FROM public.orders", "SELECT 1"]);
    let (captured, point) = world.capture(good.as_ref());
    let restored = world.restore(good.as_ref(), &point, &world.path("checked"));
    let rungs = world.compare(good.as_ref(), &restored, &captured, &point);
    assert_green(&rungs);
    assert_eq!(rungs.last().map(|r| r.name.as_str()), Some("checks"));
    for bad in [
        "SELECT count(*) > 2000 FROM public.orders",
        "SELECT NULL",
        "SELECT 1, 2",
        "SELECT x FROM nowhere",
    ] {
        let source = checked(&["SELECT true", bad]);
        let rungs = world.compare(source.as_ref(), &restored, &captured, &point);
        let said = assert_first_red(&rungs, "checks");
        assert!(said.contains(bad), "{said}");
    }
}

#[test]
fn fewer_digests_see_less_and_say_which_they_are() {
    let world = World::new();
    let shop = Shop::new();
    let parsed = SourceUrl::parse(&shop.url).expect("a source");
    let digesting = |digests| {
        let settings = Settings {
            digests,
            ..Settings::below(Path::new("/nowhere"))
        };
        vouchsafe_sources::open(&parsed, &settings).expect("opens")
    };
    let full = digesting(Digests::Full);
    for (digests, method, rungs, damage) in [
        (Digests::Sample, "postgres-sample/1", 5, "missing-row"),
        (Digests::None, "postgres-schema/1", 4, "added-table"),
    ] {
        let source = digesting(digests);
        let (captured, point) = world.capture(source.as_ref());
        let manifest = captured.manifest.clone().expect("a manifest");
        assert_eq!(manifest.method, method);
        let orders = manifest.entries.get("rows:public.orders");
        assert_eq!(
            orders.and_then(|e| e.count),
            (digests == Digests::Sample).then_some(2000)
        );
        assert!(
            captured.notes[0].contains("the snapshot was open for"),
            "{:?}",
            captured.notes
        );
        let place = world.path(method.split('/').next().expect("a name"));
        let restored = world.restore(source.as_ref(), &point, &place);
        // What was digested is compared, whatever the policy says by now.
        for now in [&source, &full] {
            let climbed = world.compare(now.as_ref(), &restored, &captured, &point);
            assert_green(&climbed);
            assert_eq!(climbed.len(), rungs);
        }
        let spoiled = source.spoil(&world.ctx(), &restored).expect("spoils");
        assert_eq!(spoiled.damage.name, damage);
        let climbed = world.compare(source.as_ref(), &restored, &captured, &point);
        assert_first_red(&climbed, &spoiled.damage.must_redden);
    }
    // A sample is of rows, not of places: it sees what is in it wherever that lies.
    let sample = digesting(Digests::Sample);
    let digest = || {
        let (captured, _) = world.capture(sample.as_ref());
        let manifest = captured.manifest.expect("a manifest");
        manifest
            .entries
            .get("rows:public.orders")
            .cloned()
            .expect("digested")
    };
    let before = digest();
    shop.sql("VACUUM FULL orders");
    assert_eq!(digest(), before);
    shop.sql("UPDATE orders SET total = total + 1");
    assert_ne!(digest().digest, before.digest);
}
