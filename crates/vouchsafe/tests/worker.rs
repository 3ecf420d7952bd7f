//! The worker from the command line: a live server's log in two vaults, through kills and failures.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{self, Workspace};
use serde_json::Value;
use vouchsafe_testkit::postgres::Postgres;

/// A workspace whose policy protects a whole server, with its log.
struct Shop {
    server: Postgres,
    work: Workspace,
}

/// A worker that is running. It is killed when the value is dropped.
struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Shop {
    fn new() -> Shop {
        let server = Postgres::start();
        server.sql("CREATE TABLE orders (n bigserial, note text)");
        let url = server.url("").replace("/?", "?");
        let work = Workspace::new();
        let policy = format!(
            r#"
policy: {{ id: T-1, title: Test policy, owner: o@example.com, version: "1", next_review: 2999-01-01 }}
vaults:
  local:   {{ url: ./vaults/local, region: here, country: GB }}
  offsite: {{ url: ./vaults/offsite, region: there, country: GB }}
tiers:
  critical: {{ rpo: 5m, log_rpo: 30s, rto: 1h }}
systems:
  shop-db:
    source: "{url}"
    tier: critical
    owner: o@example.com
    location: {{ region: here, country: GB }}
    schedule: "daily at 02:00 UTC"
    keep: {{ at_least: 35 days }}
    copies: [ local, offsite ]
    logs: {{ every: 1s, keep: 7 days }}
"#
        );
        fs::write(work.path("policy.yaml"), policy).unwrap();
        work.ok(["init"]);
        Shop { server, work }
    }

    fn worker(&self) -> Worker {
        let mut command = self.work.command(["worker", "--record-every", "1"]);
        let log = fs::File::options()
            .append(true)
            .create(true)
            .open(self.work.path("worker.log"))
            .unwrap();
        Worker(command.stdout(Stdio::null()).stderr(log).spawn().unwrap())
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

    /// A command that works beside the worker, as soon as that is not itself at a deed.
    fn run_beside(&self, args: &[&str]) {
        let begun = Instant::now();
        loop {
            let done = self.work.run(args);
            if done.status.code() == Some(0) {
                return;
            }
            let waits = done.status.code() == Some(11) && begun.elapsed().as_secs() < 30;
            assert!(waits, "{done:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn flushed(&self) -> u64 {
        lsn(&self.server.sql("SELECT pg_current_wal_flush_lsn()"))
    }

    /// Until the record says that both vaults have the log up to this position.
    fn until_recorded(&self, target: u64) -> Value {
        let begun = Instant::now();
        loop {
            let last = self.facts("log-shipped").pop();
            if let Some(last) = last {
                let copies = last["copies"].as_array().unwrap();
                let has = |copy: &Value| lsn(copy["reaches"].as_str().unwrap()) >= target;
                if copies.len() == 2 && copies.iter().all(has) {
                    return last;
                }
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{}", self.said());
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

fn lsn(text: &str) -> u64 {
    let (high, low) = text.split_once('/').unwrap();
    u64::from_str_radix(high, 16).unwrap() << 32 | u64::from_str_radix(low, 16).unwrap()
}

fn signal(worker: &Worker, name: &str) {
    let done = Command::new("sh")
        .args([
            "-c",
            "kill \"$1\" \"$2\"",
            "sh",
            &format!("-{name}"),
            &worker.0.id().to_string(),
        ])
        .status()
        .unwrap();
    assert!(done.success());
}

/// How it ended, which must be soon.
fn ends(mut worker: Worker) -> Option<i32> {
    let begun = Instant::now();
    loop {
        if let Some(status) = worker.0.try_wait().unwrap() {
            return status.code();
        }
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "the worker does not end"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_worker_ships_the_log_to_every_vault_through_kills_and_ends_cleanly() {
    let shop = Shop::new();
    let worker = shop.worker();
    shop.server
        .sql("INSERT INTO orders (note) SELECT 'first' FROM generate_series(1, 1000)");
    shop.until_recorded(shop.flushed());

    // The first base is made by the worker, since there was none; another shell works beside it.
    let begun = Instant::now();
    while shop.facts("recovery-point").is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", shop.said());
        std::thread::sleep(Duration::from_millis(300));
    }
    let second = shop.work.run(["worker"]);
    assert_eq!(second.status.code(), Some(11), "{:?}", second);
    shop.run_beside(&["run", "shop-db", "--reason", "before the release"]);

    // Killed in the middle of work, and begun again: nothing is missing and nothing is there twice.
    signal(&worker, "KILL");
    drop(worker);
    shop.server.sql(
        "INSERT INTO orders (note) SELECT 'while nobody worked' FROM generate_series(1, 5000)",
    );
    let worker = shop.worker();
    let last = shop.until_recorded(shop.flushed());
    let copies = last["copies"].as_array().unwrap();
    assert_eq!(copies[0]["digest"], copies[1]["digest"], "{last}");
    assert_eq!(copies[0]["reaches"], copies[1]["reaches"], "{last}");
    assert_eq!(copies[0]["begins"], copies[1]["begins"], "{last}");
    assert!(last["token"]["sequence"].as_u64().unwrap() > 0, "{last}");
    assert_eq!(shop.facts("log-gap"), Vec::<Value>::new());

    let status = shop.work.run(["status", "--verbose"]);
    let text = common::text(&status.stdout);
    assert!(text.contains("behind"), "{text}");
    let points = shop.work.ok(["points", "shop-db"]);
    assert!(points.contains("any moment from"), "{points}");
    assert!(!points.contains("no base yet"), "{points}");

    signal(&worker, "TERM");
    assert_eq!(ends(worker), Some(0), "{}", shop.said());
    // Silence shows at once: nobody promises a next record any more.
    let last = shop.facts("log-shipped").pop().unwrap();
    assert_eq!(last["next_by"], last["until"], "{last}");
}

#[test]
fn a_lost_slot_is_a_gap_in_the_record_and_a_new_base_is_made() {
    let shop = Shop::new();
    let done = shop.work.ok(["worker", "--once"]);
    assert!(done.contains("whole in every vault"), "{done}");
    shop.work.ok(["run", "shop-db"]);
    let slot = shop
        .server
        .sql("SELECT slot_name FROM pg_replication_slots");
    shop.server
        .sql(&format!("SELECT pg_drop_replication_slot('{slot}')"));
    shop.server
        .sql("ALTER SYSTEM SET max_wal_size = '32MB'; SELECT pg_reload_conf()");
    for _ in 0..4 {
        shop.server.sql("INSERT INTO orders (note) SELECT repeat('x', 1900) FROM generate_series(1, 12000); CHECKPOINT");
    }
    let worker = shop.worker();
    let begun = Instant::now();
    while shop.facts("recovery-point").len() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", shop.said());
        std::thread::sleep(Duration::from_millis(300));
    }
    let gaps = shop.facts("log-gap");
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(gaps[0]["cause"], "slot-missing");
    let last = shop.until_recorded(shop.flushed());
    assert_eq!(last["copies"][0]["begins"], gaps[0]["to"], "{last}");
    let runs = shop.facts("run-opened");
    let reason = runs.iter().rev().find_map(|run| run["reason"].as_str());
    let reason = reason.unwrap();
    assert!(reason.contains("gap"), "{reason}");
    signal(&worker, "INT");
    assert_eq!(ends(worker), Some(0));
    let points = shop.work.ok(["points", "shop-db"]);
    assert!(points.contains("gap from"), "{points}");
}
