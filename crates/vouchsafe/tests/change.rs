//! A changed policy from the command line: what weakens waits, what strengthens is in force, people decide.

use std::fs;
use std::time::Duration;

use crate::common::{self, POLICY, Workspace, text};
use serde_json::Value;

fn json(out: &str) -> Value {
    serde_json::from_str(out.lines().last().unwrap()).unwrap()
}

fn write(w: &Workspace, policy: &str) {
    fs::write(w.path("policy.yaml"), policy).unwrap();
}

fn replaced(from: &str, to: &str) -> String {
    assert!(POLICY.contains(from), "{from}");
    POLICY.replace(from, to)
}

/// The change that waits, by `status`.
fn waiting(w: &Workspace) -> Value {
    let out = w.run(["--json", "status"]);
    json(&text(&out.stdout))["pending_change"].clone()
}

fn id(change: &Value) -> String {
    change["change"].as_str().unwrap().to_owned()
}

/// Copies that a prune would let go, and points that stay because something other than the policy keeps them.
fn worklist(w: &Workspace) -> (usize, Vec<String>) {
    let plan = json(&w.ok(["--json", "prune", "--dry-run"]));
    let vaults = plan["vaults"].as_array().unwrap();
    let expires = vaults
        .iter()
        .map(|v| v["expires"].as_array().unwrap().len());
    let held = vaults.iter().flat_map(|v| v["held"].as_array().unwrap());
    let reasons = held.map(|h| h["reason"].as_str().unwrap().to_owned());
    (expires.sum(), reasons.collect())
}

#[test]
fn points_keep_the_longer_rule_until_somebody_approves_the_shorter_one() {
    let w = Workspace::ready();
    w.ok(["run", "website"]);
    fs::write(w.path("site/index.html"), "<h1>again</h1>").unwrap();
    w.ok(["run", "website"]);
    std::thread::sleep(Duration::from_secs(2));
    write(&w, &replaced("at_least: 35 days", "at_least: 1s"));

    // Before anything was recorded, and after: it waits.
    let change = waiting(&w);
    let what = change["alterations"][0]["what"].as_str().unwrap();
    assert_eq!(what, "kept at least 1s, was kept at least 35d");
    let (expires, held) = worklist(&w);
    assert_eq!(expires, 0);
    assert_eq!(held.len(), 2, "one older point in each vault: {held:?}");
    assert!(held[0].contains(&id(&change)), "{held:?}");
    w.ok(["prune", "--yes"]);
    assert_eq!(waiting(&w)["change"], change["change"]);
    assert_eq!(worklist(&w).0, 0);
    let shown = w.run(["status"]);
    assert!(text(&shown.stdout).contains("WAITS FOR APPROVAL"));

    // The linter says it at the place that the rule has in the file.
    let (out, _) = w.exits(1, ["--json", "lint"]);
    let findings = json(&out)["findings"].clone();
    let found: Vec<&Value> = findings
        .as_array()
        .unwrap()
        .iter()
        .filter(|f| f["code"] == "P185")
        .collect();
    assert_eq!(found.len(), 3, "{findings}");

    // Refused, it still waits; another change's name is not this one's.
    w.ok([
        "deny",
        &id(&change),
        "--by",
        "chief@example.com",
        "--reason",
        "too short",
    ]);
    assert_eq!(worklist(&w).0, 0);
    assert_eq!(waiting(&w)["denied"]["by"], "chief@example.com");
    let (_, said) = w.exits(2, ["approve", "c-00000000", "--by", "x", "--reason", "y"]);
    assert!(said.contains(&id(&change)), "{said}");

    w.ok([
        "approve",
        &id(&change),
        "--by",
        "chief@example.com",
        "--reason",
        "space",
    ]);
    assert_eq!(waiting(&w), Value::Null);
    assert_eq!(worklist(&w), (2, Vec::new()));
    w.ok(["ledger", "verify"]);
    let shown = json(&w.ok(["--json", "ledger", "show", "--last", "100"]));
    let facts = shown["entries"].as_array().unwrap();
    let decided: Vec<&Value> = facts
        .iter()
        .filter(|f| f["entry"]["fact"] == "change-decided")
        .collect();
    assert_eq!(decided.len(), 2);
    assert_eq!(decided[1]["entry"]["strength"], "stated");
}

#[test]
fn what_was_withdrawn_is_owed_anew_when_the_policy_is_as_it_was() {
    let w = Workspace::ready();
    w.ok(["run", "website"]);
    let open = |w: &Workspace| {
        let out = w.run(["--json", "status"]);
        json(&text(&out.stdout))["obligations"]["open"].clone()
    };
    let before = open(&w);
    let without = replaced("[ local, offsite ]", "[ local ]")
        .replace("copies: { min: 2 }", "copies: { min: 1 }");
    write(&w, &without);
    common::vaults::agree(&w);
    assert_ne!(open(&w), before);
    write(&w, POLICY);
    // Everything that does something writes down first what is owed.
    w.ok([
        "hold",
        "place",
        "h",
        "--system",
        "code",
        "--by",
        "c@example.com",
        "--reason",
        "r",
    ]);
    assert_eq!(open(&w), before);
    w.ok(["ledger", "verify"]);
}

#[test]
fn a_system_that_is_dropped_is_kept_until_that_is_approved() {
    let w = Workspace::ready();
    w.ok(["run"]);
    let without: String = POLICY
        .lines()
        .filter(|line| !line.starts_with("  website:"))
        .map(|line| format!("{line}\n"))
        .collect();
    let with_new = format!(
        "{without}  notes: {{ source: \"files:./site/img\", tier: standard, plan: nightly }}\n"
    );
    write(&w, &with_new);
    // What is new is in force at once, and what was dropped is still in force.
    w.ok(["run", "notes", "website"]);
    let change = waiting(&w);
    w.ok([
        "approve",
        &id(&change),
        "--by",
        "chief",
        "--reason",
        "it moved",
    ]);
    w.exits(2, ["run", "website"]);
    w.ok(["run", "notes"]);
    // Nothing lets its points go that nobody asked to be let go.
    assert_eq!(worklist(&w).0, 0);
}

#[test]
fn a_change_that_is_taken_back_waits_no_more() {
    let w = Workspace::ready();
    w.ok(["run", "website"]);
    write(
        &w,
        &replaced("copies: [ local, offsite ]", "copies: [ local ]"),
    );
    w.ok(["run", "website"]);
    // The copy that was dropped was made all the same.
    let points = json(&w.ok(["--json", "points", "website"]));
    for point in points["points"].as_array().unwrap() {
        assert_eq!(point["copies"].as_array().unwrap().len(), 2, "{point}");
    }
    assert!(waiting(&w).is_object());
    write(&w, POLICY);
    assert_eq!(waiting(&w), Value::Null);
    w.ok(["run", "website"]);
    assert_eq!(waiting(&w), Value::Null);
}

#[test]
fn what_only_strengthens_needs_nobody() {
    let w = Workspace::ready();
    write(&w, &replaced("at_least: 35 days", "at_least: 36 days"));
    w.ok(["run", "website"]);
    assert_eq!(waiting(&w), Value::Null);
    let shown = json(&w.ok(["--json", "ledger", "show", "--last", "100"]));
    let facts = shown["entries"].as_array().unwrap();
    let changed = facts
        .iter()
        .find(|f| f["entry"]["fact"] == "policy-changed");
    assert_eq!(changed.unwrap()["entry"]["strengthens"], 3);
}

#[test]
fn where_the_older_policy_is_lost_nothing_is_let_go() {
    let w = Workspace::ready();
    w.ok(["run", "website"]);
    fs::write(w.path("site/index.html"), "<h1>again</h1>").unwrap();
    w.ok(["run", "website"]);
    std::thread::sleep(Duration::from_secs(2));
    fs::remove_dir_all(w.path(".vouchsafe/policies")).unwrap();
    write(&w, &replaced("at_least: 35 days", "at_least: 1s"));
    // The vaults have it too.
    let change = waiting(&w);
    assert!(
        change["alterations"][0]["what"]
            .as_str()
            .unwrap()
            .contains("35d")
    );
    for vault in ["local", "offsite"] {
        fs::remove_dir_all(w.path(format!("vaults/{vault}/policy"))).unwrap();
    }
    let change = waiting(&w);
    let what = change["alterations"][0]["what"].as_str().unwrap();
    assert!(what.contains("nowhere to be had"), "{what}");
    assert_eq!(worklist(&w).0, 0);
    w.ok([
        "approve",
        &id(&change),
        "--by",
        "chief",
        "--reason",
        "it was 35 days",
    ]);
    assert_eq!(worklist(&w).0, 2);
}

/// The systems that a `status` speaks of.
fn systems(status: &Value) -> Vec<String> {
    let all = status["protections"].as_array().unwrap().iter();
    let mut names: Vec<String> = all
        .map(|p| p["id"].as_str().unwrap().split('/').next().unwrap().into())
        .collect();
    names.sort();
    names
}

#[test]
fn a_time_that_is_over_is_judged_by_what_was_promised_then() {
    let w = Workspace::ready();
    w.ok(["run"]);
    let status = |args: &[&str]| {
        json(&text(
            &w.run(["--json", "status"].iter().chain(args)).stdout,
        ))
    };
    let before = status(&[]);
    let then = before["at"].as_str().unwrap().to_owned();
    assert_eq!(before["judged_by"], Value::Null);
    assert_eq!(status(&["--as-of", &then])["judged_by"], Value::Null);

    // One system is dropped, another one comes, of which there never was a point then.
    let policy = replaced(
        "  code:    { source: \"git:./code\"",
        "  tools:   { source: \"files:./code\"",
    );
    write(&w, &policy);
    common::vaults::agree(&w);
    w.ok(["run", "tools"]);
    let now = status(&[]);
    assert_eq!(systems(&now), ["shop-db", "tools", "website"]);
    assert_eq!(now["judged_by"], Value::Null);
    let past = status(&["--as-of", &then]);
    assert_eq!(systems(&past), ["code", "shop-db", "website"]);
    assert_eq!(past["protections"], before["protections"]);
    assert_eq!(past["policy_digest"], before["policy_digest"]);
    let said = past["judged_by"].as_str().unwrap();
    assert!(said.contains("in force then: version 1, SHA-256"), "{said}");
    let shown = text(&w.run(["status", "--as-of", &then]).stdout);
    assert!(shown.contains(said), "{shown}");

    // A report of a period that ended then is evidence of what was promised then, and has its text.
    let period = ["report", "--to", &then, "--from", "2020-01-01"];
    let report = |more: &[&str]| w.ok(period.iter().chain(more));
    let made: Value = serde_json::from_str(&report(&["--format", "json", "-o", "-"])).unwrap();
    assert_eq!(made["policy"]["digest"], before["policy_digest"]);
    assert_eq!(made["policy"]["judged_by"], said);
    let page = report(&["-o", "-"]);
    assert!(page.contains("The period is over; it is judged by the policy that was in force then"));
    report(&["--bundle", "then.tar"]);
    let unpacked = std::process::Command::new("tar")
        .args(["-xf", "then.tar"])
        .current_dir(w.root())
        .status();
    assert!(unpacked.unwrap().success());
    let bundled = fs::read_to_string(w.path("evidence/policy.yaml")).unwrap();
    assert_eq!(bundled, POLICY);

    // Where the text is lost, the present one stands in, and that is said.
    fs::remove_dir_all(w.path(".vouchsafe/policies")).unwrap();
    for vault in ["local", "offsite"] {
        fs::remove_dir_all(w.path(format!("vaults/{vault}/policy"))).unwrap();
    }
    let past = status(&["--as-of", &then]);
    assert_eq!(systems(&past), systems(&now));
    let said = past["judged_by"].as_str().unwrap();
    assert!(
        said.contains("by the present policy: the text of the one"),
        "{said}"
    );
    let past = status(&["--as-of", "2020-01-01T00:00:00Z"]);
    let said = past["judged_by"].as_str().unwrap();
    assert!(said.contains("none was in force then"), "{said}");
}

#[test]
fn the_record_that_is_recovered_knows_what_waits() {
    let w = Workspace::ready();
    w.ok(["run", "website"]);
    write(&w, &replaced("at_least: 35 days", "at_least: 1 day"));
    w.ok(["run", "website"]);
    let change = waiting(&w);
    fs::copy(w.path(".vouchsafe/recovery-sheet.txt"), w.path("sheet.txt")).unwrap();
    fs::remove_dir_all(w.path(".vouchsafe")).unwrap();
    fs::remove_file(w.path("policy.yaml")).unwrap();
    let url = w.path("vaults/offsite");
    w.ok([
        "recover-state",
        "--vault",
        url.to_str().unwrap(),
        "--sheet",
        "sheet.txt",
    ]);
    assert_eq!(waiting(&w), change);
}
