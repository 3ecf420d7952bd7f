//! Prune from the command line: what the policy lets go, nothing else, and never without a record.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{POLICY, Workspace, files_below, noise, text};
use serde_json::Value;
use vouchsafe_testkit::restic::Restic;

/// A workspace whose policy keeps as `keep` says.
fn keeping(keep: &str) -> Workspace {
    let w = Workspace::new();
    let policy = POLICY.replace(
        "keep: { at_least: 35 days }",
        &format!("keep: {{ {keep} }}"),
    );
    assert_ne!(policy, POLICY);
    fs::write(w.path("policy.yaml"), policy).unwrap();
    w.ok(["init"]);
    w
}

/// Captures the website in so many states.
fn capture(w: &Workspace, states: std::ops::Range<usize>) {
    for n in states {
        let bytes = noise(400_000 + n * 1000);
        fs::write(w.path("site/changing.bin"), &bytes[n * 1000..]).unwrap();
        w.ok(["run", "website"]);
    }
}

fn restic(w: &Workspace, vault: &str, args: &str) -> String {
    let out = w.restic(vault, Restic::newest().program(), args);
    assert!(out.status.success(), "restic {args}: {}", text(&out.stderr));
    text(&out.stdout)
}

fn snapshots(w: &Workspace, vault: &str) -> Vec<PathBuf> {
    files_below(&w.path(format!("vaults/{vault}/repo/snapshots")))
}

/// Everything in the repositories but locks.
fn stored(w: &Workspace) -> Vec<PathBuf> {
    let all = ["local", "offsite"].map(|v| files_below(&w.path(format!("vaults/{v}/repo"))));
    let all = all.concat().into_iter();
    all.filter(|p| !p.to_string_lossy().contains("/locks/"))
        .collect()
}

fn last_line(out: &str) -> Value {
    serde_json::from_str(out.lines().last().unwrap()).unwrap()
}

#[test]
fn what_the_policy_lets_go_is_removed_and_restic_finds_no_fault() {
    let w = keeping("last: 2");
    capture(&w, 0..4);
    let before = stored(&w);
    let shown = w.ok(["prune", "--dry-run"]);
    assert_eq!(shown.matches("not among last 2").count(), 4, "{shown}");
    // Nobody is there to be asked.
    let (_, err) = w.exits(2, ["prune"]);
    assert!(err.contains("--yes"), "{err}");
    assert_eq!(stored(&w), before, "looking removes nothing");

    let out = w.ok(["--json", "prune", "--yes"]);
    let result = last_line(&out);
    for vault in result["vaults"].as_array().unwrap() {
        assert_eq!(vault["expired"].as_array().unwrap().len(), 2, "{vault}");
        assert!(
            vault["pruning"]["bytes_freed"].as_u64().unwrap() > 0,
            "{vault}"
        );
    }
    for vault in ["local", "offsite"] {
        assert_eq!(snapshots(&w, vault).len(), 2);
        let check = restic(&w, vault, "check --read-data");
        assert!(check.contains("no errors were found"), "{check}");
    }
    // The record knows that they are gone on purpose.
    w.ok(["verify"]);
    let points = w.ok(["points", "website"]);
    assert_eq!(points.matches("(let go, removed)").count(), 4, "{points}");
    let (status, _) = {
        let out = w.run(["status", "--verbose"]);
        (text(&out.stdout), out.status)
    };
    assert!(
        status.contains("let go, none too early, 4 of them removed"),
        "{status}"
    );
    w.ok(["drill", "website"]);
    w.ok(["ledger", "verify"]);
    let show = w.ok(["ledger", "show", "--last", "40"]);
    assert!(show.contains("pruned"), "{show}");
    w.ok(["report"]);
    assert!(w.ok(["prune", "--yes"]).contains("nothing to remove"));
    capture(&w, 4..5);
    restic(&w, "local", "check --read-data");
}

#[test]
fn unknown_and_future_dated_snapshots_are_kept_and_displace_nothing() {
    let w = keeping("last: 1");
    capture(&w, 0..2);
    restic(&w, "local", "backup site --time '2099-01-01 00:00:00'");
    let out = w.ok(["--json", "prune", "--vault", "local", "--yes"]);
    let result = last_line(&out);
    assert_eq!(
        result["vaults"][0]["pruning"]["unknown_kept"], 1,
        "{result}"
    );
    // Ours, and the one of 2099.
    assert_eq!(snapshots(&w, "local").len(), 2);
    assert_eq!(snapshots(&w, "offsite").len(), 2, "another vault");
    w.ok(["restore", "website", "--to", "back", "--vault", "local"]);
    restic(&w, "local", "restore latest --target theirs");
    restic(&w, "local", "check --read-data");
}

#[test]
fn what_is_over_at_most_is_erased_except_the_newest() {
    let w = keeping("at_most: 1s");
    capture(&w, 0..3);
    std::thread::sleep(Duration::from_millis(1100));
    let out = w.ok(["--json", "prune", "--yes"]);
    let result = last_line(&out);
    for vault in result["vaults"].as_array().unwrap() {
        let expired = vault["expired"].as_array().unwrap();
        assert_eq!(expired.len(), 2, "{vault}");
        assert!(expired.iter().all(|copy| copy["erase"] == true), "{vault}");
    }
    w.ok(["restore", "website", "--to", "back"]);
    let left = restic(&w, "local", "prune --max-unused 0 --dry-run");
    let unused = left.lines().find(|l| l.contains("total prune")).unwrap();
    assert!(unused.contains("0 blobs"), "{left}");
}

#[test]
fn without_locks_nothing_is_removed_at_once() {
    let w = keeping("last: 1");
    capture(&w, 0..2);
    let packs = w.packs("local");
    let out = w.ok([
        "--json",
        "prune",
        "--vault",
        "local",
        "--write-once",
        "--yes",
    ]);
    let pruning = &last_line(&out)["vaults"][0]["pruning"];
    assert_eq!(pruning["mode"], "write-once");
    assert_eq!(pruning["packs_removed"], 0);
    assert!(!pruning["pending"].as_array().unwrap().is_empty());
    let now = w.packs("local");
    assert!(packs.iter().all(|pack| now.contains(pack)));
    assert_eq!(snapshots(&w, "local").len(), 1);
    assert_eq!(files_below(&w.path("vaults/local/repo/locks")).len(), 0);
    w.ok(["verify"]);
    w.ok(["restore", "website", "--to", "back", "--vault", "local"]);
    // With the lock all of it goes.
    w.ok(["prune", "--vault", "local", "--yes"]);
    restic(&w, "local", "check --read-data");
    assert!(w.packs("local").len() < now.len());
}

#[test]
fn a_lost_or_damaged_ledger_prunes_nothing() {
    let w = keeping("last: 1");
    capture(&w, 0..3);
    let before = stored(&w);
    let database = w.path(".vouchsafe/ledger.db");
    let database = match database.exists() {
        true => database,
        false => files_below(&w.path(".vouchsafe"))
            .into_iter()
            .find(|p| fs::read(p).is_ok_and(|b| b.starts_with(b"SQLite format 3")))
            .unwrap(),
    };
    let whole = fs::read(&database).unwrap();
    let damaged = Command::new("sqlite3")
        .arg(&database)
        .arg("update ledger_entry set body = x'00' where seq = 3")
        .output()
        .unwrap();
    assert!(damaged.status.success(), "{}", text(&damaged.stderr));
    assert_ne!(fs::read(&database).unwrap(), whole);
    let out = w.run(["prune", "--yes"]);
    assert!(!out.status.success(), "{}", text(&out.stdout));
    assert_eq!(stored(&w), before);

    fs::remove_dir_all(w.path(".vouchsafe")).unwrap();
    w.exits(2, ["prune", "--yes"]);
    assert_eq!(stored(&w), before);
}

#[test]
fn a_new_ledger_beside_old_snapshots_prunes_nothing() {
    let w = keeping("last: 1");
    capture(&w, 0..3);
    let before = stored(&w);
    // The passphrases are still there, the record is not.
    let keys: Vec<PathBuf> = files_below(&w.path(".vouchsafe"));
    for file in keys {
        if fs::read(&file).is_ok_and(|b| b.starts_with(b"SQLite format 3")) {
            fs::remove_file(file).unwrap();
        }
    }
    let out = w.run(["init", "--new-ledger"]);
    if out.status.success() {
        let (_, err) = w.exits(2, ["prune", "--yes"]);
        assert!(err.contains("recover-state"), "{err}");
    } else {
        w.exits(2, ["prune", "--yes"]);
    }
    assert_eq!(stored(&w), before);
}

#[test]
fn of_two_prunes_at_once_one_is_kept_out() {
    let w = keeping("last: 1");
    capture(&w, 0..2);
    // Somebody else holds the vault: restic, in the middle of a backup from a pipe.
    let script = format!(
        "eval \"$({} vault env local)\" && exec {} --no-cache backup --stdin",
        env!("CARGO_BIN_EXE_vouchsafe"),
        Restic::newest().program().display()
    );
    let mut other = Command::new("sh")
        .args(["-c", &script])
        .current_dir(w.root())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let locks = w.path("vaults/local/repo/locks");
    let until = Instant::now() + Duration::from_secs(30);
    while files_below(&locks).is_empty() {
        assert!(Instant::now() < until, "restic never took its lock");
        std::thread::sleep(Duration::from_millis(10));
    }
    w.exits(11, ["prune", "--vault", "local", "--yes"]);
    assert_eq!(snapshots(&w, "local").len(), 2);
    other.stdin.take().unwrap().write_all(b"theirs").unwrap();
    assert!(other.wait().unwrap().success());
    // And two of ours: whoever comes second finds the first at work, or nothing left to do.
    let spawn = || {
        w.command(["prune", "--yes"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut both = [spawn(), spawn()];
    let codes = both.each_mut().map(|child| child.wait().unwrap().code());
    assert!(
        codes.iter().all(|code| matches!(code, Some(0 | 11))),
        "{codes:?}"
    );
    assert!(codes.contains(&Some(0)), "{codes:?}");
    w.ok(["prune", "--yes"]);
    // Ours, and restic's from the pipe.
    assert_eq!(snapshots(&w, "local").len(), 2);
    restic(&w, "local", "check --read-data");
}

#[test]
fn a_prune_killed_at_any_time_loses_nothing() {
    let w = keeping("last: 2");
    let (mut killed, mut at) = (0, 0);
    for round in 0..12 {
        capture(&w, at..at + 2);
        at += 2;
        let mut prune = w
            .command(["prune", "--yes"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // From before the lock to after the end: a prune of this size takes about a second, most of it the locks' pauses.
        std::thread::sleep(Duration::from_millis(20 + round * 90));
        killed += u32::from(prune.try_wait().unwrap().is_none());
        let _ = prune.kill();
        let _ = prune.wait();
        w.ok(["ledger", "verify"]);
        for vault in ["local", "offsite"] {
            w.ok(["vault", "check", vault]);
        }
    }
    assert!(killed >= 4, "only {killed} were killed at work");
    w.ok(["prune", "--yes"]);
    w.ok(["verify"]);
    w.ok(["drill", "website"]);
    for vault in ["local", "offsite"] {
        assert_eq!(snapshots(&w, vault).len(), 2);
        let check = restic(&w, vault, "check --read-data");
        assert!(check.contains("no errors were found"), "{check}");
    }
    let points = w.ok(["--json", "points", "website"]);
    let points: Value = serde_json::from_str(&points).unwrap();
    for point in points["points"].as_array().unwrap() {
        for copy in point["let_go"].as_array().unwrap() {
            assert_eq!(copy["gone"], true, "{copy}");
        }
    }
}
