//! Single tables of MariaDB and SQLite brought back beside live data, from the command line.

use crate::beside::{order, workspace};
use crate::common::Workspace;
use vouchsafe_testkit::mariadb::MariaDb;

#[test]
fn tables_of_mariadb_come_back_in_a_database_of_their_own() {
    let server = MariaDb::start(&[]);
    server.sql("CREATE DATABASE shop");
    server.sql_in(
        "shop",
        "CREATE TABLE customers (id int PRIMARY KEY); CREATE SEQUENCE tickets; \
         CREATE TABLE orders (id int AUTO_INCREMENT PRIMARY KEY, customer int REFERENCES customers (id), \
            item varchar(200) NOT NULL DEFAULT 'none', price decimal(10, 2), twice decimal(10, 2) AS (price * 2) STORED, \
            ticket bigint DEFAULT nextval(tickets), doc blob, KEY by_price (price), CHECK (price < 1000000)); \
         CREATE TABLE parts (orders int, item int, PRIMARY KEY (orders, item), \
            CONSTRAINT of_order FOREIGN KEY (orders) REFERENCES orders (id)); \
         CREATE TABLE `odd.na\"me` (`a b` int) ENGINE=MyISAM; INSERT INTO `odd.na\"me` VALUES (1), (NULL); \
         CREATE TRIGGER loud BEFORE UPDATE ON orders FOR EACH ROW SET NEW.item = upper(NEW.item); \
         CREATE VIEW dear AS SELECT * FROM orders WHERE price > 100; INSERT INTO customers VALUES (1); \
         INSERT INTO orders (customer, item, price, doc) SELECT 1, concat('item ', seq), seq / 7, unhex(md5(seq)) FROM seq_1_to_2000; \
         INSERT INTO parts SELECT seq, 1 FROM seq_1_to_500",
    );
    let target = server.url("root", "shop");
    let whole = server.url("root", "").replace("/?", "?");
    let w = workspace(&format!(
        "      dump: {{ capture: \"{target}\" }}\n      base: {{ capture: \"{whole}\" }}"
    ));
    w.ok(["run", "shop"]);
    let sum = |database: &str| {
        server.sql_in(database, "SELECT md5(group_concat(id, item, price, twice, hex(doc) ORDER BY id)) FROM orders WHERE id <= 20")
    };
    let was = sum("shop");
    server.sql_in(
        "shop",
        "DELETE FROM parts; UPDATE orders SET item = 'spoiled'; DELETE FROM orders WHERE id > 10",
    );
    let live = || {
        let sql = "CHECKSUM TABLE customers, orders, parts";
        server.sql_in("shop", sql)
    };
    let before = live();
    for (system, compared) in [
        ("shop/dump", "equal to the captured rows"),
        ("shop/base", "equal to those of the restored copy"),
    ] {
        let tables = ["shop.orders", "parts", "shop.odd.na\"me"];
        let said = w.ok(order(system, &tables, &target));
        for part in [
            compared,
            "shop.orders as back.orders: 2,000 rows",
            "back.odd.na\"me: 2 rows, equal to those of the restored copy",
            "of orders to shop.customers",
            "the trigger loud of orders",
            "the default of orders.ticket",
        ] {
            assert!(said.contains(part), "{system}: {part}: {said}");
        }
        assert!(!said.contains("of_order"), "{said}");
        assert_eq!(sum("back"), was, "{system}");
        assert_eq!(server.sql_in("back", "SELECT count(*) FROM parts"), "500");
        let shown = server.sql_in("back", "SHOW CREATE TABLE orders");
        assert!(
            shown.contains("by_price") && shown.contains("CHECK"),
            "{shown}"
        );
        assert!(
            server
                .sql_in("back", "SHOW CREATE TABLE parts")
                .contains("of_order")
        );
        assert_eq!(live(), before, "live data is as it was");
        let (_, said) = w.exits(2, order(system, &["parts"], &target));
        assert!(said.contains("there already"), "{said}");
        server.sql("DROP DATABASE back");
    }
    let refused = |args: &[&str], says: &str| {
        let (_, said) = w.exits(2, args);
        assert!(said.contains(says), "{args:?}: {said}");
        let there = server
            .sql("SELECT count(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = 'back'");
        assert_eq!(there, "0");
    };
    refused(
        &order("shop/dump", &["nothing"], &target),
        "no such table; it has",
    );
    refused(&order("shop/dump", &["dear"], &target), "no such table");
    refused(&order("shop/base", &["dear"], &target), "view");
    refused(
        &order("shop/base", &["parts"], &server.url("root", "")),
        "names no database",
    );
    refused(&order("shop/dump", &["parts"], "./somewhere"), "that runs");
    refused(
        &[
            "restore",
            "shop/dump",
            "--to",
            &target,
            "--only",
            "parts",
            "--into",
            "mysql",
        ],
        "there already",
    );
}

#[test]
fn tables_of_sqlite_come_back_under_other_names() {
    let w = Workspace::new();
    let sql = |text: &str| {
        let output = std::process::Command::new("sqlite3")
            .arg(w.path("shop.db"))
            .arg(text)
            .output();
        let output = output.unwrap();
        assert!(
            output.status.success(),
            "{text}: {}",
            crate::common::text(&output.stderr)
        );
        crate::common::text(&output.stdout).trim().to_owned()
    };
    sql(
        "PRAGMA journal_mode = WAL; CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT UNIQUE); \
         CREATE TABLE bills (id INTEGER PRIMARY KEY AUTOINCREMENT, customer REFERENCES customers(id) ON DELETE CASCADE NOT NULL, \
            \"a b\" TEXT COLLATE NOCASE, doc BLOB, size AS (length(doc)) STORED); \
         CREATE TABLE lines (bill INT, item TEXT, PRIMARY KEY (bill, item), FOREIGN KEY (bill) REFERENCES bills(id)) WITHOUT ROWID; \
         CREATE INDEX by_customer ON bills(customer) WHERE customer > 0; \
         CREATE TRIGGER loud AFTER UPDATE ON bills BEGIN SELECT 1; END; CREATE VIEW dear AS SELECT * FROM bills; \
         INSERT INTO customers VALUES (1, 'ann'); \
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) \
            INSERT INTO bills (customer, \"a b\", doc) SELECT 1, 'n' || i, randomblob(i % 70) FROM n; \
         DELETE FROM bills WHERE id = 500; INSERT INTO lines SELECT id, 'x' FROM bills WHERE id < 100",
    );
    w.ok(["init"]);
    w.ok(["run"]);
    let all = "SELECT group_concat(id || \"a b\" || hex(doc)) FROM";
    let was = sql(&format!("{all} bills"));
    sql("DELETE FROM lines; DELETE FROM bills WHERE id > 3");
    let live = || sql(".dump customers bills lines dear loud by_customer");
    let before = live();

    let said = w.ok(order("shop-db", &["bills", "lines"], "./shop.db"));
    for part in [
        "bills as back_bills: 499 rows, equal to the captured rows",
        "lines as back_lines: 99 rows, equal to the captured rows",
        "the foreign key of bills to customers",
        "the trigger loud of bills",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("of lines to"), "{said}");
    assert_eq!(sql(&format!("{all} back_bills")), was);
    assert_eq!(live(), before);
    assert_eq!(
        sql("SELECT name FROM sqlite_master WHERE type = 'index' AND name = 'back_by_customer'"),
        "back_by_customer"
    );
    assert_eq!(
        sql("SELECT \"table\" FROM pragma_foreign_key_list('back_lines')"),
        "back_bills"
    );
    assert_eq!(
        sql("SELECT count(*) FROM pragma_foreign_key_list('back_bills')"),
        "0"
    );
    assert_eq!(
        sql("INSERT INTO back_bills (customer) VALUES (9) RETURNING id"),
        "501"
    );
    assert_eq!(
        sql("PRAGMA integrity_check; PRAGMA foreign_key_check"),
        "ok"
    );

    for (table, says) in [
        ("bills", "already"),
        ("nothing", "it has bills, customers"),
        ("dear", "no such table"),
    ] {
        let (_, said) = w.exits(2, order("shop-db", &[table], "./shop.db"));
        assert!(said.contains(says), "{table}: {said}");
    }
    let (_, said) = w.exits(2, order("shop-db", &["bills"], "./new.db"));
    assert!(said.contains("that is there"), "{said}");
    assert!(!w.path("new.db").exists());
    let (_, said) = w.exits(2, order("website", &["index.html"], "./new"));
    assert!(said.contains("by --only from PostgreSQL"), "{said}");
}
