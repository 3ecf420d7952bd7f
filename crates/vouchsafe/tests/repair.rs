//! Repairing from the command line: what is lost in one vault comes back from the other, and the record says so.

use std::fs;

use crate::common::{self, Workspace, noise, text};
use vouchsafe_testkit::restic::Restic;

fn captured() -> Workspace {
    let w = Workspace::ready();
    w.ok(["run"]);
    w
}

fn break_largest_pack(w: &Workspace, vault: &str) {
    let pack = w.packs(vault).remove(0);
    w.damage(&pack, |bytes| bytes[1000] ^= 1);
}

fn status(w: &Workspace) -> String {
    text(&w.run(["status", "--verbose"]).stdout)
}

#[test]
fn a_damaged_vault_is_healed_from_another_one() {
    let w = captured();
    break_largest_pack(&w, "local");
    let (_, told) = w.exits(1, ["verify"]);
    assert!(
        told.contains("offsite holds 1 of the 1 point that this hits: heal with `vouchsafe vault repair local packs --from offsite`"),
        "{told}"
    );
    let record = w.ok(["ledger", "export"]);
    assert!(record.contains("\"fact\":\"copy-lost\""));
    assert!(status(&w).contains("none in local"), "{}", status(&w));
    // What is lost here is read from there.
    w.ok(["restore", "website", "--to", "back"]);
    assert_eq!(
        fs::read(w.path("back/img/noise.bin")).unwrap(),
        noise(3_000_000)
    );

    let repair = ["vault", "repair", "local", "packs", "--from", "offsite"];
    let before = w.packs("local");
    let (worklist, _) = w.exits(1, repair);
    assert!(
        worklist.contains("1 fetched from another vault, 0 lost"),
        "{worklist}"
    );
    assert!(worklist.contains("add --yes"), "{worklist}");
    assert_eq!(w.packs("local"), before, "nothing was changed");
    let (_, told) = w.exits(0, [&repair[..], &["--yes"]].concat());
    assert!(told.contains("1 blob healed"), "{told}");
    assert!(told.contains("is whole again"), "{told}");
    assert_eq!(w.ok(repair), "nothing to repair\n");

    w.ok(["verify"]);
    assert!(!status(&w).contains("none in local"), "{}", status(&w));
    let record = w.ok(["ledger", "export"]);
    assert!(
        record.contains("\"fact\":\"repaired\"")
            && record.contains("\"healed_from\":[\"offsite\"]")
    );
    w.ok(["ledger", "verify"]);
    w.ok(["report", "-o", "report.html"]);
    let restic = Restic::newest();
    let check = w.restic("local", restic.program(), "check --read-data");
    assert!(check.status.success(), "{}", text(&check.stderr));
}

#[test]
fn what_is_lost_everywhere_is_named_and_never_called_whole() {
    let w = captured();
    break_largest_pack(&w, "local");
    for pack in w.packs("offsite") {
        fs::remove_file(pack).unwrap();
    }
    let (_, told) = w.exits(1, ["verify"]);
    assert!(
        told.contains("that this hits, no other vault holds"),
        "{told}"
    );
    let repair = [
        "vault", "repair", "local", "packs", "--from", "offsite", "--yes",
    ];
    let (shown, _) = w.exits(1, repair);
    assert!(
        shown.contains("1 lost") && shown.contains("is LOST"),
        "{shown}"
    );
    let (shown, _) = w.exits(1, ["vault", "repair", "local", "snapshots"]);
    assert!(shown.contains("misses 1: write a sibling"), "{shown}");
    assert!(shown.contains("noise.bin"), "{shown}");
    w.exits(1, ["vault", "repair", "local", "snapshots", "--yes"]);
    let forget = ["vault", "repair", "local", "snapshots", "--forget", "--yes"];
    let by = ["--by", "counsel@example.com", "--reason", "a dispute"];
    let held = ["hold", "place", "case-7", "--system", "website"];
    w.ok([&held[..], &by].concat());
    let snapshots = || {
        fs::read_dir(w.path("vaults/local/repo/snapshots"))
            .unwrap()
            .count()
    };
    let before = snapshots();
    let (_, refused) = w.exits(2, forget);
    assert!(refused.contains("hold release case-7"), "{refused}");
    assert_eq!(snapshots(), before, "nothing was removed");
    w.ok([&["hold", "release", "case-7"][..], &by].concat());
    w.ok(forget);
    assert!(status(&w).contains("none in local"), "{}", status(&w));
    let restic = Restic::newest();
    let check = w.restic("local", restic.program(), "check --read-data");
    assert!(check.status.success(), "{}", text(&check.stderr));
    let listed = w.restic("local", restic.program(), "ls latest --tag repaired");
    assert!(
        text(&listed.stdout).contains("noise.bin.incomplete"),
        "{}",
        text(&listed.stdout)
    );
    // The next run stores again what is lost, in the other vault too, though that was not repaired: it is known not to
    // be there.
    w.ok(["run", "website"]);
    for vault in ["local", "offsite"] {
        w.ok(["restore", "website", "--to", vault, "--vault", vault]);
        assert_eq!(
            fs::read(w.path(vault).join("img/noise.bin")).unwrap(),
            noise(3_000_000)
        );
    }
}

#[test]
fn a_lost_index_is_made_anew() {
    let w = captured();
    for index in common::files_below(&w.path("vaults/local/repo/index")) {
        fs::remove_file(index).unwrap();
    }
    w.exits(1, ["vault", "check", "local"]);
    let (worklist, _) = w.exits(1, ["vault", "repair", "local", "index", "--dry-run"]);
    assert!(
        worklist.contains("is not listed: list it as its header says"),
        "{worklist}"
    );
    w.ok(["vault", "repair", "local", "index", "--yes"]);
    w.ok(["verify"]);
    assert_eq!(
        w.ok(["vault", "repair", "local", "index"]),
        "nothing to repair\n"
    );
    w.exits(2, ["vault", "repair", "local", "packs", "--from", "local"]);
    w.exits(2, ["vault", "repair", "nowhere", "packs"]);
}
