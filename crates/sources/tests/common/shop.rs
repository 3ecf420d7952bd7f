//! A PostgreSQL server with a database that holds one of nearly everything.

use std::sync::Arc;

use vouchsafe_model::DigestManifest;
use vouchsafe_testkit::postgres::Postgres;

use super::{Point, World, open};

/// A database with one of nearly everything.
const SHOP: &str = r#"
    CREATE SCHEMA stock;
    CREATE TYPE state AS ENUM ('new', 'paid', 'sent');
    CREATE DOMAIN positive AS numeric CHECK (VALUE >= 0);
    CREATE TYPE stock.size AS (width int, height int);
    CREATE TABLE customers (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE,
        born date, balance positive DEFAULT 0, tags text[], extra jsonb, photo bytea);
    CREATE TABLE orders (id bigserial PRIMARY KEY, customer int NOT NULL REFERENCES customers, state state DEFAULT 'new',
        total numeric(12, 2), weight double precision, at timestamptz DEFAULT now(), note varchar(80),
        twice numeric GENERATED ALWAYS AS (total * 2) STORED, gone int);
    ALTER TABLE orders DROP COLUMN gone;
    CREATE TABLE stock.moves (day date NOT NULL, item text, box stock.size, pieces int) PARTITION BY RANGE (day);
    CREATE TABLE stock.moves_2025 PARTITION OF stock.moves FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
    CREATE TABLE stock.moves_rest PARTITION OF stock.moves DEFAULT;
    CREATE TABLE "odd ""name" ("a b" int, "select" text);
    CREATE TABLE nothing ();
    CREATE UNLOGGED TABLE fleeting (x int);
    CREATE INDEX by_state ON orders (state) WHERE state <> 'sent';
    CREATE INDEX by_lower ON customers (lower(name));
    CREATE STATISTICS apart (dependencies) ON customer, state FROM orders;
    CREATE VIEW totals AS SELECT customer, sum(total) FROM orders GROUP BY customer;
    CREATE MATERIALIZED VIEW busy AS SELECT state, count(*) FROM orders GROUP BY state;
    CREATE FUNCTION loud() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := upper(NEW.note); RETURN NEW; END $$;
    CREATE TRIGGER loud BEFORE INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION loud();
    CREATE FUNCTION add_one(a int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a + 1';
    CREATE AGGREGATE product (numeric) (sfunc = numeric_mul, stype = numeric, initcond = '1');
    CREATE RULE quiet AS ON DELETE TO customers DO INSTEAD NOTHING;
    ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON customers FOR SELECT USING (name = current_user);
    CREATE SEQUENCE tickets START 100 INCREMENT 5;
    CREATE SEQUENCE down INCREMENT -1;
    CREATE PUBLICATION news FOR TABLE orders;
    CREATE EXTENSION pg_trgm;
    COMMENT ON TABLE orders IS 'what was bought';
    COMMENT ON COLUMN orders.note IS 'as the customer wrote it';
    INSERT INTO customers (name, born, balance, tags, extra, photo) SELECT 'customer ' || n, date '1970-01-01' + n,
        n % 90, ARRAY['a', NULL, 'b"c'], jsonb_build_object('n', n), decode(md5(n::text), 'hex')
        FROM generate_series(1, 300) n;
    INSERT INTO orders (customer, state, total, weight, at, note) SELECT 1 + n % 300, (ARRAY['new', 'paid', 'sent']::state[])[1 + n % 3],
        n / 7.0, CASE n % 50 WHEN 0 THEN 'NaN' WHEN 1 THEN 'Infinity' ELSE n / 3.0 END,
        '2025-06-01 12:00+02'::timestamptz + n * interval '1 minute', E'a\tb\\c\n' || n FROM generate_series(1, 2000) n;
    INSERT INTO stock.moves SELECT date '2025-12-01' + n, 'item ' || n, (n, n)::stock.size, n FROM generate_series(1, 100) n;
    INSERT INTO "odd ""name" VALUES (1, NULL), (NULL, ''), (2, '\N');
    INSERT INTO nothing DEFAULT VALUES;
    INSERT INTO fleeting VALUES (1);
    REFRESH MATERIALIZED VIEW busy;
    SELECT nextval('tickets'), nextval('down'), nextval('down');
    SELECT lo_from_bytea(0, 'a large object'::bytea);
"#;

/// A server of its own: roles belong to all of it, and other tests make some.
pub struct Shop {
    pub server: Arc<Postgres>,
    pub name: String,
    pub url: String,
}

impl Shop {
    pub fn new() -> Shop {
        let server = Arc::new(Postgres::start());
        let url = server.database();
        let name = url
            .split('?')
            .next()
            .and_then(|u| u.rsplit('/').next())
            .expect("a name")
            .to_owned();
        server.sql_in(&name, SHOP);
        let shop = Shop { server, name, url };
        let app = shop.role("app");
        shop.sql(&format!(
            "CREATE ROLE {app} LOGIN PASSWORD 'sesame' CONNECTION LIMIT 7; GRANT SELECT, INSERT ON orders TO {app}; \
             GRANT UPDATE (note) ON orders TO {app}; ALTER TABLE nothing OWNER TO {app}; \
             ALTER ROLE {app} SET work_mem = '8MB'; ALTER DEFAULT PRIVILEGES IN SCHEMA stock GRANT SELECT ON TABLES TO {app}; \
             ALTER DATABASE {} SET statement_timeout = '1h'",
            shop.name
        ));
        shop
    }

    pub fn role(&self, kind: &str) -> String {
        format!("{}_{kind}", self.name)
    }

    pub fn sql(&self, sql: &str) -> String {
        self.server.sql_in(&self.name, sql)
    }

    pub fn url_as(&self, user: &str) -> String {
        self.url.replace("postgres@", &format!("{user}@"))
    }

    pub fn manifest(&self, world: &World) -> DigestManifest {
        let (captured, _) = world.capture(open(&self.url).as_ref());
        captured.manifest.expect("a manifest")
    }
}

/// What a file of a point holds.
pub fn content(point: &Point, path: &str) -> Vec<u8> {
    point.content(&point.node(path).expect("it is there"))
}
