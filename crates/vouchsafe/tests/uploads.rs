//! Uploads and statements from the command line while a vault cannot be reached.

use std::fs;
use std::process::Command;

use crate::common::Workspace;
use serde_json::Value;

const POLICY: &str = r#"
policy: { id: P-1, title: Backups, owner: ann@example.com, version: "1", next_review: 2999-01-01 }
vaults: { local: { url: ./vaults/local }, offsite: { url: ./vaults/offsite } }
systems:
  wiki:
    owner: ann@example.com
    keep: { at_least: 400 days }
    manual: { every: year, accept: "*.zip", instructions: Export the wiki, copies: [ local, offsite ] }
duties:
  metrics: { every: year, role: ann@example.com }
"#;

fn attest<'a>(duty: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let said = [
        "--json",
        "attest",
        duty,
        "--outcome",
        "done",
        "--reason",
        "as usual",
        "--by",
        "ann@example.com",
    ];
    [&said[..], more].concat()
}

fn result(text: &str) -> Value {
    let mut lines = text
        .lines()
        .filter_map(|l| serde_json::from_str::<Value>(l).ok());
    let last = lines.rfind(|l| l["event"] == "result");
    last.unwrap_or_else(|| panic!("no result: {text}"))
}

#[test]
fn a_vault_that_is_away_loses_no_statement_and_gets_the_same_archive_later() {
    let w = Workspace::new();
    fs::write(w.path("policy.yaml"), POLICY).unwrap();
    w.ok(["init"]);
    let zip = Command::new("zip")
        .args(["-q", "-r", "export.zip", "site"])
        .current_dir(w.root())
        .output()
        .unwrap();
    assert!(zip.status.success(), "{zip:?}");
    // What nobody has handed in cannot be rehearsed, and no run would make it.
    let (_, told) = w.exits(2, ["drill", "wiki"]);
    assert!(told.contains("`vouchsafe attest wiki "), "{told}");
    let (_, told) = w.exits(2, ["restore", "wiki", "--to", "./back"]);
    assert!(told.contains("`vouchsafe attest wiki "), "{told}");
    let upload = attest("wiki", &["--file", "export.zip"]);
    let (vault, aside) = (w.path("vaults/offsite"), w.path("aside"));
    fs::rename(&vault, &aside).unwrap();
    fs::write(&vault, "no directory").unwrap();

    let done = result(&w.exits(3, &upload).0);
    assert_eq!(done["attestation"]["statement"]["outcome"], "done");
    assert_eq!(done["not_copied"].as_array().unwrap().len(), 1, "{done}");
    assert_eq!(done["unpublished"].as_array().unwrap().len(), 1, "{done}");
    let done = result(&w.exits(1, attest("metrics", &[])).0);
    assert_eq!(done["attestation"]["statement"]["duty"], "metrics");
    assert_eq!(done["unpublished"].as_array().unwrap().len(), 1, "{done}");
    let owed = w.ok(["duties", "--days", "0"]);
    assert!(
        !owed.contains("metrics") && !owed.contains("wiki/main"),
        "{owed}"
    );

    fs::remove_file(&vault).unwrap();
    fs::rename(&aside, &vault).unwrap();
    let done = result(&w.ok(&upload));
    assert_eq!(done["not_copied"], serde_json::json!([]));
    assert_eq!(done["unpublished"], serde_json::json!([]));
    let done = result(&w.exits(1, &upload).0);
    let because = done["refused"]["because"].as_str().unwrap();
    assert!(because.contains("handed in last"), "{because}");
}
