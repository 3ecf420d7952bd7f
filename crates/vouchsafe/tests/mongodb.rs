//! A MongoDB database from the command line, by the simulator: captured, restored, drilled, with twins damaged on purpose.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::common::Workspace;
use vouchsafe_mongosim::{Mongo, NewUser, Settings, doc, mongod_in, stand_in_for_mongod};

/// The test that is what stands in for `mongod`.
const STAND_IN: &str = "mongodb::the_simulator_stands_in_for_mongod";

#[test]
fn the_simulator_stands_in_for_mongod() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mongod-by-itself");
    stand_in_for_mongod(&folder, STAND_IN).unwrap();
}

/// A workspace whose policy protects one database of a simulated server.
struct Shop {
    server: Mongo,
    work: Workspace,
    /// Where a `mongod` lies that is the simulator: others may look into it.
    programs: PathBuf,
}

impl Shop {
    fn new(test: &str) -> Shop {
        let user = |name: &str, role: &str| NewUser {
            name: name.to_owned(),
            password: "open sesame".to_owned(),
            roles: vec![role.to_owned()],
        };
        let server = Mongo::with(&Settings {
            users: vec![user("root", "root@admin"), user("backup", "backup@admin")],
            ..Settings::default()
        })
        .unwrap();
        let orders =
            (0..5000).map(|n| doc! { "_id": n, "item": format!("item {n}"), "state": "open" });
        server.put("shop.orders", orders).unwrap();
        server
            .put("shop.customers", (0..10).map(|n| doc! { "_id": n }))
            .unwrap();
        let work = Workspace::new();
        let policy = format!(
            r#"
policy: {{ id: T-1, title: Test policy, owner: o@example.com, version: "1", next_review: 2999-01-01 }}
vaults:
  local:   {{ url: ./vaults/local, region: here, country: GB }}
  offsite: {{ url: ./vaults/offsite, region: there, country: GB }}
tiers:
  standard: {{ rpo: 24h, rto: 1h, copies: {{ min: 2 }} }}
plans:
  nightly:
    schedule: "daily at 02:00 UTC"
    keep: {{ at_least: 35 days }}
    copies: [ local, offsite ]
    verify: {{ every: week }}
    drill: {{ every: quarter, negative_control: every year, checks: [ '{{"count": "orders", "query": {{"state": "open"}}}}' ] }}
systems:
  shop:
    source: "mongodb://backup@127.0.0.1:{}/shop"
    password: {{ file: ./password }}
    tier: standard
    plan: nightly
    owner: o@example.com
"#,
            server.port(),
        );
        fs::write(work.path("policy.yaml"), policy).unwrap();
        let programs =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("mongod-for-{test}"));
        mongod_in(&programs, STAND_IN).unwrap();
        let shop = Shop {
            server,
            work,
            programs,
        };
        shop.password("open sesame\n");
        shop.work.ok(["init"]);
        shop
    }

    fn password(&self, text: &str) {
        let path = self.work.path("password");
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Runs it where there is a `mongod`.
    fn with_mongod(&self, code: i32, args: &[&str]) -> (String, String) {
        let path = std::env::var("PATH").unwrap();
        let mut command = self.work.command(args);
        command
            .env("PATH", format!("{}:{path}", self.programs.display()))
            .env("MONGODB_PASSWORD", "open sesame");
        told(code, args, &command.output().unwrap())
    }
}

fn told(code: i32, args: &[&str], output: &Output) -> (String, String) {
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {out}{err}");
    assert!(
        !out.contains("sesame") && !err.contains("sesame"),
        "{out}{err}"
    );
    (out, err)
}

#[test]
fn a_mongodb_database_is_captured_restored_and_drilled_and_every_damage_is_caught() {
    let shop = Shop::new("drill");
    let w = &shop.work;
    w.ok(["run", "shop"]);
    shop.server
        .put("shop.orders", [doc! { "_id": "later" }])
        .unwrap();
    let said = w.ok(["run", "shop", "--reason", "before deploying 4.2"]);
    assert!(said.contains("in local, offsite"), "{said}");

    let (said, _) = shop.with_mongod(0, &["drill", "shop", "--negative", "--json"]);
    for rung in ["opens", "schema", "grants", "content", "checks"] {
        assert!(
            said.contains(&format!("\"name\":\"{rung}\"")),
            "{rung}: {said}"
        );
    }
    for control in [
        "wrong-key",
        "missing-pack",
        "flipped-byte",
        "swapped-snapshot",
        "stale-manifest",
        "missing-document",
    ] {
        assert!(
            said.contains(&format!("\"name\":\"{control}\"")),
            "{control}: {said}"
        );
    }

    // As a server of its own.
    shop.with_mongod(0, &["restore", "shop", "--to", "server:./served"]);
    let (_, again) = shop.with_mongod(2, &["restore", "shop", "--to", "server:./served"]);
    assert!(again.contains("not empty"), "{again}");
    assert!(w.path("served/data").is_dir());

    // Into a server that runs.
    let target = format!("mongodb://root@127.0.0.1:{}/again", shop.server.port());
    shop.with_mongod(0, &["restore", "shop", "--to", &target]);
    assert_eq!(shop.server.count("again.orders"), Some(5001));
    assert_eq!(shop.server.count("again.customers"), Some(10));
    let (_, refused) = shop.with_mongod(2, &["restore", "shop", "--to", &target]);
    assert!(refused.contains("--force"), "{refused}");

    // As files.
    w.ok(["restore", "shop", "--to", "./files"]);
    let archive = fs::read(w.path("files/archive")).unwrap();
    assert_eq!(archive[..4], [0x6d, 0xe2, 0x99, 0x81]);
}

#[test]
fn collections_come_back_in_a_database_of_their_own() {
    let shop = Shop::new("beside");
    let w = &shop.work;
    w.ok(["run", "shop"]);
    shop.server
        .put("shop.orders", [doc! { "_id": "later" }])
        .unwrap();
    let target = format!("mongodb://root@127.0.0.1:{}", shop.server.port());
    let order = |collection: &'static str, into: &'static str| {
        let target = target.clone();
        move |shop: &Shop, code: i32| {
            let args = [
                "restore", "shop", "--only", collection, "--into", into, "--to",
            ];
            let args: Vec<&str> = args.into_iter().chain([target.as_str()]).collect();
            shop.with_mongod(code, &args)
        }
    };
    let (said, _) = order("orders", "back")(&shop, 0);
    assert!(
        said.contains("shop.orders as back.orders: 5,000 rows, equal to the captured rows"),
        "{said}"
    );
    assert_eq!(shop.server.count("back.orders"), Some(5000));
    assert_eq!(shop.server.count("back.customers"), None);
    assert_eq!(shop.server.count("shop.orders"), Some(5001));
    for (collection, into, says) in [
        ("orders", "back", "already"),
        ("nothing", "other", "it has shop.customers, shop.orders"),
        ("orders", "admin", "for itself"),
    ] {
        let (_, said) = order(collection, into)(&shop, 2);
        assert!(said.contains(says), "{collection}: {said}");
    }
    assert_eq!(shop.server.count("other.orders"), None);
}

#[test]
fn without_mongod_a_drill_climbs_what_it_can_and_proves_nothing() {
    let shop = Shop::new("nothing");
    let w = &shop.work;
    w.ok(["run", "shop"]);
    let (said, _) = w.exits(1, ["drill", "shop", "--json"]);
    for rung in ["archive", "schema", "grants", "content"] {
        let green = said
            .split("\"name\":\"")
            .find(|part| part.starts_with(&format!("{rung}\"")));
        assert!(
            green.is_some_and(|part| part.contains("\"green\"")),
            "{rung}: {said}"
        );
    }
    assert!(said.contains("install mongod of version 7"), "{said}");
    let (_, said) = w.exits(1, ["drill", "shop"]);
    assert!(said.contains("`opens` was skipped"), "{said}");
    let (status, _) = w.exits(1, ["status"]);
    assert!(
        status.contains("opens was skipped") || status.contains("not met"),
        "{status}"
    );
    let (_, said) = w.exits(3, ["restore", "shop", "--to", "server:./served"]);
    assert!(said.contains("install mongod of version 7"), "{said}");
    assert!(!w.path("served").exists());
}

#[test]
fn what_of_a_mongodb_database_cannot_be_captured_is_said_and_makes_no_point() {
    let shop = Shop::new("refused");
    let w = &shop.work;
    shop.password("wrong\n");
    let (_, said) = w.exits(3, ["run", "shop"]);
    assert!(said.contains("`password:`"), "{said}");
    assert!(!said.contains("wrong\n"), "{said}");
    let points = w.ok(["points", "shop", "--json"]);
    assert!(!points.contains("\"point\""), "{points}");
    shop.password("open sesame\n");
    let Shop { server, work, .. } = shop;
    drop(server);
    let (_, said) = work.exits(3, ["run", "shop"]);
    assert!(said.contains("see that the server runs"), "{said}");
}
