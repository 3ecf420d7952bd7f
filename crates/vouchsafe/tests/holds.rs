//! Legal holds from the command line: what they keep, who placed them, and what happens when they are lifted.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use crate::common::{self, POLICY, Workspace};
use serde_json::Value;

/// Four points of one system, of which only the newest need be kept.
fn with_points() -> (Workspace, Vec<String>) {
    let w = Workspace::new();
    let policy = POLICY.replace("at_least: 35 days", "at_least: 1s, at_most: 1s");
    fs::write(w.path("policy.yaml"), policy).unwrap();
    w.ok(["init"]);
    for n in 0..3 {
        fs::write(w.path("site/page"), format!("version {n}")).unwrap();
        w.ok(["run", "website"]);
    }
    sleep(Duration::from_millis(1100));
    let points = points(&w);
    assert_eq!(points.len(), 3);
    (w, points)
}

/// The points that have a copy in the first vault, the oldest first.
fn points(w: &Workspace) -> Vec<String> {
    let listed: Value = serde_json::from_str(&w.ok(["--json", "vault", "ls", "local"])).unwrap();
    let rows = listed["snapshots"].as_array().unwrap().clone();
    rows.iter()
        .map(|row| row["point"].as_str().unwrap().to_owned())
        .collect()
}

/// Without the breaks of lines.
fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_held_point_outlasts_the_policy_until_it_is_released() {
    let (w, all) = with_points();
    let oldest = all[0].as_str();
    let placed = w.ok([
        "hold",
        "place",
        "case-7",
        "--point",
        oldest,
        "--by",
        "counsel@example.com",
        "--reason",
        "litigation",
    ]);
    assert!(
        placed.contains("case-7") && placed.contains("without an end"),
        "{placed}"
    );
    // Whoever looks at points and status sees it too.
    let order = "until it is released, by counsel@example.com: litigation";
    let shown = w.ok(["points", "website"]);
    assert_eq!(shown.matches("on hold case-7").count(), 1, "{shown}");
    assert!(unwrapped(&shown).contains(order), "{shown}");
    let shown = common::text(&w.run(["status"]).stdout);
    let said = format!("hold case-7 keeps 1 point {order}");
    assert!(unwrapped(&shown).contains(&said), "{shown}");
    let shown: Value = serde_json::from_str(&w.ok(["--json", "points"])).unwrap();
    let held = |point: &Value| point["holds"] == serde_json::json!(["case-7"]);
    let points_held = shown["points"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|p| held(p));
    assert_eq!(points_held.count(), 1, "{shown}");
    let shown = common::text(&w.run(["--json", "status"]).stdout);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["holds"][0]["name"], "case-7");
    let shown = w.ok(["prune", "--dry-run"]);
    assert!(
        shown.contains(&format!(
            "{oldest} of website/main stays: under legal hold case-7"
        )),
        "{shown}"
    );
    w.ok(["prune", "--yes"]);
    assert_eq!(points(&w), [oldest, all[2].as_str()]);
    // It is really there.
    w.ok(["restore", "website", "--point", oldest, "--to", "back"]);
    assert_eq!(
        fs::read_to_string(w.path("back/page")).unwrap(),
        "version 0"
    );
    let listed: Value = serde_json::from_str(&w.ok(["--json", "hold", "list"])).unwrap();
    assert_eq!(listed["holds"][0]["by"], "counsel@example.com");

    w.ok([
        "hold",
        "release",
        "case-7",
        "--by",
        "counsel@example.com",
        "--reason",
        "settled",
    ]);
    assert_eq!(w.ok(["hold", "list"]), "no hold is in force\n");
    assert!(!w.ok(["points"]).contains("on hold"));
    let shown = w.ok(["prune", "--yes"]);
    assert!(shown.contains("1 snapshot stays"), "{shown}");
    assert_eq!(points(&w), [all[2].as_str()]);
    // Both are in the record, by whom and why.
    let shown = w.ok(["ledger", "export"]);
    assert!(
        shown.contains("litigation") && shown.contains("settled"),
        "{shown}"
    );
    w.ok(["report"]);
    let report = fs::read_to_string(w.path("report.html")).unwrap();
    assert!(report.contains("Hold case-7 lifted by counsel@example.com"));
}

#[test]
fn a_hold_on_a_system_keeps_what_comes_later_and_ends_when_it_says() {
    let (w, all) = with_points();
    w.ok([
        "hold",
        "place",
        "audit",
        "--system",
        "website",
        "--by",
        "auditor",
        "--reason",
        "year end",
        "--until",
        "2999-01-01T00:00:00Z",
    ]);
    let shown = unwrapped(&w.ok(["points", "website"]));
    let order = "until 2999-01-01 00:00 UTC, by auditor: year end";
    assert!(
        shown.contains(&format!("every point on hold audit {order}")),
        "{shown}"
    );
    assert!(!w.ok(["points", "code"]).contains("on hold"));
    let shown = unwrapped(&common::text(&w.run(["status"]).stdout));
    let said = format!("hold audit keeps every point {order}");
    assert_eq!(shown.matches(&said).count(), 1, "{shown}");
    fs::write(w.path("site/page"), "later").unwrap();
    w.ok(["run", "website"]);
    sleep(Duration::from_millis(1100));
    w.ok(["prune", "--yes"]);
    assert_eq!(points(&w).len(), all.len() + 1);
    // The state that comes back knows the hold too.
    let sheet = w.path("sheet.txt");
    fs::copy(w.path(".vouchsafe/recovery-sheet.txt"), &sheet).unwrap();
    fs::remove_dir_all(w.path(".vouchsafe")).unwrap();
    let url = w.path("vaults/offsite");
    w.ok([
        "recover-state",
        "--vault",
        url.to_str().unwrap(),
        "--sheet",
        "sheet.txt",
    ]);
    let listed = w.ok(["hold", "list"]);
    assert!(listed.contains("every point of website"), "{listed}");
}

#[test]
fn what_cannot_be_held_is_refused_and_nothing_is_recorded() {
    let (w, all) = with_points();
    let by = ["--by", "counsel", "--reason", "litigation"];
    let refused = |args: &[&str], said: &str| {
        let all: Vec<&str> = ["hold"].iter().chain(args).copied().collect();
        let (_, stderr) = w.exits(2, all);
        assert!(stderr.contains(said), "{stderr}");
    };
    let place = |more: &[&'static str]| [&["place", "case-1"][..], more, &by[..]].concat();
    refused(&place(&["--point", "p-0000000000000000"]), "knows no point");
    refused(&place(&["--system", "nowhere"]), "no system nowhere");
    refused(
        &place(&["--system", "website", "--until", "2001-01-01T00:00:00Z"]),
        "has passed",
    );
    refused(&place(&["--system", "website", "--until", "soon"]), "soon");
    refused(
        &[
            "place", "case-1", "--system", "website", "--by", " ", "--reason", "x",
        ],
        "who ordered it",
    );
    refused(
        &["release", "case-1", "--by", "counsel", "--reason", "over"],
        "no hold is in force",
    );
    w.ok([&["hold"][..], &place(&["--system", "website"])[..]].concat());
    refused(&place(&["--system", "website"]), "choose another");
    refused(
        &["release", "case-2", "--by", "counsel", "--reason", "over"],
        "there are case-1",
    );
    w.ok([
        "hold", "release", "case-1", "--by", "counsel", "--reason", "over",
    ]);
    // What was let go cannot be held any more.
    w.ok(["prune", "--yes"]);
    let gone = all[0].clone();
    let args = [
        "place",
        "case-1",
        "--point",
        gone.as_str(),
        "--by",
        "counsel",
        "--reason",
        "late",
    ];
    refused(&args, "was let go before");
}
