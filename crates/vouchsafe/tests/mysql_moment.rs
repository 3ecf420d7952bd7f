//! A MariaDB server whose binary log a worker ships, brought back to moments in its past from the command line, and a
//! drill that proves it.

use std::fs;
use std::time::Duration;

use crate::common::worker::{self, Worker};
use crate::common::{self, Workspace};
use serde_json::Value;
use vouchsafe_testkit::mariadb::MariaDb;

/// A workspace whose policy protects a whole server with its log, by a user with the least rights.
struct Shop {
    server: MariaDb,
    work: Workspace,
}

impl Shop {
    fn new() -> Shop {
        let server = MariaDb::start(&["--max-binlog-size=256K"]);
        server.sql(
            "CREATE USER backup@localhost IDENTIFIED BY 'open sesame'; \
             GRANT RELOAD, PROCESS, LOCK TABLES, BINLOG MONITOR, REPLICATION SLAVE ON *.* TO backup@localhost; \
             GRANT CREATE, SELECT, INSERT, UPDATE ON vouchsafe.* TO backup@localhost; \
             CREATE DATABASE shop; CREATE TABLE shop.orders (id int AUTO_INCREMENT PRIMARY KEY, at datetime(6), note text)",
        );
        let work = Workspace::new();
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

    fn worker(&self) -> Worker {
        Worker::start(&self.work)
    }

    fn facts(&self, kind: &str) -> Vec<Value> {
        worker::facts(&self.work, kind)
    }

    fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        worker::until(&self.work, what, is_so);
    }

    /// Until the record says that both vaults have all of the log that there is now.
    fn until_recorded(&self) -> Value {
        let said = self.server.sql("SHOW MASTER STATUS");
        let mut words = said.split('\t');
        let file = words.next().unwrap().rsplit('.').next().unwrap();
        let end = (
            file.parse().unwrap(),
            words.next().unwrap().parse().unwrap(),
        );
        worker::until_recorded(&self.work, end)
    }

    /// Rows in transactions of their own.
    fn rows(&self, count: usize) {
        let one = "INSERT INTO shop.orders (at, note) VALUES (NOW(6), repeat('x', 200));\n";
        self.server.sql(&one.repeat(count));
    }

    /// The numbers of rows, each with the second in which it was committed.
    fn committed(&self) -> Vec<(u64, i64)> {
        let rows = self
            .server
            .sql("SELECT id, FLOOR(UNIX_TIMESTAMP(at)) FROM shop.orders ORDER BY id");
        let read = |row: &str| {
            let (id, second) = row.split_once('\t').unwrap();
            (id.parse().unwrap(), second.parse().unwrap())
        };
        rows.lines().map(read).collect()
    }

    /// The rows of a restored server, by stock MariaDB.
    fn rows_in(&self, place: &str) -> Vec<u64> {
        let served = MariaDb::on_copy_of(&self.work.path(place).join("data"));
        let rows = served.sql("SELECT id FROM shop.orders ORDER BY id");
        rows.lines().map(|id| id.parse().unwrap()).collect()
    }
}

fn time(second: i64) -> String {
    vouchsafe_model::Time::from_secs(second).to_string()
}

fn before(rows: &[(u64, i64)], second: i64) -> Vec<u64> {
    let there = rows.iter().filter(|(_, at)| *at < second);
    there.map(|(id, _)| *id).collect()
}

#[test]
fn a_mariadb_server_is_followed_brought_to_any_second_and_drilled() {
    let shop = Shop::new();
    let worker = shop.worker();
    shop.rows(20);
    // Until there is one in the second vault, equality cannot be shown of moments after the first one.
    shop.until("the first base in both vaults", || {
        let copies = shop.facts("copy");
        copies.iter().any(|copy| copy["vault"] == "offsite")
    });

    // No secret shows while the receiver runs.
    let lines = worker::lines_of_processes();
    assert!(lines.contains("--stop-never"), "the receiver runs");
    assert!(!lines.contains("sesame"));

    for _ in 0..8 {
        shop.rows(25);
        std::thread::sleep(Duration::from_millis(450));
    }
    // Killed in the middle of work, and begun again: nothing is missing and nothing is there twice.
    worker.signal("KILL");
    drop(worker);
    shop.rows(300);
    let worker = shop.worker();
    let last = shop.until_recorded();
    let copies = last["copies"].as_array().unwrap();
    for what in ["digest", "reaches", "begins"] {
        assert_eq!(copies[0][what], copies[1][what], "{last}");
    }
    assert!(last["token"]["sequence"].as_u64().unwrap() > 0, "{last}");
    assert_eq!(last["stream"], "binlog");
    assert_eq!(shop.facts("log-gap"), Vec::<Value>::new());
    let status = shop.work.run(["status", "--verbose"]);
    let text = common::text(&status.stdout);
    assert!(text.contains("behind"), "{text}");
    let points = shop.work.ok(["points", "shop-db"]);
    assert!(points.contains("any moment from"), "{points}");
    worker.signal("TERM");
    assert_eq!(worker.ends(), Some(0), "{}", worker::said(&shop.work));

    // A gate: it ships what there is by itself where no worker is at it.
    shop.rows(5);
    shop.work
        .ok(["run", "shop-db", "--reason", "before the release"]);
    let committed = shop.committed();
    let newest = committed.last().unwrap().1;
    let middle = committed[120].1;

    // The worklist first, then the deed.
    let at = time(middle);
    let order = ["restore", "shop-db", "--at", &at, "--to", "server:./served"];
    let mut dry = order.to_vec();
    dry.push("--dry-run");
    let said = shop.work.ok(dry);
    assert!(said.contains("of log at most"), "{said}");
    assert!(!shop.work.path("served").exists());
    shop.work.ok(order);
    assert_eq!(shop.rows_in("served"), before(&committed, middle));
    assert!(!shop.work.path("served/binlog").exists());
    let left = fs::read_dir(shop.work.path("served/data"))
        .unwrap()
        .flatten();
    let left: Vec<_> = left
        .filter(|e| e.file_name().to_string_lossy().starts_with("vouchsafe-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");

    // One table of that second beside the live one.
    let live = shop.server.url("root", "shop");
    let order = ["restore", "shop-db", "--at", &at, "--to", &live];
    let tables = ["--only", "orders", "--into", "back"];
    let said = shop.work.ok(order.iter().chain(&tables));
    assert!(
        said.contains("equal to those of the restored copy"),
        "{said}"
    );
    let ids = |table: &str| {
        let rows = shop
            .server
            .sql(&format!("SELECT id FROM {table} ORDER BY id"));
        let rows = rows.lines().map(|id| id.parse().unwrap());
        rows.collect::<Vec<u64>>()
    };
    assert_eq!(ids("back.orders"), before(&committed, middle));
    assert_eq!(ids("shop.orders").len(), committed.len());
    shop.server.sql("DROP DATABASE back");

    let order = [
        "restore",
        "shop-db",
        "--at",
        "latest",
        "--to",
        "server:./latest",
        "--json",
    ];
    let said = shop.work.ok(order);
    assert!(said.contains("\"newest_commit\""), "{said}");
    assert_eq!(shop.rows_in("latest").len(), committed.len());

    // A position that the log does not have.
    let order = [
        "restore",
        "shop-db",
        "--at",
        "000001:999999",
        "--to",
        "server:./far",
        "--dry-run",
    ];
    let (_, said) = shop.work.exits(2, order);
    assert!(said.contains("byte 999999 of file 1"), "{said}");

    // Beyond either end nothing is done, and it is said what can be.
    for at in [time(newest + 3600), time(committed[0].1 - 3600)] {
        let order = ["restore", "shop-db", "--at", &at, "--to", "server:./no"];
        let (_, said) = shop.work.exits(2, order);
        assert!(
            said.contains("to any moment from") && said.contains("in local"),
            "{said}"
        );
    }
    assert!(!shop.work.path("no").exists());

    // A drill climbs from the vault to the rows, and its twins are caught.
    let at = time(middle);
    let (said, _) = shop
        .work
        .exits(0, ["drill", "shop-db", "--at", &at, "--negative", "--json"]);
    for rung in [
        "log",
        "log-sealed",
        "position",
        "moment",
        "tokens",
        "checksums",
        "checks",
        "equality",
    ] {
        assert!(
            said.contains(&format!("\"name\":\"{rung}\"")),
            "{rung}: {said}"
        );
    }
    for control in [
        "missing-log",
        "flipped-log-byte",
        "exchanged-log",
        "other-server",
        "stale-manifest",
        "unequal-copy",
    ] {
        assert!(
            said.contains(&format!("\"name\":\"{control}\"")),
            "{control}: {said}"
        );
    }
    shop.work.exits(0, ["drill", "shop-db", "--at", "random"]);
}

#[test]
fn purged_logs_are_a_gap_in_the_record_and_a_new_base_is_made() {
    let shop = Shop::new();
    let done = shop.work.ok(["worker", "--once"]);
    assert!(done.contains("whole in every vault"), "{done}");
    shop.work.ok(["run", "shop-db"]);
    shop.rows(10);
    shop.server.sql("FLUSH BINARY LOGS");
    shop.rows(10);
    shop.server.sql("FLUSH BINARY LOGS");
    let current = shop.server.sql("SHOW MASTER STATUS");
    let current = current.split('\t').next().unwrap();
    // The server keeps what it still sends to the receiver that has just ended.
    shop.until("the purge", || {
        shop.server
            .sql(&format!("PURGE BINARY LOGS TO '{current}'"));
        shop.server.sql("SHOW BINARY LOGS").starts_with(current)
    });
    let worker = shop.worker();
    shop.until("a new base", || shop.facts("recovery-point").len() > 1);
    let gaps = shop.facts("log-gap");
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(gaps[0]["cause"], "removed");
    shop.rows(10);
    let last = shop.until_recorded();
    assert_eq!(last["copies"][0]["begins"], gaps[0]["to"], "{last}");
    let runs = shop.facts("run-opened");
    let reason = runs.iter().rev().find_map(|run| run["reason"].as_str());
    let reason = reason.unwrap();
    assert!(reason.contains("gap"), "{reason}");
    worker.signal("INT");
    assert_eq!(worker.ends(), Some(0));
    let points = shop.work.ok(["points", "shop-db"]);
    assert!(points.contains("gap from"), "{points}");
    // What lies behind the gap can be had back by the new base.
    shop.work.ok([
        "restore",
        "shop-db",
        "--at",
        "latest",
        "--to",
        "server:./latest",
    ]);
    assert_eq!(shop.rows_in("latest").len(), shop.committed().len());
}
