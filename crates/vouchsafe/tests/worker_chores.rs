//! What the worker does between captures: vaults read back and pruned, and restores rehearsed, as the policy asks.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::common::{POLICY, Workspace, files_below};
use serde_json::Value;

/// A worker that is running. It is killed when the value is dropped.
struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Everything in the record of that kind, oldest first.
fn facts(w: &Workspace, kind: &str) -> Vec<Value> {
    let text = w.ok(["ledger", "export"]);
    let lines = text
        .lines()
        .filter_map(|l| serde_json::from_str::<Value>(l).ok());
    let entries = lines.filter_map(|line| match line.get("entry").unwrap_or(&line) {
        Value::String(text) => serde_json::from_str(text).ok(),
        other => Some(other.clone()),
    });
    entries
        .filter(|entry: &Value| entry["fact"] == kind)
        .collect()
}

fn words(facts: &[Value], name: &str) -> BTreeSet<String> {
    let word = |fact: &Value| fact[name].as_str().unwrap().to_owned();
    facts.iter().map(word).collect()
}

#[test]
fn what_is_due_is_drilled_once() {
    let w = Workspace::new();
    w.ok(["init"]);
    w.ok(["run"]);
    let all: Value =
        serde_json::from_str(w.ok(["--json", "drill", "--due"]).lines().last().unwrap()).unwrap();
    let drills = all["drills"].as_array().unwrap();
    let systems = words(drills, "protection");
    assert!(!systems.is_empty());
    assert_eq!(systems.len(), drills.len());
    for drill in drills {
        assert_ne!(drill["obligations"].as_array().unwrap().len(), 0);
        assert_ne!(drill["negative_controls"].as_array().unwrap().len(), 0);
    }
    assert!(w.ok(["drill", "--due"]).contains("nothing is due"));
    assert_eq!(facts(&w, "drill").len(), drills.len());
}

#[test]
fn a_system_without_a_point_keeps_no_other_from_its_drill() {
    let w = Workspace::new();
    w.ok(["init"]);
    // Others come before it by name.
    w.ok(["run", "website"]);
    let done = w.run(["drill", "--due"]);
    assert_eq!(done.status.code(), Some(2));
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(said.contains("no recovery point"), "{said}");
    assert_eq!(words(&facts(&w, "drill"), "protection").len(), 1);
}

#[test]
fn a_worker_reads_vaults_back_and_rehearses_restores_without_being_told() {
    let w = Workspace::new();
    w.ok(["init"]);
    let mut command = w.command(["worker"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let worker = Worker(child.unwrap());
    let begun = Instant::now();
    let (drills, verified) = loop {
        let (drills, verified) = (facts(&w, "drill"), facts(&w, "verification"));
        let points = words(&facts(&w, "recovery-point"), "protection");
        let all = !points.is_empty() && words(&drills, "protection") == points;
        if all && words(&verified, "vault").len() == 2 {
            break (drills, verified);
        }
        assert!(
            begun.elapsed() < Duration::from_secs(180),
            "{drills:?} {verified:?}"
        );
        std::thread::sleep(Duration::from_millis(500));
    };
    drop(worker);
    // Each once, and none of them before there was something to look at.
    assert_eq!(words(&drills, "protection").len(), drills.len());
    assert_eq!(verified.len(), 2);
    for fact in drills.iter().chain(&verified) {
        assert_ne!(fact["obligations"].as_array().unwrap().len(), 0, "{fact}");
    }
    assert!(w.ok(["drill", "--due"]).contains("nothing is due"));
    assert!(w.ok(["verify", "--due"]).contains("nothing is due"));
}

#[test]
fn a_worker_removes_what_is_over_only_where_the_policy_says_so() {
    let w = Workspace::new();
    // No schedule is shorter, so this takes its time.
    let policy = POLICY
        .replace("keep: { at_least: 35 days }", "keep: { last: 1 }")
        .replace("vaults/local,", "vaults/local, prune: every minute,");
    fs::write(w.path("policy.yaml"), policy).unwrap();
    w.ok(["init"]);
    for n in 0..2 {
        fs::write(w.path("site/new"), format!("state {n}")).unwrap();
        w.ok(["run", "website"]);
    }
    let there = |vault: &str| files_below(&w.path(format!("vaults/{vault}/repo/snapshots"))).len();
    let mut command = w.command(["worker"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let worker = Worker(child.unwrap());
    let begun = Instant::now();
    let first = loop {
        if let Some(first) = facts(&w, "pruned").first() {
            break first.clone();
        }
        assert!(begun.elapsed() < Duration::from_secs(180), "nothing goes");
        std::thread::sleep(Duration::from_millis(500));
    };
    drop(worker);
    assert_eq!(first["vault"], "local");
    let length = |of: &Value, key: &str| of[key].as_array().map_or(0, Vec::len);
    assert_eq!(length(&first, "snapshots"), 1);
    assert_ne!(length(&first, "obligations"), 0);
    // The worker has captured what had no point.
    assert_eq!((there("local"), there("offsite")), (3, 4));
    // What is owed next is answered by looking: there is nothing to remove, and nobody has to agree to that.
    let begun = Instant::now();
    let next = loop {
        let told = w.ok(["--json", "prune", "--due"]);
        let told: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
        if told["event"] == "result" {
            break told["vaults"][0].clone();
        }
        assert_eq!(length(&told, "vaults"), 0, "{told}");
        assert!(begun.elapsed() < Duration::from_secs(90), "nothing is owed");
        std::thread::sleep(Duration::from_millis(500));
    };
    assert_eq!(next["vault"], "local");
    assert_eq!(next["pruning"], Value::Null);
    let last = facts(&w, "pruned").pop().unwrap();
    assert_eq!(length(&last, "snapshots"), 0);
    assert_ne!(length(&last, "obligations"), 0);
    w.ok(["ledger", "verify"]);
}
