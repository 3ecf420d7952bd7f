//! Whole MariaDB servers, by `mariadb-backup`, on a real one.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::maria::MariaShop;
use crate::common::{self, World, all_to, assert_first_red, assert_green, open};
use vouchsafe_capture::{CaptureError, Form, RestoreRequest};
use vouchsafe_model::SourceUrl;
use vouchsafe_sources::Settings;

fn entry(captured: &vouchsafe_capture::Captured, key: &str) -> String {
    let manifest = captured.manifest.as_ref().expect("a manifest");
    manifest
        .entries
        .get(key)
        .expect("it is noted")
        .digest
        .clone()
}

#[test]
fn a_busy_mariadb_server_is_copied_and_comes_back_whole() {
    let world = World::new();
    let shop = MariaShop::new();
    let source = open(&shop.server.url("root", ""));
    let stop = AtomicBool::new(false);
    let (captured, point) = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                shop.sql(
                    "BEGIN; INSERT INTO customers (name) VALUES (concat('busy ', uuid())); \
                     INSERT INTO orders (customer, total, note) VALUES (last_insert_id(), 1, 'busy'); COMMIT; \
                     UPDATE orders SET total = total + 1 WHERE id % 10 = 0",
                );
            }
        });
        let done = world.capture(source.as_ref());
        stop.store(true, Ordering::SeqCst);
        done
    });
    assert_eq!(point.issues, []);
    assert_eq!(
        captured.manifest.as_ref().expect("a manifest").method,
        "mysql-base/1"
    );
    assert!(entry(&captured, "position").starts_with("bin.00000"));

    // In each copy every new customer has one order.
    let parsed = SourceUrl::parse(&shop.server.url("root", "")).expect("a source");
    let checks = [
        "SELECT count(*) > 300 FROM shop.customers".to_owned(),
        "SELECT count(*) - 2000 = (SELECT count(*) - 300 FROM shop.customers) FROM shop.orders"
            .to_owned(),
    ];
    let settings = Settings {
        checks: &checks,
        ..Settings::below(Path::new("/nowhere"))
    };
    let asking = vouchsafe_sources::open(&parsed, &settings).expect("opens");
    let restored = world.restore(source.as_ref(), &point, &world.path("served"));
    let rungs = world.compare(asking.as_ref(), &restored, &captured, &point);
    assert_green(&rungs);
    let names: Vec<&str> = rungs.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["opens", "position", "checksums", "checks"]);
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
    assert!(world.path("files/data/ibdata1").is_file());
    assert!(world.path("files/data/shop/orders.frm").is_file());

    // What was noted of another moment or another server is not what this one is.
    for (key, wrong) in [("end", u64::MAX.to_string()), ("tables", "00".to_owned())] {
        let mut other = captured.clone();
        let manifest = other.manifest.as_mut().expect("a manifest");
        manifest.entries.get_mut(key).expect("noted").digest = wrong;
        let rungs = world.compare(source.as_ref(), &restored, &other, &point);
        assert_first_red(&rungs, "position");
    }
}

#[test]
fn a_flipped_byte_of_a_page_is_seen() {
    let world = World::new();
    let shop = MariaShop::new();
    let url = shop.server.url("root", "");
    let source = open(&url);
    // Pages of tables go through the doublewrite buffer, where old copies of them stay.
    shop.sql(
        "UPDATE orders SET hidden = 1; FLUSH TABLES orders, customers FOR EXPORT; UNLOCK TABLES",
    );
    let (captured, point) = world.capture(source.as_ref());
    let restored = world.restore(source.as_ref(), &point, &world.path("served"));
    assert_green(&world.compare(source.as_ref(), &restored, &captured, &point));
    let spoiled = source.spoil(&world.ctx(), &restored).expect("spoils");
    let rungs = world.compare(source.as_ref(), &restored, &captured, &point);
    let said = assert_first_red(&rungs, "checksums");
    assert_eq!(spoiled.damage.must_redden, "checksums");
    let file = spoiled
        .damage
        .detail
        .split(' ')
        .nth(3)
        .expect("it names the file")
        .to_owned();
    assert!(said.contains(&file), "{said}: {file}");
    // The damaged copy becomes a sound point, which is wrong.
    let parsed = SourceUrl::parse(&url).expect("a source");
    let settings = Settings::below(Path::new("/nowhere"));
    let copy = vouchsafe_sources::open_copy(&parsed, &settings, &restored.place).expect("opens");
    let (_, wrong) = world.capture(copy.as_ref());
    let twin = world.restore(source.as_ref(), &wrong, &world.path("twin"));
    let rungs = world.compare(source.as_ref(), &twin, &captured, &wrong);
    assert_first_red(&rungs, "checksums");

    // A server without the file of a table does not pass for whole.
    let restored = world.restore(source.as_ref(), &point, &world.path("without"));
    std::fs::remove_file(restored.place.join("data/shop/moves#P#rest.ibd")).expect("removes");
    let rungs = world.compare(source.as_ref(), &restored, &captured, &point);
    assert_first_red(&rungs, "opens");
}

#[test]
fn what_of_mariadb_cannot_be_copied_whole_is_refused() {
    let world = World::new();
    let shop = MariaShop::new();
    shop.server
        .sql("CREATE USER plain@localhost; GRANT RELOAD ON *.* TO plain@localhost");
    let plain = open(&shop.server.url("plain", ""));
    let refused = plain.capture(&world.ctx(), &mut common::Memory::default());
    let said = refused.expect_err("rights are missing").to_string();
    assert!(
        said.contains("PROCESS, LOCK TABLES, BINLOG MONITOR"),
        "{said}"
    );

    // The least rights are enough.
    shop.server.sql("CREATE USER base@localhost; GRANT RELOAD, PROCESS, LOCK TABLES, BINLOG MONITOR ON *.* TO base@localhost");
    world.capture(open(&shop.server.url("base", "")).as_ref());

    let elsewhere = world.path("elsewhere");
    std::fs::create_dir(&elsewhere).expect("a directory");
    common::sh(&elsewhere, "chmod 777 . && chmod 755 ..");
    shop.sql(&format!(
        "CREATE TABLE far (x int) DATA DIRECTORY = '{}'",
        elsewhere.display()
    ));
    let refused =
        open(&shop.server.url("root", "")).capture(&world.ctx(), &mut common::Memory::default());
    let said = refused.expect_err("a table elsewhere").to_string();
    assert!(said.contains("outside of the data directory"), "{said}");
}
