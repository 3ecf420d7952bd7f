//! Single tables of PostgreSQL brought back beside live data, from the command line, with real servers.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::common::Workspace;
use serde_json::Value;
use vouchsafe_testkit::postgres::Postgres;

/// A policy that protects these, each a line below `protections`.
fn policy(protections: &str) -> String {
    format!(
        r#"
policy: {{ id: T-1, title: Test policy, owner: o@example.com, version: "1", next_review: 2999-01-01 }}
vaults:
  local: {{ url: ./vaults/local, region: here, country: GB }}
tiers:
  standard: {{ rpo: 24h, rto: 1h }}
plans:
  nightly: {{ schedule: "daily at 02:00 UTC", keep: {{ at_least: 35 days }}, copies: [ local ] }}
systems:
  shop:
    tier: standard
    plan: nightly
    owner: o@example.com
    protections:
{protections}
"#
    )
}

pub(crate) fn workspace(protections: &str) -> Workspace {
    let work = Workspace::new();
    fs::write(work.path("policy.yaml"), policy(protections)).unwrap();
    fs::write(work.path("password"), "open sesame\n").unwrap();
    fs::set_permissions(work.path("password"), fs::Permissions::from_mode(0o600)).unwrap();
    work.ok(["init"]);
    work
}

/// `restore shop… --only TABLE… --into back --to TARGET`
pub(crate) fn order<'a>(system: &'a str, tables: &[&'a str], target: &'a str) -> Vec<&'a str> {
    let mut out = vec!["restore", system, "--into", "back", "--to", target];
    out.extend(tables.iter().flat_map(|table| ["--only", *table]));
    out
}

/// The result that a command printed as JSON.
fn result(said: &str) -> Value {
    let mut events = said
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let result = events.find(|event| event["event"] == "result");
    result.expect("a result")
}

const POSTGRES: &str = r#"
    CREATE SCHEMA stock;
    CREATE TYPE state AS ENUM ('new', 'paid', 'sent');
    CREATE DOMAIN positive AS numeric CHECK (VALUE >= 0);
    CREATE SEQUENCE tickets;
    CREATE FUNCTION fee(a numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT a / 10';
    CREATE TABLE customers (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE);
    CREATE TABLE orders (id serial PRIMARY KEY, customer int NOT NULL REFERENCES customers, state state DEFAULT 'new',
        states state[], total positive CHECK (total < 1000000), note text,
        twice numeric GENERATED ALWAYS AS (total * 2) STORED, ticket bigint DEFAULT nextval('tickets'),
        fee numeric DEFAULT fee(10));
    CREATE TABLE lines (orders int REFERENCES orders, item text, PRIMARY KEY (orders, item));
    CREATE TABLE stock.moves (day date NOT NULL, pieces int) PARTITION BY RANGE (day);
    CREATE TABLE stock.moves_2025 PARTITION OF stock.moves FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
    CREATE TABLE stock.moves_rest PARTITION OF stock.moves DEFAULT;
    CREATE TABLE stock.orders (id int);
    CREATE TABLE "odd ""na.me" ("a b" int, "select" text);
    CREATE INDEX by_state ON orders (state) WHERE state <> 'sent';
    CREATE INDEX by_fee ON orders (fee(total));
    CREATE STATISTICS apart (dependencies) ON customer, state FROM orders;
    CREATE FUNCTION loud() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := upper(NEW.note); RETURN NEW; END $$;
    CREATE TRIGGER loud BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION loud();
    CREATE VIEW dear AS SELECT * FROM orders WHERE total > 100;
    CREATE PUBLICATION news FOR TABLE orders;
    COMMENT ON TABLE orders IS 'what was bought';
    CREATE ROLE reader; GRANT SELECT ON orders TO reader;
    INSERT INTO customers (name) SELECT 'customer ' || n FROM generate_series(1, 30) n;
    INSERT INTO orders (customer, state, states, total, note)
        SELECT 1 + n % 30, (ARRAY['new', 'paid', 'sent']::state[])[1 + n % 3], ARRAY['paid', 'sent']::state[], n / 7.0,
        E'a\tb\\c\n' || n FROM generate_series(1, 2000) n;
    INSERT INTO lines SELECT n, 'item' FROM generate_series(1, 500) n;
    INSERT INTO stock.moves SELECT date '2025-12-01' + n, n FROM generate_series(1, 100) n;
    INSERT INTO "odd ""na.me" VALUES (1, NULL), (NULL, ''), (2, '\N');
"#;

/// A server with a database of many things, captured, and a workspace.
struct Shop {
    server: Postgres,
    work: Workspace,
    target: String,
}

impl Shop {
    fn new() -> Shop {
        let server = Postgres::start();
        server.sql("CREATE DATABASE shop");
        server.sql_in("shop", POSTGRES);
        let target = server.url("shop");
        let whole = server.url("").replace("/?", "?");
        let work = workspace(&format!(
            "      dump: {{ capture: \"{target}\" }}\n      base: {{ capture: \"{whole}\" }}"
        ));
        Shop {
            server,
            work,
            target,
        }
    }

    fn sql(&self, sql: &str) -> String {
        self.server.sql_in("shop", sql)
    }

    /// Everything that the live database holds, but for the side schema.
    fn live(&self) -> String {
        let mut dump = self.server.client("pg_dump");
        let output = dump
            .args(["--exclude-schema=back", "shop"])
            .output()
            .unwrap();
        assert!(output.status.success());
        String::from_utf8_lossy(&output.stdout)
            .lines()
            // Newer programs write a random word around a dump.
            .filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"))
            .collect::<Vec<_>>()
            .join("\n")
    }
}

#[test]
fn tables_of_a_dump_come_back_in_a_schema_of_their_own_and_live_data_is_untouched() {
    let shop = Shop::new();
    let w = &shop.work;
    w.ok(["run", "shop/dump"]);
    let was = shop.sql("SELECT md5(string_agg(o::text, ',' ORDER BY id)) FROM orders o");
    shop.sql(
        "DELETE FROM lines; DELETE FROM orders WHERE id > 10; UPDATE orders SET note = 'spoiled'",
    );
    let live = shop.live();

    let tables = ["public.orders", "lines", "stock.moves", "\"odd \"\"na.me\""];
    let mut dry = order("shop/dump", &tables, &shop.target);
    dry.push("--dry-run");
    let said = w.ok(dry);
    for part in [
        "2,000 rows",
        "scratch server",
        "the trigger loud of public.orders",
        "back.orders",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(
        shop.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'back'"),
        "0"
    );

    let said = w.ok(order("shop/dump", &tables, &shop.target));
    for part in [
        "public.orders as back.orders: 2,000 rows, equal to the captured rows",
        "stock.moves_2025 as back.moves_2025: 30 rows, equal to the captured rows",
        "the foreign key orders_customer_fkey of public.orders to public.customers",
        "the trigger loud of public.orders",
        "that the publication news sends public.orders",
        "public.tickets, which live data uses",
        "owners and privileges",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(
        !said.contains("lines_orders_fkey"),
        "what comes along is not missing: {said}"
    );
    assert_eq!(
        shop.sql("SELECT md5(string_agg(o::text, ',' ORDER BY id)) FROM back.orders o"),
        was
    );
    assert_eq!(shop.live(), live, "live data is as it was");
    // Everything that belongs to the tables is there, and acts on them alone.
    assert_eq!(
        shop.sql("INSERT INTO back.orders (customer) VALUES (1) RETURNING id, state, ticket, fee"),
        "2001|new||1.00000000000000000000"
    );
    assert_eq!(shop.sql("SELECT count(*) FROM back.moves"), "100");
    assert_eq!(
        shop.sql("SELECT string_agg(indexname, ' ' ORDER BY indexname) FROM pg_indexes WHERE schemaname = 'back' AND tablename = 'orders'"),
        "by_fee by_state orders_pkey"
    );
    assert_eq!(
        shop.sql("SELECT conname FROM pg_constraint WHERE conrelid = 'back.lines'::regclass AND contype = 'f' AND confrelid = 'back.orders'::regclass"),
        "lines_orders_fkey"
    );
    assert_eq!(
        shop.sql("SELECT stxname FROM pg_statistic_ext WHERE stxnamespace = 'back'::regnamespace"),
        "apart"
    );
    assert_eq!(
        shop.sql("SELECT obj_description('back.orders'::regclass)"),
        "what was bought"
    );
    assert_eq!(
        shop.sql("SELECT has_table_privilege('reader', 'back.orders', 'SELECT')"),
        "f"
    );
    assert_eq!(shop.sql("SELECT count(*) FROM back.orders b JOIN public.orders l USING (id) WHERE b.state = l.state"), "10");
    assert_eq!(shop.sql("SELECT count(*) FROM pg_trigger WHERE tgrelid = 'back.orders'::regclass AND NOT tgisinternal"), "0");

    // Nothing is left of the scratch server.
    let left: Vec<_> = crate::common::files_below(&w.path(".vouchsafe/work"));
    assert!(left.is_empty(), "{left:?}");

    // A second time the schema is in the way.
    let (_, said) = w.exits(2, order("shop/dump", &["public.orders"], &shop.target));
    assert!(said.contains("there already"), "{said}");
}

#[test]
fn what_cannot_be_brought_back_beside_live_data_is_refused_and_touches_nothing() {
    let shop = Shop::new();
    let w = &shop.work;
    w.ok(["run", "shop/dump"]);
    let live = shop.live();
    let refused = |args: &[&str], says: &str| {
        let (_, said) = w.exits(2, args);
        assert!(said.contains(says), "{args:?}: {said}");
    };
    let to = shop.target.as_str();
    refused(
        &order("shop/dump", &["nothing"], to),
        "no such table; it has",
    );
    refused(&order("shop/dump", &["public.Orders"], to), "public.orders");
    refused(
        &order("shop/dump", &["orders"], to),
        "public.orders, stock.orders",
    );
    refused(
        &order("shop/dump", &["public.orders", "stock.orders"], to),
        "would both be called so",
    );
    refused(
        &order("shop/dump", &["other.public.orders"], to),
        "of the database shop",
    );
    refused(&order("shop/dump", &["a.b.c.d"], to), "no table's name");
    refused(
        &["restore", "shop/dump", "--to", to, "--only", "lines"],
        "--into",
    );
    refused(
        &[
            "restore",
            "shop/dump",
            "--to",
            to,
            "--only",
            "lines",
            "--into",
            "pg_mine",
        ],
        "for itself",
    );
    refused(
        &[
            "restore",
            "shop/dump",
            "--to",
            to,
            "--only",
            "lines",
            "--into",
            "a\"b",
        ],
        "letters",
    );
    refused(
        &[
            "restore",
            "shop/dump",
            "--to",
            to,
            "--only",
            "lines",
            "--into",
            "stock",
        ],
        "there already",
    );
    refused(
        &[
            "restore",
            "shop/dump",
            "--to",
            "./somewhere",
            "--only",
            "lines",
            "--into",
            "back",
        ],
        "that runs",
    );
    refused(
        &[
            "restore",
            "shop/dump",
            "--to",
            to,
            "--only",
            "lines",
            "--into",
            "back",
            "--force",
        ],
        "--force",
    );
    // A view is known to be none only when the definitions are there.
    refused(&order("shop/dump", &["dear"], to), "no rows of its own");
    assert_eq!(shop.live(), live);

    // Whoever subscribes to all tables would be sent tables that it does not have.
    shop.sql("CREATE PUBLICATION everything FOR ALL TABLES");
    refused(
        &order("shop/dump", &["lines"], to),
        "the publication everything",
    );
    shop.sql("DROP PUBLICATION everything");

    // In a database that lacks what the table needs: types come along, the rest is let go and named.
    shop.server.sql("CREATE DATABASE empty");
    let other = shop.server.url("empty");
    let said = w.ok(order("shop/dump", &["public.orders"], &other));
    assert!(said.contains("equal to the captured rows"), "{said}");
    assert!(
        said.contains("public.fee(numeric), which the target does not have"),
        "{said}"
    );
    let ask = |sql: &str| shop.server.sql_in("empty", sql);
    assert_eq!(
        ask(
            "SELECT pg_typeof(state), pg_typeof(states), pg_typeof(total) FROM back.orders LIMIT 1"
        ),
        "back.state|back.state[]|back.positive"
    );
    assert_eq!(
        ask("SELECT count(*) FROM pg_indexes WHERE schemaname = 'back'"),
        "2"
    );
    assert_eq!(
        ask("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"),
        "0"
    );

    // A type of an extension that is not there.
    shop.sql("CREATE EXTENSION hstore; CREATE TABLE tagged (tags hstore); INSERT INTO tagged VALUES ('a=>1')");
    w.ok(["run", "shop/dump"]);
    shop.server.sql("CREATE DATABASE bare");
    let bare = shop.server.url("bare");
    refused(
        &order("shop/dump", &["tagged"], &bare),
        "no type public.hstore",
    );
    let ask = |sql: &str| shop.server.sql_in("bare", sql);
    assert_eq!(
        ask("SELECT count(*) FROM pg_namespace WHERE nspname = 'back'"),
        "0"
    );
    let said = w.ok(order("shop/dump", &["tagged"], to));
    assert!(
        said.contains("public.tagged as back.tagged: 1 row, equal"),
        "{said}"
    );
}

#[test]
fn rows_that_are_not_those_of_the_capture_are_told() {
    let shop = Shop::new();
    let w = &shop.work;
    w.ok(["run", "shop/dump"]);
    // A live database in which whatever table is made changes what comes into it.
    shop.sql(
        "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF NEW.id = 7 THEN NEW.note := 'meddled'; END IF; RETURN NEW; END $$; \
         CREATE FUNCTION meddled() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF to_regclass('back.orders') IS NOT NULL AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'meddle') \
         THEN CREATE TRIGGER meddle BEFORE INSERT ON back.orders FOR EACH ROW EXECUTE FUNCTION public.meddle(); \
         END IF; END $$; \
         CREATE EVENT TRIGGER meddles ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION meddled()",
    );
    let mut args = order("shop/dump", &["public.orders", "lines"], &shop.target);
    let (said, _) = w.exits(3, args.clone());
    assert!(said.contains("NOT AS IT WAS: 1 issue"), "{said}");
    assert!(
        said.contains("back.orders: 2,000 rows, NOT EQUAL: expected 2000 rows with digest"),
        "{said}"
    );
    assert!(
        said.contains("back.lines: 500 rows, equal to the captured rows"),
        "{said}"
    );
    shop.sql("DROP SCHEMA back CASCADE");
    args.push("--json");
    let (said, _) = w.exits(3, args);
    let result = result(&said);
    assert_eq!(result["tables"][0]["equal"], false, "{result}");
    assert_eq!(result["tables"][1]["to"], "captured", "{result}");
}

#[test]
fn tables_of_a_whole_server_come_back_beside_the_live_ones() {
    let shop = Shop::new();
    let w = &shop.work;
    w.ok(["run", "shop/base"]);
    shop.sql("DROP TABLE lines; DELETE FROM orders");
    let live = shop.live();
    let said = w.ok(order(
        "shop/base",
        &["public.orders", "lines"],
        &shop.target,
    ));
    assert!(said.contains("the whole server is restored"), "{said}");
    assert!(
        said.contains(
            "public.orders as back.orders: 2,000 rows, equal to those of the restored copy"
        ),
        "{said}"
    );
    assert_eq!(shop.sql("SELECT count(*) FROM back.lines"), "500");
    assert_eq!(shop.live(), live);
    // Out of another database than the one that they go to.
    let (_, said) = w.exits(
        2,
        order("shop/base", &["lines"], &shop.server.url("postgres")),
    );
    assert!(said.contains("it has no tables"), "{said}");
    let said = w.ok(order(
        "shop/base",
        &["shop.public.lines"],
        &shop.server.url("postgres"),
    ));
    assert!(said.contains("500 rows"), "{said}");
    let (_, said) = w.exits(
        2,
        order(
            "shop/base",
            &["no.public.lines"],
            &shop.server.url("template1"),
        ),
    );
    assert!(said.contains("it had postgres, shop"), "{said}");
}
