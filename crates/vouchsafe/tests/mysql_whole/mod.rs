//! A whole MySQL server whose binary log a worker ships, brought back to moments in its past from the command line, and
//! drills that prove it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::common::Workspace;
use crate::common::worker::{self, Worker};
use vouchsafe_testkit::mysql::{MySql, inside};

const VOUCHSAFE: &str = env!("CARGO_BIN_EXE_vouchsafe");

/// A workspace whose policy protects a whole server with its log, by a user with the least rights.
struct Shop {
    server: MySql,
    work: Workspace,
}

impl Shop {
    fn new() -> Shop {
        let server = MySql::start(&["--max-binlog-size=256K"]);
        server.sql(
            "INSTALL PLUGIN clone SONAME 'mysql_clone.so'; \
             CREATE USER backup@localhost IDENTIFIED BY 'open sesame'; \
             GRANT BACKUP_ADMIN, PROCESS, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO backup@localhost; \
             GRANT CREATE, SELECT, INSERT, UPDATE ON vouchsafe.* TO backup@localhost; \
             CREATE DATABASE shop; CREATE TABLE shop.orders (id int AUTO_INCREMENT PRIMARY KEY, note text); \
             CREATE TABLE shop.large (id int PRIMARY KEY, pad char(200)); SET cte_max_recursion_depth = 100000; \
             USE shop; INSERT INTO large WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000) \
             SELECT i, sha2(i, 256) FROM n",
        );
        let work = Workspace::bare();
        fs::write(work.path("password"), "open sesame\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(work.path("password"), mode).unwrap();
        let policy = format!(
            r#"
policy: {{ id: T-1, title: Test policy, owner: o@example.com, version: "1", next_review: 2999-01-01 }}
vaults:
  local:   {{ url: ./vaults/local, region: here, country: GB }}
  offsite: {{ url: ./vaults/offsite, region: there, country: GB }}
tiers:
  critical: {{ rpo: 5m, log_rpo: 30s, rto: 1h, copies: {{ min: 2 }} }}
systems:
  shop-db:
    source: "mysql://backup@localhost?socket={}"
    password: {{ file: ./password }}
    tier: critical
    owner: o@example.com
    schedule: "daily at 02:00 UTC"
    keep: {{ at_least: 35 days }}
    copies: [ local, offsite ]
    logs: {{ every: 1s, keep: 7 days }}
    verify: {{ every: week }}
    drill:
      every: quarter
      negative_control: every year
      checks: ["SELECT count(*) > 0 FROM shop.orders"]
      equality: copies
"#,
            server.socket().display()
        );
        fs::write(work.path("policy.yaml"), policy).unwrap();
        work.ok(["init"]);
        Shop { server, work }
    }

    /// Rows in transactions of their own, and then a moment of the server's clock, as arguments have it.
    fn rows(&self, count: usize) -> String {
        let one = "INSERT INTO shop.orders (note) VALUES (repeat('x', 200));\n";
        let said = self.server.sql(&format!(
            "{}SELECT DATE_FORMAT(CONVERT_TZ(SYSDATE(6), @@time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%s.%fZ')",
            one.repeat(count)
        ));
        std::thread::sleep(Duration::from_millis(20));
        said
    }

    /// How many rows a restored server has, by stock MySQL.
    fn rows_in(&self, place: &str) -> usize {
        let served = MySql::on_copy_of(&self.work.path(place).join("data"));
        let said = served.sql("SELECT count(*) FROM shop.orders");
        said.parse().unwrap()
    }
}

fn assert_names(said: &str, names: &[&str]) {
    for name in names {
        assert!(
            said.contains(&format!("\"name\":\"{name}\"")),
            "{name}: {said}"
        );
    }
}

#[test]
fn a_mysql_server_is_followed_brought_to_any_moment_and_drilled() {
    let name = "mysql_whole::a_mysql_server_is_followed_brought_to_any_moment_and_drilled";
    inside(name, &[Path::new(VOUCHSAFE)], || {
        let shop = Shop::new();
        let w = &shop.work;
        let first = Worker::start(w);
        shop.rows(20);
        // Until there is one in the second vault, equality cannot be shown of moments after the first one.
        worker::until(w, "the first base in both vaults", || {
            let copies = worker::facts(w, "copy");
            copies.iter().any(|copy| copy["vault"] == "offsite")
        });

        // No secret shows while the receiver runs.
        let lines = worker::lines_of_processes();
        assert!(lines.contains("--stop-never"), "the receiver runs");
        assert!(!lines.contains("sesame"));

        shop.rows(100);
        // Killed in the middle of work, and begun again: nothing is missing and nothing is there twice.
        first.signal("KILL");
        drop(first);
        let middle = shop.rows(30);
        shop.rows(70);
        let second = Worker::start(w);
        let last = worker::until_recorded(w, shop.server.end_of_log());
        let copies = last["copies"].as_array().unwrap();
        for what in ["digest", "reaches", "begins"] {
            assert_eq!(copies[0][what], copies[1][what], "{last}");
        }
        assert!(last["token"]["sequence"].as_u64().unwrap() > 0, "{last}");
        assert!(worker::facts(w, "log-gap").is_empty());
        second.signal("TERM");
        assert_eq!(second.ends(), Some(0), "{}", worker::said(w));

        // The worklist first, then the deed.
        let order = [
            "restore",
            "shop-db",
            "--at",
            &middle,
            "--to",
            "server:./served",
        ];
        let said = w.ok(order.iter().chain(&["--dry-run"]));
        assert!(said.contains("of log at most"), "{said}");
        assert!(!w.path("served").exists());
        w.ok(order);
        assert_eq!(shop.rows_in("served"), 150);
        assert!(!w.path("served/binlog").exists());
        let left = fs::read_dir(w.path("served/data")).unwrap().flatten();
        let left: Vec<_> = left
            .filter(|e| e.file_name().to_string_lossy().starts_with("vouchsafe-"))
            .collect();
        assert!(left.is_empty(), "{left:?}");

        // By the name of a transaction, and all of it.
        let uuid = shop.server.sql("SELECT @@server_uuid");
        let executed = shop.server.sql("SELECT @@GLOBAL.gtid_executed");
        let newest = executed.rsplit(['-', ':']).next().unwrap();
        for (at, to) in [
            ("latest".to_owned(), "latest"),
            (format!("{uuid}:{newest}"), "named"),
        ] {
            let to_place = format!("server:./{to}");
            w.ok(["restore", "shop-db", "--at", &at, "--to", &to_place]);
            assert_eq!(shop.rows_in(to), 220);
        }

        // Beyond the end nothing is done, and it is said what can be.
        let far = [
            "restore",
            "shop-db",
            "--at",
            "2999-01-01T00:00:00Z",
            "--to",
            "server:./no",
        ];
        let (_, said) = w.exits(2, far);
        assert!(said.contains("to any moment from"), "{said}");
        assert!(!w.path("no").exists());

        // One table of that moment beside the live one.
        let live = shop.server.url("root", "shop");
        let order = ["restore", "shop-db", "--at", &middle, "--to", &live];
        w.ok(order.iter().chain(&["--only", "orders", "--into", "back"]));
        assert_eq!(shop.server.sql("SELECT count(*) FROM back.orders"), "150");
        assert_eq!(shop.server.sql("SELECT count(*) FROM shop.orders"), "220");

        // Drills climb from the vault to the rows, and their twins are caught.
        let order = ["drill", "shop-db", "--at", &middle, "--negative", "--json"];
        let (said, _) = w.exits(0, order);
        let rungs = [
            "log",
            "log-sealed",
            "position",
            "moment",
            "tokens",
            "checksums",
            "checks",
        ];
        assert_names(&said, &rungs);
        let controls = [
            "missing-log",
            "flipped-log-byte",
            "exchanged-log",
            "other-server",
            "stale-manifest",
            "unequal-copy",
        ];
        assert_names(&said, &controls);
        assert!(!said.contains("sesame"));
        w.exits(0, ["drill", "shop-db", "--at", "random"]);
    });
}

#[test]
fn a_whole_mysql_server_is_captured_and_drilled_and_every_damage_is_caught() {
    let name =
        "mysql_whole::a_whole_mysql_server_is_captured_and_drilled_and_every_damage_is_caught";
    inside(name, &[Path::new(VOUCHSAFE)], || {
        let shop = Shop::new();
        let w = &shop.work;
        let policy = fs::read_to_string(w.path("policy.yaml")).unwrap();
        let lines = policy
            .lines()
            .filter(|line| !line.contains("logs:") && !line.contains("equality:"));
        let policy = lines
            .collect::<Vec<_>>()
            .join("\n")
            .replace("log_rpo: 30s, ", "");
        fs::write(w.path("policy.yaml"), policy).unwrap();
        crate::common::vaults::agree(w);
        shop.rows(10);
        w.ok(["run", "shop-db"]);
        let before = worker::added_bytes(&w.ok(["run", "shop-db", "--json"]));
        shop.server
            .sql("UPDATE shop.large SET pad = 'changed' WHERE id = 4711");
        let after = worker::added_bytes(&w.ok(["run", "shop-db", "--json"]));
        assert!(
            after < before + (2 << 20),
            "a page changed and {after} bytes were added, {before} without"
        );
        let (said, _) = w.exits(0, ["drill", "shop-db", "--negative", "--json"]);
        assert_names(&said, &["opens", "position", "checksums", "checks"]);
        assert!(said.contains("flipped-page-byte"), "{said}");
        w.ok(["restore", "shop-db", "--to", "server:./served"]);
        assert_eq!(shop.rows_in("served"), 10);
        let again = w
            .exits(2, ["restore", "shop-db", "--to", "server:./served"])
            .1;
        assert!(again.contains("not empty"), "{again}");

        // What cannot be captured is said and makes no point.
        let points = w.ok(["points", "shop-db", "--json"]);
        shop.server.sql("UNINSTALL PLUGIN clone");
        let (_, said) = w.exits(3, ["run", "shop-db"]);
        assert!(said.contains("INSTALL PLUGIN clone"), "{said}");
        assert_eq!(
            w.ok(["points", "shop-db", "--json"])
                .matches("\"point\"")
                .count(),
            points.matches("\"point\"").count()
        );
    });
}
