//! A database of a real MySQL server, with one of nearly everything.
#![allow(unreachable_pub)]

use vouchsafe_testkit::mysql;

pub use mysql::MySql;

/// Runs `body` where there is a MySQL server.
pub fn inside(test: &str, body: impl FnOnce()) {
    mysql::inside(test, &[], body);
}

/// A database with one of nearly everything, and accounts.
pub const SHOP: &str = r#"
    CREATE DATABASE shop CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci;
    USE shop;
    CREATE TABLE customers (id bigint unsigned AUTO_INCREMENT PRIMARY KEY, name varchar(200) NOT NULL, born date,
        balance decimal(20, 6) DEFAULT 0, raw varbinary(64), extra json, state enum('a', 'b', 'ü'), tags set('x', 'y'),
        flags bit(9), long_time time(6), seen timestamp(6) NULL, y year, f float, d double, place geometry SRID 4326,
        UNIQUE KEY (name), CHECK (balance > -1000), INDEX ((upper(name))));
    CREATE TABLE orders (id bigint AUTO_INCREMENT PRIMARY KEY, customer bigint unsigned, total decimal(10, 2),
        vat decimal(10, 2) GENERATED ALWAYS AS (total * 0.2) STORED, twice decimal(10, 2) GENERATED ALWAYS AS (total * 2),
        hidden int INVISIBLE DEFAULT 7, FOREIGN KEY (customer) REFERENCES customers (id) ON DELETE CASCADE);
    CREATE TABLE part (id int PRIMARY KEY, x int) PARTITION BY HASH (id) PARTITIONS 3;
    CREATE TABLE `odd ``name"` (`Ü` int PRIMARY KEY, `select` varchar(5)) COMMENT 'it''s';
    INSERT INTO customers (name, born, balance, raw, extra, state, tags, flags, long_time, seen, y, f, d, place) VALUES
        ('Ann', '1970-02-03', 1.5, x'00ff0a27', '{"a": [1, 2.5, null], "b": "ü"}', 'ü', 'x,y', b'101', '12:00:00.123456',
         '2020-01-02 03:04:05.678901', 2020, 1.1, 1e300, ST_GeomFromText('POINT(1 2)', 4326)),
        ('Bob', NULL, -1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
        ('emoji 😀', '2000-01-01', 0.000001, '', '[]', 'a', '', b'0', '-838:59:59', '1970-01-01 00:00:01', 1901, 0.1, -0.0, NULL);
    INSERT INTO orders (customer, total) VALUES (1, 10), (1, 20), (2, 30.55);
    INSERT INTO part VALUES (1, 1), (2, 2), (3, 3);
    INSERT INTO `odd ``name"` VALUES (1, 'x');
    CREATE VIEW big AS SELECT name, total FROM customers JOIN orders ON orders.customer = customers.id WHERE total > 15;
    CREATE TRIGGER loud BEFORE INSERT ON orders FOR EACH ROW SET NEW.total = abs(NEW.total);
    CREATE PROCEDURE add_one(IN n varchar(10)) INSERT INTO customers (name) VALUES (n);
    CREATE FUNCTION twice(x int) RETURNS int DETERMINISTIC RETURN x * 2;
    CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2031-01-01 02:00:00' DO DELETE FROM part WHERE x > 100;
    CREATE ROLE reader;
    GRANT SELECT ON shop.* TO reader;
    CREATE USER app@'%' IDENTIFIED BY 'a secret of the app' DEFAULT ROLE reader;
    GRANT INSERT ON shop.orders TO app@'%';
    CREATE USER backup@localhost IDENTIFIED BY 'a secret';
    GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES ON shop.* TO backup@localhost;
    GRANT SHOW_ROUTINE ON *.* TO backup@localhost;
    GRANT SELECT ON mysql.* TO backup@localhost;
"#;
