//! How full the stores of vaults are: measured, told once, and part of the status.

use std::fs;

use crate::common::{POLICY, Workspace};

/// A workspace that has run once, and wants to hear from so many millionths on.
fn watched(millionths: u64) -> Workspace {
    let w = Workspace::new();
    let policy = format!(
        "{POLICY}\nalerts: {{ storage: {{ to: o@example.com, above: {millionths}/1000000 }} }}\n"
    );
    fs::write(w.path("policy.yaml"), policy).unwrap();
    w.ok(["init"]);
    w.run(["run"]);
    w
}

fn recorded(w: &Workspace, what: &str) -> usize {
    w.ok(["ledger", "export"]).matches(what).count()
}

fn storage(w: &Workspace) -> Vec<(String, String)> {
    let out = w.run(["--json", "status"]);
    let status: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let all = status["storage"].as_array().unwrap().iter();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    all.map(|s| (text(&s["vault"]), text(&s["verdict"])))
        .collect()
}

fn both(verdict: &str) -> Vec<(String, String)> {
    let of = |vault: &str| (vault.to_owned(), verdict.to_owned());
    vec![of("local"), of("offsite")]
}

#[test]
fn a_store_that_fills_is_told_and_turns_the_status() {
    let (free, total) = vouchsafe_host::files::free_space(std::env::temp_dir()).unwrap();
    let taken = u64::try_from(u128::from(total - free) * 1_000_000 / u128::from(total)).unwrap();

    let w = watched(taken + (1_000_000 - taken) / 2);
    assert_eq!(storage(&w), both("met"));
    assert_eq!(recorded(&w, "\"fact\":\"space\""), 2);
    assert_eq!(recorded(&w, "\"kind\":\"storage\""), 0);
    let said = w.run(["status", "--verbose"]);
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("storage of local: met"), "{said}");

    let w = watched((taken / 2).max(1));
    assert_eq!(storage(&w), both("not-met"));
    let (said, _) = w.exits(1, ["status"]);
    assert!(said.contains("storage of offsite: not met"), "{said}");
    assert!(said.contains("policy warns at"), "{said}");
    assert_eq!(recorded(&w, "\"kind\":\"storage\""), 2);
    // Once for as long as it stays so, and little of it in the record.
    w.run(["run", "website"]);
    assert_eq!(recorded(&w, "\"kind\":\"storage\""), 2);
    assert_eq!(recorded(&w, "\"fact\":\"space\""), 2);
}

#[test]
fn what_cannot_warn_is_said_by_the_linter() {
    let w = Workspace::new();
    let policy = POLICY.replace("./vaults/offsite", "'s3://bucket/offsite'");
    let alert = "alerts: { storage: { to: o@example.com, above: 100% } }";
    fs::write(w.path("policy.yaml"), format!("{policy}\n{alert}\n")).unwrap();
    let out = w.run(["lint"]);
    let said = String::from_utf8(out.stdout).unwrap();
    assert!(said.contains("P180"), "{said}");
    assert!(
        said.contains("P028") && said.contains("`offsite`"),
        "{said}"
    );
    assert!(!said.contains("`local`, "), "{said}");
}
