//! Who may capture a MariaDB database, and how it is reached.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::common::maria::MariaShop;
use crate::common::shop::content;
use crate::common::{self, Memory, World, assert_green, open};
use vouchsafe_capture::{CaptureError, Content, Sink, StreamContent};
use vouchsafe_format::Node;
use vouchsafe_model::{Issue, SecretRef, SourceUrl};
use vouchsafe_sources::Settings;
use vouchsafe_testkit::mariadb::MariaDb;

/// Reads every stream at once, and slowly, keeps nothing of it, and lets somebody look at what goes by.
struct Eager<'a>(&'a mut dyn FnMut());

impl Sink for Eager<'_> {
    fn enter(&mut self, _directory: Node) -> Result<(), CaptureError> {
        Ok(())
    }
    fn leave(&mut self) -> Result<(), CaptureError> {
        Ok(())
    }
    fn entry(&mut self, _node: Node) -> Result<(), CaptureError> {
        Ok(())
    }
    fn file(&mut self, _node: Node, _content: Box<dyn Content>) -> Result<(), CaptureError> {
        Ok(())
    }
    fn stream(
        &mut self,
        _node: Node,
        mut stream: Box<dyn StreamContent>,
    ) -> Result<(), CaptureError> {
        let mut buffer = vec![0; 4096];
        let mut began = false;
        while stream.read(&mut buffer).expect("reads") > 0 {
            std::thread::sleep(Duration::from_micros(200));
            if !std::mem::replace(&mut began, true) {
                (self.0)();
            }
        }
        stream.finish().map(drop)
    }
    fn issue(&mut self, _issue: Issue) {}
}

const LEAST: [&str; 6] = [
    "SELECT ON shop.*",
    "SHOW VIEW ON shop.*",
    "TRIGGER ON shop.*",
    "EVENT ON shop.*",
    "LOCK TABLES ON shop.*",
    "SELECT ON mysql.proc",
];

#[test]
fn least_rights_on_mariadb_are_enough_and_fewer_are_named() {
    let world = World::new();
    let shop = MariaShop::new();
    let grants = LEAST.map(|right| format!("GRANT {right} TO backup@localhost;"));
    shop.sql(&format!(
        "CREATE USER backup@localhost; {}",
        grants.concat()
    ));
    let source = open(&shop.server.url("backup", "shop"));
    let (captured, point) = world.capture(source.as_ref());
    assert!(
        captured
            .notes
            .join("\n")
            .contains("accounts and grants are not in the point")
    );
    assert!(point.node("/mysql/accounts.sql").is_none());
    let restored = world.restore(source.as_ref(), &point, &world.path("least"));
    assert_green(&world.compare(source.as_ref(), &restored, &captured, &point));

    // Who may read the accounts, captures them.
    shop.sql("GRANT SELECT ON mysql.* TO backup@localhost");
    let (captured, point) = world.capture(source.as_ref());
    let accounts = String::from_utf8_lossy(&content(&point, "/mysql/accounts.sql")).into_owned();
    assert!(
        accounts.contains("CREATE ROLE IF NOT EXISTS `reader`"),
        "{accounts}"
    );
    assert!(
        accounts.contains("SET DEFAULT ROLE `reader` FOR `app`@`%`"),
        "{accounts}"
    );
    assert!(!accounts.contains("`other`.`t`"), "{accounts}");
    let restored = world.restore(source.as_ref(), &point, &world.path("accounts"));
    assert_green(&world.compare(source.as_ref(), &restored, &captured, &point));
    shop.sql("REVOKE SELECT ON mysql.* FROM backup@localhost");

    // Each of them is needed.
    for right in LEAST {
        shop.sql(&format!("REVOKE {right} FROM backup@localhost"));
        let refused = source.capture(&world.ctx(), &mut Memory::default());
        let said = refused.expect_err("a right is missing").to_string();
        let named = right.replace(" ON ", " on ");
        assert!(said.contains(&named), "{right}: {said}");
        shop.sql(&format!("GRANT {right} TO backup@localhost"));
    }
    // Rights on single tables are not those on the database: others would be missing without a trace.
    shop.sql("REVOKE SELECT ON shop.* FROM backup@localhost; GRANT SELECT ON shop.orders TO backup@localhost");
    let refused = source.capture(&world.ctx(), &mut Memory::default());
    let said = refused.expect_err("a right is missing").to_string();
    assert!(said.contains("SELECT on shop.*"), "{said}");
    // Those of a role are.
    shop.sql("GRANT reader TO backup@localhost; SET DEFAULT ROLE reader FOR backup@localhost");
    world.capture(source.as_ref());
}

#[test]
fn a_lock_that_is_not_had_is_said_and_writers_go_on() {
    let world = World::new();
    let shop = MariaShop::new();
    let missing = open(&shop.url.replace("/shop?", "/nowhere?"));
    let refused = missing.capture(&world.ctx(), &mut Memory::default());
    let said = refused.expect_err("there is no such database").to_string();
    assert!(said.contains("no database `nowhere`"), "{said}");
    // The capture holds writers only until both transactions have begun, not until its end.
    let mut wrote = false;
    let mut write = || {
        if !std::mem::replace(&mut wrote, true) {
            shop.sql("UPDATE moves SET pieces = 0");
        }
    };
    open(&shop.url)
        .capture(&world.ctx(), &mut Eager(&mut write))
        .expect("captures");
    assert!(wrote);
}

#[test]
fn passwords_and_certificates_of_mariadb_are_asked_for_and_checked() {
    let server = MariaDb::networked();
    let password = r#"se:s\a"m'e #x"#;
    server.sql(
        r#"CREATE DATABASE shop; CREATE TABLE shop.t AS SELECT 1 AS x;
           CREATE USER backup@'%' IDENTIFIED BY 'se:s\\a"m''e #x'; GRANT ALL ON *.* TO backup@'%';
           CREATE USER tls@'%' IDENTIFIED BY 'se:s\\a"m''e #x' REQUIRE SSL; GRANT ALL ON *.* TO tls@'%'"#,
    );
    let world = World::new();
    let secret = world.path("secret");
    let port = server.port();
    let write = |password: &str| {
        std::fs::write(&secret, password).expect("writes");
        let mut command = Command::new("chmod");
        assert!(
            command
                .arg("600")
                .arg(&secret)
                .status()
                .expect("chmod runs")
                .success()
        );
    };
    let attempt = |user: &str, host: &str, query: &str| {
        let url = format!("mysql://{user}@{host}:{port}/shop?{query}");
        let reference = SecretRef::File(secret.clone());
        let settings = Settings {
            password: Some(&reference),
            ..Settings::below(Path::new("/nowhere"))
        };
        let source = vouchsafe_sources::open(&SourceUrl::parse(&url).expect("a source"), &settings)
            .expect("opens");
        let mut memory = Memory::default();
        let captured = source.capture(&world.ctx(), &mut memory);
        captured.map(|_| memory.finish())
    };
    let refused = |user: &str, host: &str, query: &str| match attempt(user, host, query) {
        Ok(_) => panic!("{query}: it was captured"),
        Err(error) => error.to_string(),
    };
    let authority = server.authority();
    let full = format!("ssl-mode=VERIFY_IDENTITY&ssl-ca={}", authority.display());
    let tls_of = |point: &common::Point| {
        let about: serde_json::Value =
            serde_json::from_slice(&content(point, "/mysql/about.json")).expect("JSON");
        about["tls"].as_str().expect("a text").to_owned()
    };
    write(password);
    for user in ["backup", "tls"] {
        let point = attempt(user, "localhost", &full).expect("captures");
        assert!(tls_of(&point).starts_with("TLSv1.3"), "{}", tls_of(&point));
        let dump = content(&point, "/mysql/database.sql");
        assert!(String::from_utf8_lossy(&dump).contains("CREATE TABLE `t`"));
    }
    let point = attempt("tls", "127.0.0.1", "ssl-mode=REQUIRED").expect("captures");
    assert!(tls_of(&point).starts_with("TLSv1.3"), "{}", tls_of(&point));
    // This machine's own address is spoken to in the clear unless the URL says otherwise, and that is seen.
    let point = attempt("backup", "localhost", "").expect("captures");
    assert_eq!(tls_of(&point), "none");
    let clear = refused("tls", "localhost", "");
    assert!(clear.contains("Access denied"), "{clear}");

    let unknown = refused("backup", "localhost", "ssl-mode=VERIFY_IDENTITY");
    assert!(unknown.contains("ssl-ca"), "{unknown}");
    let other_name = refused("backup", "127.0.0.1", &full);
    assert!(other_name.contains("TLS"), "{other_name}");

    write("wrong");
    let wrong = refused("backup", "localhost", &full);
    assert!(wrong.contains("Access denied"), "{wrong}");
    assert!(wrong.contains("`password:`"), "{wrong}");
    let left: Vec<_> = std::fs::read_dir(world.state()).expect("lists").collect();
    assert_eq!(left.len(), 0, "no option file is left: {left:?}");
    drop(server);
    write(password);
    let gone = refused("backup", "localhost", &full);
    assert!(gone.contains("see that the server runs"), "{gone}");
}

#[test]
fn a_dump_of_mariadb_that_is_cut_off_is_no_point() {
    let world = World::new();
    let shop = MariaShop::new();
    shop.sql("CREATE TABLE big AS SELECT seq, repeat('x', 1000) AS t FROM seq_1_to_60000");
    let source = open(&shop.url);
    let mut killed = false;
    let mut kill = || {
        if std::mem::replace(&mut killed, true) {
            return;
        }
        let dump =
            "SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT /*!40001%'";
        for _ in 0..2000 {
            if let Ok(id) = shop.sql(dump).parse::<u64>() {
                return drop(shop.sql(&format!("KILL {id}")));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("the dump was never seen at work");
    };
    let cut = source.capture(&world.ctx(), &mut Eager(&mut kill));
    let said = cut.expect_err("the dump was cut off").to_string();
    assert!(said.contains("the dump failed"), "{said}");
}

#[test]
fn a_definition_that_changes_while_the_dump_runs_makes_no_point() {
    let world = World::new();
    let shop = MariaShop::new();
    for alter in [
        "CREATE OR REPLACE FUNCTION add_one(a int) RETURNS int DETERMINISTIC RETURN a + 2",
        "CREATE TABLE later (x int)",
        "DROP VIEW totals",
    ] {
        let mut done = false;
        let mut change = || {
            if !std::mem::replace(&mut done, true) {
                shop.sql(alter);
            }
        };
        let source = open(&shop.url);
        let cut = source.capture(&world.ctx(), &mut Eager(&mut change));
        let said = cut.expect_err("a definition changed").to_string();
        assert!(
            said.contains("was altered while the dump ran") || said.contains("the dump failed"),
            "{alter}: {said}"
        );
    }
}

#[test]
fn what_a_dump_of_mariadb_runs_reaches_nothing_of_the_machine() {
    let world = World::new();
    let shop = MariaShop::new();
    let open_to_all = world.path("open-to-all");
    let ours_alone = world.path("ours-alone");
    for (path, mode) in [(&open_to_all, 0o777), (&ours_alone, 0o755)] {
        std::fs::create_dir(path).expect("a directory");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("its mode");
    }
    std::fs::set_permissions(world.dir.path(), std::fs::Permissions::from_mode(0o755))
        .expect("its mode");
    let source = open(&shop.url);
    let (captured, point) = world.capture(source.as_ref());
    let restored = world.restore(source.as_ref(), &point, &world.path("trapped"));
    // The policy's query is asked with all rights that the restored server gives.
    let parsed = SourceUrl::parse(&shop.url).expect("a source");
    let write = |place: &Path| {
        let checks = [format!(
            "SELECT 1 INTO OUTFILE '{}'",
            place.join("here").display()
        )];
        let settings = Settings {
            checks: &checks,
            ..Settings::below(Path::new("/nowhere"))
        };
        let asking = vouchsafe_sources::open(&parsed, &settings).expect("opens");
        world.compare(asking.as_ref(), &restored, &captured, &point);
        std::fs::metadata(place.join("here"))
            .map(|found| found.uid())
            .ok()
    };
    let me = std::fs::metadata("/proc/self").expect("us").uid();
    if me == 0 {
        assert_eq!(
            write(&open_to_all),
            Some(65534),
            "it ran as somebody else, or never"
        );
        assert_eq!(write(&ours_alone), None, "it wrote where only root may");
    } else {
        assert_eq!(write(&open_to_all), Some(me));
    }
}
