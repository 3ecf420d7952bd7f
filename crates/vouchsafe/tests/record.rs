//! The record in others' hands: witnesses, proofs, another key, and the examiner that is not ours.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::{Workspace, text};
use serde_json::Value;

fn json(w: &Workspace, args: &[&str]) -> Value {
    let out = w.ok([&["--json"], args].concat());
    serde_json::from_str(out.lines().last().unwrap()).unwrap()
}

fn vkey(w: &Workspace) -> String {
    json(w, &["ledger", "show"])["public_key"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// The examiner in Python: its exit code and what it says.
fn python(w: &Workspace, tool: &str, args: &[&str]) -> (i32, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs/tools")
        .join(tool);
    let mut command = Command::new("python3");
    command
        .arg("-B")
        .arg(script)
        .args(args)
        .current_dir(w.root());
    let out = command.output().expect("python3 is needed");
    (
        out.status.code().unwrap(),
        text(&out.stdout) + &text(&out.stderr),
    )
}

/// A workspace with one run in its record, exported to `export.jsonl`.
fn recorded() -> Workspace {
    let w = Workspace::ready();
    w.ok(["run", "website"]);
    w.ok(["ledger", "export", "-o", "export.jsonl"]);
    w
}

#[test]
fn a_real_export_is_whole_for_both_examiners_and_its_damaged_twin_for_neither() {
    let w = recorded();
    let key = vkey(&w);
    let ours = json(
        &w,
        &[
            "ledger",
            "verify",
            "--export",
            "export.jsonl",
            "--key",
            &key,
        ],
    );
    let (code, said) = python(&w, "verify_ledger.py", &["export.jsonl", "--key", &key]);
    let last = said.lines().last().unwrap();
    assert!(
        last.starts_with(ours["outcome"].as_str().unwrap()) && code == 0,
        "{said}{ours}"
    );
    assert!(last.contains(&ours["entries"].to_string()), "{said}{ours}");

    // The own record is held against a key from elsewhere, too.
    w.ok(["ledger", "verify", "--key", &key]);
    let other = vkey(&Workspace::ready());
    let (shown, _) = w.exits(1, ["ledger", "verify", "--key", &other]);
    assert!(
        shown.contains(&format!("the key {other} has never signed this record")),
        "{shown}"
    );
    let (_, said) = w.exits(2, ["ledger", "verify", "--key", "key"]);
    assert!(said.contains("`key` is not the public key"), "{said}");

    let export = fs::read_to_string(w.path("export.jsonl")).unwrap();
    let edited = export.replacen("\"outcome\":\"done\"", "\"outcome\":\"lost\"", 1);
    assert_ne!(edited, export);
    fs::write(w.path("edited.jsonl"), edited).unwrap();
    let (ours, _) = w.exits(
        1,
        ["--json", "ledger", "verify", "--export", "edited.jsonl"],
    );
    let ours: Value = serde_json::from_str(&ours).unwrap();
    assert_eq!(ours["outcome"], "wrong");
    let (code, said) = python(&w, "verify_ledger.py", &["edited.jsonl"]);
    let wrong = format!("wrong {}:", ours["first_wrong"]);
    assert!(code == 1 && said.starts_with(&wrong), "{said}{ours}");

    // Long after its horizon the record is silent.
    let late = ["--until", "2999-01-01T00:00:00Z", "--strict"];
    let (shown, _) = w.exits(
        1,
        [&["ledger", "verify", "--export", "export.jsonl"], &late[..]].concat(),
    );
    assert!(shown.contains("! silence from"), "{shown}");
    let (code, said) = python(
        &w,
        "verify_ledger.py",
        &[&["export.jsonl"], &late[..]].concat(),
    );
    assert!(code == 1 && said.contains("! silence from"), "{said}");
}

fn cosign<'a>(export: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["ledger", "cosign", export, "--witness", "auditor"], more].concat()
}

#[test]
fn a_witness_signs_what_goes_on_from_what_it_has_seen_and_nothing_else() {
    let w = recorded();
    let key = vkey(&w);
    let (_, said) = w.exits(2, cosign("export.jsonl", &["--key", &key]));
    assert!(said.contains("--name"), "{said}");
    let (_, said) = w.exits(
        2,
        cosign("export.jsonl", &["--name", "example.com/auditor"]),
    );
    assert!(said.contains("--key"), "{said}");
    let first = [
        "--name",
        "example.com/auditor",
        "--key",
        &key,
        "-o",
        "first.note",
    ];
    let (_, said) = w.exits(0, cosign("export.jsonl", &first));
    assert!(said.contains("for the first time"), "{said}");
    let witness = fs::read_to_string(w.path("auditor/witness.vkey")).unwrap();
    let witness = witness.trim_end();

    // The head comes back, is recorded and published.
    let taken = ["ledger", "witnessed", "first.note", "--witness", witness];
    let shown = w.ok(taken);
    assert!(
        shown.contains("example.com/auditor has seen the record up to"),
        "{shown}"
    );
    assert_eq!(w.ok(taken), shown, "doing it again changes nothing");
    let facts = w.ok(["ledger", "show", "--last", "100"]);
    assert_eq!(facts.matches("witnessed").count(), 1, "{facts}");
    let verified = json(&w, &["ledger", "verify", "--witness", witness]);
    let seen = &verified["witnesses"][0];
    assert_eq!(
        (&seen["witness"], &seen["key_known"]),
        (&witness.into(), &true.into())
    );
    let stranger = witness.replace("auditor", "stranger");
    w.exits(
        2,
        ["ledger", "witnessed", "first.note", "--witness", &stranger],
    );

    // What was recorded since goes on from what was seen.
    w.ok(["run", "website"]);
    w.ok(["ledger", "export", "-o", "later.jsonl"]);
    let (_, said) = w.exits(0, cosign("later.jsonl", &["-o", "later.note"]));
    assert!(said.contains("had seen"), "{said}");
    let report = ["later.jsonl", "--head", "later.note", "--witness", witness];
    let (code, said) = python(&w, "verify_ledger.py", &report);
    assert!(code == 0 && said.contains("witnessed up to"), "{said}");

    // The record as it was before does not, nor one that was written anew by whoever has the key.
    let (shown, _) = w.exits(1, cosign("export.jsonl", &[]));
    assert!(
        shown.contains("not signed") && shown.contains("is missing"),
        "{shown}"
    );
    let state = w.path(".vouchsafe");
    fs::remove_file(state.join("ledger.db")).unwrap();
    for rest in ["ledger.db-wal", "ledger.db-shm"] {
        let _ = fs::remove_file(state.join(rest));
    }
    for vault in ["local", "offsite"] {
        fs::remove_dir_all(w.path(format!("vaults/{vault}/ledger"))).unwrap();
    }
    w.ok(["init"]);
    assert_eq!(vkey(&w), key);
    for _ in 0..5 {
        w.ok(["run", "website"]);
    }
    w.ok(["ledger", "export", "-o", "anew.jsonl"]);
    w.ok(["ledger", "verify", "--export", "anew.jsonl", "--key", &key]);
    let (shown, _) = w.exits(1, cosign("anew.jsonl", &["-o", "anew.note"]));
    assert!(
        shown.contains("not signed") && shown.contains("rewritten"),
        "{shown}"
    );
    assert!(!w.path("anew.note").exists());
    let (_, said) = w.exits(
        3,
        ["ledger", "witnessed", "later.note", "--witness", witness],
    );
    assert!(
        said.contains("forked") || said.contains("set back"),
        "{said}"
    );
}

#[test]
fn single_entries_and_growth_are_proven_to_others() {
    let w = recorded();
    let key = vkey(&w);
    let older = json(&w, &["ledger", "show"])["head"]
        .as_str()
        .unwrap()
        .to_owned();
    fs::write(w.path("older.note"), &older).unwrap();
    let size = older.lines().nth(1).unwrap().to_owned();
    w.ok(["run", "website"]);
    w.ok(["ledger", "prove", "3", "-o", "entry.tlog-proof"]);
    let shown = w.ok(["ledger", "check-proof", "entry.tlog-proof", "--key", &key]);
    assert!(shown.contains("this is entry 3"), "{shown}");
    let (code, said) = python(&w, "verify_proof.py", &["entry.tlog-proof", "--key", &key]);
    assert!(code == 0 && said.contains("this is entry 3"), "{said}");
    w.ok(["ledger", "prove", "--from-size", &size, "-o", "growth"]);
    let check = [
        "ledger",
        "check-proof",
        "growth",
        "--key",
        &key,
        "--head",
        "older.note",
    ];
    let shown = w.ok(check);
    assert!(
        shown.contains(&format!("goes on from the one of {size}")),
        "{shown}"
    );
    let check = ["growth", "--key", &key, "--head", "older.note"];
    let (code, said) = python(&w, "verify_proof.py", &check);
    assert!(code == 0 && said.contains("goes on"), "{said}");

    let proof = fs::read_to_string(w.path("entry.tlog-proof")).unwrap();
    fs::write(w.path("moved"), proof.replacen("index 3", "index 2", 1)).unwrap();
    let (shown, _) = w.exits(1, ["ledger", "check-proof", "moved", "--key", &key]);
    assert!(shown.contains("does not fit"), "{shown}");
    w.exits(2, ["ledger", "check-proof", "policy.yaml", "--key", &key]);
    w.exits(2, ["ledger", "prove"]);

    w.ok(["ledger", "export", "--tiles", "tiles"]);
    let checkpoint = fs::read_to_string(w.path("tiles/checkpoint")).unwrap();
    let head = json(&w, &["ledger", "show"])["head"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(checkpoint, head);
}

#[test]
fn the_signing_key_is_replaced_and_everything_follows_it() {
    let w = recorded();
    let old = vkey(&w);
    let seed = fs::read(w.path(".vouchsafe/keys/ledger.seed")).unwrap();
    let shown = w.ok(["key", "rotate-ledger"]);
    let new = vkey(&w);
    assert!(
        new != old && shown.contains(&old) && shown.contains(&new),
        "{shown}"
    );
    assert_ne!(
        fs::read(w.path(".vouchsafe/keys/ledger.seed")).unwrap(),
        seed
    );
    assert!(!w.path(".vouchsafe/keys/ledger.seed.next").exists());
    let sheet = fs::read_to_string(w.path(".vouchsafe/recovery-sheet.txt")).unwrap();
    assert!(sheet.contains(&new) && !sheet.contains(&old), "{sheet}");
    w.ok(["run", "website"]);
    w.ok(["ledger", "verify"]);
    w.ok(["ledger", "export", "-o", "after.jsonl"]);
    for key in [&old, &new] {
        w.ok(["ledger", "verify", "--key", key]);
        let shown = w.ok(["ledger", "verify", "--export", "after.jsonl", "--key", key]);
        assert!(
            shown.contains(&format!("signed by {new} since entry")),
            "{shown}"
        );
        let (code, said) = python(&w, "verify_ledger.py", &["after.jsonl", "--key", key]);
        assert!(code == 0 && said.contains(&new), "{said}");
    }

    // A change that broke off after it was recorded is finished by whoever opens the ledger next.
    let fresh = w.path(".vouchsafe/keys/ledger.seed");
    fs::rename(&fresh, w.path(".vouchsafe/keys/ledger.seed.next")).unwrap();
    fs::write(&fresh, &seed).unwrap();
    w.ok(["ledger", "verify"]);
    assert!(!w.path(".vouchsafe/keys/ledger.seed.next").exists());
    assert_eq!(vkey(&w), new);

    // The vaults have the new key too: the state comes back from one of them, and goes on.
    let entries = json(&w, &["ledger", "verify"])["entries"].clone();
    fs::write(w.path("sheet.txt"), sheet).unwrap();
    fs::remove_dir_all(w.path(".vouchsafe")).unwrap();
    w.ok([
        "recover-state",
        "--vault",
        "vaults/offsite",
        "--sheet",
        "sheet.txt",
    ]);
    assert_eq!(vkey(&w), new);
    w.ok(["run", "website"]);
    let verified = json(&w, &["ledger", "verify"]);
    assert!(
        verified["entries"].as_u64() > entries.as_u64(),
        "{verified}"
    );
}
