//! Deeds in a bucket that keeps versions and locks: what they write is locked, what they remove is gone or named.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use crate::common::vaults::{agree, exits, facts, kept, s3, seen, with_vaults};
use crate::common::{self, Workspace};
use serde_json::Value;
use vouchsafe_testkit::servers::{PASSWORD, Server, USER};
use vouchsafe_testkit::signed;

const LOCAL: &str = "{ url: ./vaults/local, region: here, country: GB }";

/// A captured workspace whose vault `offsite` is the bucket `locked`, which keeps versions.
fn captured(server: &Server, more: &str) -> Workspace {
    let w = with_vaults(LOCAL, &s3(server, "locked", more));
    exits(&w, 0, ["init"]);
    exits(&w, 0, ["run", "website"]);
    w
}

/// The keys in the bucket that are seen below `prod/repo/PART/`.
fn keys(server: &Server, part: &str) -> Vec<String> {
    let listed = signed::read(
        server,
        &format!("locked?list-type=2&prefix=prod/repo/{part}/"),
    );
    let keys = listed.split("<Key>").skip(1);
    keys.map(|rest| rest.split('<').next().unwrap().to_owned())
        .collect()
}

/// Stores nonsense over the pack of the largest file.
fn damage_largest_pack(server: &Server) -> String {
    let listed = signed::read(server, "locked?list-type=2&prefix=prod/repo/data/");
    let sized = listed.split("<Contents>").skip(1).map(|one| {
        let of = |tag: &str| {
            let rest = one.split(&format!("<{tag}>")).nth(1).unwrap();
            rest.split('<').next().unwrap().to_owned()
        };
        (of("Size").parse::<u64>().unwrap(), of("Key"))
    });
    let (_, key) = sized.max().unwrap();
    let put = signed::send_with(server, "PUT", &format!("locked/{key}"), &[], "nonsense");
    assert_eq!(put, 200);
    key
}

fn held_until(server: &Server, key: &str) -> Option<String> {
    let held = signed::read(server, &format!("locked/{key}?retention"));
    let until = held.split("<RetainUntilDate>").nth(1)?;
    Some(until.split('<').next()?.to_owned())
}

/// Whoever gets at the machine may have the keys of the bucket, and can still not take a head away or put another one
/// in its place.
#[test]
fn heads_in_a_vault_are_locked_from_their_first_moment_and_stay_so() {
    let server = Server::s3();
    let w = captured(&server, ", retention_lock: 40s, lock_mode: compliance");
    let record = |server: &Server| -> Vec<String> {
        let listed = signed::read(server, "locked?list-type=2&prefix=prod/ledger/");
        let keys = listed.split("<Key>").skip(1);
        keys.map(|rest| rest.split('<').next().unwrap().to_owned())
            .collect()
    };
    let objects = record(&server);
    for part in ["/heads/", "/segments/", "/vkey"] {
        assert!(objects.iter().any(|key| key.contains(part)), "{objects:?}");
    }
    for key in &objects {
        assert!(held_until(&server, key).is_some(), "{key} is not locked");
    }
    let head = objects.iter().find(|key| key.contains("/heads/")).unwrap();
    let versions = |key: &str| {
        let listed = signed::read(&server, &format!("locked?versions&prefix={key}"));
        let ids = listed.split("<VersionId>").skip(1);
        ids.map(|rest| rest.split('<').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let [version] = versions(head).try_into().unwrap();
    let path = format!("locked/{head}?versionId={version}");
    let answer = signed::send(&server, "DELETE", &path, &[]);
    assert!(
        (400..500).contains(&answer),
        "a locked head was removed: {answer}"
    );
    let before = held_until(&server, head);
    sleep(Duration::from_secs(21));
    exits(&w, 0, ["run", "website"]);
    assert!(
        held_until(&server, head) > before,
        "what is kept stays locked"
    );
}

const HEAL: [&str; 7] = [
    "vault", "repair", "offsite", "packs", "--from", "local", "--yes",
];

#[test]
fn a_repair_leaves_no_older_versions_but_of_what_it_could_not_save() {
    let server = Server::s3();
    let w = captured(&server, "");
    let damaged = damage_largest_pack(&server);
    assert_eq!(kept(&server, "data"), seen(&server, "data") + 1);
    exits(&w, 0, HEAL);
    for part in ["data", "index"] {
        assert_eq!(kept(&server, part), seen(&server, part), "{part}");
    }
    assert!(!keys(&server, "data").contains(&damaged));

    // Nobody has what is lost now, but an older version here.
    let damaged = damage_largest_pack(&server);
    exits(&w, 1, ["vault", "repair", "offsite", "packs", "--yes"]);
    assert!(!keys(&server, "data").contains(&damaged));
    // The sound one, the nonsense, and the mark.
    assert_eq!(kept(&server, "data"), seen(&server, "data") + 3);
    let repaired = facts(&w, "repaired").last().unwrap().clone();
    let object = damaged.strip_prefix("prod/").unwrap();
    assert_eq!(repaired["hidden"][0]["object"], object, "{repaired}");
    // As long as anything is missed, no prune takes that last chance.
    exits(&w, 3, ["prune", "--vault", "offsite", "--yes"]);
    assert_eq!(kept(&server, "data"), seen(&server, "data") + 3);
    exits(&w, 0, HEAL);
    let shown = exits(&w, 0, ["prune", "--vault", "offsite", "--dry-run"]);
    assert!(
        shown.contains("erase 1 object that was hidden before"),
        "{shown}"
    );
    exits(&w, 0, ["prune", "--vault", "offsite", "--yes"]);
    assert_eq!(kept(&server, "data"), seen(&server, "data"));
    exits(
        &w,
        0,
        ["restore", "website", "--to", "back", "--vault", "offsite"],
    );
}

#[test]
fn an_older_version_of_what_was_only_hidden_can_be_brought_back() {
    let server = Server::s3();
    let w = captured(&server, "");
    let damaged = damage_largest_pack(&server);
    exits(&w, 1, ["vault", "repair", "offsite", "packs", "--yes"]);
    // By the bucket's own means: the mark of deletion goes, and the nonsense.
    let listed = signed::read(&server, &format!("locked?versions&prefix={damaged}"));
    let mut kept = 0;
    for one in listed.split("<Key>").skip(1) {
        let id = one.split("<VersionId>").nth(1).unwrap();
        let id = id.split('<').next().unwrap();
        if one.contains("<Size>") && !one.contains("<Size>8</Size>") {
            kept += 1;
            continue;
        }
        let path = format!("locked/{damaged}?versionId={id}");
        assert_eq!(signed::send(&server, "DELETE", &path, &[]), 204);
    }
    assert_eq!(kept, 1);
    exits(&w, 0, ["vault", "repair", "offsite", "index", "--yes"]);
    exits(&w, 0, ["verify", "--vault", "offsite"]);
    // What is there again is not what was hidden.
    exits(&w, 0, ["prune", "--vault", "offsite", "--yes"]);
    assert!(keys(&server, "data").contains(&damaged));
    exits(
        &w,
        0,
        ["restore", "website", "--to", "back", "--vault", "offsite"],
    );
}

#[test]
fn what_a_repair_writes_is_locked_and_extended_by_the_next_run() {
    let server = Server::s3();
    let w = captured(&server, ", retention_lock: 40s, lock_mode: governance");
    let damaged = damage_largest_pack(&server);
    let before = keys(&server, "data");
    exits(&w, 0, HEAL);
    let new: Vec<String> = keys(&server, "data")
        .into_iter()
        .filter(|key| !before.contains(key))
        .collect();
    let [new] = new.as_slice() else {
        panic!("{new:?}")
    };
    assert!(held_until(&server, new).is_some());
    let repaired = facts(&w, "repaired").last().unwrap().clone();
    let hidden = repaired["hidden"].as_array().unwrap();
    let object = damaged.strip_prefix("prod/").unwrap();
    let pack = hidden.iter().find(|one| one["object"] == object).unwrap();
    assert!(pack["until"].is_string(), "{repaired}");

    sleep(Duration::from_secs(16));
    let locked = held_until(&server, new);
    exits(&w, 0, ["verify", "--vault", "offsite"]);
    exits(&w, 0, ["run", "website"]);
    assert!(held_until(&server, new) > locked);
    let read = facts(&w, "locks").last().unwrap().clone();
    assert_eq!((&read["unlocked"], &read["weak"]), (&0.into(), &0.into()));
}

/// A captured workspace whose packs nobody has locked, whose index is gone, and whose policy asks for locks since.
fn unlisted_and_unlocked(server: &Server, also_gone: &[&str]) -> Workspace {
    let w = captured(server, "");
    for part in ["index"].iter().chain(also_gone) {
        for key in keys(server, part) {
            let gone = signed::send(server, "DELETE", &format!("locked/{key}"), &[]);
            assert_eq!(gone, 204);
        }
    }
    let policy = fs::read_to_string(w.path("policy.yaml")).unwrap();
    let policy = policy.replace(
        "secret_key: { env: T_SECRET }",
        "secret_key: { env: T_SECRET }, retention_lock: 30 days",
    );
    fs::write(w.path("policy.yaml"), policy).unwrap();
    w
}

/// The packs without a lock.
fn unlocked(server: &Server) -> usize {
    let packs = keys(server, "data");
    assert!(!packs.is_empty());
    let open = packs.iter().filter(|key| held_until(server, key).is_none());
    open.count()
}

#[test]
fn what_a_repair_lists_again_is_locked() {
    let server = Server::s3();
    let w = unlisted_and_unlocked(&server, &[]);
    // What no index lists is not needed, so nobody locks it.
    exits(&w, 0, ["vault", "lock", "offsite"]);
    assert_eq!(unlocked(&server), keys(&server, "data").len());
    exits(&w, 0, ["vault", "repair", "offsite", "index", "--yes"]);
    assert_eq!(unlocked(&server), 0);
    let read = facts(&w, "locks").last().unwrap().clone();
    assert_eq!(read["unlocked"], 0, "{read}");
}

#[test]
fn packs_of_interrupted_work_are_locked_when_they_are_used() {
    let server = Server::s3();
    let w = unlisted_and_unlocked(&server, &["snapshots"]);
    let policy = fs::read_to_string(w.path("policy.yaml")).unwrap();
    let policy = policy.replace("copies: [ local, offsite ]", "copies: [ offsite ]");
    fs::write(w.path("policy.yaml"), policy).unwrap();
    agree(&w);
    // A run that came to nothing, so that the next one looks for what it has left.
    fs::rename(w.path("site"), w.path("away")).unwrap();
    exits(&w, 3, ["run", "website"]);
    fs::rename(w.path("away"), w.path("site")).unwrap();
    let left = keys(&server, "data");
    exits(&w, 0, ["run", "website"]);
    let used = left.iter().filter(|key| held_until(&server, key).is_some());
    assert_eq!(used.count(), left.len());
}

#[test]
fn a_removed_key_that_a_lock_keeps_is_named_with_its_date() {
    let server = Server::s3();
    let w = captured(&server, ", retention_lock: 30 days");
    let added = exits(&w, 0, ["--json", "key", "add", "offsite", "--generate"]);
    let added: Value = serde_json::from_str(added.lines().last().unwrap()).unwrap();
    let key = added["key"].as_str().unwrap();
    let told = exits(&w, 0, ["key", "remove", "offsite", key]);
    let file = format!("prod/repo/keys/{key}");
    assert!(!keys(&server, "keys").contains(&file));
    let hidden = facts(&w, "key-change").last().unwrap()["hidden"].clone();
    assert_eq!(hidden[0]["object"], format!("repo/keys/{key}"));
    let until = hidden[0]["until"].as_str().unwrap();
    assert!(
        told.contains("keeps its key file as a locked older version until")
            && told.contains(&until[..10]),
        "{told}"
    );
    let shown = exits(&w, 0, ["prune", "--vault", "offsite", "--dry-run"]);
    assert!(
        shown.contains("1 object is removed and still hidden there by its lock"),
        "{shown}"
    );
    // A new passphrase leaves the old key there too.
    let told = exits(&w, 0, ["key", "rotate", "offsite"]);
    assert!(
        told.contains("keeps its key file as a locked older version until"),
        "{told}"
    );
    // Where nothing is kept, nothing is said.
    let told = exits(&w, 0, ["key", "rotate", "local"]);
    assert!(!told.contains("older version"), "{told}");
}

#[test]
fn a_run_that_cannot_extend_locks_says_so_and_is_not_met() {
    let server = Server::s3();
    let w = captured(&server, ", retention_lock: 30 days");
    // Another system is captured into another vault, while the bucket cannot be asked.
    let policy = fs::read_to_string(w.path("policy.yaml")).unwrap();
    let policy = policy
        .replace("/locked/prod", "/nowhere/prod")
        .replace("[ local, offsite ]", "[ local ]")
        .replace("retention_lock: 30 days", "retention_lock: 31 days");
    fs::write(w.path("policy.yaml"), policy).unwrap();
    agree(&w);
    let mut run = w.command(["--json", "run", "website"]);
    let out = run
        .env("T_ID", USER)
        .env("T_SECRET", PASSWORD)
        .output()
        .unwrap();
    let said = common::text(&out.stdout);
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(
        said.contains("vault offsite, its locks") && said.contains("could not be extended"),
        "{said}"
    );
    let result: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(result["runs"][0]["outcome"], "done", "{result}");
    let unkept = result["less_locked"].as_array();
    assert_eq!(unkept.map(Vec::len), Some(1), "{result}");
}

#[test]
fn a_successor_is_locked_as_its_policy_says_and_one_without_a_policy_is_named() {
    let server = Server::s3();
    let w = captured(&server, ", retention_lock: 30 days");
    let next = format!(
        "\n  next: {}\ntiers:",
        s3(&server, "locked", ", retention_lock: 30 days").replace("/prod\"", "/next\"")
    );
    let policy = fs::read_to_string(w.path("policy.yaml")).unwrap();
    fs::write(w.path("policy.yaml"), policy.replace("\ntiers:", &next)).unwrap();
    let told = exits(&w, 0, ["key", "rekey", "offsite", "--to", "next"]);
    assert!(!told.contains("vault lock"), "{told}");
    let checked = exits(&w, 0, ["vault", "check", "next"]);
    assert!(checked.contains("0 unlocked"), "{checked}");

    let url = format!("s3:{}/locked/later", server.url());
    let mut rekey = w.command(["key", "rekey", "offsite", "--to", &url, "--name", "later"]);
    let out = rekey
        .env("T_ID", USER)
        .env("T_SECRET", PASSWORD)
        .env("AWS_ACCESS_KEY_ID", USER)
        .env("AWS_SECRET_ACCESS_KEY", PASSWORD)
        .output()
        .unwrap();
    let told = common::text(&out.stdout);
    assert!(
        out.status.success()
            && told.contains("write retention_lock: 30d there too")
            && told.contains("vouchsafe vault lock later"),
        "{out:?}"
    );
}
