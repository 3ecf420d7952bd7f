//! The kind `mysql` on a real MariaDB server.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::maria::MariaShop;
use crate::common::shop::content;
use crate::common::{self, World, all_to, assert_first_red, assert_green, open};
use vouchsafe_capture::{CaptureError, Form, RestoreRequest};
use vouchsafe_model::SourceUrl;
use vouchsafe_model::policy::Digests;
use vouchsafe_sources::Settings;
use vouchsafe_testkit::mariadb::MariaDb;

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
    let shop = MariaShop::new();
    common::conformance::conforms(&world, &shop.url, "restored");
}

#[test]
fn every_kind_of_change_to_a_mariadb_database_is_seen_in_its_part() {
    let world = World::new();
    let shop = MariaShop::new();
    let before = shop.manifest(&world);
    let again = shop.manifest(&world);
    assert_eq!(
        before.differences(&again),
        [],
        "what does not change has one digest"
    );
    let count = |key: &str| before.entries.get(key).and_then(|e| e.count);
    assert_eq!(count("rows:orders"), Some(2000));
    assert_eq!(count("rows:moves"), Some(100));
    assert_eq!(count("rows:odd `name"), Some(4));
    assert_eq!(count("rows:versioned"), Some(2));
    let changes = [
        (
            "ALTER TABLE orders ADD COLUMN more int",
            "schema:columns orders",
        ),
        (
            "ALTER TABLE customers ALTER COLUMN state DROP DEFAULT",
            "schema:columns customers",
        ),
        (
            "ALTER TABLE customers MODIFY born date NOT NULL",
            "schema:columns customers",
        ),
        (
            "ALTER TABLE orders MODIFY hidden int DEFAULT 7",
            "schema:columns orders",
        ),
        (
            "ALTER TABLE customers DROP KEY by_state",
            "schema:index customers by_state",
        ),
        (
            "ALTER TABLE customers ADD KEY by_born (born DESC)",
            "schema:index customers by_born",
        ),
        (
            "ALTER TABLE orders DROP FOREIGN KEY bought",
            "schema:foreign key orders bought",
        ),
        (
            "ALTER TABLE customers MODIFY balance decimal(12, 2) DEFAULT 0",
            "schema:check customers",
        ),
        (
            "ALTER TABLE customers COMMENT 'somebody'",
            "schema:table customers",
        ),
        ("ALTER TABLE nothing ENGINE = Aria", "schema:table nothing"),
        ("ALTER TABLE nothing ENGINE = InnoDB", "rows:nothing"),
        (
            "ALTER TABLE moves DROP PARTITION rest",
            "schema:partition moves",
        ),
        (
            "CREATE OR REPLACE VIEW totals AS SELECT customer, sum(total + 1) AS total FROM orders GROUP BY customer",
            "schema:view totals",
        ),
        ("DROP TRIGGER loud", "schema:trigger loud"),
        (
            "CREATE OR REPLACE FUNCTION add_one(a int) RETURNS int DETERMINISTIC RETURN a + 2",
            "schema:routine FUNCTION add_one",
        ),
        (
            "CREATE OR REPLACE FUNCTION add_one(a bigint) RETURNS int DETERMINISTIC RETURN a + 2",
            "schema:parameters FUNCTION add_one",
        ),
        ("ALTER EVENT nightly DISABLE", "schema:event nightly"),
        (
            "ALTER SEQUENCE tickets INCREMENT 6",
            "schema:sequence tickets",
        ),
        (
            "ALTER DATABASE shop COLLATE utf8mb4_bin",
            "schema:database this",
        ),
        ("DROP TABLE nothing", "schema:table nothing"),
        (
            "GRANT DELETE ON shop.orders TO app@'%'",
            "grants:account app@%",
        ),
        (
            "REVOKE UPDATE (note) ON shop.orders FROM app@'%'",
            "grants:account app@%",
        ),
        (
            "ALTER USER app@'%' IDENTIFIED BY 'other'",
            "grants:account app@%",
        ),
        ("REVOKE reader FROM app@'%'", "grants:account app@%"),
        ("GRANT INSERT ON shop.* TO reader", "grants:account reader"),
        (
            "CREATE USER more@localhost",
            "grants:account more@localhost",
        ),
        (
            "ALTER DEFINER = app@'%' VIEW totals AS SELECT customer, sum(total + 1) AS total FROM orders GROUP BY customer",
            "grants:view totals",
        ),
        (
            "DELETE FROM orders WHERE id > 1990; ALTER TABLE orders AUTO_INCREMENT = 1500",
            "sequence:orders.AUTO_INCREMENT",
        ),
        (
            "SELECT nextval(tickets); SELECT setval(tickets, 5000)",
            "sequence:tickets",
        ),
        (
            "UPDATE orders SET total = total + 0.01 WHERE id = 7",
            "rows:orders",
        ),
        ("DELETE FROM orders WHERE id = 7", "rows:orders"),
        (
            "UPDATE orders SET seen = seen + INTERVAL 1 MICROSECOND WHERE id = 8",
            "rows:orders",
        ),
        (
            "UPDATE orders SET flags = flags ^ 256 WHERE id = 8",
            "rows:orders",
        ),
        (
            "UPDATE orders SET place = point(0, 0) WHERE id = 8",
            "rows:orders",
        ),
        ("UPDATE orders SET hidden = 0 WHERE id = 8", "rows:orders"),
        (
            "INSERT INTO `odd ``name` VALUES (1, NULL)",
            "rows:odd `name",
        ),
        (
            "UPDATE `odd ``name` SET `select` = NULL WHERE `select` = ''",
            "rows:odd `name",
        ),
        (
            "UPDATE customers SET photo = x'00' WHERE id = 3",
            "rows:customers",
        ),
        (
            "UPDATE customers SET latin = 'e' WHERE id = 3",
            "rows:customers",
        ),
        (
            "UPDATE moves SET pieces = 0 WHERE item = 'item 1'",
            "rows:moves",
        ),
    ];
    let mut last = before;
    for (sql, part) in changes {
        shop.sql(sql);
        let now = shop.manifest(&world);
        let seen: Vec<_> = last.differences(&now).into_iter().map(|d| d.part).collect();
        assert!(
            seen.iter().any(|key| key.starts_with(part)),
            "{sql}: {part} is not in {seen:?}"
        );
        last = now;
    }
}

/// Rounds of capture, restore and comparison while somebody writes.
fn captured_while_busy(shop: &MariaShop, url: &str, rounds: usize, held_by: &str) {
    let world = World::new();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _end = EndOf(&stop);
        // Large transactions and many small ones.
        let large = "BEGIN; INSERT INTO customers (name) VALUES (concat('busy ', uuid())); \
             INSERT INTO orders (customer, total, note) VALUES (last_insert_id(), 1, 'busy'); \
             UPDATE orders SET total = total + 1 WHERE id % 10 = 0; COMMIT"
            .to_owned();
        let small = (0..60)
            .map(|n| format!("UPDATE moves SET pieces = pieces + 1 WHERE item = 'item {n}'; "));
        for statements in [large, small.collect()] {
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    shop.sql(&statements);
                }
            });
        }
        for round in 0..rounds {
            let source = open(url);
            let (captured, point) = world.capture(source.as_ref());
            let about: serde_json::Value =
                serde_json::from_slice(&content(&point, "/mysql/about.json")).expect("JSON");
            assert_eq!(about["held_by"], held_by);
            let place = world.path(&format!("busy-{round}"));
            let restored = world.restore(source.as_ref(), &point, &place);
            assert_green(&world.compare(source.as_ref(), &restored, &captured, &point));
        }
    });
}

#[test]
fn a_busy_mariadb_database_is_captured_at_one_moment() {
    let shop = MariaShop::new();
    captured_while_busy(&shop, &shop.url, 3, "backup stage");
    // With fewer rights the tables are locked instead.
    shop.sql(
        "CREATE USER backup@localhost; GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES ON shop.* TO backup@localhost; \
         GRANT SELECT ON mysql.* TO backup@localhost",
    );
    captured_while_busy(&shop, &shop.server.url("backup", "shop"), 3, "table locks");
}

#[test]
fn without_a_binary_log_a_busy_database_is_captured_at_one_moment() {
    let shop = MariaShop::on(MariaDb::start(&["--skip-log-bin"]));
    captured_while_busy(&shop, &shop.url, 3, "backup stage");
}

#[test]
fn the_position_in_the_binary_log_is_that_of_the_dump() {
    let world = World::new();
    let shop = MariaShop::new();
    let (_, point) = world.capture(open(&shop.url).as_ref());
    let about: serde_json::Value =
        serde_json::from_slice(&content(&point, "/mysql/about.json")).expect("JSON");
    let status = shop.server.sql("SHOW MASTER STATUS");
    let mut status = status.split('\t');
    assert_eq!(about["position"]["file"].as_str(), status.next());
    assert_eq!(
        about["position"]["offset"].to_string(),
        status.next().unwrap_or_default()
    );
    assert_eq!(
        about["position"]["gtid"].as_str(),
        Some(shop.server.sql("SELECT @@gtid_binlog_pos").as_str())
    );
    let dump = String::from_utf8_lossy(&content(&point, "/mysql/database.sql")).into_owned();
    assert!(dump.contains(&format!("MASTER_LOG_POS={}", about["position"]["offset"])));
}

#[test]
fn a_mariadb_database_is_restored_as_files_and_into_a_running_server() {
    let world = World::new();
    let shop = MariaShop::new();
    let source = open(&shop.url);
    let (_, point) = world.capture(source.as_ref());

    let files = RestoreRequest {
        form: Form::Files,
        ..all_to(&world.path("files"))
    };
    source
        .restore(&world.ctx(), &point, &files)
        .expect("restores");
    let dump = std::fs::read_to_string(world.path("files/database.sql")).expect("text");
    assert!(dump.contains("CREATE TABLE `orders`"));
    // The dump goes in by the stock program alone.
    shop.server.sql("CREATE DATABASE by_hand");
    shop.server.sql_in("by_hand", &dump);

    let running = |url: &str, force| {
        let request = RestoreRequest {
            force,
            ..all_to(Path::new(url))
        };
        source.restore(&world.ctx(), &point, &request)
    };
    let target = shop.server.url("root", "again");
    let restored = running(&target, false).expect("restores");
    assert!(restored.place.display().to_string().contains("again"));
    let rows = |database: &str| {
        shop.server.sql_in(
            database,
            "SELECT count(*), sum(total), sum(hidden) FROM orders",
        )
    };
    assert_eq!(rows("again"), rows("shop"));
    assert_eq!(rows("by_hand"), rows("shop"));
    assert_eq!(shop.server.sql_in("again", "SELECT add_one(2)"), "3");

    let again = running(&target, false);
    assert!(
        matches!(again, Err(CaptureError::Target { .. })),
        "{again:?}"
    );
    shop.server.sql_in("again", "DELETE FROM orders");
    running(&target, true).expect("replaces");
    assert_eq!(rows("again"), rows("shop"));

    let itself = running(&shop.url, false);
    assert!(
        matches!(itself, Err(CaptureError::Target { .. })),
        "{itself:?}"
    );
    assert!(source.owns(Path::new(&shop.url)));
    assert!(source.owns(Path::new(&shop.url.replace("mysql:", "mariadb:"))));
    assert!(!source.owns(Path::new(&target)));
    assert!(!source.owns(&world.path("files")));
}

#[test]
fn damage_to_a_mariadb_database_above_the_vault_reddens_its_own_rung() {
    let world = World::new();
    let shop = MariaShop::new();
    let source = open(&shop.url);
    let (captured, point) = world.capture(source.as_ref());
    // The manifest of a moment ago is held against what came later.
    for (sql, rung) in [
        ("SELECT nextval(tickets)", None),
        ("GRANT DELETE ON shop.orders TO app@'%'", Some("grants")),
        ("ALTER TABLE customers DROP KEY by_state", Some("schema")),
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
    std::fs::remove_file(restored.place.join("data/ibdata1")).expect("removes");
    let rungs = world.compare(source.as_ref(), &restored, &captured, &point);
    assert_first_red(&rungs, "opens");
}

#[test]
fn tables_without_transactions_are_said_to_be_of_no_moment() {
    let world = World::new();
    let shop = MariaShop::new();
    shop.sql("CREATE TABLE old (x int) ENGINE = MyISAM; INSERT INTO old VALUES (1); CREATE TABLE older (x int) ENGINE = Aria");
    let source = open(&shop.url);
    let (captured, point) = world.capture(source.as_ref());
    let notes = captured.notes.join("\n");
    assert!(
        notes.contains("of no one moment") && notes.contains("old, older"),
        "{notes}"
    );
    assert!(
        notes.contains("the history of system-versioned tables"),
        "{notes}"
    );
    let manifest = captured.manifest.clone().expect("a manifest");
    assert!(!manifest.entries.contains_key("rows:old"));
    assert_eq!(manifest.entries["of-no-moment:old"].digest, "MyISAM");
    let restored = world.restore(source.as_ref(), &point, &world.path("old"));
    let rungs = world.compare(source.as_ref(), &restored, &captured, &point);
    assert_green(&rungs);
    let content = rungs.iter().find(|r| r.name == "content").expect("climbed");
    assert!(
        content
            .expected
            .contains("2 tables without transactions not compared"),
        "{content:?}"
    );
}

#[test]
fn the_policys_own_queries_are_asked_of_the_restored_mariadb() {
    let world = World::new();
    let shop = MariaShop::new();
    let parsed = SourceUrl::parse(&shop.url).expect("a source");
    let checked = |checks: &[&str]| {
        let checks: Vec<String> = checks.iter().map(|c| (*c).to_owned()).collect();
        let settings = Settings {
            checks: &checks,
            ..Settings::below(Path::new("/nowhere"))
        };
        vouchsafe_sources::open(&parsed, &settings).expect("opens")
    };
    let good = checked(&["SELECT count(*) = 2000 FROM orders", "SELECT 1"]);
    let (captured, point) = world.capture(good.as_ref());
    let restored = world.restore(good.as_ref(), &point, &world.path("checked"));
    let rungs = world.compare(good.as_ref(), &restored, &captured, &point);
    assert_green(&rungs);
    assert_eq!(rungs.last().map(|r| r.name.as_str()), Some("checks"));
    for bad in [
        "SELECT count(*) > 2000 FROM orders",
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
fn fewer_digests_of_mariadb_see_less_and_say_which_they_are() {
    let world = World::new();
    let shop = MariaShop::new();
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
        (Digests::Sample, "mysql-sample/1", 5, "missing-row"),
        (Digests::None, "mysql-schema/1", 4, "added-table"),
    ] {
        let source = digesting(digests);
        let (captured, point) = world.capture(source.as_ref());
        let manifest = captured.manifest.clone().expect("a manifest");
        assert_eq!(manifest.method, method);
        let orders = manifest.entries.get("rows:orders");
        assert_eq!(
            orders.and_then(|e| e.count),
            (digests == Digests::Sample).then_some(2000)
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
    // A sample is neither nothing nor everything, and of rows, not of places.
    let sample = digesting(Digests::Sample);
    let digest = || {
        let (captured, _) = world.capture(sample.as_ref());
        let manifest = captured.manifest.expect("a manifest");
        manifest.entries["rows:orders"].clone()
    };
    let before = digest();
    shop.sql("ALTER TABLE orders FORCE");
    assert_eq!(digest(), before);
    shop.sql("UPDATE orders SET total = total + 1");
    assert_ne!(digest().digest, before.digest);
}
