//! Verifying from the command line: what is remembered, what it fulfils, and that it cannot be changed unseen.

use std::fs;

use crate::common::{self, POLICY, Workspace, files_below};
use serde_json::Value;

/// Vaults with one point each system, of which a quarter is to be read each week.
fn quarterly() -> Workspace {
    let w = Workspace::new();
    let policy = POLICY.replace("every: week }", "every: week, coverage: 1/4 }");
    fs::write(w.path("policy.yaml"), policy).unwrap();
    w.ok(["init"]);
    w.ok(["run"]);
    w
}

fn coverage(w: &Workspace, budget: &str) -> Value {
    let out = w.ok(["--json", "verify", "--vault", "local", "--budget", budget]);
    let last: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    last["vaults"][0]["coverage"].clone()
}

fn memories(w: &Workspace) -> Vec<std::path::PathBuf> {
    files_below(&w.path(".vouchsafe/verified/local"))
}

#[test]
fn four_quarters_cover_everything() {
    let w = quarterly();
    let mut never = Vec::new();
    for _ in 0..4 {
        never.push(coverage(&w, "25%")["packs_never"].as_u64().unwrap());
    }
    assert!(never.is_sorted_by(|a, b| a > b || *b == 0), "{never:?}");
    assert_eq!(never[3], 0);
    let all = coverage(&w, "1%");
    assert_eq!(all["bytes_within"], all["bytes_total"]);
    assert_eq!(all["within"], 28 * 86_400_000_000u64);
    assert_eq!(memories(&w).len(), 1, "older memories are removed");
}

#[test]
fn the_policys_share_is_read_when_it_is_due_and_answers_its_obligations() {
    let w = Workspace::new();
    // A period is owed only if the first point is due within it, and a week may be about to end.
    let policy = POLICY
        .replace("daily at 02:00 UTC", "hourly")
        .replace("every: week }", "every: year, coverage: 1/4 }");
    fs::write(w.path("policy.yaml"), policy).unwrap();
    w.ok(["init"]);
    w.ok(["run"]);
    // Two packs hold more than a quarter each, so that in no order a quarter of the bytes is all of them.
    let mut other = common::noise(3_000_000);
    other.reverse();
    fs::write(w.path("site/img/other.bin"), other).unwrap();
    w.ok(["run", "website", "--reason", "more of it"]);
    let (_, told) = w.exits(0, ["verify", "--due"]);
    assert!(told.contains("within the last 1464d"), "{told}");
    let out = w.ok(["ledger", "export"]);
    assert!(out.contains("verification"), "{out}");
    assert_eq!(w.ok(["verify", "--due"]), "nothing is due\n");
    let status = w.run(["status", "--verbose"]);
    let status = common::text(&status.stdout);
    let words: Vec<&str> = status.split_whitespace().collect();
    let words = words.join(" ");
    assert!(words.contains("within the last 1464d"), "{status}");
}

#[test]
fn a_lost_or_altered_memory_is_said_and_counts_as_nothing() {
    let w = quarterly();
    assert_eq!(coverage(&w, "100%")["packs_never"], 0);
    let file = memories(&w).remove(0);
    // Every pack read in the year 2100, says who wants them never to be read again.
    w.damage(&file, |bytes| {
        let length = bytes.len();
        bytes[length - 4] = 0x0e;
    });
    let (_, told) = w.exits(0, ["verify", "--vault", "local", "--budget", "1k"]);
    assert!(
        told.contains("was altered; every pack counts as not verified"),
        "{told}"
    );
    assert!(coverage(&w, "1k")["packs_never"].as_u64().unwrap() > 0);

    fs::remove_file(memories(&w).remove(0)).unwrap();
    let (_, told) = w.exits(0, ["verify", "--vault", "local", "--budget", "1k"]);
    assert!(
        told.contains("is lost; every pack counts as not verified"),
        "{told}"
    );
    // Nothing is said where nothing is wrong.
    let (_, told) = w.exits(0, ["verify", "--vault", "local", "--budget", "1k"]);
    assert!(!told.contains("counts as not verified"), "{told}");
}
