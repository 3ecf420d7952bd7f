//! Deeds in a bucket that keeps versions and locks: what they write is locked, what they remove is gone or named.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

mod common;

use common::Workspace;
use common::vaults::{exits, facts, kept, s3, seen, with_vaults};
use serde_json::Value;
use vouchsafe_testkit::servers::Server;
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
