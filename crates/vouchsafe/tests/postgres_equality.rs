//! A moment of a PostgreSQL server, restored from two vaults and compared table by table, as the policy asks.

use std::fs;
use std::time::{Duration, Instant};

use crate::postgres_moment::{Shop, newest_fragment};
use serde_json::Value;
use vouchsafe_model::{Span, Time};

/// What a drill says, as it is recorded.
fn drilled(shop: &Shop, code: i32, order: &[&str]) -> Value {
    let order = ["drill", "shop", "--json"].iter().chain(order);
    let (said, told) = shop.work.exits(code, order.copied());
    let values = said
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut found = values.filter_map(|value| value.pointer("/drills/0").cloned());
    found
        .next_back()
        .unwrap_or_else(|| panic!("no result: {said}{told}"))
}

fn rung<'d>(drill: &'d Value, name: &str) -> &'d Value {
    let rungs = drill["ladder"]["rungs"].as_array().expect("rungs");
    let found = rungs.iter().find(|rung| rung["name"] == name);
    found.unwrap_or_else(|| panic!("no rung {name}: {drill}"))
}

fn first_not_green(drill: &Value) -> (String, String) {
    let rungs = drill["ladder"]["rungs"].as_array().expect("rungs");
    let found = rungs.iter().find(|rung| rung["outcome"] != "green");
    let rung = found.expect("one that is not green");
    let text = |key: &str| rung[key].as_str().expect("a text").to_owned();
    (text("name"), text("actual"))
}

#[test]
fn a_moment_is_equal_by_two_vaults_and_one_changed_row_in_either_is_seen() {
    let mut shop = Shop::drilled_by("      equality: copies\n");
    shop.server.sql(
        "CREATE DATABASE second; CREATE ROLE teller; CREATE SEQUENCE s; SELECT nextval('s'); \
         SELECT lo_from_bytea(0, 'large')",
    );
    shop.rows(5);
    shop.work.ok(["run", "shop"]);
    shop.rows(40);
    shop.ship_to(&["local", "offsite"]);
    let committed = shop.committed();
    let (middle, newest) = (committed[25].1, committed.last().unwrap().1);

    // By the drill's own test, too.
    let at = middle.to_string();
    let drill = drilled(&shop, 0, &["--vault", "local", "--at", &at, "--negative"]);
    let equality = &drill["equality"];
    assert_eq!(equality["to"]["by"], "copy", "{drill}");
    assert_eq!(equality["to"]["vault"], "offsite", "{drill}");
    assert!(
        equality["rows"].as_u64() >= Some(26) && equality["parts"].as_u64() > Some(20),
        "{equality}"
    );
    assert_eq!(rung(&drill, "equality")["outcome"], "green");
    let controls = drill["negative_controls"].as_array().expect("controls");
    let control = controls
        .iter()
        .find(|control| control["damage"]["name"] == "unequal-copy")
        .expect("the control of equality");
    assert_eq!(control["first_red"], "equality", "{control}");
    assert_eq!(control["pair_green"], true, "{control}");
    let found = control["actual"].as_str().expect("a text");
    assert!(
        found.contains("`rows:") && found.contains("from offsite"),
        "{found}"
    );
    let (said, _) = shop.work.exits(1, ["status", "--json"]);
    assert!(
        said.contains("equal to the same moment restored from offsite"),
        "{said}"
    );

    // Where the other vault is behind, what both lead to is compared.
    shop.rows(10);
    shop.ship_to(&["local"]);
    let drill = drilled(&shop, 0, &["--vault", "local"]);
    let moment: Time = drill["moment"]["at"]
        .as_str()
        .expect("a moment")
        .parse()
        .expect("a time");
    assert!(
        moment < newest && newest < moment.plus(Span::from_secs(60)),
        "{drill}"
    );
    let drill = drilled(&shop, 0, &["--vault", "offsite", "--at", "random"]);
    assert_eq!(drill["equality"]["to"]["vault"], "local", "{drill}");
    // A moment that only one leads to is not called equal.
    let at = shop.committed().last().unwrap().1.to_string();
    let drill = drilled(&shop, 1, &["--vault", "local", "--at", &at]);
    let (name, actual) = first_not_green(&drill);
    assert_eq!(name, "equality");
    assert!(actual.contains("offsite does not lead there"), "{actual}");
    assert_eq!(drill["equality"], Value::Null);

    // A damage to the other vault's log is found there.
    let path = newest_fragment(&shop.work, "offsite");
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 20;
    bytes[last] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let at = newest.to_string();
    let drill = drilled(&shop, 1, &["--vault", "local", "--at", &at]);
    let (name, actual) = first_not_green(&drill);
    assert_eq!(name, "equality", "{drill}");
    assert!(actual.contains("offsite"), "{actual}");
    // Where the other vault cannot be read, it is said why.
    let snapshots = shop.work.path("vaults/offsite/repo/snapshots");
    fs::rename(&snapshots, shop.work.path("snapshots")).unwrap();
    fs::create_dir(&snapshots).unwrap();
    let drill = drilled(&shop, 1, &["--vault", "local"]);
    let (name, actual) = first_not_green(&drill);
    assert_eq!(name, "equality", "{drill}");
    let (no_moment, why) = actual.split_once("; offsite: ").expect("a reason");
    assert!(no_moment.contains("no moment is known"), "{actual}");
    assert!(why.len() > 20 && !why.contains("offsite: "), "{actual}");
    // Nothing of either sandbox is left.
    assert_eq!(drill["sandbox"]["destroyed"], true);
    let sandboxes = shop.work.path(".vouchsafe/sandbox");
    if sandboxes.exists() {
        assert_eq!(fs::read_dir(sandboxes).unwrap().count(), 0);
    }
}

#[test]
fn a_moment_is_equal_to_what_a_standby_held_and_the_standby_goes_on_following() {
    let server = Shop::server();
    let standby = server.standby();
    let equality = format!(
        "      equality: {{ standby: \"{}\" }}\n",
        standby.url("").replace("/?", "?")
    );
    let mut shop = Shop::of(server, &equality);
    shop.server
        .sql("CREATE DATABASE second; CREATE UNLOGGED TABLE u AS SELECT 1");
    shop.rows(5);
    shop.work.ok(["run", "shop"]);
    shop.rows(20);
    let followed = |shop: &Shop| {
        let begun = Instant::now();
        let all = shop.server.sql("SELECT count(*) FROM t");
        while standby.sql("SELECT count(*) FROM t") != all {
            assert!(begun.elapsed() < Duration::from_secs(60), "it follows");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    followed(&shop);
    let drill = drilled(&shop, 0, &["--negative"]);
    let equality = &drill["equality"];
    assert_eq!(equality["to"]["by"], "standby", "{drill}");
    assert!(equality["rows"].as_u64() >= Some(25), "{equality}");
    let controls = drill["negative_controls"].as_array().expect("controls");
    let caught = controls.iter().find(|control| {
        control["damage"]["name"] == "unequal-copy" && control["first_red"] == "equality"
    });
    assert!(caught.is_some(), "{controls:?}");
    let (said, _) = shop.work.exits(1, ["status", "--json"]);
    assert!(said.contains("equal to what the standby"), "{said}");
    // It is not paused any more.
    shop.rows(3);
    followed(&shop);
    // Another vault than the one that is restored from need not be there.
    let (there, away) = (shop.work.path("vaults/offsite"), shop.work.path("away"));
    fs::rename(&there, &away).unwrap();
    let drill = drilled(&shop, 0, &["--vault", "local"]);
    assert_eq!(drill["equality"]["to"]["by"], "standby", "{drill}");
    assert!(!there.exists());
    fs::rename(&away, &there).unwrap();

    // Paused by somebody else, it is left so, and the drill says why.
    standby.sql("SELECT pg_wal_replay_pause()");
    let drill = drilled(&shop, 1, &[]);
    let (name, actual) = first_not_green(&drill);
    assert_eq!(name, "equality", "{drill}");
    assert!(actual.contains("paused already"), "{actual}");
    // By whichever seed.
    let drill = drilled(&shop, 1, &["--at", "random"]);
    let (name, actual) = first_not_green(&drill);
    assert_eq!(name, "equality", "{drill}");
    assert!(actual.contains("paused already"), "{actual}");
    assert_eq!(standby.sql("SELECT pg_is_wal_replay_paused()"), "t");
}
