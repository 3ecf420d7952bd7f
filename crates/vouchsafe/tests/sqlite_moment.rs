//! A SQLite database whose write-ahead log a worker ships, brought back to moments in its past from the command line, and
//! a drill that proves it.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use crate::common::{self, Workspace};
use serde_json::Value;

/// A workspace whose policy protects a database with its log.
struct Shop {
    work: Workspace,
}

/// A program that is running. It is killed when the value is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const PATIENCE: Duration = Duration::from_secs(90);
const POLICY: &str = r#"
policy: { id: T-1, title: Test policy, owner: o@example.com, version: "1", next_review: 2999-01-01 }
vaults:
  local:   { url: ./vaults/local, region: here, country: GB }
  offsite: { url: ./vaults/offsite, region: there, country: GB }
tiers:
  critical: { rpo: 5m, log_rpo: 30s, rto: 1h, copies: { min: 2 } }
systems:
  shop-db:
    source: "sqlite:./live.db"
    tier: critical
    owner: o@example.com
    schedule: "daily at 02:00 UTC"
    keep: { at_least: 35 days }
    copies: [ local, offsite ]
    logs: { every: 1s, keep: 7 days }
    verify: { every: week }
    drill:
      every: quarter
      negative_control: every year
      checks: ["SELECT count(*) > 0 FROM orders"]
"#;

impl Shop {
    fn new(mode: &str) -> Shop {
        let work = Workspace::new();
        fs::write(work.path("policy.yaml"), POLICY).unwrap();
        let shop = Shop { work };
        shop.sql(&format!(
            "PRAGMA journal_mode = {mode}; CREATE TABLE orders (id INTEGER PRIMARY KEY, at REAL, note TEXT)"
        ));
        shop.work.ok(["init"]);
        shop
    }

    /// By the stock program, which closes the database when it ends.
    fn sql(&self, sql: &str) -> String {
        sql_in(&self.work.path("live.db"), sql)
    }

    /// The stock program with an open connection, which writes a row every so often, with the time of just before.
    fn writer(&self) -> Running {
        let script = r#"
            { echo ".timeout 5000"
              for n in $(seq 1 100000); do
                echo "INSERT INTO orders (at, note) VALUES ((julianday('now') - 2440587.5) * 86400.0, hex(randomblob(200)));"
                sleep 0.02
              done } | sqlite3 "$1""#;
        let mut command = Command::new("bash");
        command.args(["-c", script, "bash"]);
        command.arg(self.work.path("live.db"));
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        Running(command.spawn().unwrap())
    }

    fn worker(&self) -> Running {
        let mut command = self.work.command(["worker", "--record-every", "1"]);
        let log = fs::File::options()
            .append(true)
            .create(true)
            .open(self.work.path("worker.log"))
            .unwrap();
        Running(command.stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    fn said(&self) -> String {
        fs::read_to_string(self.work.path("worker.log")).unwrap_or_default()
    }

    /// Everything in the record of that kind, oldest first.
    fn facts(&self, kind: &str) -> Vec<Value> {
        let text = self.work.ok(["ledger", "export"]);
        text.lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter_map(|line| {
                let entry = line.get("entry").unwrap_or(&line).clone();
                let entry = match entry {
                    Value::String(text) => serde_json::from_str(&text).ok()?,
                    other => other,
                };
                (entry["fact"] == kind).then_some(entry)
            })
            .collect()
    }

    fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < PATIENCE, "{what}: {}", self.said());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Until the record says that both vaults have all that was committed up to now.
    fn until_recorded(&self) -> Value {
        let now = now();
        let has = |copy: &Value| {
            let newest = copy["newest_commit"].as_str().unwrap_or_default();
            newest
                .parse::<vouchsafe_model::Time>()
                .is_ok_and(|time| time.micros() as f64 / 1e6 >= now)
        };
        let there = || {
            let last = self.facts("log-shipped").pop()?;
            let copies = last["copies"].as_array().unwrap();
            (copies.len() == 2 && copies.iter().all(has)).then_some(last)
        };
        self.until("the log in every vault", || there().is_some());
        there().unwrap()
    }

    /// The numbers of rows, each with when it was about to be committed.
    fn committed(&self) -> Vec<(u64, f64)> {
        rows_in(&self.work.path("live.db"))
    }
}

fn now() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap().as_secs_f64()
}

fn sql_in(database: &Path, sql: &str) -> String {
    let done = Command::new("sqlite3")
        .args(["-cmd", ".timeout 5000"])
        .arg(database)
        .arg(sql)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{sql}: {said}");
    String::from_utf8(done.stdout).unwrap()
}

fn rows_in(database: &Path) -> Vec<(u64, f64)> {
    let rows = sql_in(database, "SELECT id, at FROM orders ORDER BY id");
    let read = |row: &str| {
        let (id, at) = row.split_once('|').unwrap();
        (id.parse().unwrap(), at.parse().unwrap())
    };
    rows.lines().map(read).collect()
}

fn signal(running: &Running, name: &str) {
    let done = Command::new("sh")
        .args(["-c", "kill \"$1\" \"$2\"", "sh", &format!("-{name}")])
        .arg(running.0.id().to_string())
        .status()
        .unwrap();
    assert!(done.success());
}

/// Ends what writes, with all that it has started.
fn end_writing(writer: Running) {
    let group = format!("-{}", writer.0.id());
    let done = Command::new("bash")
        .args(["-c", "kill -TERM -- \"$1\"", "bash", &group])
        .status()
        .unwrap();
    assert!(done.success());
    drop(writer);
}

/// How it ended, which must be soon.
fn ends(mut running: Running) -> Option<i32> {
    let begun = Instant::now();
    loop {
        if let Some(status) = running.0.try_wait().unwrap() {
            return status.code();
        }
        assert!(begun.elapsed() < PATIENCE, "the worker does not end");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn time(second: f64) -> String {
    vouchsafe_model::Time::from_secs(second as i64).to_string()
}

/// What was restored of a moment: all that was committed a second before, and nothing that was begun later.
fn assert_is_of(found: &[(u64, f64)], all: &[(u64, f64)], moment: f64) {
    assert_eq!(found, &all[..found.len()], "no row is another one");
    let last = found.last().unwrap().1;
    assert!(last <= moment, "{last} was committed after {moment}");
    if let Some((id, at)) = all.get(found.len()) {
        assert!(
            *at >= moment - 1.0,
            "row {id} of {at} is missing at {moment}"
        );
    }
}

#[test]
fn a_sqlite_database_is_followed_brought_to_any_second_and_drilled() {
    let shop = Shop::new("WAL");
    let writer = shop.writer();
    let worker = shop.worker();
    shop.until("the first base", || {
        !shop.facts("recovery-point").is_empty()
    });
    std::thread::sleep(Duration::from_secs(4));
    // Killed in the middle of work, and begun again: nothing is missing and nothing is there twice.
    signal(&worker, "KILL");
    drop(worker);
    std::thread::sleep(Duration::from_millis(500));
    let worker = shop.worker();
    std::thread::sleep(Duration::from_secs(4));
    let last = shop.until_recorded();
    let copies = last["copies"].as_array().unwrap();
    for what in ["digest", "reaches", "begins"] {
        assert_eq!(copies[0][what], copies[1][what], "{last}");
    }
    assert_eq!(last["stream"], "sqlite-wal");
    assert_eq!(shop.facts("log-gap"), Vec::<Value>::new());
    let status = shop.work.run(["status", "--verbose"]);
    let text = common::text(&status.stdout);
    assert!(text.contains("behind"), "{text}");
    let points = shop.work.ok(["points", "shop-db"]);
    assert!(points.contains("any moment from"), "{points}");
    signal(&worker, "TERM");
    assert_eq!(ends(worker), Some(0), "{}", shop.said());

    // A gate: it ships what there is by itself where no worker is at it.
    shop.work
        .ok(["run", "shop-db", "--reason", "before the release"]);
    end_writing(writer);
    let committed = shop.committed();
    let first = shop.facts("recovery-point")[0]["completed"]
        .as_str()
        .unwrap()
        .parse::<vouchsafe_model::Time>()
        .unwrap();
    let middle = first.micros() as f64 / 1e6 + 4.0;

    // The worklist first, then the deed.
    let at = time(middle);
    let order = ["restore", "shop-db", "--at", &at, "--to", "./restored.db"];
    let mut dry = order.to_vec();
    dry.push("--dry-run");
    let said = shop.work.ok(dry);
    assert!(said.contains("of log at most"), "{said}");
    assert!(!shop.work.path("restored.db").exists());
    shop.work.ok(order);
    let moment = (middle as i64) as f64;
    let found = rows_in(&shop.work.path("restored.db"));
    assert_is_of(&found, &committed, moment);
    let left = fs::read_dir(shop.work.root()).unwrap().flatten();
    let left: Vec<_> = left
        .filter(|e| e.file_name().to_string_lossy().starts_with(".vouchsafe-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");

    // One table of that moment beside the live one.
    let order = ["restore", "shop-db", "--at", &at, "--to", "./live.db"];
    let tables = ["--only", "orders", "--into", "back"];
    let said = shop.work.ok(order.iter().chain(&tables));
    assert!(
        said.contains("equal to those of the restored copy"),
        "{said}"
    );
    let back = shop.sql("SELECT count(*) FROM back_orders");
    assert_eq!(back.trim(), found.len().to_string());
    let all = shop.sql("SELECT count(*) FROM orders; DROP TABLE back_orders");
    assert_eq!(
        all.trim(),
        committed.len().to_string(),
        "live data is as it was"
    );

    let order = [
        "restore",
        "shop-db",
        "--at",
        "latest",
        "--to",
        "./new/latest.db",
        "--json",
    ];
    let said = shop.work.ok(order);
    assert!(said.contains("\"newest_commit\""), "{said}");
    let found = rows_in(&shop.work.path("new/latest.db"));
    assert_eq!(found, &committed[..found.len()]);

    // Beyond either end nothing is done, and it is said what can be.
    for at in [time(now() + 3600.0), time(now() - 3600.0)] {
        let order = ["restore", "shop-db", "--at", &at, "--to", "./no.db"];
        let (_, said) = shop.work.exits(2, order);
        assert!(
            said.contains("to any moment from") && said.contains("in local"),
            "{said}"
        );
    }
    assert!(!shop.work.path("no.db").exists());

    // A drill climbs from the vault to the rows, and its twins are caught.
    let (said, _) = shop
        .work
        .exits(0, ["drill", "shop-db", "--at", &at, "--negative", "--json"]);
    for rung in [
        "log",
        "log-sealed",
        "opens",
        "position",
        "moment",
        "pages",
        "checks",
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
        "wrong-row",
    ] {
        assert!(
            said.contains(&format!("\"name\":\"{control}\"")),
            "{control}: {said}"
        );
    }
    shop.work.exits(0, ["drill", "shop-db", "--at", "random"]);
}

#[test]
fn a_log_that_others_began_anew_is_a_gap_in_the_record_and_a_new_base_is_made() {
    let shop = Shop::new("WAL");
    // It is closed after each statement, so its log is gone while nobody follows it.
    let done = shop.work.ok(["worker", "--once"]);
    assert!(done.contains("whole in every vault"), "{done}");
    shop.work.ok(["run", "shop-db"]);
    std::thread::sleep(Duration::from_millis(200));
    shop.sql("INSERT INTO orders (at, note) VALUES (1, 'unseen'); PRAGMA wal_checkpoint(TRUNCATE)");
    let worker = shop.worker();
    shop.until("a new base", || shop.facts("recovery-point").len() > 1);
    let gaps = shop.facts("log-gap");
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(gaps[0]["cause"], "removed");
    shop.sql("INSERT INTO orders (at, note) VALUES (2, 'seen')");
    let last = shop.until_recorded();
    assert_eq!(last["copies"][0]["begins"], gaps[0]["to"], "{last}");
    let runs = shop.facts("run-opened");
    let reason = runs.iter().rev().find_map(|run| run["reason"].as_str());
    let reason = reason.unwrap();
    assert!(reason.contains("gap"), "{reason}");
    signal(&worker, "INT");
    assert_eq!(ends(worker), Some(0));
    let points = shop.work.ok(["points", "shop-db"]);
    assert!(points.contains("gap from"), "{points}");
    // What lies behind the gap can be had back by the new base.
    shop.work.ok([
        "restore",
        "shop-db",
        "--at",
        "latest",
        "--to",
        "./latest.db",
    ]);
    assert_eq!(rows_in(&shop.work.path("latest.db")), [(1, 1.0), (2, 2.0)]);
}

#[test]
fn a_database_without_such_a_log_is_told_what_it_lacks() {
    let shop = Shop::new("DELETE");
    let out = shop.work.run(["run", "shop-db"]);
    let said = common::text(&out.stdout) + &common::text(&out.stderr);
    assert!(said.contains("journal_mode = WAL"), "{said}");
    // A point is made all the same.
    assert_eq!(shop.facts("recovery-point").len(), 1, "{said}");
}
