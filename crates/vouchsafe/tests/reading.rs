//! Looking into vaults from the command line: ls, find, diff, dump.

use std::fs;
use std::process::{Command, Stdio};

use crate::common::{Workspace, noise, text};
use serde_json::Value;
use vouchsafe_testkit::restic::Restic;

fn lines(out: &str) -> Vec<Value> {
    out.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn site(w: &Workspace) -> String {
    fs::canonicalize(w.path("site"))
        .unwrap()
        .display()
        .to_string()
}

/// Two points of the website between which one file changed, one came and one went.
fn two_points() -> (Workspace, [String; 2]) {
    let w = Workspace::ready();
    w.ok(["run", "website"]);
    fs::write(w.path("site/index.html"), "<h1>hello again</h1>").unwrap();
    fs::write(w.path("site/img/new.TXT"), "new").unwrap();
    fs::remove_file(w.path("site/empty")).unwrap();
    w.ok(["run", "website"]);
    let listed: Value = serde_json::from_str(&w.ok(["--json", "vault", "ls", "local"])).unwrap();
    let order: Vec<String> = listed["snapshots"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["point"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(order.len(), 2);
    (w, [order[0].clone(), order[1].clone()])
}

#[test]
fn what_lies_in_a_snapshot_is_listed_found_and_compared() {
    let (w, [first, second]) = two_points();
    let root = site(&w);
    let all = w.ok(["vault", "ls", "local", "latest"]);
    assert!(
        all.lines().any(|l| l == format!("{root}/img/new.TXT")),
        "{all}"
    );
    let own = w.ok(["vault", "ls", "local", &first, &root, "--long"]);
    assert_eq!(own.lines().count(), 5, "{own}");
    assert!(
        own.contains("lrwxrwxrwx") && own.contains("home -> index.html"),
        "{own}"
    );
    let entries = lines(&w.ok(["--json", "vault", "ls", "local", &second, "img/new.TXT"]));
    assert_eq!(entries[0]["path"], format!("{root}/img/new.TXT"));
    assert_eq!(entries[0]["size"], 3);
    assert_eq!(entries[1]["event"], "result");
    let snapshot = entries[1]["snapshot"].as_str().unwrap();
    w.ok(["vault", "ls", "offsite", "latest", "/"]);
    w.ok(["vault", "ls", "local", &snapshot[..10]]);

    let found = lines(&w.ok(["--json", "vault", "find", "local", "index.*"]));
    let places: Vec<_> = found.iter().filter(|l| l["event"] == "found").collect();
    assert_eq!(places.len(), 2);
    assert_eq!(places[0]["point"], Value::from(first.clone()));
    assert_eq!(places[1]["point"], Value::from(second.clone()));
    let told = w.ok(["vault", "find", "local", "*.txt", "--ignore-case"]);
    assert_eq!(told.matches("new.TXT").count(), 1, "{told}");
    assert!(
        w.ok(["vault", "find", "local", "*.txt"])
            .contains("nothing found")
    );
    let newer = [
        "vault",
        "find",
        "local",
        "*",
        "--newer",
        "2999-01-01T00:00:00Z",
    ];
    assert!(w.ok(newer).contains("nothing found"));

    let changes = lines(&w.ok(["--json", "vault", "diff", "local", &first, &second]));
    let told: Vec<(String, String)> = changes
        .iter()
        .filter(|c| c["event"] == "change" && c["kind"] != "dir")
        .map(|c| {
            let path = c["path"].as_str().unwrap();
            let change = c["change"].as_str().unwrap();
            (
                change.to_owned(),
                path.rsplit('/').next().unwrap().to_owned(),
            )
        })
        .collect();
    let wanted = [
        ("modified", "again.html"),
        ("removed", "empty"),
        ("added", "new.TXT"),
        ("modified", "index.html"),
    ]
    .map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(told, wanted);
    let sum = w.ok(["vault", "diff", "local", &first, &second, "--metadata"]);
    assert!(sum.contains("1 added, 1 removed, 2 modified"), "{sum}");
    same_as_restic(&w, &first, &second);
}

/// Stock restic finds the same number of differences.
fn same_as_restic(w: &Workspace, first: &str, second: &str) {
    let id = |point: &str| {
        let out = lines(&w.ok(["--json", "vault", "ls", "local", point, "/"]));
        out.last().unwrap()["snapshot"].as_str().unwrap().to_owned()
    };
    let args = format!("diff --json {} {}", id(first), id(second));
    let theirs = w.restic("local", Restic::newest().program(), &args);
    let theirs = lines(&text(&theirs.stdout));
    let of = |modifier: &str| {
        let changed = theirs.iter().filter(|l| l["message_type"] == "change");
        changed.filter(|l| l["modifier"] == modifier).count()
    };
    assert_eq!((of("+"), of("-"), of("M")), (1, 1, 2), "{theirs:?}");
}

#[test]
fn a_file_or_a_tree_is_written_to_standard_output() {
    let w = Workspace::ready();
    w.ok(["run", "website"]);
    let out = w.run(["vault", "dump", "local", "latest", "img/noise.bin"]);
    assert!(out.stdout == noise(3_000_000) && out.status.success());
    let root = site(&w);
    let binary = env!("CARGO_BIN_EXE_vouchsafe");
    let unpacked = Command::new("sh")
        .args([
            "-ec",
            "mkdir back; \"$0\" vault dump local latest \"$1\" --archive tar | tar -x -C back",
        ])
        .args([binary, &root])
        .current_dir(w.root())
        .status()
        .unwrap();
    assert!(unpacked.success());
    let compared = Command::new("diff")
        .args(["-r", "--no-dereference", "--exclude=*.tmp", "site", "back"])
        .current_dir(w.root())
        .status();
    assert!(compared.unwrap().success());
    // The same as stock restic hands out.
    let path = format!("dump latest {root}/index.html");
    let theirs = w.restic("local", Restic::newest().program(), &path);
    let ours = w.run(["vault", "dump", "local", "latest", "index.html"]);
    assert_eq!(ours.stdout, theirs.stdout);
    // Whoever has seen enough may go.
    let head = format!("\"{binary}\" vault dump local latest img/noise.bin | head -c 10 | wc -c");
    let head = Command::new("sh")
        .args(["-c", &head])
        .current_dir(w.root())
        .output()
        .unwrap();
    assert_eq!(text(&head.stdout).trim(), "10");
    assert_eq!(text(&head.stderr), "");
}

#[test]
fn what_is_not_there_is_said_with_its_remedy() {
    let w = Workspace::ready();
    for args in [
        &["vault", "ls", "local", "latest"][..],
        &["vault", "dump", "local", "latest", "x"],
    ] {
        let (_, err) = w.exits(2, args);
        assert!(err.contains("no snapshot"), "{err}");
    }
    w.ok(["run", "website"]);
    let (_, err) = w.exits(2, ["vault", "ls", "local", "ffffffffffff"]);
    assert!(
        err.contains("begins with `ffffffffffff`") && err.contains("latest"),
        "{err}"
    );
    let (_, err) = w.exits(2, ["vault", "ls", "local", "latest", "/nowhere"]);
    assert!(err.contains("/nowhere") && err.contains(&site(&w)), "{err}");
    let (_, err) = w.exits(2, ["vault", "dump", "local", "latest", "img"]);
    assert!(err.contains("archive"), "{err}");
    let (_, err) = w.exits(2, ["vault", "find", "local", "[a"]);
    assert!(err.contains("[a"), "{err}");
    w.exits(2, ["vault", "ls", "local", "latest", "../etc"]);
    w.exits(2, ["vault", "find", "nonesuch", "x"]);
    fs::rename(w.path("vaults/local"), w.path("vaults/away")).unwrap();
    w.exits(10, ["vault", "ls", "local", "latest"]);
    w.exits(10, ["vault", "find", "local", "x"]);
}

#[test]
fn a_terminal_is_not_written_to() {
    let w = Workspace::ready();
    w.ok(["run", "website"]);
    let binary = env!("CARGO_BIN_EXE_vouchsafe");
    let command = format!("{binary} vault dump local latest index.html");
    let out = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .current_dir(w.root())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(2), "{}", text(&out.stdout));
    assert!(text(&out.stdout).contains("terminal"));
}

#[test]
fn what_cannot_be_read_is_named_and_incomplete() {
    let w = Workspace::ready();
    w.ok(["run", "website"]);
    // The largest pack holds the noise; the small files' chunks and all directories lie in the others.
    let pack = w.packs("local").remove(0);
    w.damage(&pack, |bytes| bytes[100] ^= 1);
    let out = w.run(["vault", "dump", "local", "latest", "img/noise.bin"]);
    let err = text(&out.stderr);
    assert_eq!(out.status.code(), Some(3), "{err}");
    assert!(err.contains("img/noise.bin"), "{err}");
    assert!(noise(3_000_000).starts_with(&out.stdout));
    let root = site(&w);
    let out = w.run([
        "vault",
        "dump",
        "local",
        "latest",
        &root,
        "--archive",
        "tar",
    ]);
    assert_eq!(out.status.code(), Some(3));
    assert!(text(&out.stderr).contains("img/noise.bin"));
    w.ok(["vault", "ls", "local", "latest"]);
}
