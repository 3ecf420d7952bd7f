//! The rows of MariaDB, for comparison: a server's own `mariadb-backup` in a pipe, as people run it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::fill::{self, Amount};
use super::options::Options;
use super::ours::{Ours, SYSTEM, Vault};
use super::outcome::Outcome;
use super::rows::Row;
use super::server::{folder_of, give};
use super::stage::{OURS, Part, bytes, contest, nothing};
use crate::bench::area::Area;
use crate::bench::data::at;
use crate::bench::measure::Job;
use crate::bench::tree;
use crate::program;

const USER: &str = "mysql";
const PEER: &str = "mariadb-backup";
const PATIENCE: Duration = Duration::from_secs(300);
const PASSWORD: &str = "a password for measuring";
/// What a row of `orders` takes on disk.
const ROW: f64 = 345.0;

/// A server with its data, our policy, and what the peer writes.
pub(crate) struct Stage<'a> {
    options: &'a Options,
    area: &'a Area,
    server: Maria,
    ours: Ours,
    has_bases: bool,
}

/// A server that runs, reached by a socket alone. It is ended when it is dropped.
struct Maria {
    child: Child,
    home: PathBuf,
}

/// As on PostgreSQL: numbers, a time, words, and 64 random bytes in hexadecimal.
const ORDERS: &str = "\
CREATE DATABASE bench; USE bench;
CREATE TABLE orders (id bigint PRIMARY KEY, placed datetime, customer int, state tinyint, amount decimal(10,2),
    note varchar(400) CHARACTER SET latin1) ENGINE=InnoDB;
INSERT INTO orders SELECT seq, '2024-01-01' + INTERVAL seq * 3 SECOND, crc32(concat('@SEED-c-', seq)) % 400000,
    seq % 7, (crc32(concat('@SEED-d-', seq)) % 900000) / 100,
    concat(md5(concat('@SEED-a-', seq)), ' ', md5(concat('@SEED-b-', seq)), elt(1 + crc32(seq) % 3,
        ' to be delivered to the back door, after five in the afternoon, by the usual carrier',
        ' two parcels, the heavier one first; ask for a signature and leave nothing with neighbours',
        ' paid in advance by transfer, invoice in two copies, one of them to the head office please'),
        md5(concat('@SEED-e-', seq)), md5(concat('@SEED-f-', seq)))
    FROM seq_1_to_@ROWS;
SET GLOBAL innodb_max_dirty_pages_pct = 0;";

const DIGEST: &str = "SELECT count(*), sum(crc32(concat_ws(',', id, placed, customer, state, amount, note))) \
    FROM bench.orders";

impl Maria {
    fn create(home: &Path) -> Result<Self, String> {
        folder_of(USER, home)?;
        let data = home.join("data");
        folder_of(USER, &data)?;
        let mut made = Command::new("mariadb-install-db");
        made.args([
            "--no-defaults",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ])
        .arg(format!("--user={USER}"))
        .arg(format!("--datadir={}", data.display()))
        .env("TMPDIR", home)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
        if !program::succeeds(&mut made) {
            return Err(
                "mariadb-install-db failed: is mariadb-server installed? `cargo xtask setup`"
                    .to_owned(),
            );
        }
        let log = home.join("log");
        let file = fs::File::create(&log).map_err(at(&log))?;
        let child = Command::new("/usr/sbin/mariadbd")
            .args(words(home, &data))
            .arg("--log-bin=bin")
            .args(["--server-id=7", "--binlog-format=mixed"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .map_err(|error| format!("mariadbd: {error}"))?;
        let server = Self {
            child,
            home: home.to_path_buf(),
        };
        let begun = Instant::now();
        while !program::succeeds(client(home).args(["-e", "SELECT 1"])) {
            if begun.elapsed() > PATIENCE {
                return Err(format!("MariaDB does not start: see {}", log.display()));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(server)
    }

    fn fill(&self, options: &Options) -> Result<(), String> {
        let amount = Amount::scaled(options.scale);
        let rows = amount.orders + (amount.orders / 3);
        eprintln!(
            "filling MariaDB: {rows} orders, {:.0} MB",
            rows as f64 * ROW / 1e6
        );
        let sql = ORDERS
            .replace("@SEED", &options.seed.to_string())
            .replace("@ROWS", &rows.to_string());
        program::run_quietly(client(&self.home).args(["-e", &sql]))?;
        let dirty = "SELECT variable_value FROM information_schema.global_status \
            WHERE variable_name = 'INNODB_BUFFER_POOL_PAGES_DIRTY'";
        let begun = Instant::now();
        while sql_of(&self.home, dirty)? != "0" {
            if begun.elapsed() > PATIENCE {
                return Err("MariaDB does not write its pages".to_owned());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }
}

impl Drop for Maria {
    fn drop(&mut self) {
        // Nothing of it is kept.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn words(home: &Path, data: &Path) -> Vec<String> {
    vec![
        "--no-defaults".to_owned(),
        "--skip-networking".to_owned(),
        format!("--user={USER}"),
        format!("--datadir={}", data.display()),
        format!("--tmpdir={}", home.display()),
        format!("--socket={}/socket", home.display()),
        format!("--pid-file={}/pid", home.display()),
        "--innodb-buffer-pool-size=256M".to_owned(),
        "--innodb-log-file-size=512M".to_owned(),
        "--innodb-flush-log-at-trx-commit=0".to_owned(),
    ]
}

fn client(home: &Path) -> Command {
    let mut command = Command::new("mariadb");
    command
        .args([
            "--no-defaults",
            "--user=root",
            "--batch",
            "--skip-column-names",
        ])
        .arg(format!("--socket={}/socket", home.display()));
    command
}

fn sql_of(home: &Path, statement: &str) -> Result<String, String> {
    let said = program::read(client(home).args(["-e", statement]))?;
    Ok(said.trim().to_owned())
}

impl<'a> Stage<'a> {
    /// Makes the server and fills it.
    pub(crate) fn set(
        options: &'a Options,
        area: &'a Area,
        vouchsafe: &Path,
    ) -> Result<Self, String> {
        let home = area.folder("maria");
        let server = Maria::create(&home)?;
        server.fill(options)?;
        let url = format!("mysql://root@localhost?socket={}/socket", home.display());
        let ours = Ours::new(vouchsafe, area.folder("ours-maria"), &url, &Vault::Folder);
        Ok(Self {
            options,
            area,
            server,
            ours,
            has_bases: false,
        })
    }

    fn archive(&self) -> PathBuf {
        self.area.folder("maria-backup")
    }

    /// `mariadb-backup`, zstd and OpenSSL in a pipe, into one file.
    fn peer_backup(&self) -> Job {
        let home = self.server.home.display();
        let script = format!(
            "mariadb-backup --no-defaults --backup --stream=mbstream --parallel=2 --user=root \
             --socket='{home}/socket' --datadir='{home}/data' --target-dir=. \
             | zstd -q -3 -T2 | openssl enc -aes-256-cbc -pbkdf2 -pass 'pass:{PASSWORD}' -out backup"
        );
        Job::new(Path::new("/bin/bash"))
            .args(["-eu", "-o", "pipefail", "-c", &script])
            .current_dir(&self.archive())
    }

    fn need_bases(&mut self) -> Result<(), String> {
        if self.has_bases {
            return Ok(());
        }
        self.ours.begin(self.area.logs())?;
        let run = self.ours.call(["run", SYSTEM]);
        run.run(None, self.area.logs())?;
        folder_of(USER, &self.archive())?;
        self.peer_backup().run(None, self.area.logs())?;
        self.has_bases = true;
        Ok(())
    }
}

/// Both from nothing.
pub(crate) fn base(row: &'static Row, stage: &mut Stage<'_>) -> Result<Outcome, String> {
    let archive = stage.archive();
    let parts = [
        Part {
            name: OURS,
            before: &|| stage.ours.begin(stage.area.logs()),
            job: &|| stage.ours.call(["run", SYSTEM]),
            after: &|_| bytes(&stage.ours.vault()).map(Some),
        },
        Part {
            name: PEER,
            before: &|| folder_of(USER, &archive),
            job: &|| stage.peer_backup(),
            after: &|_| bytes(&archive).map(Some),
        },
    ];
    let sides = contest(stage.options, stage.area, row.name, &|_| nothing(), &parts)?;
    stage.has_bases = true;
    let mut outcome = Outcome::of(row, sides);
    outcome.remarks.push(
        "beside us: mariadb-backup | zstd -3 -T2 | openssl enc -aes-256-cbc, into a file that nobody reads back."
            .to_owned(),
    );
    Ok(outcome)
}

/// The newest backup, as a server that has answered a query.
pub(crate) fn restore(row: &'static Row, stage: &mut Stage<'_>) -> Result<Outcome, String> {
    stage.need_bases()?;
    let home = stage.area.folder("back-maria");
    let data = home.join("server/data");
    let expected = sql_of(&stage.server.home, DIGEST)?;
    let ours = stage.ours.restore_words(&home.join("server"));
    let peer = format!(
        "cd '{data}'\nopenssl enc -d -aes-256-cbc -pbkdf2 -pass 'pass:{PASSWORD}' -in '{archive}/backup' \
         | zstd -q -d | mbstream -x -p 2\nmariadb-backup --no-defaults --prepare --target-dir=. >&2",
        data = data.display(),
        archive = stage.archive().display(),
    );
    let judge = |name: &str, last: bool| {
        let found = last.then(|| sql_of(&home, DIGEST)).transpose();
        program::run_quietly(client(&home).args(["-e", "SHUTDOWN"]))?;
        let begun = Instant::now();
        while home.join("pid").exists() && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(50));
        }
        tree::remove(&home)?;
        if let Some(found) = found? {
            fill::same(name, &expected, &found)?;
        }
        Ok(None)
    };
    let parts = [
        Part {
            name: OURS,
            before: &|| folder_of(USER, &home),
            job: &|| brought(&ours, &home, &data),
            after: &|last| judge(OURS, last),
        },
        Part {
            name: PEER,
            before: &|| {
                folder_of(USER, &home)?;
                folder_of(USER, &data)?;
                give(USER, &home)
            },
            job: &|| brought(&peer, &home, &data),
            after: &|last| judge(PEER, last),
        },
    ];
    let sides = contest(stage.options, stage.area, row.name, &|_| nothing(), &parts)?;
    Ok(Outcome::of(row, sides))
}

/// The words of a tool, then the start of a server and a query, timed as one.
fn brought(tool: &str, home: &Path, data: &Path) -> Job {
    let give = match crate::apt::is_root() {
        true => format!("chown -R {USER}:{USER} '{}'", home.display()),
        false => String::new(),
    };
    let words: Vec<String> = words(home, data)
        .iter()
        .map(|word| format!("'{word}'"))
        .collect();
    let script = format!(
        "{tool}\n{give}\ncd '{home}'\nsetsid /usr/sbin/mariadbd {words} >log 2>&1 </dev/null &\n\
         until mariadb --no-defaults --user=root --socket='{home}/socket' --batch -e \
         'SELECT count(*) FROM bench.orders WHERE id < 1000' 2>/dev/null; do\n\
         kill -0 $! || {{ cat log >&2; exit 1; }}; sleep 0.05; done",
        home = home.display(),
        words = words.join(" "),
    );
    Job::new(Path::new("/bin/bash"))
        .args(["-eu", "-o", "pipefail", "-c", &script])
        .current_dir(home)
}
