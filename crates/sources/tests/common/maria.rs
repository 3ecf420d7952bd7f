//! A MariaDB server with a database that holds one of nearly everything.

use vouchsafe_model::DigestManifest;
use vouchsafe_testkit::mariadb::MariaDb;

use super::{World, open};

/// A database with one of nearly everything.
const SHOP: &str = r#"
    CREATE TABLE customers (id int AUTO_INCREMENT PRIMARY KEY, name varchar(80) NOT NULL UNIQUE,
        born date, balance decimal(12, 2) DEFAULT 0 CHECK (balance >= 0), state enum('new', 'paid', 'sent') DEFAULT 'new',
        tags set('a', 'b', 'c'), extra json, photo blob, latin varchar(20) CHARACTER SET latin1, KEY by_state (state)) COMMENT 'who buys';
    CREATE TABLE orders (id bigint unsigned AUTO_INCREMENT PRIMARY KEY, customer int NOT NULL,
        total decimal(12, 2), weight double, at timestamp NOT NULL DEFAULT current_timestamp ON UPDATE current_timestamp,
        seen datetime(6), note varchar(80) COMMENT 'as the customer wrote it', flags bit(9), place point,
        twice decimal(14, 2) AS (total * 2) STORED, thrice decimal(14, 2) AS (total * 3) VIRTUAL,
        hidden int INVISIBLE DEFAULT 7,
        CONSTRAINT bought FOREIGN KEY (customer) REFERENCES customers (id) ON DELETE CASCADE, FULLTEXT KEY words (note));
    CREATE TABLE moves (day date NOT NULL, item varchar(40), pieces int)
        PARTITION BY RANGE (year(day)) (PARTITION p2025 VALUES LESS THAN (2026), PARTITION rest VALUES LESS THAN MAXVALUE);
    CREATE TABLE `odd ``name` (`a b` int, `select` varchar(20));
    CREATE TABLE versioned (x int, y int) WITH SYSTEM VERSIONING;
    CREATE TABLE nothing (x int);
    CREATE SEQUENCE tickets START WITH 100 INCREMENT BY 5;
    CREATE SEQUENCE down START WITH -1 INCREMENT BY -1 MINVALUE -1000 MAXVALUE -1;
    CREATE VIEW totals AS SELECT customer, sum(total) AS total FROM orders GROUP BY customer;
    DELIMITER ;;
    CREATE TRIGGER loud BEFORE INSERT ON orders FOR EACH ROW SET NEW.note = upper(NEW.note);;
    CREATE FUNCTION add_one(a int) RETURNS int DETERMINISTIC COMMENT 'adds' RETURN a + 1;;
    CREATE PROCEDURE tidy(IN days int) BEGIN DELETE FROM nothing WHERE x < days; END;;
    CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2031-01-01 02:00:00' DO DELETE FROM nothing;;
    DELIMITER ;
    INSERT INTO customers (name, born, balance, state, tags, extra, photo, latin) SELECT concat('customer ', seq),
        '1970-01-01' + INTERVAL seq DAY, seq % 90, 1 + seq % 3, 'a,c', json_object('n', seq), unhex(md5(seq)), 'é'
        FROM seq_1_to_300;
    INSERT INTO orders (customer, total, weight, at, seen, note, flags, place, hidden) SELECT 1 + seq % 300, seq / 7.0,
        seq / 3.0, '2025-06-01 12:00:00' + INTERVAL seq MINUTE, '2025-06-01 12:00:00.123456', concat('a\tb\\c\n', seq), seq % 512,
        point(seq, 1), seq FROM seq_1_to_2000;
    INSERT INTO moves SELECT '2025-12-01' + INTERVAL seq DAY, concat('item ', seq), seq FROM seq_1_to_100;
    INSERT INTO `odd ``name` VALUES (1, NULL), (NULL, ''), (2, 'NULL'), (3, '\0\Z\'"\\');
    INSERT INTO versioned VALUES (1, 1), (2, 2);
    UPDATE versioned SET y = 3 WHERE x = 2;
    SELECT nextval(tickets), nextval(down), nextval(down);
"#;

/// A server of its own: accounts belong to all of it, and other tests make some.
pub struct MariaShop {
    pub server: MariaDb,
    pub url: String,
}

impl MariaShop {
    pub fn new() -> MariaShop {
        MariaShop::on(MariaDb::start(&[]))
    }

    pub fn on(server: MariaDb) -> MariaShop {
        server.sql("CREATE DATABASE shop CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci; CREATE DATABASE other");
        server.sql_in("shop", SHOP);
        server.sql(
            "CREATE TABLE other.t (x int); CREATE ROLE reader; GRANT SELECT ON shop.* TO reader; \
             CREATE USER app@'%' IDENTIFIED BY 'sesame' WITH MAX_USER_CONNECTIONS 7; \
             GRANT SELECT, INSERT ON shop.orders TO app@'%'; GRANT UPDATE (note) ON shop.orders TO app@'%'; \
             GRANT EXECUTE ON PROCEDURE shop.tidy TO app@'%'; GRANT SELECT ON other.t TO app@'%'; \
             GRANT reader TO app@'%'; SET DEFAULT ROLE reader FOR app@'%'",
        );
        let url = server.url("root", "shop");
        MariaShop { server, url }
    }

    pub fn sql(&self, sql: &str) -> String {
        self.server.sql_in("shop", sql)
    }

    pub fn manifest(&self, world: &World) -> DigestManifest {
        let (captured, _) = world.capture(open(&self.url).as_ref());
        captured.manifest.expect("a manifest")
    }
}
