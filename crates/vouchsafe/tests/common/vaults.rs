//! A workspace whose vaults are on servers of the tests.

use std::ffi::OsStr;
use std::fs;

use serde_json::Value;
use vouchsafe_testkit::servers::{PASSWORD, Server, USER};
use vouchsafe_testkit::signed;

use super::{POLICY, Workspace};

/// Runs with the variables that the policy refers to; must exit with `code`.
#[track_caller]
pub(crate) fn exits<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(
    w: &Workspace,
    code: i32,
    args: I,
) -> String {
    let mut command = w.command(args);
    command.env("T_ID", USER).env("T_SECRET", PASSWORD);
    let out = command.output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(
        out.status.code(),
        Some(code),
        "stdout:\n{text}\nstderr:\n{said}"
    );
    assert!(
        !text.contains(PASSWORD) && !said.contains(PASSWORD),
        "a secret shows"
    );
    text
}

/// Agrees to the change of the policy that waits: what it promises less is then in force.
pub(crate) fn agree(w: &Workspace) {
    let mut status = w.command(["--json", "status"]);
    status.env("T_ID", USER).env("T_SECRET", PASSWORD);
    let told = String::from_utf8(status.output().unwrap().stdout).unwrap();
    let told: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    let change = told["pending_change"]["change"].as_str().unwrap();
    let by = ["--by", "chief@example.com", "--reason", "for the test"];
    exits(w, 0, [&["approve", change], &by[..]].concat());
}

pub(crate) fn with_vaults(local: &str, offsite: &str) -> Workspace {
    let w = Workspace::new();
    let policy = POLICY
        .replace("{ url: ./vaults/local, region: here, country: GB }", local)
        .replace(
            "{ url: ./vaults/offsite, region: there, country: GB }",
            offsite,
        );
    assert_ne!(policy, POLICY);
    fs::write(w.path("policy.yaml"), policy).unwrap();
    w
}

pub(crate) fn s3(server: &Server, bucket: &str, more: &str) -> String {
    format!(
        "{{ url: \"s3:{}/{bucket}/prod\", region: there, country: GB, access_key: {{ env: T_ID }}, \
         secret_key: {{ env: T_SECRET }}{more} }}",
        server.url()
    )
}

/// The last line of what a command printed, as JSON.
fn last(text: &str) -> Value {
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

/// The facts of a kind, oldest first.
pub(crate) fn facts(w: &Workspace, kind: &str) -> Vec<Value> {
    let shown = exits(w, 0, ["--json", "ledger", "show"]);
    let all = shown
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let mut all: Vec<Value> = all.collect();
    if let [one] = all.as_slice()
        && let Some(entries) = one["entries"].as_array()
    {
        all = entries.clone();
    }
    let entry = |value: Value| match value.get("entry") {
        Some(entry) => entry.clone(),
        None => value,
    };
    all.into_iter()
        .map(entry)
        .filter(|entry| entry["fact"] == kind)
        .collect()
}

/// What `status` says of the copies of a system.
fn copies(w: &Workspace, code: i32) -> String {
    let status = exits(w, code, ["--json", "status"]);
    let status: Value = serde_json::from_str(&status).unwrap();
    let website = status["protections"]
        .as_array()
        .unwrap()
        .iter()
        .find(|p| p["id"] == "website/main")
        .unwrap();
    let judged = website["judgements"].as_array().unwrap();
    let copies = judged.iter().find(|j| j["question"] == "copies").unwrap();
    format!("{}: {}", copies["verdict"], copies["because"])
}

/// In a workspace whose vault `offsite` is the bucket `locked` below `prod`, with a lock of 30 days: what is read back
/// of the locks is a fact and a verdict, and a stray object is found and mended by the next run.
pub(crate) fn locks_are_facts(w: &Workspace, server: &Server, conditions: bool) {
    // A server that keeps to no condition where it keeps versions fails the check for that alone.
    let sound = i32::from(!conditions);
    exits(w, 0, ["init"]);
    exits(w, 0, ["run", "website"]);
    let copy = facts(w, "copy");
    let copy = copy.iter().find(|fact| fact["vault"] == "offsite").unwrap();
    assert_eq!(copy["lock"]["mode"], "compliance", "{copy}");
    assert_eq!(copy["lock"]["unlocked"], 0, "{copy}");
    let read = facts(w, "locks");
    assert_eq!(read.len(), 1, "{read:?}");
    assert_eq!(
        (&read[0]["unlocked"], &read[0]["vault"]),
        (&0.into(), &"offsite".into())
    );
    assert!(
        copies(w, 1).contains("offsite is locked until"),
        "{}",
        copies(w, 1)
    );
    // Nothing is near its end, so the next run reads nothing but what it adds.
    exits(w, 0, ["run", "website"]);
    assert_eq!(facts(w, "locks").len(), 1);
    let checked = exits(w, sound, ["vault", "check", "offsite"]);
    assert!(
        checked.contains("0 unlocked") && checked.contains("the first lock ends"),
        "{checked}"
    );
    assert_eq!(facts(w, "locks").len(), 2);
    // Somebody without our care puts an object there.
    let stray = "locked/prod/policy/stray.yaml";
    assert_eq!(signed::send(server, "PUT", stray, &[]), 200);
    let checked = exits(w, 1, ["vault", "check", "offsite"]);
    assert!(
        checked.contains("less locked than its policy says"),
        "{checked}"
    );
    let said = copies(w, 1);
    assert!(
        said.starts_with("\"not-met\"")
            && said.contains("offsite is less locked than the policy says"),
        "{said}"
    );
    let shown = exits(w, 1, ["--json", "vault", "lock", "offsite", "--dry-run"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["to_extend"], serde_json::json!(["policy/stray.yaml"]));
    // The next run mends it by itself.
    exits(w, 0, ["run", "website"]);
    let read = facts(w, "locks");
    let newest = read.last().unwrap();
    assert_eq!(
        (&newest["extended"], &newest["unlocked"]),
        (&1.into(), &0.into())
    );
    assert!(
        copies(w, 1).contains("offsite is locked until"),
        "{}",
        copies(w, 1)
    );
    let checked = exits(w, sound, ["vault", "check", "offsite"]);
    assert!(!checked.contains("less locked"), "{checked}");
    assert_eq!(
        checked.contains("does not keep to it"),
        !conditions,
        "{checked}"
    );
}

/// Versions and marks of deletion that a bucket keeps below `locked/prod/repo/PART/`.
pub(crate) fn kept(server: &Server, part: &str) -> usize {
    let listed = signed::read(server, &format!("locked?versions&prefix=prod/repo/{part}/"));
    assert!(listed.contains("ListVersionsResult"), "{listed}");
    listed.matches("<VersionId>").count()
}

/// Objects that are seen there.
pub(crate) fn seen(server: &Server, part: &str) -> usize {
    let listed = signed::read(
        server,
        &format!("locked?list-type=2&prefix=prod/repo/{part}/"),
    );
    listed.matches("<Key>").count()
}

/// What `at_most` asks to be gone leaves a bucket with versions altogether, or when its lock ends.
pub(crate) fn erasure(server: &Server) {
    let local = "{ url: ./vaults/local, region: here, country: GB }";
    let capture = |w: &Workspace, times: std::ops::Range<u32>| {
        for n in times {
            fs::write(w.path("site/page.html"), format!("<p>{n}</p>").repeat(999)).unwrap();
            exits(w, 0, ["run", "website"]);
        }
    };
    let lasting = |w: &Workspace, keep: &str| {
        let policy = fs::read_to_string(w.path("policy.yaml")).unwrap();
        let policy = policy.replace("at_least: 35 days", keep);
        fs::write(w.path("policy.yaml"), policy).unwrap();
    };
    let w = with_vaults(local, &s3(server, "locked", ""));
    lasting(&w, "at_most: 1s");
    exits(&w, 0, ["init"]);
    capture(&w, 0..3);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(kept(server, "snapshots"), 3);
    exits(&w, 0, ["prune", "--vault", "offsite", "--yes"]);
    for part in ["snapshots", "data", "index"] {
        assert_eq!(kept(server, part), seen(server, part), "{part}");
    }
    assert_eq!(seen(server, "snapshots"), 1);
    exits(
        &w,
        0,
        ["restore", "website", "--to", "back", "--vault", "offsite"],
    );

    // The same with a lock: hidden now, said with its date, and gone after that.
    let w = with_vaults(
        local,
        &s3(server, "locked", ", retention_lock: 20s").replace("/prod\"", "/prod/repo/nested\""),
    );
    lasting(&w, "at_most: 1s");
    exits(&w, 0, ["init"]);
    capture(&w, 0..3);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let before = kept(server, "nested/repo/snapshots");
    assert_eq!(before, 3);
    let pruned = exits(&w, 0, ["prune", "--yes"]);
    assert_eq!(seen(server, "nested/repo/snapshots"), 1, "{pruned}");
    // One that stays, two that are hidden by two marks.
    assert_eq!(kept(server, "nested/repo/snapshots"), 5);
    let hidden = facts(&w, "pruned").last().unwrap()["hidden"].clone();
    let hidden = hidden.as_array().unwrap();
    assert!(
        hidden.iter().all(|one| one["until"].is_string()),
        "{hidden:?}"
    );
    assert!(hidden.len() >= 2, "{hidden:?}");
    let status = exits(&w, 1, ["--json", "status"]);
    assert!(
        status.contains("must be gone from offsite hidden and locked until"),
        "{status}"
    );
    let shown = exits(&w, 0, ["prune", "--vault", "offsite", "--dry-run"]);
    assert!(
        shown.contains("still hidden there by their locks"),
        "{shown}"
    );
    std::thread::sleep(std::time::Duration::from_secs(21));
    let pruned = exits(&w, 0, ["--json", "prune", "--vault", "offsite", "--yes"]);
    let erased = last(&pruned)["vaults"][0]["pruning"]["erased"].clone();
    assert_eq!(
        erased.as_array().map(Vec::len),
        Some(hidden.len()),
        "{pruned}"
    );
    assert_eq!(kept(server, "nested/repo/snapshots"), 1);
    exits(
        &w,
        0,
        ["restore", "website", "--to", "back", "--vault", "offsite"],
    );
}
