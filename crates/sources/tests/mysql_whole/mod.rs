//! Whole MySQL servers: their bases by the plugin `clone`, their logs, and the moments to which both lead.

mod log;
mod moment;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::{self, Memory, World, all_to, assert_first_red, assert_green, open};
use crate::mysql_inside::{MySql, SHOP, inside};
use vouchsafe_capture::{CaptureError, Captured, Form, RestoreRequest, Source};
use vouchsafe_model::{SecretRef, SourceUrl};
use vouchsafe_sources::Settings;

const PLUGIN: &str = "INSTALL PLUGIN clone SONAME 'mysql_clone.so'";

/// A server that can be cloned, with a database that holds one of nearly everything.
fn shop(options: &[&str]) -> MySql {
    let server = MySql::start(options);
    server.sql(PLUGIN);
    server.sql(SHOP);
    server
}

/// Does something while so many others run these statements again and again.
fn while_writing<T>(server: &MySql, (writers, sql): (usize, &str), work: impl FnOnce() -> T) -> T {
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..writers {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    server.sql(sql);
                }
            });
        }
        // Also if it fails.
        let _stop = Stop(&stop);
        work()
    })
}

fn entry(captured: &Captured, key: &str) -> String {
    let manifest = captured.manifest.as_ref().expect("a manifest");
    manifest.entries.get(key).expect("noted").digest.clone()
}

/// What is said when it is captured.
fn refused(world: &World, source: &dyn Source) -> String {
    let refused = source.capture(&world.ctx(), &mut Memory::default());
    refused.expect_err("it is refused").to_string()
}

#[test]
fn a_busy_mysql_server_is_copied_and_comes_back_whole() {
    inside(
        "mysql_whole::a_busy_mysql_server_is_copied_and_comes_back_whole",
        || {
            let world = World::new();
            let server = shop(&[]);
            let source = open(&server.url("root", ""));
            const WORK: &str = "BEGIN; INSERT INTO shop.customers (name) VALUES (concat('busy ', uuid())); \
                 INSERT INTO shop.orders (customer, total) VALUES (last_insert_id(), 1); COMMIT; \
                 UPDATE shop.part SET x = x + 1; FLUSH PRIVILEGES; DROP TABLE IF EXISTS shop.nothing;";
            let (captured, point) =
                while_writing(&server, (3, WORK), || world.capture(source.as_ref()));
            assert_eq!(point.issues, []);
            let manifest = captured.manifest.as_ref().expect("a manifest");
            assert_eq!(manifest.method, "mysql-clone/1");
            assert!(entry(&captured, "position").starts_with("bin.00000"));

            // In each copy every new customer has one order.
            let parsed = SourceUrl::parse(&server.url("root", "")).expect("a source");
            let checks = [
                "SELECT count(*) >= 3 FROM shop.customers".to_owned(),
                "SELECT count(*) - 3 = (SELECT count(*) - 3 FROM shop.customers) FROM shop.orders"
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
            // Stock MySQL opens it, with every account as it was and none of ours.
            let served = MySql::on_copy_of(&restored.place.join("data"));
            assert_eq!(
                served.sql(
                    "SELECT user FROM mysql.user WHERE user LIKE 'vouchsafe%' OR user = 'app'"
                ),
                "app"
            );

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
            assert!(world.path("files/data/shop/orders.ibd").is_file());

            // What was noted of another moment or another server is not what this one is.
            let uuid = server.sql("SELECT @@server_uuid");
            for (key, wrong) in [
                ("gtids", format!("{uuid}:1-3")),
                ("gtids", String::new()),
                ("tables", "00".to_owned()),
                ("position", "bin.000001 4".to_owned()),
            ] {
                let mut other = captured.clone();
                let manifest = other.manifest.as_mut().expect("a manifest");
                manifest.entries.get_mut(key).expect("noted").digest = wrong;
                let rungs = world.compare(source.as_ref(), &restored, &other, &point);
                assert_first_red(&rungs, "position");
            }
        },
    );
}

#[test]
fn a_flipped_byte_of_a_page_of_mysql_is_seen() {
    inside(
        "mysql_whole::a_flipped_byte_of_a_page_of_mysql_is_seen",
        || {
            let world = World::new();
            let server = shop(&[]);
            let url = server.url("root", "");
            let source = open(&url);
            server.sql(
                "CREATE TABLE shop.large (id int PRIMARY KEY, pad char(200)); \
                 SET cte_max_recursion_depth = 100000; \
                 USE shop; INSERT INTO large WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000) \
                 SELECT i, sha2(i, 256) FROM n",
            );
            let (captured, point) = world.capture(source.as_ref());
            let restored = world.restore(source.as_ref(), &point, &world.path("served"));
            assert_green(&world.compare(source.as_ref(), &restored, &captured, &point));
            let spoiled = source.spoil(&world.ctx(), &restored).expect("spoils");
            assert!(
                spoiled.damage.detail.contains("shop/large.ibd"),
                "{spoiled:?}"
            );
            let rungs = world.compare(source.as_ref(), &restored, &captured, &point);
            let said = assert_first_red(&rungs, "checksums");
            assert!(said.contains("shop/large.ibd"), "{said}");
            // The damaged copy becomes a sound point, which is wrong.
            let parsed = SourceUrl::parse(&url).expect("a source");
            let settings = Settings::below(Path::new("/nowhere"));
            let copy =
                vouchsafe_sources::open_copy(&parsed, &settings, &restored.place).expect("opens");
            let (_, wrong) = world.capture(copy.as_ref());
            let twin = world.restore(source.as_ref(), &wrong, &world.path("twin"));
            let rungs = world.compare(source.as_ref(), &twin, &captured, &wrong);
            assert_first_red(&rungs, "checksums");

            // A server without the file of a table does not pass for whole.
            let restored = world.restore(source.as_ref(), &point, &world.path("without"));
            std::fs::remove_file(restored.place.join("data/shop/large.ibd")).expect("removes");
            let rungs = world.compare(source.as_ref(), &restored, &captured, &point);
            assert_first_red(&rungs, "opens");
        },
    );
}

#[test]
fn a_second_base_of_mysql_stores_little_more_and_pages_stay_in_place() {
    inside(
        "mysql_whole::a_second_base_of_mysql_stores_little_more_and_pages_stay_in_place",
        || {
            let world = World::new();
            let server = shop(&["--innodb-page-size=8K"]);
            let source = open(&server.url("root", ""));
            let (captured, point) = world.capture(source.as_ref());
            let restored = world.restore(source.as_ref(), &point, &world.path("served"));
            assert_green(&world.compare(source.as_ref(), &restored, &captured, &point));
            // Captured as they lie, restored files are noted as they were.
            let parsed = SourceUrl::parse(&server.url("root", "")).expect("a source");
            let settings = Settings::below(Path::new("/nowhere"));
            let copy =
                vouchsafe_sources::open_copy(&parsed, &settings, &restored.place).expect("opens");
            let (again, _) = world.capture(copy.as_ref());
            for key in ["gtids", "position", "tables"] {
                assert_eq!(entry(&again, key), entry(&captured, key), "{key}");
            }
        },
    );
}

#[test]
fn the_least_rights_are_enough_for_a_base_of_mysql_and_less_is_refused() {
    inside(
        "mysql_whole::the_least_rights_are_enough_for_a_base_of_mysql_and_less_is_refused",
        || {
            let world = World::new();
            let server = MySql::start(&[]);
            server.sql(SHOP);
            server.sql(
                "CREATE USER base@localhost IDENTIFIED BY 'op''en \"sesame\\\\'; GRANT BACKUP_ADMIN, PROCESS ON *.* TO base@localhost; \
                 CREATE USER half@localhost; GRANT BACKUP_ADMIN ON *.* TO half@localhost",
            );
            let said = refused(&world, open(&server.url("root", "")).as_ref());
            assert!(said.contains("INSTALL PLUGIN clone"), "{said}");
            server.sql(PLUGIN);
            let said = refused(&world, open(&server.url("half", "")).as_ref());
            assert!(said.contains("PROCESS on *.*"), "{said}");

            let secret = world.path("secret");
            let write = |text: &str| {
                vouchsafe_host::files::write_atomic(&secret, text.as_bytes(), 0o600)
                    .expect("writes")
            };
            let opened = |url: &str| {
                let settings = Settings {
                    password: Some(&SecretRef::File(secret.clone())),
                    ..Settings::below(Path::new("/nowhere"))
                };
                vouchsafe_sources::open(&SourceUrl::parse(url).expect("a URL"), &settings)
                    .expect("opens")
            };
            write("op'en \"sesame\\");
            let (_, point) = world.capture(opened(&server.url("base", "")).as_ref());
            assert_eq!(point.issues, []);
            // Nothing of the copies is left.
            let left = common::sh(world.state(), "find . -name 'base-*' -o -name 'login-*'");
            assert_eq!(left, "");

            // By the network, with and without a name in the certificate.
            let port = server.port();
            let url = format!("mysql://base@127.0.0.1:{port}?ssl-mode=REQUIRED");
            world.capture(opened(&url).as_ref());
            let url = format!("mysql://base@localhost:{port}?ssl-mode=VERIFY_IDENTITY");
            let said = refused(&world, opened(&url).as_ref());
            assert!(said.contains("mysql://base@localhost"), "{said}");

            // An account that is let in by the socket and not by the network, and what is said of it holds no secret.
            server.sql(
                "CREATE USER near@localhost IDENTIFIED BY 'sesame'; GRANT BACKUP_ADMIN, PROCESS ON *.* TO near@localhost; \
                 CREATE USER near@'127.0.0.1' IDENTIFIED BY 'another'",
            );
            write("sesame");
            let said = refused(&world, opened(&server.url("near", "")).as_ref());
            assert!(!said.contains("sesame"), "{said}");
            assert!(said.contains("no clone of itself"), "{said}");
        },
    );
}

#[test]
fn what_of_mysql_cannot_be_copied_whole_is_refused() {
    inside(
        "mysql_whole::what_of_mysql_cannot_be_copied_whole_is_refused",
        || {
            let world = World::new();
            let far = world.path("far");
            std::fs::create_dir(&far).expect("a directory");
            common::sh(&far, "chmod 777 . && chmod 755 ..");
            let server = shop(&[&format!("--innodb-directories={}", far.display())]);
            // One that this user does not see, so that only the clone tells of it.
            server.sql(
                "CREATE TABLE shop.old (x int) ENGINE=MyISAM; CREATE USER base@localhost; \
                 GRANT BACKUP_ADMIN, PROCESS ON *.* TO base@localhost",
            );
            for user in ["root", "base"] {
                let said = refused(&world, open(&server.url(user, "")).as_ref());
                assert!(said.contains("shop.old (MyISAM)"), "{user}: {said}");
            }
            server.sql(&format!(
                "DROP TABLE shop.old; CREATE TABLE shop.far (x int) DATA DIRECTORY = '{}'",
                far.display()
            ));
            let said = refused(&world, open(&server.url("root", "")).as_ref());
            assert!(said.contains("far.ibd lies outside"), "{said}");
            server.sql("DROP TABLE shop.far");
            drop(server);

            let quiet = MySql::start(&["--skip-networking"]);
            quiet.sql(PLUGIN);
            let said = refused(&world, open(&quiet.url("root", "")).as_ref());
            assert!(said.contains("listens on its socket only"), "{said}");
        },
    );
}

/// How many servers of ours run: their sandboxes have a mount of something below the world's directory.
fn servers(world: &World) -> usize {
    let own = world.dir.path().file_name().expect("a name");
    let own = own.to_str().expect("UTF-8");
    let processes = std::fs::read_dir("/proc").expect("lists").flatten();
    let read = |process: &std::fs::DirEntry, name: &str| {
        // It may be over meanwhile.
        let bytes = std::fs::read(process.path().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    processes
        .filter(|process| {
            read(process, "cmdline").contains("mysqld") && read(process, "mountinfo").contains(own)
        })
        .count()
}

/// A port behind which one server answers first, and from the second connection on another one.
fn one_after_the_other(first: u16, second: u16) -> u16 {
    use std::net::{TcpListener, TcpStream};
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for (n, near) in listener.incoming().flatten().enumerate() {
            let to = if n == 0 { first } else { second };
            let far = TcpStream::connect(("127.0.0.1", to)).expect("connects");
            let ways = [(&near, &far), (&far, &near)];
            for (from, to) in ways.map(|(from, to)| (from.try_clone(), to.try_clone())) {
                let (mut from, mut to) = (from.expect("one more"), to.expect("one more"));
                std::thread::spawn(move || {
                    // Either end may go at any time.
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Both);
                });
            }
        }
    });
    port
}

#[test]
fn a_clone_is_asked_of_no_other_server_of_mysql() {
    inside(
        "mysql_whole::a_clone_is_asked_of_no_other_server_of_mysql",
        || {
            let world = World::new();
            let (server, other) = (shop(&[]), shop(&[]));
            let through = |second: &MySql| {
                let port = one_after_the_other(server.port(), second.port());
                open(&format!("mysql://root@127.0.0.1:{port}"))
            };
            let said = refused(&world, through(&other).as_ref());
            let uuid = other.sql("SELECT @@server_uuid");
            assert!(
                said.contains(&format!("whose server_uuid is {uuid}")),
                "{said}"
            );
            let (_, point) = world.capture(through(&server).as_ref());
            assert_eq!(point.issues, []);
        },
    );
}

#[test]
fn a_clone_that_is_interrupted_leaves_nothing() {
    inside(
        "mysql_whole::a_clone_that_is_interrupted_leaves_nothing",
        || {
            let world = World::new();
            let server = shop(&[]);
            // The original waits for it, so that it cannot be over before.
            server.sql("SET GLOBAL clone_max_data_bandwidth = 1");
            let source = open(&server.url("root", ""));
            let said = std::thread::scope(|scope| {
                let capturing =
                    scope.spawn(|| source.capture(&world.ctx(), &mut Memory::default()));
                let begun = || {
                    server.sql("SELECT count(*) FROM performance_schema.processlist WHERE command LIKE '%lone%'") != "0"
                };
                let mut seen = false;
                for _ in 0..600 {
                    seen = begun();
                    if seen || capturing.is_finished() {
                        break;
                    }
                    std::thread::sleep(std::time::Duration::from_millis(50));
                }
                let running = servers(&world);
                world.interrupt.raise();
                (capturing.join().expect("it ends"), seen, running)
            });
            let (said, seen, running) = said;
            assert!(matches!(said, Err(CaptureError::Interrupted)), "{said:?}");
            assert!(seen, "the clone was under way");
            assert!(running > 0 && servers(&world) == 0, "{running}");
            // The original is none of them, and goes on.
            assert_eq!(server.sql("SELECT 1"), "1");
            let left = common::sh(world.state(), "find . -name 'base-*'");
            assert_eq!(left, "");
        },
    );
}
