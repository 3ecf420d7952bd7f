//! A real MySQL server, in a root file system of a suite that has one: tests run in there, as another start of theirs.
#![allow(unreachable_pub)]

use std::fs;
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The variable that has the root file system, with `mysqld`, `mysqldump` and `mysql` in it.
const ROOT: &str = "VOUCHSAFE_TEST_MYSQL";
/// The variable by which a test knows that it runs in there.
const INSIDE: &str = "VOUCHSAFE_TEST_INSIDE_MYSQL";

/// Runs `body` in that root file system: `test`, which is the calling test, is started once more in there, with mounts of
/// its own. Panics, with the remedy, if there is none.
pub fn inside(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let root = std::env::var_os(ROOT)
        .map(PathBuf::from)
        .unwrap_or_else(|| panic!("{ROOT} is not set; run: cargo xtask conformance"));
    let program = root.join("tmp").join(test);
    fs::copy(std::env::current_exe().expect("a program"), &program).expect("copies");
    // What becomes another user's root must be a mount, for the sandboxes that are made in it.
    const ENTER: &str = "mount --rbind \"$1\" \"$1\" && cd \"$1\" && mount -t proc proc proc && mount --rbind /dev dev && \
        mount -t tmpfs -o mode=1777 tmpfs run && exec chroot . \"/tmp/$2\" --exact \"$3\" --nocapture";
    let name = program.file_name().expect("a name");
    let output = Command::new("unshare")
        .args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-ec",
            ENTER,
            "sh",
        ])
        .args([root.as_os_str(), name, test.as_ref()])
        .env(INSIDE, "1")
        .env("TMPDIR", "/tmp")
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .output();
    fs::remove_file(&program).expect("removes");
    let output = output.expect("unshare starts");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

/// A running server that listens on a socket of its own. It is ended, and its data removed, when the value is dropped.
pub struct MySql {
    server: Child,
    home: PathBuf,
}

const PATIENCE: Duration = Duration::from_secs(120);
/// `nobody`: the server does not run as root.
const USER: u32 = 65534;

impl MySql {
    pub fn start() -> MySql {
        let home = std::env::temp_dir().join(format!("vouchsafe-mysql-{}", std::process::id()));
        fs::create_dir(&home).expect("a directory");
        chown(&home, Some(USER), Some(USER)).expect("gives it away");
        let data = home.join("data");
        let command = || {
            let mut command = Command::new("/usr/sbin/mysqld");
            command
                .args([
                    "--no-defaults",
                    "--user=nobody",
                    "--mysqlx=OFF",
                    "--secure-file-priv=NULL",
                ])
                .arg(format!("--datadir={}", data.display()));
            command
        };
        let made = command()
            .arg("--initialize-insecure")
            .output()
            .expect("mysqld");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let log = fs::File::create(home.join("log")).expect("a log");
        let server = command()
            .args([
                "--skip-networking",
                "--gtid-mode=ON",
                "--enforce-gtid-consistency=ON",
            ])
            .arg(format!("--socket={}", home.join("sock").display()))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("mysqld starts");
        let mut started = MySql { server, home };
        let begun = Instant::now();
        while !started
            .client("")
            .status()
            .is_ok_and(|status| status.success())
        {
            let ended = started.server.try_wait().expect("asks");
            let log = fs::read_to_string(started.home.join("log")).unwrap_or_default();
            assert!(ended.is_none() && begun.elapsed() < PATIENCE, "{log}");
            std::thread::sleep(Duration::from_millis(100));
        }
        started
    }

    fn client(&self, sql: &str) -> Command {
        let mut command = Command::new("mysql");
        command
            .args(["--no-defaults", "--user=root", "--binary-mode", "--batch"])
            .arg(format!("--socket={}", self.socket().display()))
            .arg(format!("--execute={sql}"))
            .stderr(Stdio::piped());
        command
    }

    fn socket(&self) -> PathBuf {
        self.home.join("sock")
    }

    /// Runs statements as `root`.
    pub fn sql(&self, sql: &str) {
        let done = self.client(sql).output().expect("mysql runs");
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
    }

    /// The address of one of its databases.
    pub fn url(&self, user: &str, database: &str) -> String {
        format!(
            "mysql://{user}@localhost/{database}?socket={}",
            self.socket().display()
        )
    }
}

impl Drop for MySql {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = fs::remove_dir_all(&self.home);
    }
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
