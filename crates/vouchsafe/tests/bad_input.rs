//! Bad input of every kind: a clear error, the right exit code, nothing lost.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::{self, Workspace, noise, text};
use serde_json::Value;

#[test]
fn what_cannot_start_says_why() {
    let w = Workspace::new();
    let (_, err) = w.exits(2, ["run"]);
    assert!(err.contains("vouchsafe init"), "{err}");
    let (_, err) = w.exits(2, ["--policy", "absent.yaml", "status"]);
    assert!(err.contains("absent.yaml"), "{err}");
    w.exits(2, ["frobnicate"]);
    w.ok(["init"]);
    let (_, err) = w.exits(2, ["run", "nonesuch"]);
    assert!(err.contains("website"), "{err}");
    w.exits(2, ["verify", "--vault", "nonesuch"]);
    w.exits(2, ["status", "--as-of", "yesterday"]);
    let (_, err) = w.exits(2, ["restore", "website", "--to", "x"]);
    assert!(err.contains("vouchsafe run website"), "{err}");
}

#[test]
fn malformed_policies_are_told_with_their_line() {
    let w = Workspace::new();
    let cases: [(&str, &str, usize); 10] = [
        ("systems: [", "", 2),
        (
            "systems:\n  a: { source: \"files:x\", sorce: 1 }\n",
            "sorce",
            2,
        ),
        ("systems:\n  a:\n    source: nonsense\n", "", 3),
        (
            "vaults:\n  v: { url: ./v }\nplans:\n  p: { copies: [w] }\n",
            "w",
            4,
        ),
        ("tiers:\n  t: { rpo: soon }\n", "soon", 2),
        (
            "plans:\n  p:\n    schedule: \"every full moon\"\n",
            "full moon",
            3,
        ),
        (
            "systems:\n  a: { source: \"files:x\" }\n  a: { source: \"files:y\" }\n",
            "a",
            3,
        ),
        (
            "systems:\n  a: { source: \"files:x\", plan: absent }\n",
            "absent",
            2,
        ),
        (
            "plans:\n  p: { verify: { every: week, coverage: 5/4 } }\n",
            "5/4",
            2,
        ),
        (
            "systems:\n  a: { source: \"postgres://u:hunter2@h/d\" }\n",
            "",
            2,
        ),
    ];
    for (policy, word, line) in cases {
        fs::write(w.path("policy.yaml"), policy).unwrap();
        let (out, _) = w.exits(2, ["--json", "lint"]);
        let found: Value = serde_json::from_str(&out).unwrap();
        let errors: Vec<&Value> = found["findings"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|f| f["level"] == "error")
            .collect();
        let hit = errors
            .iter()
            .any(|f| f["line"] == line && f["message"].as_str().unwrap().contains(word));
        assert!(hit, "{policy}\n{out}");
        assert!(!out.contains("hunter2"));
        w.exits(2, ["status"]);
    }
}

#[test]
fn findings_and_requirements_are_told_to_programs() {
    let w = Workspace::ready();
    let policy = include_str!("../../../examples/policies/stated/bangkok.yaml");
    fs::write(w.path("policy.yaml"), policy).unwrap();
    let (out, _) = w.exits(1, ["lint", "--format", "sarif"]);
    let log: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let results = log["runs"][0]["results"].as_array().unwrap();
    let mode = results.iter().find(|r| r["ruleId"] == "P150").unwrap();
    let place = &mode["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "policy.yaml");
    let line = policy
        .lines()
        .position(|l| l.contains("cloudsql:"))
        .unwrap()
        + 1;
    assert_eq!(place["region"]["startLine"], line);
    let (out, _) = w.exits(1, ["lint", "--format", "json"]);
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(found["findings"].as_array().unwrap().len(), results.len());
    let (out, _) = w.exits(0, ["lint", "--explain", "p150"]);
    assert!(out.contains("one at a time"), "{out}");
    let (out, _) = w.exits(1, ["--json", "trace"]);
    let traced: Value = serde_json::from_str(&out).unwrap();
    let rows = traced["requirements"].as_array().unwrap();
    assert_eq!((rows.len(), rows[0]["id"].as_str()), (21, Some("S3-1")));
    assert!(traced["counts"]["not traced"].as_u64().unwrap() > 0);
    // A rule that is taken out leaves its requirement without ground.
    let without = policy.replace(
        "    copies: { one: { region: differs-from-system, country: same } }\n",
        "",
    );
    assert_ne!(without, policy);
    fs::write(w.path("policy.yaml"), without).unwrap();
    let (_, err) = w.exits(2, ["trace"]);
    assert!(err.contains("P050") && err.contains("S3-14"), "{err}");
}

#[test]
fn a_wrong_passphrase_is_a_wrong_key() {
    let w = Workspace::ready();
    w.ok(["run", "website"]);
    let path = w.path(".vouchsafe/keys/local.passphrase");
    let right = fs::read(&path).unwrap();
    w.damage(&path, |bytes| *bytes = b"wrong".to_vec());
    let (_, err) = w.exits(12, ["restore", "website", "--to", "x", "--vault", "local"]);
    assert!(err.contains("local"), "{err}");
    w.exits(12, ["run", "website"]);
    w.damage(&path, |bytes| *bytes = right);
    w.ok(["run", "website"]);
}

#[test]
fn a_vault_that_is_gone_has_no_repository() {
    let w = Workspace::ready();
    fs::remove_dir_all(w.path("vaults/local")).unwrap();
    w.exits(10, ["run", "website"]);
}

#[test]
fn damage_in_a_vault_is_found_and_named() {
    let w = Workspace::ready();
    w.ok(["run", "website"]);
    w.ok(["verify"]);
    let pack = w.packs("local").remove(0);
    let name = pack.file_name().unwrap().to_string_lossy()[..8].to_owned();
    let whole = fs::read(&pack).unwrap();

    w.damage(&pack, |bytes| bytes[100] ^= 1);
    let (_, err) = w.exits(1, ["verify", "--vault", "local"]);
    assert!(err.contains(&name), "{err}");
    let (out, _) = w.exits(1, ["drill", "website", "--vault", "local"]);
    assert!(out.contains("✗ bytes"), "{out}");
    w.exits(1, ["status"]);

    w.damage(&pack, |bytes| bytes.truncate(1000));
    w.exits(1, ["verify", "--vault", "local"]);
    let (out, _) = w.exits(1, ["drill", "website", "--vault", "local"]);
    assert!(out.contains("✗ structure"), "{out}");

    fs::remove_file(&pack).unwrap();
    w.exits(1, ["verify", "--vault", "local"]);
    // What can be had is restored, and the rest is named.
    let (_, err) = w.exits(
        3,
        ["restore", "website", "--to", "part", "--vault", "local"],
    );
    assert!(err.contains("noise.bin"), "{err}");
    assert_eq!(fs::read(w.path("part/empty")).unwrap(), b"");
    assert!(w.path("part/home").is_symlink());
    // The other vault is whole.
    w.ok(["restore", "website", "--to", "all", "--vault", "offsite"]);

    fs::write(&pack, whole).unwrap();
    w.ok(["verify", "--vault", "local"]);
    let index = common::files_below(&w.path("vaults/local/repo/index"));
    for path in &index {
        fs::remove_file(path).unwrap();
    }
    w.exits(1, ["verify", "--vault", "local"]);
}

#[test]
fn an_unreadable_file_makes_the_point_incomplete() {
    let w = Workspace::ready();
    // A link that leads nowhere is no unreadable file.
    std::os::unix::fs::symlink("/nonexistent", w.path("site/dangling")).unwrap();
    w.ok(["run", "website"]);
    let setpriv = |args: &[&str]| {
        Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(env!("CARGO_BIN_EXE_vouchsafe"))
            .args(args)
            .current_dir(w.root())
            .output()
            .unwrap()
    };
    // As a user who may not read one file; the data, state and vaults belong to that user otherwise.
    let chown = Command::new("chown")
        .args(["-R", "65534:65534"])
        .arg(w.root())
        .status()
        .unwrap();
    assert!(chown.success(), "this test needs root");
    let secret = w.path("site/secret");
    fs::write(&secret, "secret").unwrap();
    fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    let out = setpriv(&["run", "website"]);
    let err = text(&out.stderr);
    assert_eq!(out.status.code(), Some(3), "{err}");
    assert!(err.contains("secret"), "{err}");
    let points: Value =
        serde_json::from_str(&text(&setpriv(&["--json", "points"]).stdout)).unwrap();
    let newest = points["points"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(newest["point"]["outcome"], "incomplete");
    assert_eq!(newest["point"]["obligations"].as_array().unwrap().len(), 0);
}

#[test]
fn what_is_not_yet_connected_is_said_and_hinders_nothing_else() {
    let w = Workspace::new();
    let policy = common::POLICY.replace("url: ./vaults/offsite", "url: \"tape://robot/prod\"");
    let policy = format!(
        "{policy}  rds: {{ source: \"rds:eu-west-2/shop\", tier: standard, plan: nightly }}\n"
    );
    fs::write(w.path("policy.yaml"), policy).unwrap();
    let (_, err) = w.exits(0, ["init"]);
    assert!(
        err.contains("offsite is declared, not yet connected"),
        "{err}"
    );
    let (_, err) = w.exits(0, ["run"]);
    assert!(err.contains("no copy of website/main goes there"), "{err}");
    w.ok(["verify"]);
    let (_, err) = w.exits(2, ["run", "rds"]);
    assert!(err.contains("not yet connected"), "{err}");
    // Declared is not kept: neither the second copy nor the database is there.
    let (out, _) = w.exits(1, ["--json", "status"]);
    let status: Value = serde_json::from_str(&out).unwrap();
    for protection in status["protections"].as_array().unwrap() {
        assert_ne!(protection["verdict"], "met", "{protection}");
    }
}

/// A small file system of its own; unmounted at the end.
struct Tmpfs<'a>(&'a std::path::Path);

impl<'a> Tmpfs<'a> {
    fn mount(at: &'a std::path::Path, size: &str) -> Tmpfs<'a> {
        fs::create_dir_all(at).unwrap();
        let out = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(at)
            .output()
            .unwrap();
        assert!(
            out.status.success(),
            "this test needs root: {}",
            text(&out.stderr)
        );
        Tmpfs(at)
    }
    fn remount(&self, options: &str) {
        let out = Command::new("mount")
            .args(["-o", &format!("remount,{options}")])
            .arg(self.0)
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", text(&out.stderr));
    }
}

impl Drop for Tmpfs<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_loses_nothing() {
    let w = Workspace::new();
    let vault = w.path("vaults/local");
    let disk = Tmpfs::mount(&vault, "2m");
    w.ok(["init"]);
    let (_, err) = w.exits(3, ["run", "website"]);
    assert!(
        err.to_lowercase().contains("space") || err.contains("full"),
        "{err}"
    );
    disk.remount("size=64m");
    w.ok(["run", "website"]);
    w.ok(["verify"]);
    drop(disk);
}

#[test]
fn a_read_only_vault_is_told() {
    let w = Workspace::new();
    let vault = w.path("vaults/local");
    let disk = Tmpfs::mount(&vault, "64m");
    w.ok(["init"]);
    w.ok(["run", "website"]);
    disk.remount("ro");
    let out = w.run(["run", "website"]);
    assert_ne!(out.status.code(), Some(0));
    assert!(
        text(&out.stderr).to_lowercase().contains("read-only"),
        "{}",
        text(&out.stderr)
    );
    w.ok(["restore", "website", "--to", "back", "--vault", "local"]);
    disk.remount("rw");
    w.ok(["run", "website"]);
    drop(disk);
}

#[test]
fn two_runs_at_once_do_not_meet() {
    let w = Workspace::ready();
    fs::write(w.path("site/big.bin"), noise(60_000_000)).unwrap();
    let mut first = w
        .command(["run", "website"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let holder = || fs::read_to_string(w.path(".vouchsafe/lock")).unwrap_or_default();
    while holder().trim() != first.id().to_string() {
        assert!(
            first.try_wait().unwrap().is_none(),
            "the first run never took the lock"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    let (_, err) = w.exits(11, ["run", "code"]);
    assert!(err.contains(&first.id().to_string()), "{err}");
    assert!(first.wait().unwrap().success());
    w.ok(["run", "code"]);
}

#[test]
fn killed_at_any_time_the_next_run_goes_on() {
    let w = Workspace::ready();
    for round in 0u64..8 {
        fs::write(
            w.path("site/big.bin"),
            [noise(20_000_000), round.to_le_bytes().to_vec()].concat(),
        )
        .unwrap();
        let mut run = w
            .command(["run"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(150 + round * 350));
        let _ = run.kill();
        let _ = run.wait();
    }
    w.ok(["run"]);
    w.ok(["verify"]);
    w.ok(["ledger", "verify"]);
    w.ok(["drill", "website"]);
    let points: Value = serde_json::from_str(&w.ok(["--json", "points", "website"])).unwrap();
    for point in points["points"].as_array().unwrap() {
        let id = point["point"]["point"].as_str().unwrap();
        if point["copies"].as_array().is_some_and(|c| !c.is_empty()) {
            w.ok([
                "restore",
                "website",
                "--point",
                id,
                "--to",
                &format!("back-{id}"),
            ]);
        }
    }
}

/// Starts a command and kills it right after it told its `n`th event; false if it did not tell as many.
fn killed_at_event(w: &Workspace, args: &[&str], n: usize) -> bool {
    use std::io::{BufRead, BufReader};
    let mut command = w.command(["--json"].iter().chain(args));
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let told = lines.map_while(Result::ok).take(n).count();
    let _ = child.kill();
    child.wait().unwrap();
    told == n
}

#[test]
fn killed_at_every_event_of_every_deed_nothing_is_lost() {
    let w = Workspace::ready();
    w.ok(["run", "website"]);
    let commands: [&[&str]; 3] = [
        &["run", "website"],
        &["verify"],
        &["drill", "website", "--negative"],
    ];
    for args in commands {
        let mut n = 1;
        while killed_at_event(&w, args, n) {
            w.ok(["ledger", "verify"]);
            assert_ne!(w.run(["status"]).status.code(), Some(2));
            n += 1;
        }
        assert!(n > 4, "{args:?} told only {n} events");
        w.ok(args.iter());
    }
    w.ok(["verify"]);
}

#[test]
fn what_a_killed_drill_restored_does_not_outlive_the_next_deed() {
    let w = Workspace::ready();
    fs::write(w.path("site/big.bin"), noise(80_000_000)).unwrap();
    w.ok(["run", "website"]);
    let mut drill = w
        .command(["drill", "website", "--negative"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let sandboxes = w.path(".vouchsafe/sandbox");
    let restored = || {
        let all = fs::read_dir(&sandboxes).into_iter().flatten();
        all.flatten().any(|e| e.path().join("restored").exists())
    };
    while !restored() {
        assert!(
            drill.try_wait().unwrap().is_none(),
            "the drill ended too soon to be killed"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    drill.kill().unwrap();
    drill.wait().unwrap();
    assert!(restored());
    w.ok(["verify"]);
    assert!(fs::read_dir(&sandboxes).unwrap().next().is_none());
    w.ok(["drill", "website"]);
}

#[test]
fn a_term_signal_ends_it_cleanly() {
    let w = Workspace::ready();
    fs::write(w.path("site/big.bin"), noise(150_000_000)).unwrap();
    let child = w
        .command(["run", "website"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(900));
    let kill = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(kill.success());
    let out = child.wait_with_output().unwrap();
    assert_eq!(out.status.code(), Some(130), "{}", text(&out.stderr));
    w.ok(["run", "website"]);
}

#[test]
fn a_lost_state_directory_deletes_nothing() {
    let w = Workspace::ready();
    w.ok(["run", "website"]);
    let packs = w.packs("local");
    fs::remove_dir_all(w.path(".vouchsafe")).unwrap();
    w.exits(2, ["status"]);
    w.exits(2, ["run"]);
    let (_, err) = w.exits(2, ["init"]);
    assert!(
        err.contains("recovery sheet") || err.contains("recover-state"),
        "{err}"
    );
    assert_eq!(w.packs("local"), packs);
}
