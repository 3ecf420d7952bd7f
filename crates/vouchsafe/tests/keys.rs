//! What opens a vault, from the command line: add, remove, replace; nobody is locked out, and nothing secret shows.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::{self, POLICY, Workspace, text};
use serde_json::Value;
use vouchsafe_testkit::restic::Restic;

/// A file that only its owner reads.
fn private(w: &Workspace, name: &str, bytes: &[u8]) -> String {
    let path = w.path(name);
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

/// How stock restic ends on a vault with this password file.
fn restic(w: &Workspace, vault: &str, file: &str) -> Option<i32> {
    Command::new(Restic::newest().program())
        .args([
            "--no-cache",
            "--no-lock",
            "snapshots",
            "--password-file",
            file,
        ])
        .arg("-r")
        .arg(w.path(format!("vaults/{vault}/repo")))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap()
        .code()
}

fn json(out: &str) -> Value {
    serde_json::from_str(out.lines().last().unwrap()).unwrap()
}

fn keys(w: &Workspace, vault: &str) -> Vec<Value> {
    let listed = json(&w.ok(["--json", "key", "list"]));
    let all = listed["keys"].as_array().unwrap().clone();
    all.into_iter().filter(|k| k["vault"] == vault).collect()
}

fn in_use(w: &Workspace, vault: &str) -> String {
    let keys = keys(w, vault);
    let mut used = keys.iter().filter(|k| k["in_use"] == true);
    let one = used.next().unwrap()["key"].as_str().unwrap().to_owned();
    assert!(used.next().is_none());
    one
}

fn state_file(w: &Workspace, vault: &str) -> String {
    let path = w.path(format!(".vouchsafe/keys/{vault}.passphrase"));
    path.display().to_string()
}

#[test]
fn each_key_opens_here_and_with_stock_restic_until_it_is_removed() {
    let w = Workspace::ready();
    w.ok(["run", "website"]);
    // White space around it and a byte order mark are no part of it; other bytes are.
    let phrase = private(&w, "phrase", b"\xef\xbb\xbf two words \r\n");
    let file = private(&w, "key-file", b"\x01\x80\xff binary \0 key\n");
    let mut slots = Vec::new();
    for new in [&phrase, &file] {
        let added = w.ok([
            "--json",
            "key",
            "add",
            "local",
            "--new-passphrase-file",
            new,
        ]);
        slots.push(json(&added)["key"].as_str().unwrap().to_owned());
        assert_eq!(restic(&w, "local", new), Some(0));
    }
    let added = json(&w.ok(["--json", "key", "add", "local", "--generate"]));
    let fresh = added["passphrase_file"].as_str().unwrap();
    let mode = fs::metadata(fresh).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    assert_eq!(restic(&w, "local", fresh), Some(0));
    assert_eq!((keys(&w, "local").len(), keys(&w, "offsite").len()), (4, 1));

    w.ok(["key", "remove", "local", &slots[0][..10]]);
    assert_eq!(restic(&w, "local", &phrase), Some(12));
    assert_eq!(restic(&w, "local", &file), Some(0));
    // A policy that still refers to it has the wrong key; one that refers to another one works.
    let policy = |file: &str| {
        let vault = format!("local:   {{ url: ./vaults/local, password: {{ file: {file} }},");
        let text = POLICY.replace("local:   { url: ./vaults/local,", &vault);
        assert_ne!(text, POLICY);
        fs::write(w.path("policy.yaml"), text).unwrap();
    };
    policy(&phrase);
    w.exits(12, ["vault", "ls", "local"]);
    policy(&file);
    w.ok(["vault", "ls", "local", "latest"]);
    assert_eq!(in_use(&w, "local"), slots[1]);
    w.ok(["run", "website"]);
    // What is kept elsewhere is not replaced from here.
    let (_, err) = w.exits(2, ["key", "rotate", "local"]);
    assert!(
        err.contains("key add local") && err.contains("key-file"),
        "{err}"
    );
    w.exits(
        2,
        ["key", "remove", "local", &slots[1][..10], "--prove", fresh],
    );
    assert_eq!(restic(&w, "local", &file), Some(0));
}

#[test]
fn nobody_locks_himself_out() {
    let w = Workspace::ready();
    w.ok(["run", "website"]);
    let own = in_use(&w, "local");
    let (_, err) = w.exits(2, ["key", "remove", "local", &own]);
    assert!(err.contains("only one"), "{err}");
    w.exits(2, ["key", "remove", "local", "feedfeed"]);
    w.exits(2, ["key", "remove", "nonesuch", &own]);
    w.exits(2, ["key", "add", "local"]);
    let shared = w.path("readable");
    fs::write(&shared, "x").unwrap();
    let (_, err) = w.exits(
        2,
        ["key", "add", "local", "--new-passphrase-file", "readable"],
    );
    assert!(err.contains("chmod 600"), "{err}");
    let wrong = private(&w, "wrong", b"opens nothing");
    w.exits(12, ["key", "remove", "local", &own, "--prove", &wrong]);
    // A further key alone does not make the one in use dispensable: it must be shown.
    let other = private(&w, "other", b"another passphrase\n");
    let added = w.ok([
        "--json",
        "key",
        "add",
        "local",
        "--new-passphrase-file",
        &other,
    ]);
    let slot = json(&added)["key"].as_str().unwrap().to_owned();
    w.exits(2, ["key", "remove", "local", &own]);
    w.ok(["key", "remove", "local", &own, "--prove", &other]);
    assert_eq!(in_use(&w, "local"), slot);
    w.ok(["run", "website"]);
    w.exits(2, ["key", "remove", "local", &slot]);
    w.ok(["verify", "--vault", "local"]);
    let sheet = fs::read_to_string(w.path(".vouchsafe/recovery-sheet.txt")).unwrap();
    assert!(sheet.contains("another passphrase"), "{sheet}");
}

#[test]
fn a_passphrase_is_replaced_and_the_record_says_so() {
    let w = Workspace::ready();
    w.ok(["run", "website"]);
    let (slot, before) = (
        in_use(&w, "local"),
        fs::read(state_file(&w, "local")).unwrap(),
    );
    let old = private(&w, "old", &before);
    let told = w.ok(["key", "rotate", "local"]);
    assert!(told.contains("recovery sheet written anew"), "{told}");
    let new = state_file(&w, "local");
    assert_eq!(restic(&w, "local", &old), Some(12));
    assert_eq!(restic(&w, "local", &new), Some(0));
    assert_eq!(keys(&w, "local").len(), 1);
    assert!(!w.path(".vouchsafe/keys/local.rotating").exists());
    let export = w.ok(["ledger", "export"]);
    let changes: Vec<&str> = export
        .lines()
        .filter(|l| l.contains("key-change"))
        .collect();
    assert_eq!(changes.len(), 1, "{export}");
    for said in ["rotated", "slot", &slot, &in_use(&w, "local")] {
        assert!(changes[0].contains(said), "{said} is not in {}", changes[0]);
    }
    // The new sheet brings everything back; the one from before does not.
    let sheet = w.path("sheet");
    fs::rename(w.path(".vouchsafe/recovery-sheet.txt"), &sheet).unwrap();
    let text_of = fs::read_to_string(&sheet).unwrap();
    let old_text = String::from_utf8(before).unwrap();
    assert!(!text_of.contains(old_text.trim()));
    let new_text = fs::read_to_string(&new).unwrap();
    let stale = text_of.replace(new_text.trim(), old_text.trim());
    fs::write(w.path("stale"), stale).unwrap();
    fs::remove_dir_all(w.path(".vouchsafe")).unwrap();
    let url = w.path("vaults/local").display().to_string();
    let recover = |sheet: &str| w.run(["recover-state", "--vault", &url, "--sheet", sheet]);
    // It has the other vault's passphrase too, but that opens nothing here.
    assert_eq!(recover("stale").status.code(), Some(12));
    assert!(recover("sheet").status.success());
    w.ok(["restore", "website", "--to", "back", "--vault", "local"]);
    assert!(
        w.ok(["report", "--output", "-"])
            .contains("its passphrase was replaced")
    );
}

#[test]
fn a_replacement_killed_at_any_event_locks_nobody_out_and_is_gone_on_with() {
    let w = Workspace::ready();
    w.ok(["run", "website"]);
    let mut n = 1;
    loop {
        let old = private(&w, "old", &fs::read(state_file(&w, "local")).unwrap());
        let killed =
            common::killed_at_event(&mut w.command(["--json", "key", "rotate", "local"]), n);
        assert_eq!(
            restic(&w, "local", &state_file(&w, "local")),
            Some(0),
            "{n}"
        );
        w.ok(["vault", "ls", "local"]);
        w.ok(["key", "rotate", "local"]);
        assert_eq!(restic(&w, "local", &state_file(&w, "local")), Some(0));
        assert_eq!(restic(&w, "local", &old), Some(12), "after {n} events");
        assert_eq!(keys(&w, "local").len(), 1, "after {n} events");
        w.ok(["ledger", "verify"]);
        if !killed {
            break;
        }
        n += 1;
    }
    assert!(n > 4, "told only {n} events");
}

#[test]
fn no_passphrase_shows() {
    let w = Workspace::ready();
    w.ok(["run", "website"]);
    let mut said = String::new();
    let mut secrets = vec![fs::read_to_string(state_file(&w, "local")).unwrap()];
    let given = private(&w, "given", b"a given passphrase\n");
    secrets.push("a given passphrase".to_owned());
    let commands: [&[&str]; 6] = [
        &["key", "add", "local", "--new-passphrase-file", &given],
        &["--json", "key", "add", "local", "--generate"],
        &["key", "rotate", "local"],
        &["--json", "key", "rotate", "local"],
        &["key", "list"],
        &["ledger", "export"],
    ];
    for args in commands {
        let out = w.run(args);
        assert!(out.status.success(), "{args:?}");
        said.push_str(&(text(&out.stdout) + &text(&out.stderr)));
        secrets.push(fs::read_to_string(state_file(&w, "local")).unwrap());
    }
    for file in fs::read_dir(w.path(".vouchsafe/keys")).unwrap() {
        let path = file.unwrap().path();
        if is_passphrase(&path) {
            secrets.push(fs::read_to_string(path).unwrap());
        }
    }
    assert!(secrets.len() > 8);
    for secret in secrets {
        assert!(!said.contains(secret.trim()), "a passphrase shows");
    }
}

fn is_passphrase(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "passphrase")
}

fn lasting(w: &Workspace, vault: &str) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let all = common::files_below(&w.path(format!("vaults/{vault}/repo")));
    let read = |path: std::path::PathBuf| {
        let bytes = fs::read(&path).unwrap();
        (path, bytes)
    };
    all.into_iter().map(read).collect()
}

#[test]
fn a_sibling_with_another_master_key_holds_the_same_points() {
    let w = Workspace::ready();
    w.ok(["run"]);
    fs::write(w.path("site/index.html"), "<h1>later</h1>").unwrap();
    w.ok(["run", "website"]);
    let (_, err) = w.exits(2, ["key", "rekey", "local", "--to", "./vaults/next"]);
    assert!(err.contains("--name"), "{err}");
    w.exits(2, ["key", "rekey", "local", "--to", "local"]);
    let before = lasting(&w, "local");
    let rekey = [
        "--json",
        "key",
        "rekey",
        "local",
        "--to",
        "./vaults/next",
        "--name",
        "next",
    ];
    let done = json(&w.ok(rekey));
    assert_eq!(
        (&done["points"], &done["in_policy"]),
        (&Value::from(4), &Value::from(false))
    );
    assert!(lasting(&w, "local") == before, "the old vault was touched");
    // Each opens with its own passphrase only, and stock restic finds the new one sound.
    let [old, new] = ["local", "next"].map(|vault| state_file(&w, vault));
    assert_eq!(restic(&w, "next", &new), Some(0));
    assert_eq!(restic(&w, "next", &old), Some(12));
    assert_eq!(restic(&w, "local", &new), Some(12));
    let check = Command::new(Restic::newest().program())
        .args([
            "--no-cache",
            "check",
            "--read-data",
            "--password-file",
            &new,
            "-r",
        ])
        .arg(w.path("vaults/next/repo"))
        .output()
        .unwrap();
    assert!(check.status.success(), "{}", text(&check.stderr));
    let export = w.ok(["ledger", "export"]);
    let change = export.lines().find(|l| l.contains("key-change")).unwrap();
    assert!(
        change.contains("master") && change.contains("next"),
        "{change}"
    );
    // Again it has nothing to do.
    let packs = w.packs("next").len();
    assert_eq!(json(&w.ok(rekey))["points"], 4);
    assert_eq!(w.packs("next").len(), packs);
    // The policy is switched as the command says.
    let policy = POLICY
        .replace(
            "local:   { url: ./vaults/local",
            "next: { url: ./vaults/next",
        )
        .replace("[ local, offsite ]", "[ next, offsite ]");
    assert!(policy.contains("next:"));
    fs::write(w.path("policy.yaml"), policy).unwrap();
    w.ok(["init"]);
    let sheet = fs::read_to_string(w.path(".vouchsafe/recovery-sheet.txt")).unwrap();
    assert!(sheet.contains(fs::read_to_string(&new).unwrap().trim()));
    w.ok(["verify", "--vault", "next"]);
    w.ok(["restore", "website", "--to", "back", "--vault", "next"]);
    assert_eq!(
        fs::read(w.path("back/index.html")).unwrap(),
        b"<h1>later</h1>"
    );
    w.ok(["run", "website"]);
}

#[test]
fn a_damaged_point_hinders_the_sibling_and_no_key_counts_as_replaced() {
    let w = Workspace::ready();
    w.ok(["run", "website"]);
    let pack = w.packs("local").remove(0);
    let whole = fs::read(&pack).unwrap();
    w.damage(&pack, |bytes| bytes[100] ^= 1);
    let rekey = [
        "key",
        "rekey",
        "local",
        "--to",
        "./vaults/next",
        "--name",
        "next",
    ];
    w.exits(3, rekey);
    assert!(!w.ok(["ledger", "export"]).contains("key-change"));
    fs::write(&pack, whole).unwrap();
    let told = w.ok(rekey);
    assert!(told.contains("copies:") && told.contains("next"), "{told}");
    assert!(w.ok(["ledger", "export"]).contains("key-change"));
}
