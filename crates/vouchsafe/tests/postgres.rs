//! A PostgreSQL database from the command line: captured, restored, drilled, with twins damaged on purpose.

use std::fs;
use std::process::Command;

use crate::common::{self, Workspace};
use serde_json::Value;
use vouchsafe_testkit::postgres::Postgres;

/// A workspace whose policy protects one database of a real server.
struct Shop {
    server: Postgres,
    work: Workspace,
}

impl Shop {
    fn new() -> Shop {
        let server = Postgres::networked();
        server.sql_in(
            "postgres",
            "CREATE DATABASE shop; CREATE ROLE backup LOGIN PASSWORD 'open sesame'; GRANT pg_read_all_data TO backup",
        );
        server.sql_in(
            "shop",
            "CREATE TABLE orders (id serial PRIMARY KEY, item text NOT NULL, price numeric); \
             INSERT INTO orders (item, price) SELECT 'item ' || n, n * 1.5 FROM generate_series(1, 5000) n; \
             CREATE VIEW dear AS SELECT * FROM orders WHERE price > 100; GRANT SELECT ON dear TO backup",
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
    source: "postgres://backup@localhost:{}/shop?sslmode=verify-full&sslrootcert={}"
    password: {{ file: ./password }}
    tier: standard
    plan: nightly
    owner: o@example.com
"#,
            server.port(),
            server.authority().display()
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
fn a_database_is_captured_restored_and_drilled_and_every_damage_is_caught() {
    let shop = Shop::new();
    let w = &shop.work;
    w.ok(["run", "shop"]);
    shop.server
        .sql_in("shop", "INSERT INTO orders (item) VALUES ('later')");
    let said = w.ok(["run", "shop", "--reason", "before deploying 4.2"]);
    assert!(said.contains("in local, offsite"), "{said}");

    let (said, _) = w.exits(0, ["drill", "shop", "--negative", "--json"]);
    let result = said
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|v| v.get("drills").is_some() || v.get("event") == Some(&Value::from("result")))
        .expect("a result");
    let text = result.to_string();
    for rung in ["opens", "schema", "grants", "sequences", "content"] {
        assert!(
            text.contains(&format!("\"name\":\"{rung}\"")),
            "{rung}: {text}"
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
            text.contains(&format!("\"name\":\"{control}\"")),
            "{control}: {text}"
        );
    }
    assert!(!text.contains("open sesame"));
    let (status, _) = w.exits(1, ["status"]);
    assert!(status.contains("0 not met · 1 unproven"), "{status}");

    // As a server of its own, which stock programs start.
    w.ok(["restore", "shop", "--to", "server:./served"]);
    let again = w.exits(2, ["restore", "shop", "--to", "server:./served"]).1;
    assert!(again.contains("not empty"), "{again}");
    assert!(w.path("served/data/PG_VERSION").is_file());

    // Into a server that runs, by its superuser through the socket.
    let target = format!(
        "postgres://postgres@localhost:{}/again?host={}",
        shop.server.port(),
        shop.server.socket_dir().display()
    );
    w.ok(["restore", "shop", "--to", &target]);
    assert_eq!(
        shop.server.sql_in("again", "SELECT count(*) FROM orders"),
        "5001"
    );
    let refused = w.exits(2, ["restore", "shop", "--to", &target]).1;
    assert!(refused.contains("--force"), "{refused}");

    // As files.
    w.ok(["restore", "shop", "--to", "./files"]);
    assert!(
        fs::read(w.path("files/database.dump"))
            .unwrap()
            .starts_with(b"PGDMP")
    );
}

#[test]
fn a_database_that_several_processes_dump_is_drilled_and_single_tables_come_back() {
    let shop = Shop::new();
    let w = &shop.work;
    let policy = fs::read_to_string(w.path("policy.yaml")).unwrap();
    let policy = policy.replacen("    source:", "    dump_jobs: 3\n    source:", 1);
    fs::write(w.path("policy.yaml"), &policy).unwrap();
    w.ok(["run", "shop"]);
    w.ok(["restore", "shop", "--to", "./files"]);
    assert!(w.path("files/database.dump/toc.dat").is_file());
    let (said, _) = w.exits(0, ["drill", "shop", "--negative", "--json"]);
    for control in ["missing-pack", "flipped-byte", "wrong-row"] {
        let named = format!("\"name\":\"{control}\"");
        assert!(said.contains(&named), "{control}: {said}");
    }
    let target = format!(
        "postgres://postgres@localhost:{}/shop?host={}",
        shop.server.port(),
        shop.server.socket_dir().display()
    );
    shop.server
        .sql_in("shop", "DELETE FROM orders WHERE id < 100");
    let words = ["restore", "shop", "--only", "orders", "--into", "back"];
    w.ok(words.into_iter().chain(["--to", target.as_str()]));
    assert_eq!(
        shop.server
            .sql_in("shop", "SELECT count(*) FROM back.orders"),
        "5000"
    );

    let senseless = policy.replace("/shop?", "?");
    fs::write(w.path("policy.yaml"), senseless).unwrap();
    let (said, _) = w.exits(2, ["lint"]);
    assert!(said.contains("`dump_jobs` makes no sense"), "{said}");
}

#[test]
fn a_whole_server_is_captured_and_drilled_and_every_damage_is_caught() {
    whole_server(false);
}

#[test]
fn a_whole_server_is_read_from_its_own_files_and_drilled() {
    whole_server(true);
}

fn whole_server(from_files: bool) {
    let shop = Shop::new();
    let w = &shop.work;
    shop.server
        .sql_in("postgres", "ALTER ROLE backup REPLICATION");
    let hba =
        "printf 'host replication all 127.0.0.1/32 scram-sha-256\\n' >> \"$PGDATA/pg_hba.conf\"";
    let data = shop.server.sql_in("postgres", "SHOW data_directory");
    assert!(
        Command::new("sh")
            .args(["-c", hba])
            .env("PGDATA", &data)
            .status()
            .unwrap()
            .success()
    );
    shop.server.sql_in("postgres", "SELECT pg_reload_conf()");
    let policy = fs::read_to_string(w.path("policy.yaml")).unwrap();
    let mut policy = policy.replace("/shop?", "?");
    if from_files {
        let key = format!("    data_directory: {data}\n    source:");
        policy = policy.replacen("    source:", &key, 1);
        assert!(policy.contains("data_directory"), "{policy}");
    }
    fs::write(w.path("policy.yaml"), policy).unwrap();
    common::vaults::agree(w);
    if from_files {
        let (_, said) = w.exits(3, ["run", "shop"]);
        assert!(said.contains("grant the user EXECUTE"), "{said}");
        shop.server.sql_in(
            "postgres",
            "GRANT EXECUTE ON FUNCTION pg_backup_start, pg_backup_stop TO backup",
        );
    }
    w.ok(["run", "shop"]);
    let before = added(&w.ok(["run", "shop", "--json"]));
    shop.server
        .sql_in("shop", "UPDATE orders SET item = 'changed' WHERE id = 7");
    let after = added(&w.ok(["run", "shop", "--json"]));
    assert!(
        after < before + (2 << 20),
        "a page changed and {after} bytes were added, {before} without"
    );
    let (said, _) = w.exits(0, ["drill", "shop", "--negative", "--json"]);
    for rung in ["opens", "position", "checksums"] {
        assert!(
            said.contains(&format!("\"name\":\"{rung}\"")),
            "{rung}: {said}"
        );
    }
    assert!(said.contains("unopenable-database"), "{said}");
    w.ok(["restore", "shop", "--to", "server:./served"]);
    assert!(w.path("served/data/global/pg_control").is_file());
}

#[test]
fn all_databases_of_a_server_are_dumped_and_drilled_and_every_damage_is_caught() {
    let shop = Shop::new();
    let w = &shop.work;
    shop.server.sql(
        "CREATE DATABASE \"odd \"\"na.me\" TEMPLATE template0 LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'; \
         CREATE DATABASE nobody; CREATE TABLE in_postgres (x int); INSERT INTO in_postgres VALUES (7)",
    );
    shop.server.sql_in(
        "odd \"na.me",
        "CREATE SCHEMA stock; CREATE TABLE stock.moves (id int PRIMARY KEY, item text); \
         INSERT INTO stock.moves SELECT n, 'move ' || n FROM generate_series(1, 300) n; CREATE SEQUENCE tickets",
    );
    let policy = fs::read_to_string(w.path("policy.yaml")).unwrap();
    fs::write(w.path("policy.yaml"), policy.replace("/shop?", "/*?")).unwrap();
    common::vaults::agree(w);
    w.ok(["run", "shop"]);
    shop.server
        .sql_in("shop", "INSERT INTO orders (item) VALUES ('later')");
    w.ok(["run", "shop"]);
    let (said, _) = w.exits(0, ["drill", "shop", "--negative", "--json"]);
    for rung in ["opens", "schema", "grants", "sequences", "content"] {
        assert!(
            said.contains(&format!("\"name\":\"{rung}\"")),
            "{rung}: {said}"
        );
    }
    for control in ["wrong-key", "flipped-byte", "stale-manifest", "wrong-row"] {
        assert!(
            said.contains(&format!("\"name\":\"{control}\"")),
            "{control}: {said}"
        );
    }
    let covered = w.ok(["coverage"]);
    assert!(
        covered.contains("0 not protected") || !covered.contains("not protected"),
        "{covered}"
    );

    // As a server of its own, and into one that runs.
    w.ok(["restore", "shop", "--to", "server:./served"]);
    let served = Postgres::on_copy_of(&w.path("served/data"));
    let check = |server: &Postgres| {
        assert_eq!(server.sql_in("shop", "SELECT count(*) FROM orders"), "5001");
        assert_eq!(
            server.sql_in("odd \"na.me", "SELECT count(*) FROM stock.moves"),
            "300"
        );
        assert_eq!(server.sql("SELECT x FROM in_postgres"), "7");
        let locale = "SELECT datcollate FROM pg_database WHERE datname LIKE 'odd%'";
        assert_eq!(server.sql(locale), "C.UTF-8");
    };
    check(&served);
    assert_eq!(
        served.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'backup'"),
        "1"
    );
    let other = Postgres::start();
    other.sql("CREATE ROLE backup");
    let target = other.url("*");
    w.ok(["restore", "shop", "--to", &target]);
    check(&other);
    let (_, said) = w.exits(2, ["restore", "shop", "--to", &target]);
    assert!(said.contains("not empty"), "{said}");
    let (_, said) = w.exits(2, ["restore", "shop", "--to", &other.url("one")]);
    assert!(said.contains("several databases"), "{said}");

    // One table of one of them beside live data.
    let live = format!(
        "postgres://postgres@localhost:{}/shop?host={}",
        shop.server.port(),
        shop.server.socket_dir().display()
    );
    for (table, rows) in [
        ("public.orders", "5,001 rows"),
        ("\"odd \"\"na.me\".stock.moves", "300 rows"),
    ] {
        let args = [
            "restore", "shop", "--to", &live, "--into", "back", "--only", table,
        ];
        let said = w.ok(args);
        assert!(
            said.contains(rows) && said.contains("equal to the captured rows"),
            "{said}"
        );
        shop.server.sql_in("shop", "DROP SCHEMA back CASCADE");
    }

    // A database that the user may not read keeps the others from looking complete.
    shop.server
        .sql("REVOKE CONNECT ON DATABASE nobody FROM PUBLIC");
    let (_, said) = w.exits(3, ["run", "shop"]);
    assert!(said.contains("connect to the database nobody"), "{said}");
}

/// The bytes that a run added, as it says.
fn added(said: &str) -> u64 {
    let bytes = |line: &str| {
        serde_json::from_str::<Value>(line)
            .ok()?
            .get("added_bytes")?
            .as_u64()
    };
    let mut nested = said.lines().rev().filter_map(|line| {
        bytes(line).or_else(|| {
            let value: Value = serde_json::from_str(line).ok()?;
            value.pointer("/runs/0/added_bytes")?.as_u64()
        })
    });
    nested.next().expect("it says how much")
}

#[test]
fn what_cannot_be_captured_is_said_and_makes_no_point() {
    let shop = Shop::new();
    let w = &shop.work;
    shop.password("wrong\n");
    let (_, said) = w.exits(3, ["run", "shop"]);
    assert!(said.contains("password authentication failed"), "{said}");
    assert!(!said.contains("wrong\n"), "{said}");
    shop.password("open sesame\n");
    shop.server.sql_in(
        "shop",
        "CREATE TABLE secret (x int); ALTER TABLE secret ENABLE ROW LEVEL SECURITY",
    );
    let (_, said) = w.exits(3, ["run", "shop"]);
    assert!(said.contains("row-level security"), "{said}");
    let points = w.ok(["points", "shop", "--json"]);
    assert!(!points.contains("\"point\""), "{points}");
    let Shop { server, work } = shop;
    drop(server);
    let (_, said) = work.exits(3, ["run", "shop"]);
    assert!(said.contains("see that the server runs"), "{said}");
}
