//! Losing the machine: ledger, keys and policy come back from one vault and the recovery sheet.

use std::fs;

use crate::common::{self, Workspace};
use serde_json::Value;

const AT: &str = "--as-of";

fn status(w: &Workspace, at: &str) -> Value {
    let out = w.run(["--json", "status", AT, at]);
    serde_json::from_slice(&out.stdout).unwrap()
}

fn newest_entry(w: &Workspace) -> String {
    let shown: Value =
        serde_json::from_str(&w.ok(["--json", "ledger", "show", "--last", "1"])).unwrap();
    shown["entries"][0]["entry"]["at"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn the_state_comes_back_from_one_vault_with_an_equal_status() {
    for vault in ["local", "offsite"] {
        let w = Workspace::ready();
        w.ok(["run"]);
        w.ok(["drill", "website"]);
        let at = newest_entry(&w);
        let before = status(&w, &at);
        let sheet = w.path("sheet.txt");
        fs::copy(w.path(".vouchsafe/recovery-sheet.txt"), &sheet).unwrap();
        fs::remove_dir_all(w.path(".vouchsafe")).unwrap();
        fs::remove_file(w.path("policy.yaml")).unwrap();

        let url = w.path(format!("vaults/{vault}"));
        let out = w.ok([
            "recover-state",
            "--vault",
            url.to_str().unwrap(),
            "--sheet",
            "sheet.txt",
        ]);
        assert!(out.contains("each checked"), "{out}");
        assert_eq!(
            fs::read_to_string(w.path("policy.yaml")).unwrap(),
            common::POLICY
        );
        assert_eq!(status(&w, &at), before);
        // And it goes on.
        w.ok(["run"]);
        w.ok(["ledger", "verify"]);
    }
}

#[test]
fn a_run_whose_record_does_not_reach_a_vault_is_not_met_and_the_next_one_catches_up() {
    let w = Workspace::ready();
    w.ok(["run", "website"]);
    let beside = w.path("vaults/offsite/ledger");
    let aside = w.path("aside");
    fs::rename(&beside, &aside).unwrap();
    fs::write(&beside, "no directory").unwrap();
    let (out, told) = w.exits(1, ["--json", "run", "website"]);
    let last: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!(last["runs"][0]["outcome"], "done", "{last}");
    let unpublished = last["unpublished"].as_array().unwrap();
    assert_eq!(unpublished.len(), 1, "{last} {told}");
    assert_eq!(unpublished[0]["place"], "vault offsite");
    fs::remove_file(&beside).unwrap();
    fs::rename(&aside, &beside).unwrap();
    let out = w.ok(["--json", "run", "website"]);
    let last: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!(last["unpublished"].as_array().map(Vec::len), Some(0));
}

#[test]
fn recovering_over_a_living_state_is_refused() {
    let w = Workspace::ready();
    w.ok(["run", "website"]);
    let url = w.path("vaults/local");
    let sheet = w.path(".vouchsafe/recovery-sheet.txt");
    w.exits(
        2,
        [
            "recover-state",
            "--vault",
            url.to_str().unwrap(),
            "--sheet",
            sheet.to_str().unwrap(),
        ],
    );
}

#[test]
fn a_wrong_sheet_is_a_wrong_key() {
    let w = Workspace::ready();
    w.ok(["run", "website"]);
    fs::remove_dir_all(w.path(".vouchsafe")).unwrap();
    fs::write(
        w.path("sheet.txt"),
        "Vault 1: local\n  passphrase  not-the-one\n",
    )
    .unwrap();
    let url = w.path("vaults/local");
    w.exits(
        12,
        [
            "recover-state",
            "--vault",
            url.to_str().unwrap(),
            "--sheet",
            "sheet.txt",
        ],
    );
    assert!(!w.path(".vouchsafe/ledger.db").exists());
}

#[test]
fn a_tampered_record_in_the_vault_is_not_believed() {
    let w = Workspace::ready();
    w.ok(["run", "website"]);
    let sheet = w.path("sheet.txt");
    fs::copy(w.path(".vouchsafe/recovery-sheet.txt"), &sheet).unwrap();
    fs::remove_dir_all(w.path(".vouchsafe")).unwrap();
    let segment = common::files_below(&w.path("vaults/local/ledger"))
        .into_iter()
        .find(|p| p.to_string_lossy().contains("segments"))
        .unwrap();
    w.damage(&segment, |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    });
    let url = w.path("vaults/local");
    w.exits(
        3,
        [
            "recover-state",
            "--vault",
            url.to_str().unwrap(),
            "--sheet",
            "sheet.txt",
        ],
    );
    assert!(!w.path(".vouchsafe/ledger.db").exists());
    // The other vault still has it whole.
    let url = w.path("vaults/offsite");
    w.ok([
        "recover-state",
        "--vault",
        url.to_str().unwrap(),
        "--sheet",
        "sheet.txt",
    ]);
}

#[test]
fn init_joins_the_ledger_that_a_vault_holds() {
    let w = Workspace::ready();
    w.ok(["run", "website"]);
    let keys = w.path("keys");
    fs::create_dir(&keys).unwrap();
    for vault in ["local", "offsite"] {
        let name = format!("{vault}.passphrase");
        fs::copy(w.path(".vouchsafe/keys").join(&name), keys.join(&name)).unwrap();
    }
    fs::remove_dir_all(w.path(".vouchsafe")).unwrap();
    // Without the passphrases nothing is joined, and nothing is overwritten.
    w.exits(2, ["init"]);
    fs::remove_dir_all(w.path(".vouchsafe")).unwrap();
    fs::create_dir_all(w.path(".vouchsafe")).unwrap();
    fs::rename(&keys, w.path(".vouchsafe/keys")).unwrap();
    let out = w.ok(["init"]);
    assert!(out.contains("took over"), "{out}");
    let points: Value = serde_json::from_str(&w.ok(["--json", "points"])).unwrap();
    assert_eq!(points["points"].as_array().unwrap().len(), 1);
}

#[test]
fn a_new_ledger_beside_another_is_a_break_in_every_report() {
    let w = Workspace::ready();
    w.ok(["run", "website"]);
    fs::remove_file(w.path(".vouchsafe/ledger.db")).unwrap();
    fs::remove_file(w.path(".vouchsafe/keys/ledger.seed")).unwrap();
    w.ok(["init", "--new-ledger"]);
    w.ok(["run", "website"]);
    let status = w.run(["status"]);
    assert!(
        common::text(&status.stdout).contains("BROKEN"),
        "{}",
        common::text(&status.stdout)
    );
    w.ok(["report"]);
    assert!(
        fs::read_to_string(w.path("report.html"))
            .unwrap()
            .contains("does not continue")
    );
}
