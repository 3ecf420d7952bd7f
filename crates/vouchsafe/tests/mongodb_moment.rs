//! A MongoDB server whose oplog a worker ships, by the simulator: brought back to moments in its past from the command line,
//! and a drill that proves it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{self, Workspace};
use serde_json::Value;
use vouchsafe_mongosim::{Mongo, NewUser, Settings, doc, mongod_in};

/// The test that is what stands in for `mongod`.
const STAND_IN: &str = "mongodb::the_simulator_stands_in_for_mongod";
const PATIENCE: Duration = Duration::from_secs(90);

/// A workspace whose policy protects a whole simulated server with its log.
struct Shop {
    server: Mongo,
    work: Workspace,
    programs: PathBuf,
}

/// A worker that is running. It is killed when the value is dropped.
struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn server(oplog: usize) -> Mongo {
    let user = |name: &str, role: &str| NewUser {
        name: name.to_owned(),
        password: "open sesame".to_owned(),
        roles: vec![role.to_owned()],
    };
    Mongo::with(&Settings {
        users: vec![user("root", "root@admin"), user("backup", "backup@admin")],
        oplog,
        ..Settings::default()
    })
    .unwrap()
}

impl Shop {
    fn new(test: &str, oplog: usize) -> Shop {
        let server = server(oplog);
        server.put("shop.orders", (0..100).map(order)).unwrap();
        server
            .put("shop.customers", (0..10).map(|n| doc! { "_id": n }))
            .unwrap();
        let work = Workspace::new();
        fs::write(work.path("password"), "open sesame\n").unwrap();
        fs::set_permissions(work.path("password"), fs::Permissions::from_mode(0o600)).unwrap();
        let policy = format!(
            r#"
policy: {{ id: T-1, title: Test policy, owner: o@example.com, version: "1", next_review: 2999-01-01 }}
vaults:
  local:   {{ url: ./vaults/local, region: here, country: GB }}
  offsite: {{ url: ./vaults/offsite, region: there, country: GB }}
tiers:
  critical: {{ rpo: 5m, log_rpo: 30s, rto: 1h, copies: {{ min: 2 }} }}
systems:
  shop-db:
    source: "mongodb://backup@127.0.0.1:{}"
    password: {{ file: ./password }}
    tier: critical
    owner: o@example.com
    schedule: "daily at 02:00 UTC"
    keep: {{ at_least: 35 days }}
    copies: [ local, offsite ]
    logs: {{ every: 1s, keep: 7 days }}
    verify: {{ every: week }}
    drill:
      every: quarter
      negative_control: every year
      checks: [ '{{"$db": "shop", "count": "orders"}}' ]
"#,
            server.port(),
        );
        fs::write(work.path("policy.yaml"), policy).unwrap();
        work.ok(["init"]);
        let programs =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("mongod-for-{test}"));
        mongod_in(&programs, STAND_IN).unwrap();
        Shop {
            server,
            work,
            programs,
        }
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

    /// Runs it where there is a `mongod`, and a password for other servers.
    fn with_mongod(&self, code: i32, args: &[&str]) -> String {
        let path = std::env::var("PATH").unwrap();
        let mut command = self.work.command(args);
        command
            .env("PATH", format!("{}:{path}", self.programs.display()))
            .env("MONGODB_PASSWORD", "open sesame");
        let output = command.output().unwrap();
        let said = common::text(&output.stdout) + &common::text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(!said.contains("sesame"), "{said}");
        said
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
}

fn order(n: i32) -> vouchsafe_mongosim::Document {
    doc! { "_id": n, "item": format!("item {n}"), "state": "open" }
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.unwrap().as_secs()).unwrap()
}

fn time(second: i64) -> String {
    vouchsafe_model::Time::from_secs(second).to_string()
}

/// Until the next second has begun, which is told.
fn next_second() -> i64 {
    let before = now();
    while now() == before {
        std::thread::sleep(Duration::from_millis(10));
    }
    now()
}

fn terminate(mut worker: Worker) {
    let done = Command::new("sh")
        .args(["-c", "kill -TERM \"$1\"", "sh"])
        .arg(worker.0.id().to_string())
        .status()
        .unwrap();
    assert!(done.success());
    assert_eq!(worker.0.wait().unwrap().code(), Some(0));
}

#[test]
fn a_mongodb_server_is_followed_brought_to_any_second_and_drilled() {
    let shop = Shop::new("moments", 1_000_000);
    let worker = shop.worker();
    shop.until("the first base", || {
        !shop.facts("recovery-point").is_empty()
    });
    next_second();
    let mut moments = Vec::new();
    for step in 0..3 {
        let new = 100 + step * 10;
        shop.server
            .put("shop.orders", (new..new + 10).map(order))
            .unwrap();
        shop.server
            .put(&format!("shop.more{step}"), [order(1)])
            .unwrap();
        // All of it is of before the next second, and nothing of that second is.
        let second = next_second();
        moments.push((second, usize::try_from(new + 10).unwrap(), step));
        next_second();
    }
    shop.until("the log in every vault", || {
        let Some(last) = shop.facts("log-shipped").pop() else {
            return false;
        };
        let has = |copy: &Value| {
            let newest = copy["newest_commit"].as_str().unwrap_or_default();
            let newest = newest.parse::<vouchsafe_model::Time>();
            newest.is_ok_and(|t| t > vouchsafe_model::Time::from_secs(moments[2].0))
        };
        last["copies"]
            .as_array()
            .is_some_and(|all| all.len() == 2 && all.iter().all(has))
    });
    assert_eq!(shop.facts("log-gap"), Vec::<Value>::new());
    let last = shop.facts("log-shipped").pop().unwrap();
    assert_eq!(last["stream"], "oplog");
    assert!(last["token"]["chain"].is_string(), "{last}");
    assert_eq!(last["copies"][0]["digest"], last["copies"][1]["digest"]);
    let points = shop.work.ok(["points", "shop-db"]);
    assert!(points.contains("any moment from"), "{points}");
    terminate(worker);

    // A gate: it ships what there is by itself where no worker is at it.
    shop.work
        .ok(["run", "shop-db", "--reason", "before the release"]);
    for (second, orders, step) in &moments {
        let other = server(1_000_000);
        let (at, to) = (
            time(*second),
            format!("mongodb://root@127.0.0.1:{}", other.port()),
        );
        let order = ["restore", "shop-db", "--at", &at, "--to", &to];
        let said = shop.with_mongod(0, &[&order[..], &["--dry-run"]].concat());
        assert!(said.contains("replay the log"), "{said}");
        assert_eq!(other.count("shop.orders"), None);
        shop.with_mongod(0, &order);
        assert_eq!(other.count("shop.orders"), Some(*orders), "{at}");
        assert_eq!(other.count("shop.customers"), Some(10));
        for more in 0..3 {
            let there = other.count(&format!("shop.more{more}"));
            assert_eq!(there, (more <= *step).then_some(1), "{at}");
        }
    }

    // As files, for the tools of MongoDB; and as a server of its own.
    let at = time(moments[1].0);
    shop.work
        .ok(["restore", "shop-db", "--at", &at, "--to", "./files"]);
    assert!(shop.work.path("files/log/oplog.bson").is_file());
    assert!(shop.work.path("files/archive").is_file());
    shop.with_mongod(
        0,
        &[
            "restore",
            "shop-db",
            "--at",
            "latest",
            "--to",
            "server:./served",
        ],
    );
    assert!(shop.work.path("served/data").is_dir() && !shop.work.path("served/log").exists());

    // Beyond either end nothing is done, and it is said what can be.
    for at in [time(now() + 3600), time(now() - 3600)] {
        let order = ["restore", "shop-db", "--at", &at, "--to", "./no"];
        let (_, said) = shop.work.exits(2, order);
        assert!(
            said.contains("to any moment from") && said.contains("in local"),
            "{said}"
        );
    }
    assert!(!shop.work.path("no").exists());

    // A drill climbs from the vault to the documents, and its twins are caught.
    let order = ["drill", "shop-db", "--at", &at, "--negative", "--json"];
    let said = shop.with_mongod(0, &order);
    for rung in [
        "log",
        "log-sealed",
        "opens",
        "position",
        "moment",
        "tokens",
        "base",
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
        "missing-document",
    ] {
        assert!(
            said.contains(&format!("\"name\":\"{control}\"")),
            "{control}: {said}"
        );
    }
    shop.with_mongod(0, &["drill", "shop-db", "--at", "random"]);
    // Without a server it climbs as far as it can, which is not enough.
    let (said, _) = shop
        .work
        .exits(1, ["drill", "shop-db", "--at", &at, "--json"]);
    assert!(said.contains("not climbed"), "{said}");
}

#[test]
fn an_oplog_that_was_forgotten_is_a_gap_in_the_record_and_a_new_base_is_made() {
    let shop = Shop::new("gaps", 300);
    let worker = shop.worker();
    shop.until("the first base", || {
        !shop.facts("recovery-point").is_empty()
    });
    terminate(worker);
    shop.server
        .put("shop.orders", (1000..1500).map(order))
        .unwrap();
    let worker = shop.worker();
    shop.until("a new base", || shop.facts("recovery-point").len() > 1);
    let gaps = shop.facts("log-gap");
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(gaps[0]["cause"], "removed");
    terminate(worker);
    let points = shop.work.ok(["points", "shop-db"]);
    assert!(points.contains("gap from"), "{points}");
    let other = server(1000);
    let to = format!("mongodb://root@127.0.0.1:{}", other.port());
    shop.work.ok(["run", "shop-db"]);
    shop.with_mongod(0, &["restore", "shop-db", "--at", "latest", "--to", &to]);
    assert_eq!(other.count("shop.orders"), Some(600));
}
