//! A MariaDB database from the command line: captured, restored, drilled, with twins damaged on purpose.

use std::fs;
use std::process::Command;

use crate::common::Workspace;
use crate::common::worker::added_bytes;
use vouchsafe_testkit::mariadb::MariaDb;

/// A workspace whose policy protects one database of a real server, and that whole server.
struct Shop {
    server: MariaDb,
    work: Workspace,
}

impl Shop {
    fn new() -> Shop {
        let server = MariaDb::networked();
        server.sql(
            "CREATE DATABASE shop; CREATE USER backup@'%' IDENTIFIED BY 'open sesame' REQUIRE SSL; \
             GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON shop.* TO backup@'%'; \
             GRANT SELECT ON mysql.* TO backup@'%'; GRANT RELOAD ON *.* TO backup@'%'; \
             CREATE USER base@localhost IDENTIFIED BY 'open sesame'; \
             GRANT RELOAD, PROCESS, LOCK TABLES, BINLOG MONITOR ON *.* TO base@localhost",
        );
        server.sql_in(
            "shop",
            "CREATE TABLE orders (id int AUTO_INCREMENT PRIMARY KEY, item varchar(200) NOT NULL, price decimal(10, 2)); \
             INSERT INTO orders (item, price) SELECT concat('item ', seq), seq * 1.5 FROM seq_1_to_5000; \
             CREATE VIEW dear AS SELECT * FROM orders WHERE price > 100",
        );
        let work = Workspace::new();
        let policy = format!(
            r#"
policy: {{ id: T-1, title: Test policy, owner: o@example.com, version: "1", next_review: 2999-01-01 }}
vaults:
  local:   {{ url: ./vaults/local, region: here, country: GB }}
  offsite: {{ url: ./vaults/offsite, region: there, country: GB }}
tiers:
  standard: {{ rpo: 24h, rto: 1h, copies: {{ min: 2 }} }}
plans:
  nightly:
    schedule: "daily at 02:00 UTC"
    keep: {{ at_least: 35 days }}
    copies: [ local, offsite ]
    verify: {{ every: week }}
    drill: {{ every: quarter, negative_control: every year }}
systems:
  shop:
    tier: standard
    plan: nightly
    owner: o@example.com
    protections:
      dump:
        capture: "mariadb://backup@localhost:{}/shop?ssl-mode=VERIFY_IDENTITY&ssl-ca={}"
        password: {{ file: ./password }}
        drill: {{ every: quarter, negative_control: every year, checks: [ "SELECT count(*) >= 5000 FROM orders" ] }}
      base:
        capture: "mysql://base@localhost?socket={}"
        password: {{ file: ./password }}
"#,
            server.port(),
            server.authority().display(),
            server.socket().display(),
        );
        fs::write(work.path("policy.yaml"), policy).unwrap();
        let shop = Shop { server, work };
        shop.password("open sesame\n");
        shop.work.ok(["init"]);
        shop
    }

    fn password(&self, text: &str) {
        let path = self.work.path("password");
        fs::write(&path, text).unwrap();
        assert!(
            Command::new("chmod")
                .arg("600")
                .arg(path)
                .status()
                .unwrap()
                .success()
        );
    }
}

#[test]
fn a_mariadb_database_is_captured_restored_and_drilled_and_every_damage_is_caught() {
    let shop = Shop::new();
    let w = &shop.work;
    w.ok(["run", "shop/dump"]);
    shop.server
        .sql_in("shop", "INSERT INTO orders (item) VALUES ('later')");
    let said = w.ok(["run", "shop/dump", "--reason", "before deploying 4.2"]);
    assert!(said.contains("in local, offsite"), "{said}");

    let (said, _) = w.exits(0, ["drill", "shop/dump", "--negative", "--json"]);
    for rung in [
        "opens",
        "schema",
        "grants",
        "sequences",
        "content",
        "checks",
    ] {
        assert!(
            said.contains(&format!("\"name\":\"{rung}\"")),
            "{rung}: {said}"
        );
    }
    for control in [
        "wrong-key",
        "missing-pack",
        "flipped-byte",
        "swapped-snapshot",
        "stale-manifest",
        "wrong-row",
    ] {
        assert!(
            said.contains(&format!("\"name\":\"{control}\"")),
            "{control}: {said}"
        );
    }
    assert!(!said.contains("open sesame"));

    // As a server of its own, which stock programs start.
    w.ok(["restore", "shop/dump", "--to", "server:./served"]);
    let again = w
        .exits(2, ["restore", "shop/dump", "--to", "server:./served"])
        .1;
    assert!(again.contains("not empty"), "{again}");
    assert!(w.path("served/data/shop/orders.ibd").is_file());
    assert!(!w.path("served/server.sql").exists());

    // Into a server that runs, by an administrator through the socket.
    let target = shop.server.url("root", "again");
    w.ok(["restore", "shop/dump", "--to", &target]);
    assert_eq!(
        shop.server.sql_in("again", "SELECT count(*) FROM orders"),
        "5001"
    );
    let refused = w.exits(2, ["restore", "shop/dump", "--to", &target]).1;
    assert!(refused.contains("--force"), "{refused}");

    // As files.
    w.ok(["restore", "shop/dump", "--to", "./files"]);
    assert!(
        fs::read_to_string(w.path("files/database.sql"))
            .unwrap()
            .contains("CREATE TABLE `orders`")
    );
}

#[test]
fn a_whole_mariadb_server_is_captured_and_drilled_and_every_damage_is_caught() {
    let shop = Shop::new();
    let w = &shop.work;
    w.ok(["run", "shop/base"]);
    let before = added_bytes(&w.ok(["run", "shop/base", "--json"]));
    shop.server
        .sql_in("shop", "UPDATE orders SET item = 'changed' WHERE id = 7");
    let after = added_bytes(&w.ok(["run", "shop/base", "--json"]));
    assert!(
        after < before + (2 << 20),
        "a page changed and {after} bytes were added, {before} without"
    );
    let (said, _) = w.exits(0, ["drill", "shop/base", "--negative", "--json"]);
    for rung in ["opens", "position", "checksums"] {
        assert!(
            said.contains(&format!("\"name\":\"{rung}\"")),
            "{rung}: {said}"
        );
    }
    assert!(said.contains("flipped-page-byte"), "{said}");
    w.ok(["restore", "shop/base", "--to", "server:./served"]);
    assert!(w.path("served/data/shop/orders.ibd").is_file());
}

#[test]
fn what_of_a_mariadb_database_cannot_be_captured_is_said_and_makes_no_point() {
    let shop = Shop::new();
    let w = &shop.work;
    shop.password("wrong\n");
    let (_, said) = w.exits(3, ["run", "shop/dump"]);
    assert!(said.contains("Access denied"), "{said}");
    assert!(!said.contains("wrong\n"), "{said}");
    shop.password("open sesame\n");
    shop.server.sql("REVOKE TRIGGER ON shop.* FROM backup@'%'");
    let (_, said) = w.exits(3, ["run", "shop/dump"]);
    assert!(said.contains("TRIGGER on shop.*"), "{said}");
    let points = w.ok(["points", "shop", "--json"]);
    assert!(!points.contains("\"point\""), "{points}");
    let Shop { server, work } = shop;
    drop(server);
    let (_, said) = work.exits(3, ["run", "shop/dump"]);
    assert!(said.contains("see that the server runs"), "{said}");
}
