//! The main job from the command line: init, run, status, drill, report, restore, and restic without us.

use std::fs;

use crate::common::{Workspace, files_below, noise, text};
use serde_json::Value;
use vouchsafe_testkit::restic::Restic;

#[test]
fn a_promise_is_kept_and_proven() {
    let w = Workspace::ready();
    let (before, _) = w.exits(1, ["status"]);
    assert!(before.contains("website"), "{before}");

    let run = w.ok(["run"]);
    assert_eq!(run.matches("in local, offsite").count(), 3, "{run}");
    // Captured and copied, not yet verified nor rehearsed: unproven is never met.
    w.exits(1, ["status"]);
    w.ok(["verify"]);
    let drill = w.ok(["drill", "--negative"]);
    for control in [
        "wrong-key",
        "missing-pack",
        "flipped-byte",
        "swapped-snapshot",
        "stale-manifest",
    ] {
        assert!(
            drill.contains(&format!("✓ damaged twin `{control}`")),
            "{control}:\n{drill}"
        );
    }
    assert!(drill.contains("destroyed"), "{drill}");
    w.ok(["status"]);

    w.ok(["report"]);
    let html = fs::read_to_string(w.path("report.html")).unwrap();
    for word in ["A1.2", "A.8.13", "website/main", "flipped-byte"] {
        assert!(html.contains(word), "the report lacks {word}");
    }
    let json: Value =
        serde_json::from_str(&w.ok(["report", "--format", "json", "-o", "-"])).unwrap();
    assert!(json.is_object());
}

#[test]
fn attributes_of_unchanged_files_are_kept_and_changed_ones_are_seen() {
    let w = Workspace::ready();
    let set = |value: &str| {
        let out = std::process::Command::new("setfattr")
            .args(["-n", "user.origin", "-v", value])
            .arg(w.path("site/index.html"))
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", text(&out.stderr));
    };
    let restored = |to: &str| {
        w.ok(["restore", "website", "--to", to]);
        let out = std::process::Command::new("getfattr")
            .args(["--only-values", "-n", "user.origin"])
            .arg(w.path(to).join("index.html"))
            .output()
            .unwrap();
        text(&out.stdout)
    };
    set("first");
    w.ok(["run", "website"]);
    w.ok(["run", "website"]);
    assert_eq!(restored("twice"), "first");
    set("second");
    w.ok(["run", "website"]);
    assert_eq!(restored("changed"), "second");
}

#[test]
fn a_restore_gives_back_what_was_there() {
    let w = Workspace::ready();
    w.ok(["run"]);
    w.ok(["restore", "website", "--to", "back"]);
    assert_eq!(
        fs::read(w.path("back/img/noise.bin")).unwrap(),
        noise(3_000_000)
    );
    assert_eq!(
        fs::read_link(w.path("back/home")).unwrap().to_str(),
        Some("index.html")
    );
    assert!(!w.path("back/left-out.tmp").exists());
    w.ok([
        "restore",
        "website",
        "--to",
        "one",
        "--include",
        "img/noise.bin",
        "--vault",
        "offsite",
    ]);
    assert_eq!(
        files_below(&w.path("one")),
        vec![w.path("one/img/noise.bin")]
    );

    // Never over existing data without --force.
    fs::write(w.path("back/index.html"), "mine").unwrap();
    w.exits(2, ["restore", "website", "--to", "back"]);
    assert_eq!(
        fs::read_to_string(w.path("back/index.html")).unwrap(),
        "mine"
    );
    w.ok(["restore", "website", "--to", "back", "--force"]);
    assert_eq!(
        fs::read_to_string(w.path("back/index.html")).unwrap(),
        "<h1>hello</h1>"
    );
    // Nor over a system's own place.
    w.exits(2, ["restore", "website", "--to", "site"]);

    w.ok(["restore", "shop-db", "--to", "back.db"]);
    assert!(w.path("back.db").exists());
    w.ok(["restore", "code", "--to", "code-back"]);
}

#[test]
fn stock_restic_restores_it_without_us() {
    let w = Workspace::ready();
    w.ok(["run"]);
    for restic in [Restic::newest(), Restic::oldest()] {
        for vault in ["local", "offsite"] {
            let check = w.restic(vault, restic.program(), "check --read-data");
            assert!(
                check.status.success(),
                "{}{}",
                text(&check.stdout),
                text(&check.stderr)
            );
        }
        let target = w.path("by-restic");
        let args = format!(
            "restore latest --tag vouchsafe:website/main --target {}",
            target.display()
        );
        let restore = w.restic("offsite", restic.program(), &args);
        assert!(
            restore.status.success(),
            "{}{}",
            text(&restore.stdout),
            text(&restore.stderr)
        );
        let site = fs::canonicalize(w.path("site")).unwrap();
        let back = target.join(site.strip_prefix("/").unwrap());
        assert_eq!(
            fs::read(back.join("img/noise.bin")).unwrap(),
            noise(3_000_000)
        );
        fs::remove_dir_all(target).unwrap();
    }
}

#[test]
fn only_points_known_to_the_ledger_count() {
    let w = Workspace::ready();
    w.ok(["run", "website"]);
    let restic = Restic::newest();
    let foreign = w.restic(
        "local",
        restic.program(),
        "backup site --time '2099-01-01 00:00:00'",
    );
    assert!(foreign.status.success(), "{}", text(&foreign.stderr));
    let known: Value = serde_json::from_str(&w.ok(["--json", "points"])).unwrap();
    assert_eq!(known["points"].as_array().unwrap().len(), 1);
    let listed = w.ok(["vault", "ls", "local"]);
    assert_eq!(
        listed.matches("not in the ledger; kept").count(),
        1,
        "{listed}"
    );
    // It neither displaces our newest point nor disturbs the next capture.
    w.ok(["run", "website"]);
    w.ok(["drill", "website", "--vault", "local"]);
    w.ok(["verify"]);
}

#[test]
fn a_second_run_stores_only_what_changed() {
    let w = Workspace::ready();
    w.ok(["run", "website"]);
    let before = w.packs("local").len();
    let out = w.ok(["--json", "run", "website"]);
    let result: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    let added = result["runs"][0]["added_bytes"].as_u64().unwrap();
    assert!(added < 20_000, "{added} bytes were added for nothing");
    assert!(w.packs("local").len() <= before + 1);
    w.ok(["run", "--due"]);
}

#[test]
fn the_ledger_is_checked_offline_and_names_the_first_wrong_entry() {
    let w = Workspace::ready();
    w.ok(["run", "website"]);
    w.ok(["ledger", "verify"]);
    w.ok(["ledger", "export", "-o", "ledger.jsonl"]);
    let key: Value = serde_json::from_str(&w.ok(["--json", "ledger", "show"])).unwrap();
    let key = key["public_key"].as_str().unwrap().to_owned();
    let empty = tempfile::tempdir().unwrap();
    let verify = |code: i32, file: &std::path::Path| {
        let out = std::process::Command::new(env!("CARGO_BIN_EXE_vouchsafe"))
            .args(["ledger", "verify", "--key", &key, "--export"])
            .arg(file)
            .current_dir(empty.path())
            .output()
            .unwrap();
        assert_eq!(
            out.status.code(),
            Some(code),
            "{}{}",
            text(&out.stdout),
            text(&out.stderr)
        );
        text(&out.stdout)
    };
    verify(0, &w.path("ledger.jsonl"));
    let good = fs::read_to_string(w.path("ledger.jsonl")).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    let entry = lines
        .iter()
        .position(|l| l.contains("recovery-point"))
        .unwrap();
    let mut removed = lines.clone();
    removed.remove(entry);
    let mut swapped = lines.clone();
    swapped.swap(entry, entry - 1);
    let edited = lines
        .iter()
        .map(|l| l.replace("website/main", "website/mine"))
        .collect::<Vec<_>>();
    let damaged = [removed.join("\n"), swapped.join("\n"), edited.join("\n")];
    for (n, text) in damaged.iter().enumerate() {
        let path = w.path(format!("damaged-{n}.jsonl"));
        fs::write(&path, format!("{text}\n")).unwrap();
        let said = verify(1, &path);
        assert!(said.contains("first wrong entry"), "{n}: {said}");
    }
}

#[test]
fn the_demo_runs_on_a_directory() {
    let w = Workspace::new();
    let out = w.exits(0, ["demo", "site", "--keep", "demo"]).0;
    for word in ["restic -r", "damaged twin", "ledger show", "report.html"] {
        assert!(out.contains(word), "{word} is missing:\n{out}");
    }
    assert!(w.path("demo/report.html").exists());
    let line = out.lines().find(|l| l.contains("restic -r")).unwrap();
    let command = line.split_once("restic -r").unwrap().1;
    let restic = Restic::newest();
    let script = format!("{} --no-cache -r{command}", restic.program().display());
    let restored = std::process::Command::new("sh")
        .arg("-c")
        .arg(script)
        .current_dir(w.root())
        .output()
        .unwrap();
    assert!(restored.status.success(), "{}", text(&restored.stderr));
}

#[test]
fn a_manifest_is_that_of_its_own_point() {
    let w = Workspace::ready();
    w.ok(["run", "shop-db"]);
    // As long as before to the byte, and so is its manifest.
    let sql = "update orders set item = 'ITEM 7' where id = 7";
    let changed = std::process::Command::new("sqlite3")
        .arg(w.path("shop.db"))
        .arg(sql)
        .status();
    assert!(changed.unwrap().success());
    w.ok(["run", "shop-db"]);
    w.ok(["drill", "shop-db"]);
}
